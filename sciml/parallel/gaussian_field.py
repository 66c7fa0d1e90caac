"""Gaussian random fields on boxes, the same for a seed on any ranks and grid."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from sciml.domain import Block, Grid
from sciml.errors import InputError
from sciml.parallel.box_series import SeriesAxis, evaluate
from sciml.parallel.covariance import Covariance
from sciml.parallel.random_field import whole_seed


class GaussianField:
    """f(x) = mean + Σ_m √λ_m ξ_m φ_m(x), ξ_m ~ N(0, 1) independent: a sample of N(mean, C).

    φ_m are the eigenfunctions of −Δ on the box, orthonormal in L²; λ_m = S(κ_m) are the eigenvalues
    of the covariance operator C there. Along each axis, of side L:

    =============  ======================================  =========  =====================
    boundary       φ                                       κ          modes m
    =============  ======================================  =========  =====================
    ``periodic``   cos(2πm x/L) − sin(2πm x/L), times      2πm / L    −modes … modes
                   1/√L (all such axes share one phase)
    ``neumann``    √(2/L) cos(πm x/L); 1/√L for m = 0      πm / L     0 … modes
    ``dirichlet``  √(2/L) sin(πm x/L)                      πm / L     1 … modes
    ``open``       as periodic, on a box ``period`` times as long, of which the grid is a part
    =============  ======================================  =========  =====================

    ``open`` gives the covariance of all of space, without a condition at the ends, up to what it is
    at a distance of (period − 1) L: exp(−12.5) for a squared exponential of ℓ = L/5, period 2.

    The series is summed as it stands at the points of whatever grid: where a finer grid has points in
    common with a coarser one, so have the values, though a grid with fewer than 2 modes + 1 points
    does not resolve the field. Draws are made mode by mode, in shells: more ``modes`` add detail to
    the same field. Along axes of unequal sides, ``modes`` is the same number, not the same length.

    Args:
        seed: whole number ≥ 0.
        ndim: 1 to 3.
        covariance: C, e.g. :class:`~sciml.parallel.covariance.LaplacianPower`.
        modes: largest |m| along each axis. Half the points of the finest grid resolve all that a
            periodic axis can show; all its points do so between walls. Powers of two waste no draws.
        boundary: one for all axes, or one for each.
        mean: added to the sum.
        drop_mean: whether to leave out the constant mode, m = 0 along all axes. (On open axes this is
            the mean over the longer box.)
        sides: L along each axis, in the unit in which C measures lengths. The field is stretched
            over the extent of the grid, whatever its units.
        period: whole number of boxes after which ``open`` axes repeat.

    Raises:
        InputError: one of them cannot be used.

    Every rank holds all modes: 17 MB for modes = 64 in three dimensions, 140 MB for 128, and several
    times that while they are drawn and summed.
    """

    def __init__(
        self,
        seed: int,
        ndim: int,
        covariance: Covariance,
        *,
        modes: int = 64,
        boundary: str | Sequence[str] = "periodic",
        mean: float = 0.0,
        drop_mean: bool = False,
        sides: float | Sequence[float] = 1.0,
        period: int = 2,
    ) -> None:
        kinds = (boundary,) * ndim if isinstance(boundary, str) else tuple(boundary)
        lengths = (float(sides),) * ndim if isinstance(sides, int | float) else tuple(sides)
        _check(ndim, modes, kinds, lengths, period)
        self._mean = float(mean)
        self._axes = tuple(
            SeriesAxis(kind, modes, length, period if kind == "open" else 1)
            for kind, length in zip(kinds, lengths, strict=True)
        )
        k2 = sum(np.ix_(*(axis.wave_numbers**2 for axis in self._axes)))
        eigenvalues = covariance(k2, ndim)
        if drop_mean:
            eigenvalues = np.where(k2 > 0.0, eigenvalues, 0.0)
        if not np.isfinite(eigenvalues).all():
            raise InputError(
                f"random field: {covariance} gives the constant mode no finite size; set drop_mean, "
                "or a positive tau"
            )
        volume = prod(axis.length for axis in self._axes)
        self._amplitudes = _draws(whole_seed(seed), self._axes)
        self._amplitudes *= np.sqrt(eigenvalues / volume)

    def on(self, grid: Grid, block: Block | None = None) -> np.ndarray:
        """Values on a block of a grid (the whole grid without one); shape ``block.shape``.

        Bitwise the same whatever the block.

        Raises:
            InputError: the grid has another number of axes.
        """
        if grid.ndim != len(self._axes):
            raise InputError(
                f"random field of {len(self._axes)} axes on a grid of {grid.ndim}; expected as many"
            )
        values = evaluate(self._amplitudes, self._axes, grid, block)
        values += self._mean
        return values


def _draws(seed: int, axes: Sequence[SeriesAxis]) -> np.ndarray:
    """N(0, 1) for each mode. A shell holds those whose largest |m| is above half its number, a power
    of two, and at most that; it has a generator of its own."""
    modes = axes[0].modes
    last = (modes - 1).bit_length()

    def cube(shell: int) -> np.ndarray:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(shell,)))
        return rng.standard_normal([len(a.with_modes(2**shell).numbers) for a in axes])

    whole = cube(last)
    outer = [a.with_modes(2**last) for a in axes]
    for shell in reversed(range(last)):
        # The inner part of a shell's cube belongs to the shells below.
        whole[tuple(_within(a, 2**shell) for a in outer)] = cube(shell)
    return whole[tuple(_within(a, modes) for a in outer)].copy()


def _within(axis: SeriesAxis, modes: int) -> slice:
    """Where the numbers of ``axis`` are at most ``modes`` in size."""
    inside = np.flatnonzero(np.abs(axis.numbers) <= modes)
    return slice(inside[0], inside[-1] + 1)


def _check(
    ndim: int, modes: int, kinds: Sequence[str], lengths: Sequence[float], period: int
) -> None:
    if ndim not in (1, 2, 3):
        raise InputError(f"random field: {ndim!r} dimensions; expected 1, 2 or 3")
    for name, value in (("modes", modes), ("period", period)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise InputError(f"random field: {name}={value!r}; expected a whole number ≥ 1")
    known = ("periodic", "neumann", "dirichlet", "open")
    if len(kinds) != ndim or not set(kinds) <= set(known):
        raise InputError(
            f"random field: boundary {', '.join(map(str, kinds))} in {ndim} dimensions; expected "
            f"one of {', '.join(known)}, or one for each axis"
        )
    if len(lengths) != ndim or not all(0.0 < length < np.inf for length in lengths):
        raise InputError(
            f"random field: sides {tuple(lengths)} in {ndim} dimensions; expected a positive length, "
            "or one for each axis"
        )
