"""From a place back to its label: the map of characteristics, inverted by Newton's method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

#: Steps of Newton's method, which begins at the nearest of the labels of a lattice.
STEPS = 6
#: Least determinant that a step of it is divided by.
STEEPEST = 1e-3
#: Distances between places and labels that are looked at together.
AT_ONCE = 1 << 22

#: From labels (n, d) to places (n, d) and ∂X/∂ξ (n, d, d), of samples that are given by row.
Carried = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def wrapped(away: Tensor, periodic: Sequence[bool]) -> Tensor:
    """Differences ``(…, d)`` to the nearest image, in sides of the box."""
    if not any(periodic):
        return away
    turns = torch.tensor(periodic, dtype=away.dtype, device=away.device)
    return away - turns * torch.round(away)


def determinant(slope: Float[Tensor, "point d d"]) -> Float[Tensor, "point"]:
    """J = det ∂X/∂ξ, of one axis or two."""
    if slope.shape[-1] == 1:
        return slope[..., 0, 0]
    return slope[..., 0, 0] * slope[..., 1, 1] - slope[..., 0, 1] * slope[..., 1, 0]


def inverse(
    slope: Float[Tensor, "point d d"], det: Float[Tensor, "point"]
) -> Float[Tensor, "point d d"]:
    """∂ξ/∂x with ``det`` for the determinant."""
    if slope.shape[-1] == 1:
        return (1.0 / det)[..., None, None]
    a, b, c, d = (slope[..., i, j] for i in (0, 1) for j in (0, 1))
    rows = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    return rows / det[..., None, None]


@torch.no_grad()
def nearest(
    places: Float[Tensor, "sample label d"],
    asked: Float[Tensor, "sample point d"],
    periodic: Sequence[bool],
) -> Tensor:
    """Which of the places is the nearest to each that is asked for, ``(B, Q)``."""
    if torch.compiler.is_exporting():  # parts of a number of samples would fix that number
        return _nearest(places, asked, periodic)
    count = max(1, AT_ONCE // (places.shape[1] * asked.shape[1]))
    parts = zip(places.split(count), asked.split(count), strict=True)
    return torch.cat([_nearest(*part, periodic) for part in parts])


def _nearest(places: Tensor, asked: Tensor, periodic: Sequence[bool]) -> Tensor:
    away = asked[:, :, None] - places[:, None]  # (B, Q, K, d)
    return wrapped(away, periodic).square().sum(dim=3).argmin(dim=2)


def solved(
    carried: Carried,
    begin: Float[Tensor, "point d"],
    asked: Float[Tensor, "point d"],
    periodic: Sequence[bool],
    reach: float,
    inside: tuple[float, float],
) -> Float[Tensor, "point d"]:
    """Labels ξ with X(ξ) = x, which know how they change with X.

    Newton's method keeps the best label that it has seen: where the map has folded there are several,
    and it may not settle. The last step is differentiated: ξ − (∂X/∂ξ)⁻¹ (X(ξ; θ) − x) has the gradient
    −(∂X/∂ξ)⁻¹ ∂X/∂θ, which is that of the solution.

    Args:
        carried: X; see :data:`Carried`. Called with labels, and whether gradients are wanted.
        begin: near ones.
        asked: x.
        periodic: axes on which places are known up to whole sides.
        reach: longest step.
        inside: low and high end of labels on axes that are not periodic.
    """
    free = torch.tensor([not wraps for wraps in periodic], device=begin.device)
    with torch.no_grad():
        labels = best = begin
        least = torch.full_like(begin[:, :1], torch.inf)
        for _ in range(STEPS):
            places, slope = carried(labels, False)
            away = wrapped(places - asked, periodic)
            off = away.square().sum(dim=1, keepdim=True)
            best, least = torch.where(off < least, labels, best), torch.minimum(off, least)
            step = _step(slope, away).clamp(-reach, reach)
            labels = labels - step
            labels = torch.where(free, labels.clamp(*inside), labels)
    places, slope = carried(best, True)
    moved = best - _step(slope.detach(), wrapped(places - asked, periodic)).clamp(-reach, reach)
    return torch.where(free, moved.clamp(*inside), moved)


def _step(slope: Tensor, away: Tensor) -> Tensor:
    det = determinant(slope)
    sign = torch.where(det < 0, -1.0, 1.0).to(det.dtype)
    det = torch.where(det.abs() < STEEPEST, sign * STEEPEST, det)
    return (inverse(slope, det) @ away[..., None])[..., 0]
