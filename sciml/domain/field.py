"""What a field is called, what it is measured in, and where its values sit."""

from __future__ import annotations

from dataclasses import dataclass

from sciml.errors import DomainError


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
    """

    name: str
    units: str = "1"
    long_name: str = ""
    on: str = "point"
    space: int = 0

    def __post_init__(self) -> None:
        if self.on not in ("point", "global"):
            raise DomainError(f"field '{self.name}': on={self.on!r}; expected 'point' or 'global'")

    def shape(self, point_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one frame of this field on a domain with ``point_shape``."""
        points = point_shape if self.on == "point" else ()
        return points + ((self.space,) if self.space else ())
