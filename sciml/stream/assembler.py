"""Blocks of many ranks become one frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from sciml.domain import Field
from sciml.domain.block import Block
from sciml.samples import Frame

#: Below this a block is copied out of the socket's buffer, which may be shared with its neighbors.
SMALL = 32 << 10


@dataclass(frozen=True, slots=True)
class Piece:
    """One block of one field: where it belongs, and how to get its values."""

    block: Block
    dtype: np.dtype
    global_shape: tuple[int, ...]
    #: The values, or the order of their record in the spool.
    values: np.ndarray | int


@dataclass(slots=True)
class Partial:
    """A frame of which blocks are missing."""

    time: float
    pieces: dict[tuple[str, int], Piece] = field(default_factory=dict)
    #: What each sender gets back as credit once the frame is complete: (session, hello, bytes).
    charges: list[tuple[object, int, int]] = field(default_factory=list)


class Assembler:
    """Frames of one attempt of one simulation, until their last block is there.

    Nothing of the size of a frame is allocated before all its bytes have come, so a header cannot
    lie memory away.

    Args:
        fields: of the simulation.
        ranks: number of blocks of each field on points; global fields come from rank 0 alone.
        read: the values of a piece that lies in the spool.
    """

    def __init__(
        self, fields: Sequence[Field], ranks: int, read: Callable[[int], np.ndarray]
    ) -> None:
        self.fields = tuple(fields)
        self.partials: dict[int, Partial] = {}
        self._read = read
        self._expected = sum(ranks if f.on == "point" else 1 for f in self.fields)

    def has(self, step: int, name: str, rank: int) -> bool:
        partial = self.partials.get(step)
        return partial is not None and (name, rank) in partial.pieces

    def add(self, step: int, time: float, name: str, rank: int, piece: Piece) -> bool:
        """Add a block that is not there yet; returns whether the frame is complete now."""
        partial = self.partials.get(step)
        if partial is None:
            partial = self.partials[step] = Partial(time)
        partial.pieces[name, rank] = piece
        return len(partial.pieces) == self._expected

    def held(self, rank: int) -> list[int]:
        """Steps of which everything that ``rank`` sends is there."""
        names = [f.name for f in self.fields if f.on == "point" or rank == 0]
        return [s for s in self.partials if all(self.has(s, name, rank) for name in names)]

    def take(self, simulation: int, attempt: int, step: int) -> tuple[Frame, Partial]:
        """The complete frame ``step``, which is forgotten here."""
        partial = self.partials.pop(step)
        return (
            Frame(simulation, step, partial.time, self._join(partial), attempt),
            partial,
        )

    def _join(self, partial: Partial) -> dict[str, np.ndarray]:
        by_field: dict[str, list[Piece]] = {f.name: [] for f in self.fields}
        for (name, _), piece in partial.pieces.items():
            by_field[name].append(piece)
        return {name: join(pieces, self._read) for name, pieces in by_field.items()}


def join(pieces: Sequence[Piece], read: Callable[[int], np.ndarray]) -> np.ndarray:
    """The whole field, read-only; a field in one piece is not copied."""
    first = pieces[0]
    if len(pieces) == 1:
        whole = _values(first, read)
    else:
        whole = np.empty(first.global_shape, first.dtype)
        for piece in pieces:
            whole[piece.block.slices] = _values(piece, read)
    whole.flags.writeable = False
    return whole


def from_records(
    simulation: int,
    step: int,
    records: Iterable[tuple[Mapping, np.ndarray]],
    order: Sequence[str],
) -> Frame:
    """A frame from its records in the spool, fields in the ``order`` of the simulation.

    Raises:
        KeyError: records of it are missing.
    """
    by_field: dict[str, list[Piece]] = {name: [] for name in order}
    time, attempt = 0.0, 1
    for header, payload in records:
        time, attempt = header["time"], header["attempt"]
        piece = piece_of(header, payload)
        # A block may have been journalled twice, around a kill; one of them is enough.
        pieces = by_field.setdefault(header["field"], [])
        if all(piece.block != other.block for other in pieces):
            pieces.append(piece)
    for name, pieces in by_field.items():
        # One that was computed again, whole, stands beside what was left of the old ones.
        whole = [p for p in pieces if p.block.shape == p.global_shape]
        pieces[:] = whole[-1:] or pieces
        if not pieces or sum(p.block.size for p in pieces) != prod(pieces[0].global_shape):
            raise KeyError(f"blocks of field '{name}' of frame {(simulation, step)} are missing")
    fields = {name: join(pieces, _no_record) for name, pieces in by_field.items()}
    return Frame(simulation, step, time, fields, attempt)


def piece_of(header: Mapping, values: np.ndarray | int) -> Piece:
    """The piece that a record of the spool describes."""
    dtype, shape = np.dtype(header["dtype"]), tuple(header["shape"])
    if not isinstance(values, int):
        values = values.view(dtype).reshape(shape)
    return Piece(
        Block(tuple(header["offset"]), shape), dtype, tuple(header["global_shape"]), values
    )


def detach(values: np.ndarray) -> np.ndarray:
    """Values that may be kept: small or unaligned ones leave the socket's buffer."""
    keep = values.nbytes >= SMALL and values.flags.aligned
    return values if keep else values.copy()


def _values(piece: Piece, read: Callable[[int], np.ndarray]) -> np.ndarray:
    if isinstance(piece.values, int):
        return read(piece.values).view(piece.dtype).reshape(piece.block.shape)
    return piece.values


def _no_record(order: int) -> np.ndarray:
    raise AssertionError(f"piece {order} was read already")
