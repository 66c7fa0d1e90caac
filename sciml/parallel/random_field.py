"""Random fields that are the same for a seed on any ranks and grid.

A field is a function of position, drawn from the seed alone; each rank evaluates it where its block
lies. Positions are fractions of the box, 0 to 1 along each axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import product
from math import pi

import numpy as np

from sciml.domain import Block, Grid
from sciml.errors import InputError


class SmoothField:
    """f(x) = Σ_k a_k · wave_k(x) with random amplitudes and zero mean (periodic) or edge (sine).

    Mean energy of the octave around |k| falls as |k|^(−slope): a_k ~ |k|^(−(slope + d)/2) · N(0, 1);
    slope 0 gives all octaves alike, 2 and more look smooth. The root mean square over the box is 1.
    Modes are drawn in order of |k|: raising ``modes`` adds detail and keeps what was there, up to
    that normalization.

    Args:
        seed: whole number ≥ 0.
        ndim: 1 to 3.
        slope: fall of the energy from octave to octave.
        modes: largest |k|, in waves (periodic) or half waves (sine) along the box.
        basis: ``periodic`` (cos(2π k·x + φ)) or ``sine`` (Π sin(π k_i x_i), zero on the boundary).

    Raises:
        InputError: unknown basis, fewer than one mode, or a bad seed.
    """

    def __init__(
        self, seed: int, ndim: int, *, slope: float = 2.0, modes: int = 8, basis: str = "periodic"
    ) -> None:
        if basis not in ("periodic", "sine"):
            raise InputError(f"random field: basis {basis!r}; expected periodic or sine")
        self._periodic = basis == "periodic"
        # sqrt(d) is the longest wave vector of the sine basis that has no zero.
        if modes < 1 or (not self._periodic and modes**2 < ndim):
            raise InputError(f"random field: modes={modes}; expected at least {ndim**0.5:.2g}")
        self._modes = modes
        waves = [k for k in product(range(-modes, modes + 1), repeat=ndim) if self._wanted(k)]
        waves.sort(key=lambda k: (sum(i * i for i in k), k))
        draws = np.random.default_rng(whole_seed(seed)).standard_normal((len(waves), 2))
        size = np.array([sum(i * i for i in k) ** 0.5 for k in waves])
        amplitude = size ** (-(slope + ndim) / 2.0)
        c = amplitude * (draws[:, 0] + 1j * draws[:, 1])
        if self._periodic:
            c /= np.sqrt(np.sum(np.abs(c) ** 2) / 2.0)
        else:
            c = c.real / np.sqrt(np.sum(c.real**2) / 2.0**ndim)
        self._coefficients = np.zeros((2 * modes + 1,) * ndim, c.dtype)
        for k, value in zip(waves, c, strict=True):
            self._coefficients[tuple(i + modes for i in k)] = value

    @property
    def series(self) -> dict[tuple[int, ...], complex]:
        """Amplitudes by mode, for exact solutions; f = Σ Re(c_k exp(2πi k·x)) when periodic."""
        places = np.argwhere(self._coefficients)
        return {
            tuple(int(i) - self._modes for i in at): complex(self._coefficients[tuple(at)])
            for at in places
        }

    def on(self, grid: Grid, block: Block | None = None, *, cells: bool = False) -> np.ndarray:
        """Values on a block of a grid (the whole grid without one); shape ``block.shape``.

        Args:
            grid, block: where.
            cells: whether points are centers of cells that fill the box, and values means over them:
                the outermost centers of an axis that is not periodic then lie inside of the box.
        """
        values = self._coefficients
        k = np.arange(-self._modes, self._modes + 1)
        for axis, x in enumerate(_fractions(grid, block, cells)):
            angles = np.outer(x, k) * pi
            waves = np.exp(2j * angles) if self._periodic else np.sin(angles)
            if cells:
                waves *= np.sinc((1.0 if self._periodic else 0.5) * k / grid.shape[axis])
            values = np.moveaxis(np.tensordot(waves, values, (1, axis)), 0, axis)
        return np.ascontiguousarray(values.real)

    def _wanted(self, k: tuple[int, ...]) -> bool:
        """Real fields need half of the waves; the sine basis those with positive numbers."""
        if sum(i * i for i in k) > self._modes**2:
            return False
        return k > (0,) * len(k) if self._periodic else min(k) > 0


class PiecewiseField:
    """Random discs or boxes of constant value, later ones on top, 0 elsewhere.

    Args:
        seed: whole number ≥ 0.
        ndim: 1 to 3.
        kind: ``disc`` or ``box``.
        count: number of pieces.
        radius: range of radii (half sides of a box), as fractions of the box.
        values: range of values.
        periodic: whether pieces that cross the edge come in again on the other side.

    Raises:
        InputError: unknown kind, or a bad seed.
    """

    def __init__(
        self,
        seed: int,
        ndim: int,
        *,
        kind: str = "disc",
        count: int = 6,
        radius: tuple[float, float] = (0.1, 0.25),
        values: tuple[float, float] = (-1.0, 1.0),
        periodic: bool = True,
    ) -> None:
        if kind not in _INSIDE:
            raise InputError(f"random field: kind {kind!r}; expected one of {', '.join(_INSIDE)}")
        rng = np.random.default_rng(whole_seed(seed))
        self._inside = _INSIDE[kind]
        self._periodic = periodic
        self._pieces = [
            (rng.random(ndim), rng.uniform(*radius, ndim), rng.uniform(*values))
            for _ in range(count)
        ]

    def on(self, grid: Grid, block: Block | None = None) -> np.ndarray:
        """Values on a block of a grid (the whole grid without one); shape ``block.shape``."""
        x = _fractions(grid, block)
        field = np.zeros([len(xi) for xi in x])
        for center, radius, value in self._pieces:
            distance = [np.abs(xi - ci) for xi, ci in zip(x, center, strict=True)]
            if self._periodic:
                distance = [np.minimum(d, 1.0 - d) for d in distance]
            field[self._inside(distance, radius)] = value
        return field


def whole_seed(seed: int) -> int:
    """``seed`` as an integer ≥ 0.

    Raises:
        InputError: it is none.
    """
    if isinstance(seed, int | np.integer) and seed >= 0:
        return int(seed)
    raise InputError(f"random field: seed {seed!r}; expected a whole number ≥ 0")


def _disc(distance: list[np.ndarray], radius: np.ndarray) -> np.ndarray:
    return sum(d * d for d in np.ix_(*distance)) <= radius[0] ** 2


def _box(distance: list[np.ndarray], radius: np.ndarray) -> np.ndarray:
    # np.ix_ turns masks into indices, hence the comparison after it.
    inside = [d <= r for d, r in zip(np.ix_(*distance), radius, strict=True)]
    return reduce(np.logical_and, inside)


_INSIDE: dict[str, Callable[[list[np.ndarray], np.ndarray], np.ndarray]] = {
    "disc": _disc,
    "box": _box,
}


def _fractions(grid: Grid, block: Block | None, cells: bool = False) -> list[np.ndarray]:
    """Positions of a block along each axis, 0 to 1; cut from those of the grid, so that they are
    bitwise the same on any number of ranks."""
    slices = block.slices if block is not None else (slice(None),) * grid.ndim
    fractions = []
    for axis, (n, (low, high)) in enumerate(zip(grid.shape, grid.extent, strict=True)):
        if cells and grid.boundary[axis] != "periodic":
            whole = (np.arange(n) + 0.5) / n
        else:
            whole = (grid.coordinates(axis) - low) / (high - low)
        fractions.append(whole[slices[axis]])
    return fractions
