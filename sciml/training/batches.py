"""What the loop does with a batch, or with one of each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import nn

from sciml.surrogates.batch import Batch, suited
from sciml.training.source import Batches


def each(batches: Batches, do: Callable[[Batch], Batch]) -> Batches:
    """``do`` on the batch, or on each of a mix."""
    if isinstance(batches, Mapping):
        return {name: do(batch) for name, batch in batches.items()}
    return do(batches)


def parts_of(batches: Batches) -> list[Batch]:
    """The batch, or each of a mix."""
    return list(batches.values()) if isinstance(batches, Mapping) else [batches]


def moved(batches: Batches, model: nn.Module, device: torch.device) -> Batches:
    """As the model takes them."""
    return each(batches, lambda batch: suited(batch, model, device))


def size_of(batches: Batches) -> int:
    """Samples, of a mix all together."""
    if isinstance(batches, Mapping):
        return sum(batch.size for batch in batches.values())
    return batches.size


def origin_of(batches: Batches) -> str:
    """Words on where a batch comes from, for the end of an error; empty if nobody knows."""
    keys = getattr(batches, "keys", ())
    if callable(keys) or not keys:
        return ""
    return f" of this batch: (simulation, step) {', '.join(map(str, keys[:4]))}" + (
        ", …" if len(keys) > 4 else ""
    )


def to_plain(batches: Batches) -> dict[str, Any]:
    """For a checkpoint."""
    if isinstance(batches, Mapping):
        return {"mixed": {name: to_plain(batch) for name, batch in batches.items()}}
    return {f.name: getattr(batches, f.name) for f in fields(batches)}


def from_plain(plain: Mapping[str, Any]) -> Batches:
    """Inverse of :func:`to_plain`."""
    if "mixed" in plain:
        return {name: from_plain(batch) for name, batch in plain["mixed"].items()}
    return Batch(**plain)
