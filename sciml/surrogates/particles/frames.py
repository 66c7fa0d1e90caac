"""Frames turn with a cloud of points, and are few enough to average over.

A frame of a sample is a matrix V of axes and an origin t. Axes are eigenvectors of the covariance of its
points, and each may point both ways: 2ᵈ of E(n), those of determinant +1 of SE(n). Where two eigenvalues
are nearly the same the eigenvectors are not defined: that sample's frames are spanned by its points
instead, the outermost, and of these the ones farthest from the first axis (a tetrahedron has twelve,
a square in the plane four). Where all lie on a line or in a plane, axes out of it are any; what is
computed does not depend on them, and they point both ways with equal weight, so that it is exact still.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import torch
from torch import Tensor

from sciml.errors import InputError, require_known
from sciml.surrogates.particles.edges import summed

GROUPS = ("E(n)", "SE(n)", "translation")
#: Part of the largest eigenvalue by which two have to differ; below, rounding of 1e-16 turns axes by
#: 1e-13 and more.
APART = 1e-3
#: Part of a radius within which points count as equally far out.
ALIKE = 1e-4


@dataclass(frozen=True, slots=True)
class Frames:
    """Of each sample some: x ↦ Vᵀ (x − t).

    Args:
        origin: t, ``(B, d)``.
        axes: V, an axis a column, ``(F, B, d, d)``.
        weights: ``(F, B)``, of sum 1 for each sample.
    """

    origin: Tensor
    axes: Tensor
    weights: Tensor


def frames_of(
    points: Tensor,
    owner: Tensor,
    samples: int,
    group: str = "E(n)",
    directions: Tensor | None = None,
) -> Frames:
    """Frames of the points ``(N, d)`` of each sample.

    Args:
        group: ``E(n)``, ``SE(n)`` or ``translation``, whose only axes are those of space.
        directions: vectors ``(N, M, d)`` that turn with the points, such as velocities; they are looked
            at where the points alone do not span axes.

    Raises:
        InputError: an unknown group.
    """
    require_known("frames: unknown group", group, GROUPS)
    d = points.shape[1]
    if d not in (2, 3):
        raise InputError(f"frames: {d} axes of space; expected two or three")
    count = summed(points.new_ones(len(points), 1), owner, samples).clamp(min=1)
    origin = summed(points, owner, samples) / count
    if group == "translation":
        axes = torch.eye(d, dtype=points.dtype, device=points.device).expand(1, samples, d, d)
        return Frames(origin, axes, points.new_ones(1, samples))
    centred = points - origin[owner]
    covariance = summed(centred[:, :, None] * centred[:, None], owner, samples) / count[..., None]
    # Of a rollout that has diverged there are no eigenvectors, and an error would end the others.
    covariance = torch.nan_to_num(covariance, 0.0, 0.0, 0.0)
    with torch.no_grad():
        values = torch.linalg.eigvalsh(covariance)
        gaps = values.diff(dim=1).amin(dim=1)
        symmetric = (gaps <= APART * values[:, -1]).nonzero().flatten().tolist()
    signs = _signs(d, group, points)
    if symmetric:
        # A gradient through their eigenvectors would be infinite, and is not wanted.
        spectrum = torch.diag(torch.arange(1.0, d + 1, dtype=points.dtype, device=points.device))
        chosen = torch.zeros(samples, 1, 1, dtype=torch.bool, device=points.device)
        chosen[symmetric] = True
        covariance = torch.where(chosen, spectrum, covariance)
    _, axes = torch.linalg.eigh(covariance)
    if group == "SE(n)":
        flip = torch.where(torch.linalg.det(axes) < 0, -1.0, 1.0).to(axes.dtype)
        axes = torch.cat([axes[..., :-1], axes[..., -1:] * flip[:, None, None]], dim=-1)
    axes = axes * signs[:, None, None]  # (F, B, d, d)
    weights = points.new_full((len(axes), samples), 1 / len(axes))
    if not symmetric:
        return Frames(origin, axes, weights)
    found = {}
    for sample in symmetric:
        own = owner == sample
        arrows = () if directions is None else directions[own].unbind(1)
        # One particle is at its own centre.
        places = (centred[own],) if int(own.sum()) > 1 else ()
        found[sample] = _spanned([*places, *arrows], group, points)
    return _with(Frames(origin, axes, weights), found)


def require_open(what: str, periodic: Tensor | None) -> None:
    """Refuse particles that repeat, which have no frame.

    Raises:
        InputError: they do.
    """
    if periodic is not None and not periodic.is_meta and bool(periodic.any()):
        raise InputError(f"{what}: particles in a periodic cell; expected open space")


def _spanned(clouds: list[Tensor], group: str, like: Tensor) -> Tensor:
    """Frames ``(F, d, d)`` spanned by points of the first cloud that goes on; completed both ways."""
    d = like.shape[1]
    bases = [like.new_zeros(d, 0)]
    for _ in range(d - 1):
        bases = [wider for basis in bases for wider in _wider(basis, clouds)]
    frames = []
    for basis in bases:
        missing = d - basis.shape[1]
        axes = torch.cat([basis, _normal(basis)], dim=1)
        turn = axes.new_tensor(1.0 if torch.linalg.det(axes.detach()) > 0 else -1.0)
        axes = torch.cat([axes[:, :-1], axes[:, -1:] * turn], dim=1)
        for ways in _signs(missing, group, like):
            frames.append(axes * torch.cat([ways.new_ones(d - missing), ways]))
    return torch.stack(frames)


def _wider(basis: Tensor, clouds: list[Tensor]) -> list[Tensor]:
    """With one more axis, towards each of the points that are farthest from those there are."""
    for cloud in clouds:
        away = cloud - cloud @ basis @ basis.mT
        with torch.no_grad():
            far, size = away.norm(dim=1), cloud.norm(dim=1).max()
            chosen = (far >= (1 - ALIKE) * far.max()).nonzero().flatten()
        if size > 0 and far.max() > ALIKE * size:
            axes = away[chosen] / away[chosen].norm(dim=1, keepdim=True)
            return [torch.cat([basis, axis[:, None]], dim=1) for axis in axes]
    return [basis]


def _normal(basis: Tensor) -> Tensor:
    """Some axes at right angles to those there are, and to each other."""
    d, k = basis.shape
    if k == 2 and d == 3:
        return torch.linalg.cross(basis[:, 0], basis[:, 1])[:, None]
    whole, _ = torch.linalg.qr(torch.cat([basis.detach(), torch.eye(d).to(basis)], dim=1))
    return whole[:, k:d]


def _with(frames: Frames, found: dict[int, Tensor]) -> Frames:
    """With others for some samples; where one has fewer than another, their weight is 0."""
    most = max(len(frames.axes), *map(len, found.values()))
    more = most - len(frames.axes)
    axes = list(torch.cat([frames.axes, frames.axes[:1].expand(more, -1, -1, -1)]).unbind(1))
    weights = torch.cat([frames.weights, frames.weights.new_zeros(more, frames.weights.shape[1])])
    for sample, own in found.items():
        axes[sample] = torch.cat([own, own[:1].expand(most - len(own), -1, -1)])
        weights[:, sample] = 0.0
        weights[: len(own), sample] = 1 / len(own)
    return Frames(frames.origin, torch.stack(axes, dim=1), weights)


def _signs(d: int, group: str, like: Tensor) -> Tensor:
    ways = [s for s in product((1.0, -1.0), repeat=d) if group == "E(n)" or prod(s) > 0]
    return torch.tensor(ways, dtype=like.dtype, device=like.device)
