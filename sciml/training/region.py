"""Where points of an equation lie within a box: shapes of deepxde, by name and by their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from sciml.errors import InputError, nearest, require_known
from sciml.surrogates.deepxde_import import import_deepxde, numpy_seeded

Sides = Mapping[str, tuple[float, float]]
#: By name: dimensions, and keys in the order of arguments.
SHAPES: dict[str, tuple[int, tuple[str, ...]]] = {
    "interval": (1, ("low", "high")),
    "rectangle": (2, ("low", "high")),
    "disk": (2, ("center", "radius")),
    "ellipse": (2, ("center", "semimajor", "semiminor", "angle")),
    "polygon": (2, ("vertices",)),
    "cuboid": (3, ("low", "high")),
    "sphere": (3, ("center", "radius")),
}
#: Of shapes ``of``, the first with each that follows.
COMBINED = {"union": "CSGUnion", "difference": "CSGDifference", "intersection": "CSGIntersection"}


@dataclass(frozen=True, slots=True)
class Region:
    """A shape within a box.

    Args:
        axes: in the order of points, a grid's (z, y, x); the shape has them as (x, y, z).
        shape: a ``deepxde.geometry.Geometry``.
    """

    axes: tuple[str, ...]
    shape: Any

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Which of points (n, axes) are inside."""
        return np.asarray(self.shape.inside(points[:, ::-1]), bool)

    def boundary(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Points on the boundary, (n, axes)."""
        with numpy_seeded(rng.integers(0, 2**32, 8)):
            return np.asarray(self.shape.random_boundary_points(n), float)[:, ::-1]

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Of length 1 and outward, (n, axes), at points on the boundary.

        Raises:
            InputError: a shape of which deepxde does not know them, an ellipse.
        """
        try:
            return np.asarray(self.shape.boundary_normal(points[:, ::-1]), float)[:, ::-1]
        except NotImplementedError as error:
            raise InputError(
                "geometry: no normals are known of an ellipse; expected points for 'boundary' instead "
                "of 'flux', or a polygon"
            ) from error


def region_of(keys: Mapping[str, Any], sides: Sides) -> Region:
    """A region from its keys: ``{"kind": "disk", "center": [0, 0], "radius": 1}``, or
    ``{"kind": "difference", "of": [{…}, {…}]}``.

    Args:
        keys: numbers go (x, y, z).
        sides: of the box, in the order of points.
    """
    shape = _shape(keys, len(sides), import_deepxde().geometry)
    for axis, low, high in zip(sorted(sides), *shape.bbox, strict=True):
        a, b = sides[axis]
        margin = 1e-6 * (b - a)
        if low < a - margin or high > b + margin:
            raise InputError(
                f"geometry: {keys['kind']} reaches from {low:g} to {high:g} along {axis}, and the "
                f"domain from {a:g} to {b:g}; expected it inside"
            )
    return Region(tuple(sides), shape)


def _shape(keys: Any, ndim: int, geometry: Any) -> Any:
    if not isinstance(keys, Mapping) or "kind" not in keys:
        raise InputError(
            f"geometry: got {keys!r}; expected {{kind: disk, center: [0, 0], radius: 1}}"
        )
    form, given = keys["kind"], {k: v for k, v in keys.items() if k != "kind" and v is not None}
    if form in COMBINED:
        _require_keys(form, given, ("of",), ("of",))
        parts = given["of"]
        if not isinstance(parts, Sequence) or len(parts) < 2:
            raise InputError(
                f"geometry: {form} of {parts!r}; expected a list of two shapes or more"
            )
        shapes = [_shape(part, ndim, geometry) for part in parts]
        return reduce(getattr(geometry, COMBINED[form]), shapes)
    if form not in SHAPES:
        known = [*SHAPES, *COMBINED]
        raise InputError(f"geometry: unknown kind {form!r}; {nearest(str(form), known)}")
    dimensions, names = SHAPES[form]
    if dimensions != ndim:
        raise InputError(f"geometry: {form} in a domain of {ndim} axes; expected {dimensions}")
    _require_keys(form, given, names, [n for n in names if n != "angle"])
    numbers = {n: _numbers(form, n, v, ndim) for n, v in given.items()}
    try:
        return _made(geometry, form, [numbers[n] for n in names if n in numbers])
    except ValueError as error:
        raise InputError(f"geometry: {form} with {given}: {error}") from error


def _made(geometry: Any, form: str, numbers: list[Any]) -> Any:
    if form == "polygon":  # deepxde refuses those that have a class of their own
        [vertices] = numbers
        if len(vertices) == 3:
            return geometry.Triangle(*vertices)
        low, high = np.min(vertices, axis=0).tolist(), np.max(vertices, axis=0).tolist()
        corners = {(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])}
        if len(vertices) == 4 and {*map(tuple, vertices)} == corners:
            return geometry.Rectangle(low, high)
    return getattr(geometry, form.capitalize())(*numbers)


def _require_keys(
    form: str, given: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]
) -> None:
    require_known(f"geometry: {form} has no key", given, known)
    if lacking := [key for key in needed if key not in given]:
        raise InputError(f"geometry: {form} without {', '.join(lacking)}; expected a value")


def _numbers(form: str, name: str, value: Any, ndim: int) -> Any:
    """A length above 0, a place of as many numbers as axes, or a list of such places."""
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    place = (ndim,) if ndim > 1 else ()
    if name == "vertices":
        fits = array.ndim == 2 and array.shape[1:] == (2,) and len(array) >= 3
        expected = "three places [x, y] or more"
    elif name in ("low", "high", "center"):
        fits, expected = array.shape == place, f"{ndim} numbers" if ndim > 1 else "a number"
    else:
        fits = array.shape == () and (name == "angle" or array > 0)
        expected = "a number above 0" if name != "angle" else "an angle"
    if not (fits and np.isfinite(array).all()):
        raise InputError(f"geometry: {form} with {name}={value!r}; expected {expected}")
    return array.tolist()
