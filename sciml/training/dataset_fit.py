"""A surrogate from a dataset in one call.

Long for its arguments, of which each has its lines: what is done with them is in the other files of the
room, and put together here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sciml.errors import InputError, nearest
from sciml.samples import Task
from sciml.surrogates import registry
from sciml.surrogates.pinn.watch import watched
from sciml.surrogates.surrogate import Surrogate
from sciml.surrogates.threads import threads_for
from sciml.surrogates.weights import unsavable
from sciml.training.accumulation import epoch_steps
from sciml.training.device import device_of
from sciml.training.figures import remarks
from sciml.training.fit_directory import FitDirectory, described
from sciml.training.fit_display import FitDisplay
from sciml.training.hooks import Hooks
from sciml.training.loop import train
from sciml.training.mixture import Mixture
from sciml.training.objective import left_out, losses_of, require_weights, without_norm
from sciml.training.options import Options
from sciml.training.phase import Phase, phases_of
from sciml.training.preparation import of_data, of_points
from sciml.training.validation import Validation

if TYPE_CHECKING:
    import xarray as xr

    from sciml.training.augmentation import Augmentation
    from sciml.training.ema import EMA
    from sciml.training.noise import Noise
    from sciml.training.pushforward import Pushforward

Keys = Mapping[str, Any]

log = logging.getLogger("sciml.fit")

#: Of a surrogate that sees no data, where nothing is said: far with Adam, and then near.
EQUATION_ALONE = (
    Phase("adam", lr=3e-3, schedule="exponential", final=0.1, steps=2000),
    Phase("lbfgs", lr=1.0, steps=30, redraw=10, dtype="float64"),
)


def fit(
    model: str | Mapping[str, Any] | nn.Module,
    data: xr.Dataset | str | Path | Sequence[xr.Dataset | str | Path] | None = None,
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
    pieces: int = 1,
    epochs: int | None = None,
    phases: Any = None,
    loss: str | None = None,
    field_weights: Mapping[str, float] | None = None,
    weighting: str | None = None,
    points: int | None = None,
    references: Mapping[Any, float] | str | Path | None = None,
    sources: Mapping[str, Any] | None = None,
    objectives: Mapping[str, Any] | None = None,
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
            :mod:`sciml.surrogates.call`).
        data: a dataset, the path of a file (netCDF, zarr, HDF5 of The Well or PDEBench), of a folder of
            files, a pattern such as ``"runs/*.nc"``, or a list of them; each is one simulation or has
            several, and what is large is read when it is drawn. Where it says a ``split`` (a coordinate
            along samples or time, or an attribute: ``train``, ``validation``, ``test``), what is for
            testing is not read, and what is for validation is validated on and nothing else; to train
            on all of it, take the split off, ``ds.drop_vars("split")``. ``None``: the surrogate learns
            from an equation alone, see ``objectives``.
        task: what to learn. ``None``: all fields one step ahead where there is time; else
            ``targets`` from ``inputs`` at the same time. Where frames are samples of their own, as
            molecules are, say so: ``{"inputs": [...], "targets": [...], "lead": 0}``.
        inputs, targets, parameters: names, instead of a task. Models by name get fields in the
            order of their names, a module and a file of your own in the order given.
        forcing: fields, or numbers, that vary in time and are known ahead, instead of a task: the
            model sees them at the time of what it gives.
        unroll: steps of a window that the loss compares, outputs fed back with gradients through
            all, instead of a task; 1, or with ``pushforward`` one more than its steps.
        levels: what a vertical axis of the variables is: ``"channels"``, a field for each level, named
            ``t_850``, where ``t`` names all of them; ``"axis"``, an axis in space. A number is
            the option ``levels`` of a model.
        group: of netCDF-4, HDF5 or zarr, in which the variables are; of models with an option of that
            name, the option.
        batch_size: samples a step.
        pieces: in which each mesh is cut, where memory does not hold it whole: each with what the model
            sees around it, and a sample of its own. Needs pymetis, of the extra ``mesh``.
        epochs: passes over the data, with AdamW at 2e-3 and a cosine; 50 if nothing is said.
        phases: instead of ``epochs``: one or more :class:`Phase`, or their keys.
        loss: ``relative_l2``, ``h1``, ``h1_spectral`` or ``mse``, of fields in their own deviations:
            units do not matter. ``None``: what the kind of domain brings along, ``relative_l2``; of
            kinds their cross entropy; of energies of particles those, and forces, their gradient.
        field_weights: of targets in the loss, ``{"u": 2.0}``; 1 for the others.
        weighting: of points in loss and validation: ``"latitude"``, cos φ, the area of their cells on
            the globe. ``None``: all alike.
        points: compare at so many random points of each sample, drawn anew in each step, for models
            that can be asked at points (DeepONets); ``None``: whole fields.
        references: energies of isolated atoms, ``{"H": -13.6, "O": -2035.6}`` or an .xyz file of them;
            with what all atoms of the data have in common besides, they are taken off energies before
            anything is scaled. ``None``: by least squares over the data.
        sources: where batches come from, by name, each its keys: ``{"kind": "data"}``, or ``{"kind":
            "collocation", "domain": {"x": [0, 1]}, "time": [0, 1], "initial": 64, "boundary": 64}``,
            points of a box; or a source of your own. ``None``: the data.
        objectives: what is learned of them, by name, each its keys: ``{"kind": "supervised", "source":
            "fields"}``, ``{"kind": "residual", "source": "inside", "equation": "heat", "solution":
            "mode"}``; or an objective of your own. Phases weigh them, ``weights={"physics": 0.1}``.
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
    _require_whole(
        batch_size=batch_size, pieces=pieces, seed=seed, rollout=rollout, **every, **given
    )
    if pieces < 1:
        raise InputError(f"fit: pieces={pieces}; expected 1 or more")
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
    if group is not None and _takes(model, "group"):  # of rotations, where models know such
        model_options["group"], group = group, None
    model = _with_options(model, model_options)
    device = device_of(device, "fit: device")
    said = {"loss": loss, "points": points, "weighting": weighting, "field_weights": field_weights}
    said = {key: value for key, value in said.items() if value is not None}
    mixture = Mixture.of(sources, objectives, data is not None)
    if unroll is None and options.pushforward is not None and task is None:
        unroll = options.pushforward.steps + 1
    named = {"inputs": inputs, "targets": targets, "parameters": parameters, "forcing": forcing}
    named = {key: _names(given) for key, given in named.items()}
    named |= {"unroll": unroll, "levels": levels}
    if data is None and references is not None:
        raise InputError("fit: references without data; expected data, or none of them")
    if data is None:
        found = of_points(model, task, named, group, mixture, said, batch_size, seed)
    else:
        found = of_data(
            model, data, task, named, group, mixture, said, references, increment, validation,
            batch_size, seed, device, pieces,
        )  # fmt: skip
    surrogate, source, objective = found.surrogate, found.source, found.objective
    training, held_out, task = found.training, found.held_out, found.surrogate.task
    if directory is None and (why := unsavable(surrogate)):
        log.warning("what is trained can be used, and not be saved: %s", why)
    if phases is None and data is None:
        if epochs is not None:
            raise InputError("fit: epochs of points, which have no end; give phases with steps")
        phases = EQUATION_ALONE
    elif phases is None:
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
        if losses := losses_of(objective, surrogate.setting):
            require_weights(phase.weights, losses)
    check = partial(Validation, held_out, weighting=weighting)
    what = f"{len(training)} simulations" if training else "its equation"
    title = f"fit: {', '.join(task.targets)} of {what}"
    shown = FitDisplay(title, phases, epoch_steps(source, options.accumulate), progress)
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
        found.samples, len(training), len(held_out), found.by, weights, device,
    )  # fmt: skip
    run = partial(train, surrogate, source, objective, phases, options=options, device=device)
    with threads_for(found.at_once), shown:
        if folder is None:
            surrogate.history = run(hooks=hooks)
        else:
            settings = {"loss": getattr(objective, "name", type(objective).__name__)}
            settings |= {"points": points, "field_weights": field_weights}
            settings |= {} if references is None else {"references": str(references)}
            settings |= {"batch_size": batch_size, "seed": seed}
            if mixture is not None:
                settings |= {"sources": mixture.sources, "objectives": mixture.objectives}
            about = described(
                surrogate, training, held_out, phases=phases, options=options, **settings
            )
            surrogate.history = folder.train(run, hooks, about)
            folder.leave(surrogate, held_out, rollout, weighting)
    surrogate.history.left_out = left_out(objective)
    checks = surrogate.history.validations
    watch = watched(surrogate)
    meet = [] if watch is None else watch.words
    for line in (*without_norm(objective), *remarks(checks[-1] if checks else {}, checks), *meet):
        log.warning("%s", line)
    return surrogate.eval()


def _takes(model: Any, option: str) -> bool:
    name = model.get("name") if isinstance(model, Mapping) else model
    return isinstance(name, str) and option in registry.options(name)


def _with_options(model: Any, given: Mapping[str, Any]) -> Any:
    """A model by name with the options that were given as keywords."""
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
