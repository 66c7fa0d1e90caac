"""A surrogate from a dataset in one call.

Long for its arguments, of which each has its lines: what is done with them is in the other files of the
room, and put together here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from math import prod
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sciml.domain.inference import fields_of
from sciml.domain.layout import layout_of, point_dim
from sciml.domain.levels import flat, written_out
from sciml.errors import InputError, nearest
from sciml.record.foreign import Foreign, parts_of
from sciml.samples import Sample, Task
from sciml.samples.reach import Far, those_far
from sciml.samples.seams import FRAMES, SIMULATIONS, seams, spread
from sciml.samples.splits import (
    LAST,
    SHARED,
    TOO_SHORT,
    TRAIN,
    VALIDATION,
    held_apart,
    require_training,
    shared_frames,
)
from sciml.samples.times import Times
from sciml.samples.warned import tell
from sciml.samples.windower import windows_of
from sciml.surrogates import own_model, registry
from sciml.surrogates.calling import require_fields
from sciml.surrogates.normalizer import Normalizer
from sciml.surrogates.scope import joined
from sciml.surrogates.setting import Setting
from sciml.surrogates.statistics import Statistics
from sciml.surrogates.surrogate import Surrogate
from sciml.surrogates.threads import threads_for, values_of
from sciml.surrogates.weights import unsavable
from sciml.training.accumulation import epoch_steps
from sciml.training.dataset_source import DatasetSource
from sciml.training.device import device_of
from sciml.training.figures import remarks
from sciml.training.fit_directory import FitDirectory, described
from sciml.training.hooks import Hooks
from sciml.training.loop import train
from sciml.training.objective import Supervised, without_norm
from sciml.training.objectives import objective_of
from sciml.training.options import Options
from sciml.training.phase import Phase, phases_of
from sciml.training.reporting import Reporting
from sciml.training.trial import try_out
from sciml.training.validation import Trajectory, Validation
from sciml.training.weighting import require_weighting

if TYPE_CHECKING:
    import xarray as xr

    from sciml.training.augmentation import Augmentation
    from sciml.training.ema import EMA
    from sciml.training.noise import Noise
    from sciml.training.pushforward import Pushforward

Keys = Mapping[str, Any]

log = logging.getLogger("sciml.fit")


def fit(
    model: str | Mapping[str, Any] | nn.Module,
    data: xr.Dataset | str | Path | Sequence[xr.Dataset | str | Path],
    task: Task | Mapping[str, Any] | None = None,
    *,
    inputs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    forcing: Sequence[str] | None = None,
    unroll: int | None = None,
    levels: str | int | None = None,
    group: str | None = None,
    batch_size: int = 16,
    epochs: int | None = None,
    phases: Any = None,
    loss: str | None = None,
    field_weights: Mapping[str, float] | None = None,
    weighting: str | None = None,
    points: int | None = None,
    increment: bool | None = None,
    validation: float = 0.1,
    rollout: int = 10,
    seed: int = 0,
    device: str | None = None,
    directory: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    checkpoint_every: int = 500,
    validate_every: int = 250,
    ema: float | Keys | EMA | None = None,
    augment: str | Sequence[str] | Keys | Augmentation | None = None,
    pushforward: int | Keys | Pushforward | None = None,
    noise: float | Keys | Noise | None = None,
    autocast: str | None = None,
    compile: bool | str = False,
    accumulate: int = 1,
    progress: bool | None = None,
    **model_options: Any,
) -> Surrogate:
    """Train a surrogate on a dataset, ours or anyone's netCDF.

    Args:
        model: name (``"fno"``), name with options (``{"name": "fno", "modes": 8}``, on grids also
            ``"symmetrize": "square"``), or a module with a plain-tensor ``forward`` (see
            :mod:`sciml.surrogates.calling`).
        data: a dataset, the path of a file (netCDF, zarr, HDF5 of The Well or PDEBench), of a folder of
            files, a pattern such as ``"runs/*.nc"``, or a list of them; each is one simulation or has
            several, and what is large is read when it is drawn. Where it says a ``split`` (a coordinate
            along samples or time, or an attribute: ``train``, ``validation``, ``test``), what is for
            testing is not read, and what is for validation is validated on and nothing else; to train
            on all of it, take the split off, ``ds.drop_vars("split")``.
        task: what to learn. ``None``: all fields one step ahead where there is time; else
            ``targets`` from ``inputs`` at the same time.
        inputs, targets, parameters: names, in the place of a task. Models by name get fields in the
            order of their names, a module and a file of your own in the order given.
        forcing: fields, or numbers, that vary in time and are known ahead, in the place of a task: the
            model sees them at the time of what it gives.
        unroll: steps of a window that the loss compares, outputs fed back with gradients through
            all, in the place of a task; 1, or with ``pushforward`` one more than its steps.
        levels: what a vertical axis of the variables is: ``"channels"``, a field for each level, named
            ``t_850``, where ``t`` names all of them; ``"axis"``, an axis in space. A number is
            the option ``levels`` of a model.
        group: of netCDF-4, HDF5 or zarr, in which the variables are.
        batch_size: samples a step.
        epochs: passes over the data, with AdamW at 2e-3 and a cosine; 50 if nothing is said.
        phases: in the place of ``epochs``: one or more :class:`Phase`, or their keys.
        loss: ``relative_l2``, ``h1``, ``h1_spectral`` or ``mse``, of fields in their own deviations:
            units do not matter. ``None``: what the kind of domain brings along, ``relative_l2``; of
            kinds their cross entropy; of energies of particles those, and forces, their gradient.
        field_weights: of targets in the loss, ``{"u": 2.0}``; 1 for the others.
        weighting: of points in loss and validation: ``"latitude"``, cos φ, the area of their cells on
            the globe. ``None``: all alike.
        points: compare at so many random points of each sample, drawn anew in each step, for models
            that can be asked at points (DeepONets); ``None``: whole fields.
        increment: learn the change from the last input; ``None``: where every target is an input, and
            whole fields are compared.
        validation: part of the samples held out, at least one, where no split says which (of a split
            without validation, of what is for training); of the times, the last ones, where there is a
            single sample. 0: none.
        rollout: steps of the rollout in the validation.
        seed: of the weights, the split and the order.
        device: ``"cpu"``, ``"cuda:1"``, ``"xpu"``, ``"mps"``; ``None``: a GPU if there is one.
        directory: for checkpoints, the last two and the best; ``None``: none are written.
            ``sciml.load(directory)`` gives the surrogate of the newest. A training that ends early,
            by Ctrl-C too, leaves them, and says how to go on.
        resume: go on with the training of ``directory`` from its newest checkpoint, on the CPU bitwise
            as if it had never ended; where there is none, begin it.
        overwrite: remove the checkpoints of another training from ``directory`` first.
        checkpoint_every, validate_every: steps, and once at the end; 0: only at the end. Checkpoints are
            written every ten minutes, too, where steps are long. On the way at
            most 512 windows are validated on, and none is rolled out.
        ema: decay of an average of the weights, such as 0.999, which the surrogate then has.
        augment: symmetries that inputs and targets are put under: ``"flips"``, ``"square"``,
            ``"cube"``, ``"translations"`` or several; with vectors :class:`sciml.training.Augmentation`.
        pushforward: steps that are gone through without gradient before the one that is learned.
        noise: std of noise on the inputs, in standard deviations of the field.
        autocast: ``"bfloat16"`` for the products of matrices in the forward pass.
        compile: the model by ``torch.compile``.
        accumulate: batches for one optimizer step.

        These seven are :class:`sciml.training.Options`, whose pages say more; all are off by default.

        progress: show how far it is; ``None``: in terminals and notebooks, unless the log is read at
            level INFO, which says the same in lines.
        model_options: of a model by name, ``fit("fno", ds, modes=8)``; those that are called like an
            argument above go into the mapping, ``{"name": "mlp", "seed": 3}``.

    Small tensors are worked on by one thread of torch, large ones by its default; a number that was set,
    by ``torch.set_num_threads`` or ``OMP_NUM_THREADS``, stays: see :mod:`sciml.surrogates.threads`.

    Returns:
        The surrogate, with ``surrogate.history`` of the training (``steps``, ``validations``). Progress
        is logged by ``sciml.fit`` at level INFO, too: ``logging.basicConfig(level="INFO")`` shows it.

    Raises:
        InputError: names that the data does not have, NaN, a split that is not understood, nothing left
            to train on.
    """
    options = Options(ema, augment, pushforward, noise, autocast, compile, accumulate)
    counts = {"epochs": epochs, "unroll": unroll, "points": points}
    given = {name: value for name, value in counts.items() if value is not None}
    every = {"checkpoint_every": checkpoint_every, "validate_every": validate_every}
    _require_whole(batch_size=batch_size, seed=seed, rollout=rollout, **every, **given)
    folder = None
    if directory is not None:
        folder = FitDirectory(directory, resume=resume, overwrite=overwrite)
    elif resume or overwrite:
        raise InputError("fit: resume and overwrite need the directory of the checkpoints")
    if not torch.is_grad_enabled():
        raise InputError(
            "fit: gradients are switched off (torch.no_grad, torch.inference_mode); train outside"
        )
    if isinstance(model, type):
        raise InputError(
            f"fit: model is the class {model.__name__}; expected an instance: {model.__name__}(...)"
        )
    if isinstance(model, nn.Module) and hasattr(model, "normalizer") and hasattr(model, "task"):
        raise InputError(
            "fit: model is a surrogate, with scaling and task of its own; to train it further give its "
            "module, fit(surrogate.model, ...), which is then scaled by these data"
        )
    if not isinstance(model, str | Mapping | nn.Module):
        raise InputError(
            f"fit: model of type {type(model).__name__}; expected a name such as 'fno', a name with "
            "options, or a torch module"
        )
    if isinstance(levels, int):  # no axis of the data, but an option of several models
        model_options["levels"], levels = levels, None
    model = _with_options(model, model_options)
    device = device_of(device, "fit: device")
    parts = parts_of(data, group)
    if unroll is None and options.pushforward is not None and task is None:
        unroll = options.pushforward.steps + 1
    named = task is None and levels is None
    names = (inputs, targets, parameters, forcing)
    with parts[0].opened() as ds:
        task = _task(ds, task, *map(_names, names), unroll, levels)
    if named and _is_built_in(model):
        task = _by_name(task)
    data = Foreign(parts, task)
    task, meant = task.of_fields(data.channels), data.channels
    field_weights = written_out(field_weights, meant)
    said = {"loss": loss, "points": points, "weighting": weighting, "field_weights": field_weights}
    said = {key: value for key, value in said.items() if value is not None}
    Supervised(**said).require(Setting(task))
    for remark in data.remarks:
        log.info("%s", remark)
    for doubt in data.doubts:
        log.warning("%s", doubt)
    if left := data.varying(task):
        log.info("parameters vary and are not inputs: %s; parameters=[...] makes them so", left)
    training, held_out, by = _shared_out(data, task, validation, seed)
    far = those_far((f for _, frames in training + held_out for f in frames), task.moving)
    for number, one in far.items():
        log.warning("%s", one.line(number))
    training, held_out = (_trainable(found, far) for found in (training, held_out))
    samples = [s for t in training for s in _cut(t, task)]
    if not samples:
        raise InputError(
            f"no window of the task (lead={task.lead}, history={task.history}, "
            f"unroll={task.unroll}) fits into {max(len(f) for _, f in training)} frames; shorten it or "
            f"give more times{data.hint}"
        )
    require_weighting(weighting, training[0][0].domain)
    looked_at = [(s, spread(frames, FRAMES)) for s, frames in spread(training, SIMULATIONS)]
    for line in seams(looked_at, layout_of(data.first, task.targets).space):
        log.warning("%s", line)
    torch.manual_seed(seed)
    if increment is None:
        increment = task.continues and points is None
    surrogate = _surrogate(model, task, training, data.first, increment)
    objective = objective_of(None, surrogate.setting, **said)
    statistics = Statistics(surrogate, seed)
    statistics.update(s for s in samples if s.key[0] not in far)
    statistics.fix()
    statistics.update(s for s in samples if s.key[0] in far)  # to say what was trained on
    for number in {s.key[0] for s in samples}:
        surrogate.normalizer.close(number)
    at_once = values_of(surrogate, prod(training[0][0].domain.point_shape), batch_size)
    if isinstance(model, nn.Module) or surrogate.source is not None:
        with threads_for(at_once):
            try_out(surrogate, samples, device)
    if directory is None and (why := unsavable(surrogate)):
        log.warning("what is trained can be used, and not be saved: %s", why)
    if phases is None:
        epochs = 50 if epochs is None else epochs
        phases = Phase(lr=2e-3, schedule="cosine", epochs=epochs, weight_decay=1e-5, clip=1.0)
    elif epochs is not None:
        raise InputError("fit: epochs and phases; give one of them")
    phases = phases_of(phases)
    if not phases:
        raise InputError("fit: no phases; give one or more, or epochs")
    for phase in phases:
        if phase.steps is phase.epochs is phase.until is None:
            raise InputError(
                "fit: a phase without an end, on data that have none; give steps or epochs"
            )
    structures = surrogate.structures
    source = DatasetSource(samples, task, batch_size, seed=seed, structures=structures)
    check = partial(Validation, held_out, weighting=weighting)
    title = f"fit: {', '.join(task.targets)} of {len(training)} simulations"
    shown = Reporting(title, phases, epoch_steps(source, options.accumulate), progress)
    hooks = Hooks(
        on_step=shown.on_step,
        validate=check(windows=max(1, 512 // len(held_out))) if held_out else None,
        validate_last=check(rollout=rollout) if held_out else None,
        on_validation=shown.on_validation,
        **every,
    )
    weights = sum(p.numel() for p in surrogate.parameters())
    log.info(
        "%d samples of %d simulations, %d held out%s, %d weights, on %s",
        len(samples), len(training), len(held_out), by, weights, device,
    )  # fmt: skip
    run = partial(train, surrogate, source, objective, phases, options=options, device=device)
    with threads_for(at_once), shown:
        if folder is None:
            surrogate.history = run(hooks=hooks)
        else:
            settings = {"loss": getattr(objective, "name", type(objective).__name__)}
            settings |= {"points": points, "field_weights": field_weights}
            settings |= {"batch_size": batch_size, "seed": seed}
            about = described(
                surrogate, training, held_out, phases=phases, options=options, **settings
            )
            surrogate.history = folder.train(run, hooks, about)
            folder.leave(surrogate, held_out, rollout, weighting)
    if hasattr(objective, "left_out"):
        surrogate.history.left_out = objective.left_out()
    checks = surrogate.history.validations
    for line in (*without_norm(objective), *remarks(checks[-1] if checks else {}, checks)):
        log.warning("%s", line)
    return surrogate.eval()


def _with_options(model: Any, given: Mapping[str, Any]) -> Any:
    """A model by name with the options that were given as keywords.

    Raises:
        InputError: options of a module, or given twice; a keyword that is neither an option of the model
            nor an argument of ``fit``.
    """
    if not given:
        return model
    if isinstance(model, nn.Module):
        known = list(signature(fit).parameters)[:-1]
        raise InputError(
            f"fit: {', '.join(given)} with a module, which is built already; of arguments "
            f"{nearest(next(iter(given)), known)}"
        )
    config = {"name": model} if isinstance(model, str) else dict(model)
    if twice := sorted(config.keys() & given.keys()):
        raise InputError(f"fit: {', '.join(twice)} in the model and as keyword; give one of them")
    options = [*registry.options(str(config.get("name"))), "symmetrize"]
    for key in given:
        if key not in options:
            known = [*signature(fit).parameters][:-1] + options
            raise InputError(
                f"fit: '{key}' is no argument, and no option of {config.get('name')}; "
                f"{nearest(key, known)}"
            )
    return {**config, **given}


def _require_whole(**given: Any) -> None:
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
            raise InputError(f"fit: {name}={value!r}; expected a whole number")


def _names(given: Sequence[str] | str | None) -> Sequence[str] | None:
    """``"u"`` for ``["u"]``: a string is a sequence of letters, which nobody means."""
    return [given] if isinstance(given, str) else given


def _task(
    ds: xr.Dataset,
    task: Task | Mapping[str, Any] | None,
    inputs: Sequence[str] | None,
    targets: Sequence[str] | None,
    parameters: Sequence[str] | None,
    forcing: Sequence[str] | None,
    unroll: int | None,
    levels: str | None,
) -> Task:
    if task is not None:
        given = {"inputs": inputs, "targets": targets, "parameters": parameters, "unroll": unroll}
        given |= {"levels": levels, "forcing": forcing}
        if named := [name for name, value in given.items() if value is not None]:
            raise InputError(f"fit: task and {', '.join(named)}; give one of them")
        return Task.of(task)
    known = [str(n) for n in ds.variables if n not in ds.dims]
    for name in (*(inputs or ()), *(targets or ()), *(forcing or ())):
        # With levels, names such as t_850 are looked for in t.
        if name not in known and levels != "channels":
            raise InputError(f"dataset has no variable '{name}'; {nearest(name, known)}")
    if levels == "channels" or point_dim(ds) is not None:  # on points, levels are no axis
        ds = flat(ds)
    all_names: tuple[str, ...] = ()
    if not (inputs or targets):
        all_names = tuple(f.name for f in fields_of(ds) if f.name not in (forcing or ()))
    if not (all_names or inputs or targets):
        found = ", ".join(f"{n} ({v.dtype})" for n, v in ds.data_vars.items()) or "no variables"
        raise InputError(f"dataset has no fields, variables of numbers over space; it has {found}")
    there = [n for n in inputs or targets or all_names if n in ds.variables]
    timed = layout_of(ds, there or None).time is not None
    inputs = tuple(inputs or targets or all_names)
    if not timed and targets is None:
        raise InputError(
            f"dataset has no time to advance in; say what to predict: fit(..., inputs=[...], "
            f"targets=[...]) with fields of {', '.join(all_names)}"
        )
    steady = targets is not None and not timed
    targets = tuple(targets or inputs)
    return Task(
        inputs,
        targets,
        lead=0 if steady else 1,
        unroll=unroll,
        parameters=tuple(parameters or ()),
        forcing=tuple(forcing or ()),
        levels=levels,
    )


def _is_built_in(model: str | Mapping[str, Any] | nn.Module) -> bool:
    """Whether nobody but us knows the order of its channels."""
    name = model.get("name") if isinstance(model, Mapping) else model
    return isinstance(name, str) and not own_model.is_file(name)


def _by_name(task: Task) -> Task:
    """Fields by their names: the order that a file, or a list of names, happens to have would else
    decide with which random weights each of them begins."""
    return replace(task, inputs=tuple(sorted(task.inputs)), targets=tuple(sorted(task.targets)))


def _shared_out(
    data: Foreign, task: Task, part: float, seed: int
) -> tuple[list[Trajectory], list[Trajectory], str]:
    """What is trained on, what is validated on, and why; what is for testing is not read."""
    if not 0 <= part < 1:
        raise InputError(f"fit: validation={part}; expected a part from 0 to below 1")
    require_training(data.roles.values(), f"fit: {data.split}")
    pieces = [
        (data.roles.get(n, TRAIN), (data.simulation(n), list(data.frames(n)))) for n in data.ids
    ]
    if not pieces:
        raise InputError("fit: a dataset without samples; expected at least one")
    if not any(frames for _, (_, frames) in pieces):
        listed = ", ".join(repr(name) for name in task.moving)
        raise InputError(f"fit: {listed} of a dataset that is NaN throughout; expected numbers")
    require_fields(task, pieces[0][1][0])
    # One that ended before its first window can neither be learned from nor validated on.
    whole = [(role, t) for role, t in pieces if next(_cut(t, task), None) is not None]
    training = [t for role, t in whole if role == TRAIN]
    held_out = [t for role, t in whole if role == VALIDATION] if part else []
    if not training:
        return [t for role, t in pieces if role == TRAIN], [], ""  # which _cut will name
    why = f" by {data.split}" if data.split else ""
    if not held_out:
        single = len(training) == 1
        training, held_out = held_apart(training, task, part, seed)
        if part and not held_out:
            log.warning(TOO_SHORT)
        elif single and held_out:
            why += f", {LAST.format(len(held_out[0][1]))}"
    tell(data.warnings, log)
    if alike := shared_frames(training, held_out):
        log.warning(SHARED.format(alike, len(held_out)))
    if data.split and data.untouched:
        why += f", {data.untouched} for testing not read"
    return training, held_out, why


def _trainable(found: list[Trajectory], far: Mapping[int, Far]) -> list[Trajectory]:
    return [one for one in found if one[0].id not in far or far[one[0].id].trainable]


def _cut(trajectory: Trajectory, task: Task) -> Iterator[Sample]:
    simulation, frames = trajectory
    yield from windows_of(simulation, frames, task)


def _surrogate(
    model: str | Mapping[str, Any] | nn.Module,
    task: Task,
    trajectories: Sequence[Trajectory],
    ds: xr.Dataset,
    increment: bool,
) -> Surrogate:
    simulation, _ = trajectories[0]
    scope = joined(one.domain for one, _ in trajectories)
    layout = layout_of(ds, task.targets)
    rest = {
        "increment": increment,
        "fields": (*simulation.fields, *simulation.static_fields),
        "masks": simulation.masks,
        "dt": Times.of(ds, layout).step,
    }
    if isinstance(model, nn.Module):
        normalizer = Normalizer.of(Setting(task, scope, rest["fields"]))
        return Surrogate(model, task, normalizer, scope, **rest)
    return Surrogate.build(model, task, scope, **rest)
