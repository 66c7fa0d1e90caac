"""One step of one rank, packed to be sent, and kept until it is durable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from sciml.domain.block import Block
from sciml.errors import InputError, require_known
from sciml.samples import Simulation
from sciml.stream.message import WHOLE_LIMIT, Header
from sciml.stream.slots import SMALL, Slots, Span


@dataclass(frozen=True, slots=True)
class Parcel:
    """All blocks of one step.

    Args:
        sequence: count of the rank's parcels, from 1.
        step: of the simulation.
        nbytes: of all payloads.
        headers: one a block; packed when they leave, with those of other steps.
        payloads: one a block; none where they lie in slots.
        span: the slots.
    """

    sequence: int
    step: int
    nbytes: int
    headers: list[Header]
    payloads: list[bytes]
    span: Span | None = None

    def parts(self, slots: Slots | None, *, by_reference: bool) -> list[bytes]:
        """Header and payload in turn, or header and reference."""
        payloads = self.payloads
        if self.span is not None:
            payloads = [
                reference.encode() if by_reference else slots.payload(reference)
                for reference in self.span.references
            ]
        headers = [header.encode() for header in self.headers]
        return [part for pair in zip(headers, payloads, strict=True) for part in pair]


class Packer:
    """Makes parcels from the arrays of a rank.

    Args:
        simulation: what is streamed.
        block: the points this rank holds; ``None``: all of them.
        rank: global fields are packed on rank 0 alone.
        attempt: of running the simulation.
        limit: largest payload, bytes.
        dtype: of what is sent, cast on the way; ``None``: as the arrays are. Real numbers one a frame
            stay as they are: an energy of −4209 eV in float32 has lost 0.1 meV.
    """

    def __init__(
        self,
        simulation: Simulation,
        block: Block | None,
        rank: int,
        attempt: int,
        limit: int,
        dtype: np.dtype | None = None,
    ) -> None:
        self._simulation, self._attempt, self._limit = simulation, attempt, limit
        self._dtype = dtype
        self._points = simulation.domain.point_shape
        self._shape = block.shape if block else self._points
        self._offset = block.offset if block else (0,) * len(self._points)
        self._names = [field.name for field in simulation.fields]
        # What has no value a point comes whole from rank 0.
        self._fields = {f.name: f for f in simulation.fields if f.on == "point" or rank == 0}
        self._whole = {n: f.shape(simulation.domain) for n, f in self._fields.items()}
        self._sequence = 0

    @property
    def estimate(self) -> int:
        """About the bytes of one step, before the arrays are known."""
        shapes = [
            self._shape + f.trailing if f.on == "point" else self._whole[n]
            for n, f in self._fields.items()
        ]
        return sum(8 * prod(shape) for shape in shapes)

    def check(self, step: int, fields: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The arrays to send, in the order of the fields.

        Raises:
            InputError: a field is missing or unknown, or no step from 0; arrays of Python objects,
                or of what a cast would spoil; a block too large to send.
        """
        if not 0 <= step < WHOLE_LIMIT or int(step) != step:
            raise InputError(f"send: step {step}; expected a whole number from 0")
        require_known("send: unknown field", fields, self._names)
        for name in self._fields:
            if name not in fields:
                raise InputError(
                    f"send: field '{name}' is missing; expected {', '.join(self._fields)}"
                )
        arrays = [np.asarray(fields[name]) for name in self._fields]
        for name, array in zip(self._fields, arrays, strict=True):
            if array.dtype.hasobject:
                raise InputError(f"send: field '{name}' holds objects; expected numbers")
            if self._dtype is not None and array.dtype.kind not in "fiub":
                # The cast would drop the imaginary part.
                raise InputError(
                    f"send: field '{name}' is {array.dtype}; expected real numbers: make two fields "
                    "of it"
                )
        for name, array, dtype in zip(self._fields, arrays, self.dtypes(arrays), strict=True):
            if (nbytes := array.size * dtype.itemsize) > self._limit:
                raise InputError(
                    f"send: a block of field '{name}' has {nbytes} bytes; expected at most "
                    f"{self._limit}: use more ranks, or send less"
                )
        return arrays

    def dtypes(self, arrays: Sequence[np.ndarray]) -> list[np.dtype]:
        """In which each is sent."""
        if self._dtype is None:
            return [array.dtype for array in arrays]
        return [
            array.dtype if field.on == "global" and array.dtype.kind == "f" else self._dtype
            for field, array in zip(self._fields.values(), arrays, strict=True)
        ]

    def pack(
        self, step: int, time: float, arrays: Sequence[np.ndarray], slots: Slots | None
    ) -> Parcel:
        """Copy one state: it is read later, while the solver goes on with its arrays.

        Values and shape go as they are; whether they fit is for the trainer to say, which
        quarantines the simulation with the reason if they do not. They go into ``slots`` if there
        are any with room.
        """
        self._sequence += 1
        headers, dtypes = [], self.dtypes(arrays)
        for (name, field), array, dtype in zip(self._fields.items(), arrays, dtypes, strict=True):
            offset = self._offset if field.on == "point" else ()
            header = Header(
                self._simulation.id,
                self._attempt,
                step,
                time,
                name,
                dtype.str,
                self._whole[name],
                offset + (0,) * (array.ndim - len(offset)),
                array.shape,
                self._sequence,
            )
            headers.append(header)
        nbytes = sum(a.size * d.itemsize for a, d in zip(arrays, dtypes, strict=True))
        span = None
        if slots is not None and nbytes >= SMALL:
            span = slots.fill(arrays, dtypes)
        payloads = []
        if span is None:
            payloads = [np.asarray(a, d).tobytes() for a, d in zip(arrays, dtypes, strict=True)]
        return Parcel(self._sequence, step, nbytes, headers, payloads, span)
