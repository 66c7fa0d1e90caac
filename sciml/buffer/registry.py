"""Buffers by the name that a study file gives them."""

from __future__ import annotations

from sciml.buffer.core import Buffer
from sciml.buffer.fifo import FIFO
from sciml.buffer.firo import FIRO
from sciml.buffer.reservoir import Reservoir
from sciml.errors import InputError, nearest

KINDS: dict[str, type[Buffer]] = {cls.kind: cls for cls in (FIFO, FIRO, Reservoir)}


def make(kind: str, capacity: int, watermark: int = 1, seed: int = 0) -> Buffer:
    """A buffer by name: ``fifo``, ``firo`` or ``reservoir``.

    Raises:
        InputError: unknown kind, or sizes that cannot work.
    """
    if kind not in KINDS:
        raise InputError(f"buffer.kind: unknown '{kind}'; {nearest(kind, KINDS)}")
    return KINDS[kind](capacity, watermark, seed)
