"""Samples put together into a batch: grids stack, everything else concatenates along its points."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache, singledispatch
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sciml.domain import Domain, Field, Graph, Grid, Mesh, Particles
from sciml.domain.grid import area_of
from sciml.domain.names import LATTICE
from sciml.domain.pieces import MeshPiece
from sciml.errors import DomainError
from sciml.samples import Frame, Sample, Task
from sciml.samples.groups import members
from sciml.samples.lattice_images import repeated_positions, shifts_on
from sciml.surrogates.batch import Batch, lattice_of
from sciml.surrogates.structure import Structure, structures_of


def collate(samples: Sequence[Sample], task: Task, structures: Sequence[Structure] = ()) -> Batch:
    """Put samples of one kind of domain together.

    Fields that are float64 stay so, as parameters and times are, and integers of 32 bits and more
    become float64; all others, and places, take torch's default dtype. A model of your own gets its own
    dtype by ``batch.to(device, dtype)``.

    Args:
        samples: at least one.
        task: the one that cut them.
        structures: what the model wants derived; see :class:`~sciml.surrogates.traits.Traits`.

    Raises:
        DomainError: no samples, different kinds of domains, or grids of different shapes or with
            other periodic axes.
    """
    if not samples:
        raise DomainError("collate: no samples; expected at least one")
    first = samples[0].simulation.domain
    for sample in samples:
        if sample.simulation.domain.kind != first.kind:
            raise DomainError(
                f"collate: a {sample.simulation.domain.kind} and a {first.kind} in one batch; "
                "train on one kind of domain at a time"
            )
    batch = _prescribed(_masked(_collate(first, samples, task), samples), samples, task)
    batch = _owned(batch, samples)
    return replace(batch, structure=structures_of(samples, structures)) if structures else batch


def _masked(batch: Batch, samples: Sequence[Sample]) -> Batch:
    """The batch with 0 where fields have no values, and no weight of these points."""
    found = samples[0].simulation.masks
    if not found:
        return batch
    if batch.kind == "grid":
        masks = {n: torch.from_numpy(m)[None, None] for n, m in found.items()}
    else:
        masks = {
            n: torch.from_numpy(np.concatenate([s.simulation.masks[n] for s in samples]))[:, None]
            for n in found
        }
    for fields in (batch.inputs, batch.targets, batch.forcing):
        for name in fields.keys() & masks.keys():
            fields[name].masked_fill_(~masks[name], 0.0)
    for name in batch.static.keys() & masks.keys():
        batch.static[name].masked_fill_(~masks[name].squeeze(1), 0.0)
    weights = {n: masks[n].to(torch.get_default_dtype()) for n in batch.targets if n in masks}
    return replace(batch, masks=masks, weights=weights)


def _prescribed(batch: Batch, samples: Sequence[Sample], task: Task) -> Batch:
    """The batch with what is given of its targets, and no weight of these points."""
    if not task.prescribed:
        return batch
    fixed, given, weights = {}, {}, dict(batch.weights)
    for name, groups in task.prescribed:
        if batch.on.get(name, "point") != "point":
            raise DomainError(
                f"task: prescribed '{name}' is {batch.on[name]}; expected a field on points"
            )
        each = [np.any([members(s.simulation, g) for g in groups], axis=0) for s in samples]
        values = batch.inputs[name]
        if batch.kind == "grid":
            mask = torch.from_numpy(np.stack(each))[:, None]
        else:
            mask = torch.from_numpy(np.concatenate(each))[:, None]
            mask = mask.view(*mask.shape, *(1,) * (values.ndim - 2))
        fixed[name] = mask
        if name in batch.targets:
            given[name] = batch.targets[name]
        elif name in samples[0].targets[0].fields:
            given[name] = (
                _stack(samples, name, _targets)
                if batch.kind == "grid"
                else _join(samples, Field(name), _targets)
            )
        free = (~mask).to(torch.get_default_dtype())
        if name in batch.targets:
            weights[name] = free * weights[name] if name in weights else free
    return replace(batch, fixed=fixed, given=given, weights=weights)


def _owned(batch: Batch, samples: Sequence[Sample]) -> Batch:
    """The batch with no weight of what lies around pieces of a mesh."""
    domains = [s.simulation.domain for s in samples]
    if not any(isinstance(d, MeshPiece) for d in domains):
        return batch
    each = [d.owned if isinstance(d, MeshPiece) else np.ones(d.size, bool) for d in domains]
    own = torch.from_numpy(np.concatenate(each)).to(torch.get_default_dtype())[:, None]
    weights = dict(batch.weights)
    for name, target in batch.targets.items():
        if batch.on.get(name, "point") == "point":
            mine = own.view(-1, *(1,) * (target.ndim - 1))
            weights[name] = mine * weights[name] if name in weights else mine
    return replace(batch, weights=weights)


@singledispatch
def _collate(domain: Domain, samples: Sequence[Sample], task: Task) -> Batch:
    raise DomainError(
        f"collate: {type(domain).__name__} is no domain; expected Grid, Mesh, Particles or Graph"
    )


@_collate.register
def _grid(domain: Grid, samples: Sequence[Sample], task: Task) -> Batch:
    for sample in samples:
        other = sample.simulation.domain
        if other.shape != domain.shape:
            raise DomainError(
                f"collate: grids of shape {domain.shape} and {other.shape} in one batch; "
                "bring them to one shape (send: coarsen) or train on one of them"
            )
        if _periodic(other) != _periodic(domain):
            raise DomainError(
                f"collate: grids with boundaries {', '.join(domain.boundary)} and "
                f"{', '.join(other.boundary)} in one batch; train on one of them"
            )
    return Batch(
        inputs={n: _stack(samples, n, _inputs) for n in task.inputs},
        targets={n: _stack(samples, n, _targets) for n in _known(samples, task)},
        static={
            n: _values(np.stack([s.simulation.static[n] for s in samples])) for n in task.static
        },
        forcing={n: _stack(samples, n, _targets) for n in task.forcing},
        geometry={
            "spacing": _tensor(np.array([s.simulation.domain.spacing for s in samples])),
            "periodic": torch.tensor(_periodic(domain)),
            **({} if domain.latitude is None else {"area": _area(domain)}),
        },
        **_common(samples, task),
    )


@lru_cache(maxsize=8)
def _area(domain: Grid) -> Tensor:
    return _tensor(area_of(domain))[None, None]


def _periodic(domain: Grid) -> list[bool]:
    return [kind == "periodic" for kind in domain.boundary]


@_collate.register
def _mesh(domain: Mesh, samples: Sequence[Sample], task: Task) -> Batch:
    domains = [s.simulation.domain for s in samples]
    ptr = _ptr(domains)
    geometry = {
        "points": _tensor(np.concatenate([d.points for d in domains])),
        "edges": _edges(domains, ptr),
    }
    return _points(samples, task, ptr, geometry)


@_collate.register
def _graph(domain: Graph, samples: Sequence[Sample], task: Task) -> Batch:
    domains = [s.simulation.domain for s in samples]
    ptr = _ptr(domains)
    return _points(samples, task, ptr, {"edges": _edges(domains, ptr)})


@_collate.register
def _particles(domain: Particles, samples: Sequence[Sample], task: Task) -> Batch:
    domains = [s.simulation.domain for s in samples]
    geometry = {
        "species": torch.from_numpy(np.concatenate([d.species for d in domains])),
        "periodic": torch.tensor(domain.periodic),
    }
    for d in domains:
        if (d.cell is None, d.periodic) != (domain.cell is None, domain.periodic):
            raise DomainError(
                f"collate: particles periodic along {domain.periodic} and {d.periodic}, "
                f"{'without' if domain.cell is None else 'with'} and "
                f"{'without' if d.cell is None else 'with'} a cell, in one batch; train on one of them"
            )
    if LATTICE in task.inputs:
        cells = np.stack([s.inputs[-1].fields[LATTICE] for s in samples])
        geometry["cell"] = lattice_of(_values(cells)[:, None])
    elif domain.cell is not None:
        geometry["cell"] = _values(np.stack([d.cell for d in domains]))
    return _carried_on(_points(samples, task, _ptr(domains), geometry), samples, task)


def _carried_on(batch: Batch, samples: Sequence[Sample], task: Task) -> Batch:
    """The batch with positions that go on through the walls of a periodic cell."""
    name = repeated_positions(samples[0].simulation, task.inputs)
    held = [values[name] for values in (batch.inputs, batch.targets) if name in values]
    if sum(values.shape[1] for values in held) < 2:
        return batch
    for sample, (begin, end) in zip(samples, pairwise(batch.geometry["ptr"].tolist()), strict=True):
        windows = torch.cat([values[begin:end] for values in held], dim=1).numpy()
        shifts, first = torch.from_numpy(shifts_on(sample, windows)), 0
        for values in held:
            values[begin:end] += shifts[:, first : first + values.shape[1]]
            first += values.shape[1]
    return batch


def _points(
    samples: Sequence[Sample], task: Task, ptr: np.ndarray, geometry: dict[str, Tensor]
) -> Batch:
    """Fields of all samples one after the other."""
    first = samples[0].simulation
    on = {f.name: f for f in (*first.fields, *first.static_fields)}
    owner = np.repeat(np.arange(len(samples)), np.diff(ptr))
    places = {on[n].on for n in (*task.moving, *task.static) if n in on}
    return Batch(
        inputs={n: _join(samples, on[n], _inputs) for n in task.inputs},
        targets={n: _join(samples, on[n], _targets) for n in _known(samples, task)},
        static={n: _static(samples, on[n]) for n in task.static},
        forcing={n: _join(samples, _held(samples, n), _targets) for n in task.forcing},
        geometry={
            **geometry,
            **_other_places([s.simulation.domain for s in samples], ptr, places),
            "ptr": torch.from_numpy(ptr),
            "owner": torch.from_numpy(owner),
        },
        on={n: on[n].on for n in (*task.moving, *task.static) if n in on and on[n].on != "point"},
        **_common(samples, task),
    )


def _common(samples: Sequence[Sample], task: Task) -> dict:
    parameters = [[s.simulation.parameters[name] for name in task.parameters] for s in samples]
    return {
        "parameters": _values(np.array(parameters, dtype=np.float64).reshape(len(samples), -1)),
        "time": _values(np.array([[f.time for f in s.targets] for s in samples], dtype=np.float64)),
        "size": len(samples),
        "keys": tuple(s.key for s in samples),
        "kind": samples[0].simulation.domain.kind,
    }


def _known(samples: Sequence[Sample], task: Task) -> tuple[str, ...]:
    """Targets to collate; target frames without them say when a prediction is wanted."""
    return task.targets if {*task.targets} <= {*samples[0].targets[0].fields} else ()


def _inputs(sample: Sample) -> tuple[Frame, ...]:
    return sample.inputs


def _targets(sample: Sample) -> tuple[Frame, ...]:
    return sample.targets


def _stack(
    samples: Sequence[Sample], name: str, frames: Callable[[Sample], tuple[Frame, ...]]
) -> Tensor:
    """(B, frames, *space), each frame copied once, converted on the way."""
    # Once each: a frame may be read from its file whenever it is asked for.
    arrays = [[frame.fields[name] for frame in frames(sample)] for sample in samples]
    double = any(_wide(array.dtype) for row in arrays for array in row)
    dtype = torch.float64 if double else torch.get_default_dtype()
    out = torch.empty((len(samples), len(arrays[0]), *arrays[0][0].shape), dtype=dtype)
    view = out.numpy()
    for i, row in enumerate(arrays):
        for k, array in enumerate(row):
            view[i, k] = array
    return out


def _join(
    samples: Sequence[Sample], what: Field, frames: Callable[[Sample], tuple[Frame, ...]]
) -> Tensor:
    if what.on == "global":
        return _stack(samples, what.name, frames)
    windows = [np.stack([f.fields[what.name] for f in frames(s)], axis=1) for s in samples]
    return _values(np.concatenate(windows))


def _static(samples: Sequence[Sample], what: Field) -> Tensor:
    arrays = [s.simulation.static[what.name] for s in samples]
    return _values(np.stack(arrays) if what.on == "global" else np.concatenate(arrays))


def _other_places(
    domains: Sequence[Domain], ptr: np.ndarray, places: Collection[str]
) -> dict[str, Tensor]:
    """Cells and edges where fields have their values: the sample of each, and its nodes."""
    found: dict[str, Tensor] = {}
    for place, table in (("cell", "cells"), ("edge", "sides")):
        if place in places:
            counts = [d.shape_of(place)[0] for d in domains]
            found[f"{place}_owner"] = torch.from_numpy(np.repeat(np.arange(len(domains)), counts))
            if domains[0].kind == "mesh":
                nodes = [np.asarray(getattr(d, table)) for d in domains]
                found[table] = torch.from_numpy(_counted_on(nodes, ptr))
    return found


def _counted_on(tables: Sequence[np.ndarray], ptr: np.ndarray) -> np.ndarray:
    """Nodes of several domains by their places among all; −1 stays what it is."""
    widths = {table.shape[1] for table in tables}
    if len(widths) > 1:
        raise DomainError(
            f"collate: cells of {' and '.join(map(str, sorted(widths)))} corners in one batch; pad them "
            "with −1"
        )
    shifted = [np.where(t < 0, t, t + o) for t, o in zip(tables, ptr, strict=False)]
    return np.concatenate(shifted)


def _held(samples: Sequence[Sample], name: str) -> Field:
    """Forcing by its values: who predicts knows no more of it."""
    number = np.ndim(samples[0].targets[0].fields[name]) == 0
    return Field(name, on="global" if number else "point")


def _ptr(domains: Sequence[Domain]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([d.size for d in domains])]).astype(np.int64)


def _edges(domains: Sequence[Mesh | Graph], ptr: np.ndarray) -> Tensor:
    return torch.from_numpy(
        np.concatenate([d.edges + o for d, o in zip(domains, ptr, strict=False)], axis=1)
    )


def _values(array: np.ndarray) -> Tensor:
    """Of a field, without loss of digits."""
    return torch.from_numpy(np.asarray(array, np.float64)) if _wide(array.dtype) else _tensor(array)


def _wide(dtype: np.dtype) -> bool:
    """Whether values may have more digits than float32: float64, and integers of 32 bits and more."""
    return dtype == np.float64 or (dtype.kind in "iu" and dtype.itemsize >= 4)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.as_tensor(array, dtype=torch.get_default_dtype())
