"""Fourier series of periodic fields, truncated and distributed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from sciml.domain import Block, Grid
from sciml.errors import DomainError, InputError
from sciml.parallel.decomposition import span
from sciml.parallel.reduce import GlobalSum, inner
from sciml.parallel.slab_transform import LineTransform, SlabTransform


class Fourier:
    """f(x) = Σ_m c_m exp(i k·(x − low)), k_i = 2π m_i / L_i, modes |m_i| ≤ ``keep[i]``.

    Only the kept modes are held, computed and sent. By default these are the modes of the 2/3 rule,
    n > 3 m: the product of two fields, computed at the points, has no aliasing errors in the modes
    that :meth:`forward` keeps.

    The ranks hold slabs of points along the first axis, and all modes of a range of the last axis;
    one exchange between all ranks leads from one to the other. Each line is transformed alone, so
    that fields are bitwise the same on any number of ranks. In one dimension every rank holds and
    computes the whole line: that is cheaper than to send it.

    Shapes (this rank's; ``…`` are any leading axes, for components):

    ==========  =======================================  =============================
    dimensions  points, :attr:`work`                     coefficients, :attr:`shape`
    ==========  =======================================  =============================
    1           ``(nx,)``, all                           ``(mx + 1,)``, all
    2           ``(rows, nx)``                           ``(2 my + 1, columns)``
    3           ``(planes, ny, nx)``                     ``(2 mz + 1, 2 my + 1, columns)``
    ==========  =======================================  =============================

    Coefficients are complex128; along all axes but the last their order is 0, 1, …, m, −m, …, −1.
    Along the last one, m ≥ 0 suffices for real fields: c(−m) is the conjugate of c(m).

    Args:
        comm: an mpi4py communicator.
        grid: periodic along all axes.
        modes: largest |m| for each axis; ``(n − 1) // 3`` by default. ``"all"`` keeps
            ``(n − 1) // 2``. The mode n / 2 of even n is never kept: its sine is zero at all points.
        library: whose FFT: ``"numpy"``, or ``"fftw"`` (needs pyfftw), which is 1.4 times as fast at
            256² and 2 to 5 times on small grids; the last bits differ.

    Attributes:
        keep: largest |m| for each axis.
        block: the points that this rank owns and sends.
        work: the points at which this rank computes products: ``block``, and in one dimension the
            whole line; see :meth:`owned`.
        k: angular wave number for each axis, in 1 / units of the grid, to broadcast against
            ``shape``.
        k2: |k|², shape ``shape``.

    Raises:
        InputError: an axis is not periodic; more modes than the points tell apart; more ranks than
            rows of points or columns of modes; pyfftw is not installed.

    In one dimension on nodes of different kinds the last bits of a line may differ between ranks,
    and chaos tells them apart: use nodes of one kind.
    """

    def __init__(
        self,
        comm: Any,
        grid: Grid,
        *,
        modes: Sequence[int] | str | None = None,
        library: str = "numpy",
    ) -> None:
        if set(grid.boundary) != {"periodic"}:
            raise InputError(
                f"Fourier series: boundary {', '.join(grid.boundary)}; expected a periodic grid"
            )
        self.grid = grid
        self.keep = _kept(grid, modes)
        rows, columns = _cut(grid, self.keep, comm.size)
        start, stop = rows[comm.rank]
        self.block = Block((start, *(0,) * (grid.ndim - 1)), (stop - start, *grid.shape[1:]))
        alone = grid.ndim == 1
        self.work = Block((0,), grid.shape) if alone else self.block
        self._columns = slice(*columns[0 if alone else comm.rank])
        full = (*(2 * m + 1 for m in self.keep[:-1]), self._columns.stop - self._columns.start)
        self.shape: tuple[int, ...] = full
        self.k = tuple(self._wave_numbers(axis) for axis in range(grid.ndim))
        self.k2 = np.ascontiguousarray(np.broadcast_to(sum(k * k for k in self.k), self.shape))
        self._sum = None if alone else GlobalSum(comm)
        self._transform: LineTransform | SlabTransform
        if alone:
            self._transform = LineTransform(grid.shape[0], self.keep[0], library)
        else:
            self._transform = SlabTransform(comm, grid.shape, self.keep, rows, columns, library)

    def forward(self, u: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Coefficients of the kept modes of ``u``, shape ``(…, *work.shape)`` → ``(…, *shape)``.

        Every rank calls it. ``u`` is left as it is.

        Raises:
            DomainError: ``u`` does not end in the shape of :attr:`work`.
        """
        lead = self._lead(u, self.work.shape, "field")
        if out is None:
            out = np.empty((*lead, *self.shape), complex)
        for field, coefficients in _pairs(u, out, len(lead)):
            self._transform.forward(field, coefficients)
        return out

    def inverse(self, c: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Values at the points, shape ``(…, *shape)`` → ``(…, *work.shape)``.

        Every rank calls it. ``c`` is left as it is.

        Raises:
            DomainError: ``c`` does not end in :attr:`shape`.
        """
        lead = self._lead(c, self.shape, "coefficients")
        if out is None:
            out = np.empty((*lead, *self.work.shape))
        for coefficients, field in _pairs(c, out, len(lead)):
            self._transform.inverse(coefficients, field)
        return out

    def owned(self, u: np.ndarray) -> np.ndarray:
        """View of what :attr:`block` covers of an array ``(…, *work.shape)``."""
        if self.work == self.block:
            return u
        return u[..., self.block.slices[0]]

    def symmetrize(self, c: np.ndarray) -> None:
        """Remove from ``c`` what no real field has, in place.

        The modes with last wave number 0 are all held, m and −m: of a real field they are conjugate
        to each other. :meth:`inverse` does not see the part that is not, but a linear term that
        makes modes grow lets it grow from rounding errors until it overflows: call this every few
        steps where modes grow.
        """
        if self._columns.start:
            return
        plane = c[..., 0]
        axes = tuple(range(-(len(self.shape) - 1), 0))
        # Order 0, 1, …, −1: flipped and rolled by one, m comes to lie at −m.
        mirrored = np.roll(np.flip(plane, axes), (1,) * len(axes), axes) if axes else plane
        plane[...] = (plane + mirrored.conj()) / 2.0

    def mean_square(self, c: np.ndarray) -> float:
        """Mean of f² over the box, by Parseval, added over leading axes.

        Every rank calls it and gets the same bits; on another number of ranks the last digits may
        differ.
        """
        return self.dot(c, c)

    def dot(self, a: np.ndarray, b: np.ndarray) -> float:
        """Mean of f·g over the box, from the coefficients of both; as :meth:`mean_square`."""
        # All modes count twice, for c(−m), but for those with last wave number 0.
        total = 2.0 * inner(a, b)
        if self._columns.start == 0:
            total -= inner(a[..., 0], b[..., 0])
        return float(total) if self._sum is None else self._sum(total)

    def tail(self, c: np.ndarray) -> float:
        """Share of :meth:`mean_square` in modes with |m_i| > ⅞ ``keep[i]`` along any axis.

        A field is resolved where this is small, below 1e-6 say; 0 for a field of zeros. Every rank
        calls it.
        """
        whole = self.mean_square(c)
        return self.dot(c, c * self._edge) / whole if whole else 0.0

    @cached_property
    def _edge(self) -> np.ndarray:
        """Whether a mode is among the last eighth along any axis; shape ``shape``."""
        edge = np.zeros(self.shape, bool)
        for axis, (k, m) in enumerate(zip(self.k, self.keep, strict=True)):
            edge |= np.abs(k) > 0.875 * m * self._unit(axis)
        return edge

    def _unit(self, axis: int) -> float:
        low, high = self.grid.extent[axis]
        return 2.0 * np.pi / (high - low)

    def _wave_numbers(self, axis: int) -> np.ndarray:
        m, ndim = self.keep[axis], self.grid.ndim
        if axis == ndim - 1:
            numbers = np.arange(m + 1)[self._columns]
        else:
            numbers = np.concatenate([np.arange(m + 1), np.arange(-m, 0)])
        shape = [1] * ndim
        shape[axis] = len(numbers)
        return self._unit(axis) * numbers.reshape(shape)

    def _lead(self, array: np.ndarray, end: tuple[int, ...], what: str) -> tuple[int, ...]:
        at = array.ndim - len(end)
        if at < 0 or array.shape[at:] != end:
            raise DomainError(
                f"Fourier series: {what} of shape {array.shape}; expected it to end in {end}"
            )
        return array.shape[:at]


def _pairs(a: np.ndarray, b: np.ndarray, leading: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Components of two arrays with the same leading axes; quicker than np.ndindex, of which a step
    on a short line would notice the microseconds."""
    if not leading:
        yield a, b
        return
    for one, other in zip(a, b, strict=True):
        yield from _pairs(one, other, leading - 1)


def _kept(grid: Grid, modes: Sequence[int] | str | None) -> tuple[int, ...]:
    most = tuple((n - 1) // 2 for n in grid.shape)
    if modes is None:
        return tuple((n - 1) // 3 for n in grid.shape)
    if modes == "all":
        return most
    wanted = tuple(modes)
    fit = len(wanted) == grid.ndim and all(
        isinstance(m, int | np.integer) and 0 <= m <= n for m, n in zip(wanted, most, strict=True)
    )
    if isinstance(modes, str) or not fit:
        raise InputError(
            f"Fourier series: modes={modes!r} on a grid of {_times(grid.shape)} points; expected "
            f"at most {most}, one for each axis, or 'all'"
        )
    return tuple(int(m) for m in wanted)


def _cut(
    grid: Grid, keep: tuple[int, ...], ranks: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Rows of points and columns of modes of each rank."""
    rows, columns = grid.shape[0], keep[-1] + 1
    most = rows if grid.ndim == 1 else min(rows, columns)
    if ranks > most:
        raise InputError(
            f"a grid of {_times(grid.shape)} points with {columns} wave numbers along the last axis "
            f"cannot be cut into {ranks} slabs; use {most} ranks or a finer grid"
        )
    if grid.ndim == 1:
        return [span(rows, ranks, i) for i in range(ranks)], [(0, columns)]
    return tuple([span(n, ranks, i) for i in range(ranks)] for n in (rows, columns))


def _times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
