"""Buffers by the name that a study file gives them."""

from __future__ import annotations

from sciml.buffer.core import Buffer
from sciml.buffer.once import FIFO, FIRO
from sciml.buffer.reservoir import Reservoir
from sciml.errors import InputError, require_known

KINDS: dict[str, type[Buffer]] = {cls.kind: cls for cls in (FIFO, FIRO, Reservoir)}


def make(kind: str, capacity: int, watermark: int = 1, seed: int = 0, draws: int = 1) -> Buffer:
    """A buffer by name: ``fifo``, ``firo`` or ``reservoir``.

    Raises:
        InputError: unknown kind, sizes that cannot work, or several draws of samples that leave
            when they are read.
    """
    require_known("buffer.kind: unknown", kind, KINDS)
    if kind == Reservoir.kind:
        return Reservoir(capacity, watermark, seed, draws=draws)
    if draws != 1:
        raise InputError(
            f"buffer.draws: {draws} with a {kind} buffer, which gives each sample once; "
            "expected buffer.kind=reservoir"
        )
    return KINDS[kind](capacity, watermark, seed)
