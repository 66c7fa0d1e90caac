"""From one grid to another on the same box: by lines between points, or by a Fourier series."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def positions(n: int, wanted: int, periodic: bool, like: Tensor) -> Tensor:
    """Where ``wanted`` points lie between ``n`` points of the same axis, in spacings of those."""
    steps = torch.arange(wanted, dtype=torch.float64, device=like.device)
    ratio = n / wanted if periodic else (n - 1) / max(1, wanted - 1)
    return (steps * ratio).to(like.dtype)


def interpolate_at(x: Tensor, axis: int, where: Tensor, periodic: bool) -> Tensor:
    """Piecewise-linear values at ``where``, in spacings from the first point of ``axis``.

    A periodic axis goes around; any other one is continued by its last value.
    """
    n = x.shape[axis]
    if not periodic:
        where = where.clamp(0, n - 1)
    low = where.floor()
    part = where - low
    low = low.long()
    high = (low + 1) % n if periodic else (low + 1).clamp(max=n - 1)
    shape = [1] * x.ndim
    shape[axis] = len(where)
    part = part.view(shape)
    return x.index_select(axis, low % n) * (1 - part) + x.index_select(axis, high) * part


def interpolate(
    x: Float[Tensor, "batch channel *space"], sizes: Sequence[int], periodic: Sequence[bool]
) -> Float[Tensor, "batch channel *sizes"]:
    """Values between points on straight lines, in all axes one after the other; second order.

    Points that both grids have keep their values.
    """
    for axis, (n, wraps) in enumerate(zip(sizes, periodic, strict=True), start=2):
        if x.shape[axis] != n:
            x = interpolate_at(x, axis, positions(x.shape[axis], n, wraps, x), wraps)
    return x


def band_limit(
    x: Float[Tensor, "batch channel *space"], sizes: Sequence[int], periodic: Sequence[bool]
) -> Float[Tensor, "batch channel *sizes"]:
    """The same by Fourier series on periodic axes, cut off at what the coarser grid can hold.

    Exact for fields without shorter waves; the other axes are interpolated by straight lines.
    """
    for axis, (wanted, wraps) in enumerate(zip(sizes, periodic, strict=True), start=2):
        n = x.shape[axis]
        if n == wanted:
            continue
        if not wraps:
            x = interpolate_at(x, axis, positions(n, wanted, wraps, x), wraps)
            continue
        modes = torch.fft.rfft(x, dim=axis, norm="forward")
        least = min(n, wanted)
        kept = modes.narrow(axis, 0, least // 2 + 1)
        if least % 2 == 0:
            # The shortest wave of an even grid stands for both signs of its wave number.
            factor = 0.5 if wanted > n else 2.0
            inner, last = kept.narrow(axis, 0, least // 2), kept.narrow(axis, least // 2, 1)
            kept = torch.cat([inner, last * factor], dim=axis)
        x = torch.fft.irfft(kept, n=wanted, dim=axis, norm="forward")
    return x


#: By name, for options.
RESAMPLING = {"linear": interpolate, "fourier": band_limit}
