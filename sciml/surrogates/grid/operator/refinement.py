"""How much finer a grid is than the one that a network was built for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sciml.errors import InputError


class Refinement:
    """The ratio of spacings h₀ / h along each axis, which the layers of a network share.

    A periodic axis of n points has the spacing L/n, every other axis holds both its ends and has
    L/(n − 1). So refinement by r takes n₀ points to r n₀, or to r (n₀ − 1) + 1, and point i of the
    base is point r i of the finer grid. The same holds on every coarser level of a network: a
    stride keeps its number of points, so that its ratio of spacings, and r, are the same everywhere.

    Args:
        base: points along each axis at the base.
        periodic: whether each axis is.

    Raises:
        InputError: different lengths, or an axis with fewer than 2 points.
    """

    def __init__(self, base: Sequence[int], periodic: Sequence[bool]) -> None:
        self.base = tuple(int(n) for n in base)
        self.periodic = tuple(bool(p) for p in periodic)
        if len(self.base) != len(self.periodic) or not self.base or min(self.base) < 2:
            raise InputError(
                f"base resolution {self.base} and periodic {self.periodic}; expected one entry of "
                "each for every axis, at least 2 points"
            )
        self.ratio = (1,) * len(self.base)
        #: Grid of the last convolution: that of the tokens, where a transformer follows it.
        self.grid: tuple[int, ...] | None = None

    @contextmanager
    def at(self, ratio: Sequence[int]) -> Iterator[None]:
        """Layers called inside see grids ``ratio`` times as fine as the base, an integer an axis."""
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

    def coarse(self, n: int, axis: int) -> int:
        """Points that ``n`` points along an axis are at the base.

        Raises:
            InputError: none are.
        """
        r = self.ratio[axis]
        points, rest = divmod(n, r) if self.periodic[axis] else divmod(n - 1, r)
        if rest:
            raise InputError(
                f"a layer got {n} points along axis {axis}, which is no grid of its base refined "
                f"{r} times; padding, cropping and resizing must be done by layers, or to the size "
                "of another field"
            )
        return points if self.periodic[axis] else points + 1

    def fine(self, n0: int, axis: int) -> int:
        """Points that ``n0`` points of the base are here."""
        r = self.ratio[axis]
        return r * n0 if self.periodic[axis] else r * (n0 - 1) + 1
