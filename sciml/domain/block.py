"""Which part of a field one rank holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from sciml.errors import DomainError


@dataclass(frozen=True, slots=True)
class Block:
    """A box of points ``offset ≤ i < offset + shape`` in the index space of a global field.

    Args:
        offset: index of the first point along each axis.
        shape: points along each axis, at least one; both are ``()`` for a global quantity.

    Raises:
        DomainError: lengths differ, a negative offset, or an axis without points.
    """

    offset: tuple[int, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", tuple(int(o) for o in self.offset))
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.offset) != len(self.shape):
            raise DomainError(
                f"block: offset {self.offset} and shape {self.shape}; expected the same length"
            )
        if any(o < 0 for o in self.offset) or any(n < 1 for n in self.shape):
            raise DomainError(
                f"block: offset {self.offset}, shape {self.shape}; "
                "expected offsets ≥ 0 and at least one point along each axis"
            )

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index of the block in the global array."""
        return tuple(slice(o, o + n) for o, n in zip(self.offset, self.shape, strict=True))

    @property
    def stop(self) -> tuple[int, ...]:
        """One past the last index along each axis."""
        return tuple(o + n for o, n in zip(self.offset, self.shape, strict=True))

    @property
    def size(self) -> int:
        return prod(self.shape)

    def inside(self, shape: Sequence[int]) -> bool:
        """Whether the block lies within a field of ``shape``."""
        return len(shape) == len(self.shape) and all(
            stop <= n for stop, n in zip(self.stop, shape, strict=True)
        )


def tiles(blocks: Sequence[Block], shape: Sequence[int]) -> bool:
    """Whether ``blocks`` cover every point of a field of ``shape`` exactly once.

    Boxes that lie inside, do not overlap pairwise and add up to the number of points tile it; no
    array of the size of the field is made, since the shape may come from an untrusted peer.
    """
    if not all(block.inside(shape) for block in blocks):
        return False
    if sum(block.size for block in blocks) != prod(shape):
        return False
    low = np.array([block.offset for block in blocks]).reshape(len(blocks), len(shape))
    high = np.array([block.stop for block in blocks]).reshape(len(blocks), len(shape))
    for i in range(len(blocks) - 1):
        overlaps = (low[i] < high[i + 1 :]) & (low[i + 1 :] < high[i])
        if overlaps.all(axis=1).any():
            return False
    return True
