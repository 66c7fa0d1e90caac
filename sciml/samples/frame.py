"""The unit that is delivered, stored and accounted for: all fields of one simulation at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sciml.domain import Domain, Field
from sciml.domain.time_units import canonical


@dataclass(frozen=True, eq=False, slots=True)
class Simulation:
    """What is said once about a simulation, when it connects.

    Args:
        id: number within the study.
        domain: where its fields live; may differ from simulation to simulation.
        fields: the fields of every frame, in order.
        parameters: scalar parameters by name, in the units that the program states.
        static: fields that do not change in time, by name; shape ``Field.shape(domain)``.
        deterministic: whether running it again gives the same frames (a re-run may then continue
            the windows of the attempt before it).
        time_units: of the times of its frames, ``"s"`` or ``"days since 2000-01-01"``; ``"1"``: none.
        calendar: of dates, such as ``"noleap"``; ``""``: the usual one.
        masks: where fields and static fields have values, bool ``domain.point_shape``; those that have
            them everywhere are not there. Elsewhere they are NaN in every frame.
        static_fields: what the static fields are; those of which nothing is said are numbers on points.
    """

    id: int
    domain: Domain
    fields: tuple[Field, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)
    static: Mapping[str, np.ndarray] = field(default_factory=dict)
    deterministic: bool = True
    time_units: str = "1"
    calendar: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_units", canonical(self.time_units))
        said = {f.name: f for f in self.static_fields}
        known = tuple(said.get(name) or Field(name) for name in self.static)
        object.__setattr__(self, "static_fields", known)

    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    static_fields: tuple[Field, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """All fields of one simulation at one time.

    Identity is ``(simulation, step)``; ``attempt`` says which run of the program sent it and is a
    fence, not part of the identity.

    Args:
        simulation: :attr:`Simulation.id`.
        step: count of *sent* states from 0, the initial one.
        time: physical time.
        fields: arrays by field name, shape ``Field.shape(domain)``.
        attempt: number of the run, from 1.
        segment: another one begins behind a gap in time; see :attr:`Task.even`.
    """

    simulation: int
    step: int
    time: float
    fields: Mapping[str, np.ndarray]
    attempt: int = 1
    segment: int = 0

    @property
    def key(self) -> tuple[int, int]:
        return (self.simulation, self.step)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.fields.values())
