"""Truncated Fourier series on grids, as products with the matrix of each axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor


def analysis(u: Tensor, modes: Sequence[int]) -> Tensor:
    """û_k = 1/N Σ_x u(x) e^{−2πi k·x} of the lowest modes.

    Shapes: u ``(B, C, *space)`` → ``(B, C, *modes[:-1], 2·(modes[-1]//2+1))``, along the last axis
    real parts before imaginary ones. The shortest wave that an even last axis holds is its own
    conjugate: half of it is û_k, as it would be on any finer grid.

    For the 8 to 32 modes of a neural operator that is faster than an FFT of the whole grid and,
    unlike it, works in every real dtype, on grids of any size and under ``torch.export``; no tensor
    is complex, so devices without complex numbers do as well.
    """
    space = u.shape[2:]
    last = _matrices(space[-1], modes[-1], True, u.dtype, u.device)
    x = u @ last[0]
    half = x.shape[-1] // 2
    for axis, (n, kept) in enumerate(zip(space[:-1], modes[:-1], strict=True), start=2):
        forward, _ = _matrices(n, kept, False, u.dtype, u.device)
        shape = x.shape
        # cos and sin parts stacked: (…, 2·kept, rest, 2·half)
        parts = forward @ x.reshape(*shape[:axis], n, -1)
        parts = parts.reshape(*shape[:axis], 2, kept, -1, 2, half)
        cos, sin = parts.unbind(axis)
        # e^{−iθ} (re + i im) = (c re + s im) + i (c im − s re)
        re = cos[..., 0, :] + sin[..., 1, :]
        im = cos[..., 1, :] - sin[..., 0, :]
        x = torch.stack([re, im], dim=-2).reshape(*shape[:axis], kept, *shape[axis + 1 :])
    return x


def synthesis(y: Tensor, space: Sequence[int], modes: Sequence[int]) -> Tensor:
    """Values Σ_k y_k e^{2πi k·x} on a grid of shape ``space``, from coefficients as
    :func:`analysis` gives them; the grid need not be the one that they came from."""
    half = y.shape[-1] // 2
    for axis, (n, kept) in enumerate(zip(space[:-1], modes[:-1], strict=True), start=2):
        _, backward = _matrices(n, kept, False, y.dtype, y.device)
        shape = y.shape
        re, im = y.reshape(*shape[:axis], kept, -1, 2, half).unbind(-2)
        # [C | S] [[re | im], [−im | re]]
        straight = torch.stack([re, im], dim=-2)
        crossed = torch.stack([-im, re], dim=-2)
        rows = torch.cat([straight, crossed], dim=axis).flatten(axis + 1)
        y = (backward @ rows).reshape(*shape[:axis], n, *shape[axis + 1 :])
    return y @ _matrices(space[-1], modes[-1], True, y.dtype, y.device)[1]


def resample(
    u: Float[Tensor, "batch channel *space"], space: Sequence[int]
) -> Float[Tensor, "batch channel *other"]:
    """The trigonometric polynomial through the points of ``u`` on a grid of shape ``space``; waves
    that a coarser one cannot hold are left out."""
    for axis, (n, m) in enumerate(zip(u.shape[2:], space, strict=True), start=2):
        if n != m:
            matrix = _constant(_resampling)(n, m, u.dtype, u.device)
            shape = u.shape
            u = (matrix @ u.flatten(axis + 1)) if axis < u.ndim - 1 else u @ matrix.mT
            u = u.reshape(*shape[:axis], m, *shape[axis + 1 :])
    return u


def _matrices(
    n: int, kept: int, real: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    return _constant(_transforms)(n, kept, real, dtype, device)


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def _transforms(
    n: int, kept: int, real: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Matrices of the transform there and back along one axis, "forward" normalization."""
    if real:
        k = torch.arange(kept // 2 + 1)
    else:
        k = torch.cat([torch.arange((kept + 1) // 2), torch.arange(-(kept // 2), 0)])
    # k·x modulo n in whole numbers keeps the angle exact for large grids.
    angle = 2 * math.pi * (torch.outer(k, torch.arange(n)) % n).to(torch.float64) / n
    cos, sin = angle.cos(), angle.sin()
    if real:
        # Each kept mode stands for its conjugate too, except the mean.
        twice = torch.where(k == 0, 1.0, 2.0).to(torch.float64)[:, None]
        part = torch.where(2 * k == n, 0.5, 1.0).to(torch.float64)[:, None] / n
        pair = torch.cat([part * cos, -part * sin]).T, torch.cat([twice * cos, -twice * sin])
    else:
        pair = torch.cat([cos, sin]) / n, torch.cat([cos, sin]).T
    forward, backward = (m.to(dtype=dtype, device=device).contiguous() for m in pair)
    return forward, backward


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def _resampling(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(m, n): trigonometric interpolation from n points to m along one axis."""
    held = min(n, m)
    k = torch.arange(held // 2 + 1)
    # Half of what the sums make of the shortest wave of an even grid is that of its conjugate.
    weight = torch.where((k == 0) | (2 * k == n), 1.0, 2.0).to(torch.float64)
    here = 2 * math.pi * (torch.outer(k, torch.arange(n)) % n).to(torch.float64) / n
    there = 2 * math.pi * (torch.outer(k, torch.arange(m)) % m).to(torch.float64) / m
    cosines = (there.cos() * weight[:, None]).T @ here.cos()
    sines = (there.sin() * weight[:, None]).T @ here.sin()
    return ((cosines + sines) / n).to(dtype=dtype, device=device)


def _constant(build):
    """``build`` with its cache, or without while a graph is traced: tensors are not real ones then
    and must not outlive the trace. Neither may those of ``torch.inference_mode``, with which nothing
    could be trained, and no such mode is on in ``build``."""
    return build.__wrapped__ if torch.compiler.is_compiling() else build
