"""What a ``fit`` is about to train: a surrogate that knows its scaling, and what it learns from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sciml.domain.inference import fields_of
from sciml.domain.isolated_atoms import isolated_energies
from sciml.domain.layout import layout_of, point_dim
from sciml.domain.levels import flat, written_out
from sciml.errors import InputError, nearest
from sciml.record.foreign import Foreign, joined_by
from sciml.record.parts import parts_of
from sciml.samples import Sample, Simulation, Task
from sciml.samples.groups import members
from sciml.samples.pieces import Pieces
from sciml.samples.program_warnings import log_findings
from sciml.samples.reach import those_far
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
from sciml.samples.windower import windows_of
from sciml.surrogates import own_model
from sciml.surrogates.call import require_fields
from sciml.surrogates.normalizer import Normalizer
from sciml.surrogates.scope import joined
from sciml.surrogates.setting import Setting
from sciml.surrogates.statistics import Statistics
from sciml.surrogates.surrogate import Surrogate
from sciml.surrogates.threads import threads_for, values_of
from sciml.surrogates.traits import traits_of
from sciml.training.area_weights import require_weighting
from sciml.training.dataset_source import DatasetSource
from sciml.training.mixture import Mixture, scale, task_without_data
from sciml.training.objective import Objective, Supervised, losses_of
from sciml.training.objectives import objective_of
from sciml.training.source import Source
from sciml.training.trial import try_out
from sciml.training.validation import Trajectory, kinds_in_words

if TYPE_CHECKING:
    import xarray as xr

Keys = Mapping[str, Any]

log = logging.getLogger("sciml.fit")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is trained, on what.

    Args:
        surrogate: scaled.
        source, objective: of the training.
        training, held_out: simulations.
        by: in words, what holds them out.
        samples: how many.
        at_once: values of a layer; see :func:`sciml.surrogates.threads.values_of`.
    """

    surrogate: Surrogate
    source: Source
    objective: Objective
    training: list[Trajectory]
    held_out: list[Trajectory]
    by: str
    samples: int
    at_once: int


def of_points(
    model: str | Mapping[str, Any] | nn.Module,
    task: Task | Keys | None,
    named: Keys,
    group: str | None,
    mixture: Mixture,
    said: Keys,
    batch_size: int,
    seed: int,
) -> Prepared:
    """A surrogate that sees no data, and what it learns from."""
    given = {key: named[key] for key in ("inputs", "forcing", "unroll", "levels")}
    if meant := [key for key, value in {**given, "group": group}.items() if value is not None]:
        raise InputError(
            f"fit: {', '.join(meant)} without data; expected data, or sources of points"
        )
    task, grid = task_without_data(task, named["targets"], named["parameters"]), mixture.grid()
    torch.manual_seed(seed)
    if isinstance(model, nn.Module):
        surrogate = Surrogate(model, task, Normalizer.of(Setting(task, grid)), grid)
    else:
        surrogate = Surrogate.build(model, task, grid)
    source, objective = mixture.built(
        surrogate.setting, None, None, batch_size=batch_size, seed=seed, usual=said
    )
    scale(surrogate, source, objective)
    at_once = values_of(surrogate, 1, max([*source.batch_size.values(), 1]))
    return Prepared(surrogate, source, objective, [], [], "", 0, at_once)


def of_data(
    model: str | Mapping[str, Any] | nn.Module,
    data: Any,
    task: Task | Keys | None,
    named: Keys,
    group: str | None,
    mixture: Mixture | None,
    said: dict[str, Any],
    references: Mapping[Any, float] | str | Path | None,
    increment: bool | None,
    validation: float,
    batch_size: int,
    seed: int,
    device: torch.device,
    pieces: int = 1,
) -> Prepared:
    """A surrogate scaled by data, and what it learns from; ``named``: what a task is made of."""
    parts = parts_of(data, group)
    if task is None:
        with parts[0].opened() as ds:
            task = _task(ds, **named, hint=joined_by(parts) if len(parts) > 1 else "")
        if named["levels"] is None and _is_built_in(model):
            # By their names: the order that a file, or a list of names, happens to have would else
            # decide with which random weights each of them begins.
            ordered = {key: tuple(sorted(getattr(task, key))) for key in ("inputs", "targets")}
            task = replace(task, **ordered)
    elif given := [key for key, value in named.items() if value is not None]:
        raise InputError(
            f"fit: task and {', '.join(given)}; give one of them: with a task, {given[0]} is one of its "
            "keys"
        )
    task = Task.of(task)
    data = Foreign(parts, task)
    task, meant = task.of_fields(data.channels), data.channels
    if "field_weights" in said:
        said = {**said, "field_weights": written_out(said["field_weights"], meant)}
    Supervised(**said).require(Setting(task))
    weighting = said.get("weighting")
    for remark in data.remarks:
        log.info("%s", remark)
    for doubt in data.doubts:
        log.warning("%s", doubt)
    if left := data.varying(task):
        log.warning("parameters vary and are not inputs: %s; parameters=[...] makes them so", left)
    training, held_out, by = _shared_out(data, task, validation, seed)
    far = those_far((f for _, frames in training + held_out for f in frames), task.moving)
    for number, one in far.items():
        log.warning("%s", one.line(number))
    training, held_out = (
        [t for t in found if t[0].id not in far or far[t[0].id].trainable]
        for found in (training, held_out)
    )
    samples = [s for t in training for s in windows_of(*t, task)]
    if not samples:
        raise InputError(
            f"no window of the task (lead={task.lead}, history={task.history}, "
            f"unroll={task.unroll}) fits into {max(len(f) for _, f in training)} frames; shorten it or "
            f"give more times, or say lead=0 in the task: targets in the frame of the inputs{data.hint}"
        )
    require_weighting(weighting, training[0][0].domain)
    looked_at = [(s, spread(frames, FRAMES)) for s, frames in spread(training, SIMULATIONS)]
    for line in seams(looked_at, layout_of(data.first, task.targets).space):
        log.warning("%s", line)
    torch.manual_seed(seed)
    if increment is None:
        increment = task.continues and "points" not in said
    joined(one.domain for one, _ in training + held_out)  # which are of one kind, in one unit
    surrogate = _surrogate(model, task, training, data.first, increment)
    if references is not None:
        surrogate.normalizer.give(isolated_energies(references))
    statistics = Statistics(surrogate, seed)
    statistics.update(s for s in samples if s.key[0] not in far)
    statistics.fix()
    statistics.update(s for s in samples if s.key[0] in far)  # to say what was trained on
    for doubt in [] if references is None else surrogate.normalizer.references.doubts():
        log.warning("%s", doubt)
    for number in {s.key[0] for s in samples}:
        surrogate.normalizer.close(number)
    held_out = _measured(held_out, surrogate)
    at_once = values_of(surrogate, prod(training[0][0].domain.point_shape), batch_size)
    if isinstance(model, nn.Module) or surrogate.source is not None:
        with threads_for(at_once):
            try_out(surrogate, samples, device)
    _require_free(task, [simulation for simulation, _ in training])
    drawn = samples if pieces == 1 else _in_pieces(samples, pieces, surrogate)
    source = DatasetSource(drawn, task, batch_size, seed=seed, structures=surrogate.structures)
    if mixture is None:
        objective = objective_of(None, surrogate.setting, **said)
    else:
        source, objective = mixture.built(
            surrogate.setting,
            source,
            surrogate.bounds,
            batch_size=batch_size,
            seed=seed,
            usual=said,
        )
    if pieces > 1 and any("divergence" in n for n in losses_of(objective, surrogate.setting)):
        raise InputError(
            f"fit: pieces={pieces} and a divergence, which would look across the rim of what a piece "
            "sees; expected pieces=1, or no divergence"
        )
    return Prepared(surrogate, source, objective, training, held_out, by, len(samples), at_once)


def _require_free(task: Task, simulations: Sequence[Simulation]) -> None:
    """That not all points of a target are prescribed in all simulations."""
    for name, groups in task.prescribed:
        if all(np.any([members(s, g) for g in groups], axis=0).all() for s in simulations):
            raise InputError(
                f"fit: '{name}' is prescribed at {', '.join(groups)}, which are all points, and nothing "
                "is left to learn; expected fewer groups, or among forcing what is known ahead"
            )


def _in_pieces(samples: Sequence[Sample], pieces: int, surrogate: Surrogate) -> Pieces:
    """Samples in pieces, each with as much around it as the model sees."""
    task, reach = surrogate.task, traits_of(surrogate.model).reach
    if reach is None:
        raise InputError(
            f"fit: pieces={pieces}, and the model sees all of a mesh, or does not say how far it sees; "
            "expected one of layers between neighbours, such as 'meshgraphnet' or 'mesh_transformer' "
            "without nodes that all see, or pieces=1"
        )
    return Pieces(samples, pieces, reach * -(-task.unroll // task.bundle))


def _task(
    ds: xr.Dataset,
    inputs: Sequence[str] | None,
    targets: Sequence[str] | None,
    parameters: Sequence[str] | None,
    forcing: Sequence[str] | None,
    unroll: int | None,
    levels: str | None,
    hint: str = "",
) -> Task:
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
    targets = tuple(targets or inputs)
    if not timed and {*targets} <= {*inputs}:  # each would be learned from itself
        fields = ", ".join(f.name for f in fields_of(ds))
        raise InputError(
            f"dataset has no time to advance in; say what to predict from what: fit(..., inputs=[...], "
            f"targets=[...]) with fields of {fields}{hint}"
        )
    return Task(
        inputs,
        targets,
        lead=1 if timed else 0,
        unroll=unroll,
        parameters=tuple(parameters or ()),
        forcing=tuple(forcing or ()),
        levels=levels,
    )


def _is_built_in(model: str | Mapping[str, Any] | nn.Module) -> bool:
    """Whether nobody but us knows the order of its channels."""
    name = model.get("name") if isinstance(model, Mapping) else model
    return isinstance(name, str) and not own_model.is_file(name)


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
    whole = [(role, t) for role, t in pieces if next(windows_of(*t, task), None) is not None]
    training = [t for role, t in whole if role == TRAIN]
    held_out = [t for role, t in whole if role == VALIDATION] if part else []
    if not training:
        return [t for role, t in pieces if role == TRAIN], [], ""  # which of_data will name
    why = f" by {data.split}" if data.split else ""
    if not held_out:
        single = len(training) == 1
        training, held_out = held_apart(training, task, part, seed)
        if part and not held_out:
            log.warning(TOO_SHORT)
        elif single and held_out:
            why += f", {LAST.format(len(held_out[0][1]))}"
    log_findings(data.warnings, log)
    if alike := shared_frames(training, held_out):
        log.warning(SHARED.format(alike, len(held_out)))
    if data.split and data.untouched:
        why += f", {data.untouched} for testing not read"
    return training, held_out, why


def _measured(held_out: list[Trajectory], surrogate: Surrogate) -> list[Trajectory]:
    """Those of which a surrogate can say something: their species, or cells, were trained on."""
    strange = {one.id: surrogate.unknown(one.domain) for one, _ in held_out}
    if new := sorted({kind for kinds in strange.values() for kind in kinds}):
        log.warning(
            "%d of %d simulations that are held out have %s that are not trained on, %s, and are "
            "left out of validation",
            sum(map(bool, strange.values())), len(held_out), kinds_in_words(new),
            ", ".join(map(str, new)),
        )  # fmt: skip
    return [t for t in held_out if not strange[t[0].id]]


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
