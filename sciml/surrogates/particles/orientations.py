"""Directions spread evenly over a circle or a sphere, and random rotations of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

#: Steps of the descent, after which sixteen directions on a sphere move by 1e-6 no more.
STEPS = 2000


@lru_cache(maxsize=32)
def _spread(count: int, d: int, seed: int) -> np.ndarray:
    if d == 2:
        angle = 2 * np.pi * np.arange(count) / count
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.random.default_rng(seed).standard_normal((count, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    step = 0.5 / max(count, 1) ** 1.5
    for _ in range(STEPS):
        gap = x[:, None] - x
        r = np.linalg.norm(gap, axis=-1) + np.eye(count)
        force = (gap / r[..., None] ** 3).sum(axis=1)
        x = x + step * (force - (force * x).sum(axis=1, keepdims=True) * x)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def spread(count: int, d: int, seed: int = 0) -> Tensor:
    """Directions ``(count, d)`` in float64, even on a circle; on a sphere a minimum of Σ 1 / r.

    A seed gives one set of them. The minimum is a local one, of nearly the energy of the best.
    """
    return torch.from_numpy(_spread(count, d, seed).copy())


def rotation(like: Tensor) -> Tensor:
    """A rotation ``(d, d)`` drawn evenly, by the generator of the process."""
    d = like.shape[-1]
    matrix, upper = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64))
    matrix = matrix * torch.sign(torch.diagonal(upper))
    if torch.linalg.det(matrix) < 0:
        matrix = torch.cat([-matrix[:1], matrix[1:]])
    return matrix.to(like)
