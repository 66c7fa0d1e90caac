"""From one grid to another on the same box: by piecewise polynomials, or by a Fourier series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.surrogates.grid.boundary import extend


def positions(n: int, wanted: int, periodic: bool, like: Tensor) -> Tensor:
    """Where ``wanted`` points lie between ``n`` points of the same axis, in spacings of those.

    In float64: places on a fine grid have more digits than bfloat16.
    """
    steps = torch.arange(wanted, dtype=torch.float64, device=like.device)
    ratio = n / wanted if periodic else (n - 1) / max(1, wanted - 1)
    return steps * ratio


def interpolate_at(
    x: Tensor, axis: int, where: Tensor, periodic: bool, basis: str = "linear"
) -> Tensor:
    """Piecewise polynomial through the values, at ``where``, in spacings from the first point.

    A periodic axis goes around; any other is continued by its last value (``linear``), or by the
    quadratic through its last three (``cubic``), which keeps the third order up to the end.

    Args:
        x: any shape.
        axis: of ``x``.
        where: ``(m,)``.
        periodic: whether the axis is.
        basis: ``linear``, second order, or ``cubic``, third order.
    """
    n = x.shape[axis]
    if not periodic:
        where = where.clamp(0, n - 1)
    low = where.floor()
    part = (where - low).to(x.dtype)
    # Ghost points: one before the first, two after the last.
    if periodic:
        x = extend(x, axis, 1, 2, "circular")
    elif basis == "linear" or n < 3:
        x = extend(x, axis, 1, 2, "odd")
    else:
        ends = [[x.select(axis, i) for i in (a, a + s, a + 2 * s)] for a, s in ((0, 1), (-1, -1))]
        first, last = ((3 * a - 3 * b + c).unsqueeze(axis) for a, b, c in ends)
        # The second one is multiplied by zero: it stands at a distance of two.
        x = torch.cat([first, x, last, last], dim=axis)
    shape = [1] * x.ndim
    shape[axis] = len(where)
    low = low.long() % n + 1
    total: Tensor | None = None
    for offset, weight in _WEIGHTS[basis](part):
        term = x.index_select(axis, low + offset) * weight.view(shape)
        total = term if total is None else total + term
    return total


def _linear(part: Tensor) -> list[tuple[int, Tensor]]:
    return [(0, 1 - part), (1, part)]


def _cubic(t: Tensor) -> list[tuple[int, Tensor]]:
    """:func:`~sciml.surrogates.grid.operator.basis.keys` at the four points around."""
    return [
        (-1, ((-0.5 * t + 1.0) * t - 0.5) * t),
        (0, (1.5 * t - 2.5) * t * t + 1.0),
        (1, ((-1.5 * t + 2.0) * t + 0.5) * t),
        (2, (0.5 * t - 0.5) * t * t),
    ]


_WEIGHTS: dict[str, Callable[[Tensor], list[tuple[int, Tensor]]]] = {
    "linear": _linear,
    "cubic": _cubic,
}


def interpolate(
    x: Float[Tensor, "batch channel *space"],
    sizes: Sequence[int],
    periodic: Sequence[bool],
    basis: str = "linear",
) -> Float[Tensor, "batch channel *sizes"]:
    """Values between points by piecewise polynomials, in all axes one after the other.

    Points that both grids have keep their values.
    """
    for axis, (n, wraps) in enumerate(zip(sizes, periodic, strict=True), start=2):
        if x.shape[axis] != n:
            where = positions(x.shape[axis], n, wraps, x)
            x = interpolate_at(x, axis, where, wraps, basis)
    return x


def band_limit(
    x: Float[Tensor, "batch channel *space"], sizes: Sequence[int], periodic: Sequence[bool]
) -> Float[Tensor, "batch channel *sizes"]:
    """The same by Fourier series on periodic axes.

    Exact for fields without shorter waves; the other axes are interpolated by cubics.
    """
    for axis, (wanted, wraps) in enumerate(zip(sizes, periodic, strict=True), start=2):
        n = x.shape[axis]
        if n == wanted:
            continue
        if not wraps:
            x = interpolate_at(x, axis, positions(n, wanted, wraps, x), wraps, "cubic")
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


Resample = Callable[[Tensor, Sequence[int], Sequence[bool]], Tensor]

#: By name, for options.
RESAMPLING: dict[str, Resample] = {
    "linear": partial(interpolate, basis="linear"),
    "cubic": partial(interpolate, basis="cubic"),
    "fourier": band_limit,
}
