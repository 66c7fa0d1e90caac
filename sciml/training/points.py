"""Targets at random points of each sample, instead of whole fields."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.surrogates.batch import Batch


def at_random_points(batch: Batch, points: int, generator: torch.Generator | None = None) -> Batch:
    """The batch with targets at ``points`` random points of each sample.

    Shapes: targets ``(B, U, *space)`` → ``(B, U, points)``; adds ``geometry["at"] (B, points, d)``,
    coordinates from 0 to 1 along each axis. All targets are taken at the same points.

    Args:
        batch: of grids.
        points: for each sample; with repetition.
        generator: of the draws; torch's own by default, which a checkpoint holds.
    """
    if "periodic" not in batch.geometry or "at" in batch.geometry:
        where = "points already" if "at" in batch.geometry else f"a {batch.kind}"
        raise InputError(f"random points: targets on {where}; expected whole fields on a grid")
    if points < 1:
        raise InputError(f"points={points}; expected at least 1")
    first = next(iter(batch.targets.values()))
    space = first.shape[2:]
    device = first.device
    index = torch.randint(
        first[0, 0].numel(), (batch.size, points), generator=generator, device=device
    )
    targets = {n: _at(t, index) for n, t in batch.targets.items()}
    weights = {n: _at(w.expand_as(batch.targets[n]), index) for n, w in batch.weights.items()}
    periodic = batch.geometry["periodic"].tolist()
    columns = []
    for place, n, wraps in zip(torch.unravel_index(index, space), space, periodic, strict=True):
        columns.append(place.to(batch.geometry["spacing"].dtype) / (n if wraps else max(1, n - 1)))
    geometry = {**batch.geometry, "at": torch.stack(columns, dim=-1)}
    if "area" in geometry:
        geometry["area"] = _at(geometry["area"].expand_as(first[:, :1]), index)
    return replace(batch, targets=targets, weights=weights, geometry=geometry, fixed={}, given={})


def _at(values: Tensor, index: Tensor) -> Tensor:
    """(B, U, *space) at flat indices (B, P): (B, U, P)."""
    flat = values.flatten(2)
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1))
