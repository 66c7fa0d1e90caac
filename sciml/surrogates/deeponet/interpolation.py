"""Fields known on a grid, at points between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor


def interpolate(
    values: Float[Tensor, "*more *space"],
    y: Float[Tensor, "*points axis"],
    periodic: Sequence[bool],
) -> Float[Tensor, "*more *points"]:
    """Multilinear interpolation; second order in the spacing, exact at the points of the grid.

    Args:
        values: fields whose last axes are those of the grid.
        y: coordinates from 0 to 1 along each axis. Beyond an end that is not periodic the value at
            the end is taken.
        periodic: whether each axis is.
    """
    axes = len(periodic)
    space = values.shape[values.ndim - axes :]
    flat = values.reshape(*values.shape[: values.ndim - axes], -1)
    corners = []
    for axis, (n, wraps) in enumerate(zip(space, periodic, strict=True)):
        place = y[..., axis] * (n if wraps else n - 1)
        place = place if wraps else place.clamp(0, n - 1)
        low = place.floor() if wraps else place.floor().clamp(max=max(0, n - 2))
        part = place - low
        low = low.long()
        ends = (low % n, (low + 1) % n) if wraps else (low, (low + 1).clamp(max=n - 1))
        corners.append(((ends[0], 1 - part), (ends[1], part)))
    total = torch.zeros((), dtype=values.dtype, device=values.device)
    for corner in product(*corners):
        index = torch.zeros_like(corner[0][0])
        weight = torch.ones_like(corner[0][1])
        for (end, part), n in zip(corner, space, strict=True):
            index, weight = index * n + end, weight * part
        total = total + flat[..., index] * weight
    return total
