"""How much finer a grid is than the one that a network was built for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sciml.errors import InputError, require_known

#: What becomes of the coarser grids inside a network.
LEVELS = ("base", "refined")


class Refinement:
    """The ratio h₀ / h along each axis, which all layers share.

    A periodic axis of n points has the spacing L/n, every other axis holds both its ends and has
    L/(n − 1). So refinement by r takes n₀ points to r n₀, or to r (n₀ − 1) + 1, and point i of the
    base is point r i of the finer grid.

    Inside a network, layers with strides make coarser grids. With ``levels="base"`` those have the
    points that they have at the base: a stride s of the base is one of r s points, and the finest grid
    alone, on which fields come in and go out, is refined. With ``levels="refined"`` a stride stays the
    number of points that it is, and every grid is r times as fine as at the base. A grid
    counts as coarser along an axis where it has fewer than 1/√2 of the base's points.

    Args:
        base: points along each axis at the base.
        periodic: whether each axis is.
        levels: as above.

    Raises:
        InputError: different lengths, an axis with fewer than 2 points, unknown ``levels``.
    """

    def __init__(self, base: Sequence[int], periodic: Sequence[bool], levels: str = "base") -> None:
        self.base = tuple(int(n) for n in base)
        self.periodic = tuple(bool(p) for p in periodic)
        if len(self.base) != len(self.periodic) or not self.base or min(self.base) < 2:
            raise InputError(
                f"base resolution {self.base} and periodic {self.periodic}; expected one entry of "
                "each for every axis, at least 2 points"
            )
        require_known("unknown levels", levels, LEVELS)
        self.levels = levels
        self.ratio = (1,) * len(self.base)
        #: Grid of the last convolution: that of the tokens, where a transformer follows it.
        self.grid: tuple[int, ...] | None = None

    @contextmanager
    def at(self, ratio: Sequence[int]) -> Iterator[None]:
        """Layers called inside see grids ``ratio`` times as fine along each axis."""
        before = self.ratio, self.grid
        self.ratio, self.grid = tuple(ratio), None
        try:
            yield
        finally:
            self.ratio, self.grid = before

    def ratio_of(self, shape: Sequence[int]) -> tuple[float, ...]:
        """h₀ / h of a grid of ``shape`` on the same box."""
        return tuple(
            n / n0 if periodic else (n - 1) / (n0 - 1)
            for n, n0, periodic in zip(shape, self.base, self.periodic, strict=True)
        )

    def ratio_at(self, n: int, axis: int) -> int:
        """r of a grid inside the network with ``n`` points along an axis."""
        if self.levels == "base" and 2 * n * n < self.base[axis] ** 2:
            return 1
        return self.ratio[axis]

    def ratios_at(self, space: Sequence[int]) -> tuple[int, ...]:
        """:meth:`ratio_at` of every axis."""
        return tuple(self.ratio_at(n, axis) for axis, n in enumerate(space))

    def coarse(self, n: int, axis: int) -> int:
        """Points that ``n`` points along an axis are at the base.

        Raises:
            InputError: none are.
        """
        r = self.ratio_at(n, axis)
        points, rest = divmod(n, r) if self.periodic[axis] else divmod(n - 1, r)
        if rest:
            raise InputError(
                f"a layer got {n} points along axis {axis}, which is no grid of its base refined "
                f"{r} times; padding, cropping and resizing must be done by layers, or to the size "
                "of another field"
            )
        return points if self.periodic[axis] else points + 1

    def fine(self, n0: int, axis: int, ratio: int) -> int:
        """Points that ``n0`` points of the base are ``ratio`` times as fine."""
        return ratio * n0 if self.periodic[axis] else ratio * (n0 - 1) + 1

    def strided(self, n0: int, axis: int, stride: int, ratio: int) -> int:
        """r of what a layer gives that has ``n0`` points at the base; ``ratio`` is that of its input."""
        return ratio if stride == 1 else self.ratio_at(n0, axis)
