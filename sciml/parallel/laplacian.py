"""The five-point Laplacian, compiled where a run is long enough to pay for it."""

from __future__ import annotations

import numpy as np

from sciml.parallel.halo import Halo
from sciml.parallel.stencil import Index, shifted

#: Points × steps of one rank from which compiled loops are taken. Numba takes 0.3 to 0.5 s to import
#: and saves 3 to 4 ns a point and step, so this many get twice its cost back.
WORTH_COMPILING = 300_000_000

#: Numbers in a cache line of 64 bytes.
LINE = 8


class Laplacian:
    """∇²u by centered differences of second order on points that are not held.

    Compiled and numpy loops give the same bits; which of them run is the same on all ranks.

    Args:
        halo: of padded arrays u, width 1 or more; two axes.
        inner: the points, as :func:`~sciml.parallel.free_points` gives them.
        spacing: (hy, hx), in m.
        work: points × steps that a rank will do about, which decides on compiling.
    """

    def __init__(
        self, halo: Halo, inner: Index, spacing: tuple[float, ...], work: float = 0.0
    ) -> None:
        self._halo = halo
        self.inner = inner
        # Of neighbors along x, and by how much more those along y count.
        hy, hx = spacing
        self._weight, self._ratio = hx**-2.0, (hx / hy) ** 2
        self._sides = [shifted(inner, axis, by) for axis in (0, 1) for by in (-1, 1)]
        shape = tuple(s.stop - s.start for s in inner)
        self.compiled = work >= WORTH_COMPILING
        if self.compiled:
            from sciml.parallel.kernels import laplacian

            self._kernels = laplacian
            self._box = tuple(i for s in inner for i in (s.start, s.stop))
        else:
            self._change, self._work = np.zeros((2, *shape))

    def __call__(self, u: np.ndarray, scale: float, out: np.ndarray) -> None:
        """out = scale · ∇²u; fills the halo of ``u``, and ``out`` has the shape of ``inner``."""
        self._halo.exchange(u)
        a = scale * self._weight
        center = -2.0 * (a + a * self._ratio)
        if self.compiled:
            # What `allocate` gave has gaps between its rows.
            whole = np.ascontiguousarray(u)
            self._kernels.laplacian(whole, *self._box, a, self._ratio, center, out)
        else:
            self._sum(u, a, center, out)

    def allocate(self) -> np.ndarray:
        """A padded array of zeros for :meth:`advance`; one at a time."""
        if not self.compiled:
            return self._halo.allocate()
        ny, nx = self._halo.shape
        y0, y1, x0, x1 = self._box
        # The columns that change begin a cache line in every row: most loads then cross none.
        lead = -x0 % LINE
        stride = -(-(lead + nx) // LINE) * LINE
        buffer = np.zeros((ny + 2) * stride + LINE)
        first = -(buffer.ctypes.data // buffer.itemsize) % LINE
        self._rows = buffer[first : first + (ny + 2) * stride].reshape(ny + 2, stride)
        self._place = (y0, y1, lead + x0, lead + x1)
        # Where u lies, by whether it goes down next.
        columns = slice(lead, lead + nx)
        self._u, self._down = (self._rows[:-2, columns], self._rows[2:, columns]), True
        return self._u[True]

    def advance(self, u: np.ndarray, scale: float) -> np.ndarray:
        """u + scale · ∇²u; it lies where u lay, or two rows beside it, so ``u`` is gone.

        Args:
            u: what :meth:`allocate` or the last ``advance`` gave.
            scale: dt κ.
        """
        # The kernel wraps axes that are not cut by itself: a copy a face takes numpy a microsecond.
        self._halo.exchange(u, wrap=not self.compiled)
        a = scale * self._weight
        center = 1.0 - 2.0 * (a + a * self._ratio)
        if self.compiled:
            wrapped = self._halo.wrapped
            self._kernels.advance(
                self._rows, *self._place, a, self._ratio, center, *wrapped, self._down
            )
            self._down = not self._down
            return self._u[self._down]
        self._sum(u, a, center, self._change)
        u[self.inner] = self._change
        return u

    def _sum(self, u: np.ndarray, a: float, center: float, out: np.ndarray) -> None:
        """out = a (ratio (south + north) + west + east) + center · here, rounded as compiled."""
        (south, north, west, east), work = self._sides, self._work
        np.add(u[south], u[north], out=out)
        if self._ratio != 1.0:
            np.multiply(out, self._ratio, out=out)
        np.add(u[west], u[east], out=work)
        np.add(out, work, out=out)
        np.multiply(out, a, out=out)
        np.multiply(u[self.inner], center, out=work)
        np.add(out, work, out=out)
