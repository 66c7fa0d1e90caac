"""What a field is called, what it is measured in, and where its values sit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sciml.errors import DomainError

#: What reflections and exchanges of axes do to a field; "" where nobody has said.
PARITIES = ("", "scalar", "pseudoscalar", "x", "y", "z")

#: Attributes of a variable that is one level of another.
LEVEL_NOTES = ("level_of", "level_dim", "level", "level_units")


@dataclass(frozen=True, slots=True)
class Level:
    """Which level of which variable a field is.

    Args:
        of: the variable, ``t`` of ``t_850``.
        dim: its vertical dimension.
        value: coordinate of the level.
        units: of the coordinate.
    """

    of: str
    dim: str
    value: float
    units: str = "1"

    @property
    def notes(self) -> dict[str, Any]:
        """Attributes of a variable that say so."""
        values = (self.of, self.dim, self.value, self.units)
        return dict(zip(LEVEL_NOTES, values, strict=True))

    @classmethod
    def noted(cls, attrs: Mapping[str, Any]) -> Level | None:
        """What the attributes of a variable say."""
        if not all(name in attrs for name in LEVEL_NOTES):
            return None
        of, dim, value, units = (attrs[name] for name in LEVEL_NOTES)
        return cls(str(of), str(dim), float(value), str(units))


@dataclass(frozen=True, slots=True)
class Field:
    """A named physical quantity on a domain.

    Components of a vector on a grid, mesh or graph are fields of their own (``u``, ``v``); vectors
    attached to particles keep a trailing axis, since models rotate them as a whole.

    Args:
        name: variable name in datasets and study files.
        units: UDUNITS string, ``"1"`` if non-dimensional.
        long_name: words for axis labels.
        on: ``"point"`` (a value at each grid point, node or particle) or ``"global"`` (one a frame,
            such as the energy of a molecule).
        space: length of the trailing vector axis, 0 for a scalar; particles only.
        parity: what the field is under reflections and exchanges of the axes of a grid: ``"scalar"``
            (temperature); ``"pseudoscalar"`` (vorticity and stream function in the plane), which
            changes its sign under reflections; ``"x"``, ``"y"``, ``"z"``: the component of a vector
            along that axis, on a line too (``u`` in Burgers' equation). ``""``: not said; names and
            units are then looked at (:mod:`sciml.domain.parity`).
        vector: name of the vector that a component belongs to, where there are several:
            ``Field("bx", parity="x", vector="magnetic field")``.
        level: where the field is one level of a variable in the files.

    Raises:
        DomainError: a name that no file takes, another place, another parity, a vector's name without
            an axis.
    """

    name: str
    units: str = "1"
    long_name: str = ""
    on: str = "point"
    space: int = 0
    parity: str = ""
    vector: str = ""
    level: Level | None = None

    def __post_init__(self) -> None:
        if isinstance(self.level, Mapping):
            object.__setattr__(self, "level", Level(**self.level))
        if not isinstance(self.name, str) or not self.name or not self.name.isprintable():
            raise DomainError(f"field {self.name!r:.60}: no name; expected letters and digits")
        if "/" in self.name or self.name != self.name.strip():
            raise DomainError(
                f"field {self.name!r:.60}: files take no such name; expected one without '/', and "
                "without blanks at its ends"
            )
        if self.on not in ("point", "global"):
            raise DomainError(f"field '{self.name}': on={self.on!r}; expected 'point' or 'global'")
        if self.parity not in PARITIES:
            raise DomainError(
                f"field '{self.name}': parity={self.parity!r}; expected 'scalar', 'pseudoscalar', or "
                "the axis that it is a vector's component along, 'x', 'y' or 'z'"
            )
        if self.vector and not self.component:
            raise DomainError(
                f"field '{self.name}': vector={self.vector!r} without an axis; expected parity='x', 'y' "
                "or 'z' beside it"
            )

    @property
    def component(self) -> bool:
        """Whether it is known for a component of a vector."""
        return self.parity in ("x", "y", "z")

    @property
    def attrs(self) -> dict[str, Any]:
        """As attributes of a variable in a file: what is not said is left out."""
        said: dict[str, Any] = {"parity": self.parity, "vector": self.vector}
        said |= {} if self.level is None else self.level.notes
        long_name = self.long_name or self.name
        return {"units": self.units, "long_name": long_name, **{k: v for k, v in said.items() if v}}

    def shape(self, point_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one frame of this field on a domain with ``point_shape``."""
        points = point_shape if self.on == "point" else ()
        return points + ((self.space,) if self.space else ())
