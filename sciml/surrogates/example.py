"""Samples that nobody computed, of what a task sees where it sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from sciml.domain import Domain, Field, Grid, Particles
from sciml.domain.names import LATTICE
from sciml.errors import DomainError, InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.samples.windower import windows_of
from sciml.surrogates.batch import Batch, suited
from sciml.surrogates.collation import collate

if TYPE_CHECKING:
    from sciml.surrogates.physical_model import PhysicalModel

#: Particles of an example, unless there are more species; cutoffs between two of them, and their
#: distance where nothing is known of it.
PARTICLES, OF_CUTOFF, APART = 6, 0.4, 1.0


def window(
    task: Task,
    domain: Domain,
    fields: Sequence[Field],
    *,
    apart: float = APART,
    dtype: type[np.floating] = np.float32,
) -> list[Sample]:
    """One of zeros, particles along a screw, and parameters that are 1.

    Args:
        apart: particles.
        dtype: of fields; static ones are in float32.
    """
    known = {field.name: field for field in fields}
    moving = [known.get(name, Field(name)) for name in task.moving]
    still = [known.get(name, Field(name)) for name in task.static]
    static = {field.name: np.zeros(field.shape(domain), np.float32) for field in still}
    given = dict.fromkeys(task.parameters, 1.0)
    simulation = Simulation(0, domain, tuple(moving), given, static, static_fields=tuple(still))
    values = {field.name: _value(field, domain, apart).astype(dtype) for field in moving}
    frames = (Frame(0, step, float(step), values) for step in range(task.span))
    return list(windows_of(simulation, frames, task))


def batch_of(surrogate: PhysicalModel) -> Batch:
    """A batch of what a surrogate takes, as its weights are: fields of zeros on its grid; particles of
    all its species.

    Raises:
        InputError: a surrogate that does not know where it was trained.
        DomainError: a mesh or a graph.
    """
    scope, task, weight = surrogate.setting.scope, surrogate.task, next(surrogate.parameters())
    if scope is None:
        raise InputError("export: a surrogate without a domain; expected a batch of data beside it")
    if isinstance(scope, Grid):
        double = weight.dtype == torch.float64
        dtype = np.float64 if double else np.float32
        samples = window(task, scope, surrogate.fields, dtype=dtype)
    elif scope.kind == "particles":
        seen = getattr(surrogate.domain, "species", ()) or scope.species
        species = np.resize(np.array(seen), max(PARTICLES, len(seen)))
        reach = [s.cutoff for s in surrogate.structures if hasattr(s, "cutoff")]
        apart = OF_CUTOFF * min(reach) if reach else APART
        cell = _room(len(species), scope.ndim, apart) if any(scope.periodic) else None
        domain = Particles(species, cell, scope.periodic, scope.units)
        samples = window(task, domain, surrogate.fields, apart=apart, dtype=np.float64)
    else:
        raise DomainError(f"export: a {scope.kind}; only grids and particles can be exported")
    batch = collate(samples[:1], task, surrogate.structures)
    return suited(batch, surrogate, weight.device)


def _value(field: Field, domain: Domain, apart: float) -> np.ndarray:
    """Zeros; but no two particles are at one place, and no cell is without a volume."""
    value = np.zeros(field.shape(domain))
    if isinstance(domain, Particles):
        d = len(domain.periodic)
        if field.name == LATTICE:
            value[...] = _room(domain.size, d, apart).ravel()
        elif field.on == "point" and field.components == d:
            turn = 1.3 * np.arange(domain.size)
            around = [np.cos(turn - 0.5 * np.pi * k) for k in range(d - 1)]
            value[...] = apart * np.stack([0.8 * turn, *around], axis=1)
    return value


def _room(count: int, d: int, apart: float) -> np.ndarray:
    """A cell for so many particles."""
    return 2 * apart * count * np.eye(d)
