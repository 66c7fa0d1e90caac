"""What a field is called, what it is measured in, and where its values sit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sciml.errors import DomainError

#: Where a value of a field sits: at each point, in each cell, on each edge, or once a frame.
PLACES = ("point", "cell", "edge", "global")

#: What reflections and exchanges of axes do to a field; "" where nobody has said.
PARITIES = ("", "scalar", "pseudoscalar", "x", "y", "z")

#: Attributes of a variable that is one level of another.
LEVEL_NOTES = ("level_of", "level_dim", "level", "level_units")


class Places(Protocol):
    """What a field need know of a domain."""

    kind: str

    def shape_of(self, on: str) -> tuple[int, ...] | None:
        """Shape of a scalar field there; ``()`` if it is global, ``None`` where there is none."""


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

    Components of a vector on a grid are fields of their own (``u``, ``v``). Elsewhere a vector may
    keep a trailing axis, as forces on particles do, since models rotate them as a whole.

    Args:
        name: variable name in datasets and study files.
        units: UDUNITS string, ``"1"`` if non-dimensional.
        long_name: words for axis labels.
        on: ``"point"`` (a value at each grid point, node or particle), ``"cell"`` (of a mesh),
            ``"edge"`` (of a mesh or graph) or ``"global"`` (one a frame: the energy of a molecule).
        components: length of the trailing axis, 0 for a scalar: 3 for forces, 6 for a stress.
        parity: what the field is under reflections and exchanges of the axes of a grid: ``"scalar"``
            (temperature); ``"pseudoscalar"`` (vorticity and stream function in the plane), which
            changes its sign under reflections; ``"x"``, ``"y"``, ``"z"``: the component of a vector
            along that axis, on a line too (``u`` in Burgers' equation). ``""``: not said; names and
            units are then looked at (:mod:`sciml.domain.parity`).
        vector: name of the vector that a component belongs to, where there are several:
            ``Field("bx", parity="x", vector="magnetic field")``.
        level: where the field is one level of a variable in the files.
        categories: names of the kinds that the values 0, 1, … stand for, such as those of nodes: models
            see one channel a kind, and nothing is scaled. ``()``: the values are numbers.

    Raises:
        DomainError: a name that no file takes, another place, another parity, a vector's name without
            an axis, one category or two of one name.
    """

    name: str
    units: str = "1"
    long_name: str = ""
    on: str = "point"
    components: int = 0
    parity: str = ""
    vector: str = ""
    level: Level | None = None
    categories: tuple[str, ...] = ()

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
        if self.on not in PLACES:
            raise DomainError(
                f"field '{self.name}': on={self.on!r}; expected one of {', '.join(PLACES)}"
            )
        if not isinstance(self.components, int) or self.components < 0:
            raise DomainError(
                f"field '{self.name}': components={self.components!r}; expected 0 for a scalar, or the "
                "length of the trailing axis"
            )
        object.__setattr__(self, "categories", tuple(map(str, self.categories)))
        self._check_categories()
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

    def _check_categories(self) -> None:
        named = self.categories
        if not named:
            return
        if len(named) < 2 or len(set(named)) < len(named) or any(n.split() != [n] for n in named):
            raise DomainError(
                f"field '{self.name}': categories {named}; expected two words or more, all different"
            )
        if self.components:
            raise DomainError(
                f"field '{self.name}': categories and components={self.components}; expected a scalar"
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
        if self.categories:  # as CF says it
            said |= {"flag_values": list(range(len(self.categories)))}
            said |= {"flag_meanings": " ".join(self.categories)}
        long_name = self.long_name or self.name
        return {"units": self.units, "long_name": long_name, **{k: v for k, v in said.items() if v}}

    def shape(self, domain: Places) -> tuple[int, ...]:
        """Shape of one frame of this field on ``domain``.

        Raises:
            DomainError: the domain has no cells or edges for the field to be on.
        """
        shape = domain.shape_of(self.on)
        if shape is None:
            raise DomainError(
                f"field '{self.name}' is on '{self.on}', where a domain of kind '{domain.kind}' has no "
                "values"
            )
        return shape + self.trailing

    @property
    def trailing(self) -> tuple[int, ...]:
        """Shape of one value: ``()`` or ``(components,)``."""
        return (self.components,) if self.components else ()
