"""Directions spread evenly over a circle or a sphere, and random rotations of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

#: Of the descent: of 16 to 60 directions the energy is then within 1e-5 of a minimum.
STEPS = 600


@lru_cache(maxsize=32)
def _spread(count: int, d: int, seed: int) -> np.ndarray:
    if d == 2:
        angle = 2 * np.pi * np.arange(count) / count
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.random.default_rng(seed).standard_normal((count, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    step = 4 / count**1.5
    for _ in range(STEPS):
        squared = 2 - 2 * x @ x.T
        np.fill_diagonal(squared, np.inf)
        weight = np.maximum(squared, 1e-12) ** -1.5
        force = x * weight.sum(axis=1, keepdims=True) - weight @ x
        force -= (force * x).sum(axis=1, keepdims=True) * x
        size = np.linalg.norm(force, axis=1, keepdims=True)
        # By no more than the distance of two, where they lie close at first.
        x = x + step * force / np.maximum(1, step * size * np.sqrt(count))
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
