"""Particles and molecules: who is there, and in which periodic cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sciml.domain.names import PARTICLE
from sciml.errors import DomainError


@dataclass(frozen=True, eq=False)
class Particles:
    """A fixed set of particles whose positions are a field.

    Args:
        species: atomic numbers or type indices, int64 ``(n,)``.
        cell: rows are lattice vectors, float64 ``(d, d)`` in ``units``; ``None`` in open space.
        periodic: whether each lattice vector repeats.
        units: UDUNITS string of positions.
        expected: species that others of the same source may have, as far as they are known ahead: a
            model is built for them, too. Two of the same particles are equal whatever they expect.
    """

    kind: ClassVar[str] = "particles"

    species: np.ndarray
    cell: np.ndarray | None = None
    periodic: tuple[bool, ...] = (False, False, False)
    units: str = "1"
    expected: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        species = np.asarray(self.species, dtype=np.int64)
        if species.ndim != 1:
            raise DomainError(f"particles: species {species.shape}; expected (n,)")
        object.__setattr__(self, "species", species)
        object.__setattr__(self, "expected", tuple(sorted({int(s) for s in self.expected})))
        object.__setattr__(self, "periodic", tuple(bool(p) for p in self.periodic))
        if any(self.periodic) and self.cell is None:
            raise DomainError("particles: periodic without a cell; give the lattice vectors")
        if self.cell is not None:
            cell = np.asarray(self.cell, dtype=np.float64)
            if cell.shape != (len(self.periodic),) * 2:
                raise DomainError(
                    f"particles: cell {cell.shape}; expected {(len(self.periodic),) * 2}"
                )
            object.__setattr__(self, "cell", cell)

    @property
    def dims(self) -> tuple[str, ...]:
        return (PARTICLE,)

    @property
    def point_shape(self) -> tuple[int, ...]:
        return (len(self.species),)

    def shape_of(self, on: str) -> tuple[int, ...] | None:
        """Shape of a scalar field there; ``()`` if it is global, ``None`` where there is none."""
        return {"point": self.point_shape, "global": ()}.get(on)

    @property
    def size(self) -> int:
        return len(self.species)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Particles)
            and self.units == other.units
            and self.periodic == other.periodic
            and np.array_equal(self.species, other.species)
            and (self.cell is None) == (other.cell is None)
            and (self.cell is None or np.array_equal(self.cell, other.cell))
        )

    __hash__ = None
