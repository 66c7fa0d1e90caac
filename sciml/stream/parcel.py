"""One step of one rank, packed to be sent, and kept until it is durable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sciml.domain.block import Block
from sciml.errors import InputError, nearest
from sciml.samples import Simulation
from sciml.stream.message import WHOLE_LIMIT, Header


@dataclass(frozen=True, slots=True)
class Parcel:
    """All blocks of one step: header and payload in turn."""

    sequence: int
    step: int
    nbytes: int
    parts: list[bytes]


class Packer:
    """Makes parcels from the arrays of a rank.

    Args:
        simulation: what is streamed.
        block: the points this rank holds; ``None``: all of them.
        rank: global fields are packed on rank 0 alone.
        attempt: of running the simulation.
        limit: largest payload, bytes.
    """

    def __init__(
        self, simulation: Simulation, block: Block | None, rank: int, attempt: int, limit: int
    ) -> None:
        self._simulation, self._attempt, self._limit = simulation, attempt, limit
        self._points = simulation.domain.point_shape
        self._offset = block.offset if block else (0,) * len(self._points)
        self._names = [field.name for field in simulation.fields]
        self._fields = {f.name: f for f in simulation.fields if f.on == "point" or rank == 0}
        self._sequence = 0

    def check(self, step: int, fields: Mapping[str, np.ndarray]) -> None:
        """Raises :class:`InputError`: a field is missing or unknown, or no step from 0."""
        if not 0 <= step < WHOLE_LIMIT or int(step) != step:
            raise InputError(f"send: step {step}; expected a whole number from 0")
        for name in fields:
            if name not in self._names:
                raise InputError(f"send: unknown field '{name}'; {nearest(name, self._names)}")
        for name in self._fields:
            if name not in fields:
                raise InputError(
                    f"send: field '{name}' is missing; expected {', '.join(self._fields)}"
                )

    def pack(self, step: int, time: float, fields: Mapping[str, np.ndarray]) -> Parcel:
        """Copy one state: libzmq reads it later, while the solver goes on with its arrays.

        Values, dtype and shape go as they are; whether they fit is for the trainer to say, which
        quarantines the simulation with the reason if they do not.

        Raises:
            InputError: arrays of Python objects; a block too large to send.
        """
        self._sequence += 1
        parts: list[bytes] = []
        nbytes = 0
        for name, field in self._fields.items():
            array = np.asarray(fields[name])
            if array.dtype.hasobject:
                raise InputError(f"send: field '{name}' holds objects; expected numbers")
            if array.nbytes > self._limit:
                raise InputError(
                    f"send: a block of field '{name}' has {array.nbytes} bytes; expected at most "
                    f"{self._limit}: use more ranks, or send less"
                )
            offset = self._offset if field.on == "point" else ()
            header = Header(
                self._simulation.id,
                self._attempt,
                step,
                time,
                name,
                array.dtype.str,
                field.shape(self._points),
                offset + (0,) * (array.ndim - len(offset)),
                array.shape,
                self._sequence,
            )
            parts += (header.encode(), array.tobytes())  # C order, whatever it was
            nbytes += array.nbytes
        return Parcel(self._sequence, step, nbytes, parts)
