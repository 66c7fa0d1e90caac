"""Diffusion and advection with coefficients that vary in space, in conservation form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sciml.domain import Block, Grid
from sciml.errors import InputError
from sciml.parallel.ghosts import Ghosts
from sciml.parallel.halo import Halo

#: A number, or values on the faces across an axis: one more than the block has points along it.
OnFaces = float | np.ndarray


class Transport:
    """∇·(a ∇u − v u) by centered fluxes through the faces between points; second order.

    What leaves a point enters its neighbor, bit by bit, so Σu is kept on a periodic grid. Compiled.

    Args:
        halo: of padded arrays, of width 1 exactly; one or two axes.
        spacing: h along each axis, in m.
        diffusivity: a on the faces across each axis, (ny + 1, nx) and (ny, nx + 1) in two
            dimensions; or what broadcasts to that, such as a number.
        velocity: v alike, the component across the face; ``None`` for none.

    Raises:
        InputError: another width, three axes, or coefficients of the wrong shape.

    When it fails: u oscillates where the cell Péclet number |v| h / a passes 2 and u is not smooth.
    """

    def __init__(
        self,
        halo: Halo,
        spacing: Sequence[float],
        diffusivity: Sequence[OnFaces],
        velocity: Sequence[OnFaces] | None = None,
    ) -> None:
        from sciml.parallel.kernels import central

        if halo.width != 1 or len(spacing) > 2:
            raise InputError(
                f"transport: halo of width {halo.width}, {len(spacing)} axes; expected width 1 "
                "and one or two axes"
            )
        self._halo = halo
        one = len(spacing) == 1
        self._coefficients = [
            _on_faces(a, halo.block, axis, 1.0 / spacing[axis] ** 2)
            for axis, a in enumerate(diffusivity)
        ]
        if velocity is None and one:
            velocity = (0.0,)
        self._coefficients += [
            _on_faces(v, halo.block, axis, 0.5 / spacing[axis])
            for axis, v in enumerate(velocity or ())
        ]
        two = central.transport_2d if velocity is not None else central.diffusion_2d
        self._kernel = central.transport_1d if one else two

    def __call__(self, u: np.ndarray, out: np.ndarray) -> None:
        """``out``, the shape of the block, from padded ``u``, whose halo it fills."""
        self._halo.exchange(u)
        self._kernel(u, *self._coefficients, out)


def face_points(grid: Grid, block: Block, axis: int) -> tuple[np.ndarray, ...]:
    """Coordinates along each axis of the faces across ``axis``. They lie half a spacing below each
    point of the block and above the last; those along the other axes are the points'.

    Cut from coordinates of the whole grid: the same bits on any number of ranks.
    """
    lines = []
    for a, (start, stop) in enumerate(zip(block.offset, block.stop, strict=True)):
        if a == axis:
            low, h = grid.extent[a][0], grid.spacing[a]
            lines.append(low + h * (np.arange(start, stop + 1) - 0.5))
        else:
            lines.append(grid.coordinates(a)[start:stop])
    return tuple(lines)


def face_means(halo: Halo, grid: Grid, values: np.ndarray) -> list[np.ndarray]:
    """Means of the two neighbors of each face across each axis; (ny + 1, nx) and so on. On the
    boundary of the grid, the value inside. Every rank calls it.

    Args:
        halo: of width 1.
        grid: the whole of it.
        values: on the block.
    """
    padded = halo.allocate()
    halo.owned(padded)[...] = values
    halo.exchange(padded)
    Ghosts(halo, grid, "open").fill(padded[None])
    means = []
    for axis in range(padded.ndim):
        low, high = ([slice(1, -1)] * padded.ndim for _ in range(2))
        low[axis], high[axis] = slice(0, -1), slice(1, None)
        means.append(0.5 * (padded[tuple(low)] + padded[tuple(high)]))
    return means


def _on_faces(values: OnFaces, block: Block, axis: int, scale: float) -> np.ndarray:
    shape = tuple(n + (a == axis) for a, n in enumerate(block.shape))
    try:
        spread = np.broadcast_to(scale * np.asarray(values, float), shape)
    except ValueError:
        raise InputError(
            f"transport: coefficients of shape {np.shape(values)} on the faces across axis {axis}; "
            f"expected {shape}, or what broadcasts to it"
        ) from None
    return np.array(spread, order="C")
