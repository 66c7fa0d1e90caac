"""Is this block what its simulation announced? A reason in words where it is not."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from sciml.domain import Field
from sciml.domain.wire import DTYPES
from sciml.errors import StreamError, nearest
from sciml.stream.message import Header, check_payload
from sciml.stream.session import OpenStream, Session


class BadBlock(StreamError):
    """The simulation sends something that cannot be used: it is quarantined."""


#: Largest number that is trained on: models, in whatever precision, get their batches in float32.
LARGEST = float(np.finfo(np.float32).max)


def inspect(header: Header, payload: Any, stream: OpenStream, session: Session) -> np.ndarray:
    """The values of a block, as a view of its payload.

    Raises:
        BadBlock: unknown field; dtype, byte order or shape other than announced; values or a time
            that are not finite, or values that are not in float32, in which they are trained on.
        Malformed: payload and shape do not go together.
    """
    layout = (header.field, header.dtype, header.global_shape, header.offset, header.shape)
    dtype = session.layouts.get(layout)
    if dtype is None:
        field = _field(header, stream)
        dtype = _dtype(header, stream, _where(header, session))
        _check_shape(header, field, stream, session, _where(header, session))
        session.layouts[layout] = dtype
    check_payload(header.shape, dtype.itemsize, len(payload))
    if not isfinite(header.time):
        where = _where(header, session)
        raise BadBlock(f"{where}: time {header.time}; expected a finite number")
    values = np.frombuffer(payload, dtype).reshape(header.shape)
    # A comparison with NaN is false.
    if (
        dtype.kind == "f"
        and values.size
        and not (values.min() >= -LARGEST and values.max() <= LARGEST)
    ):
        raise BadBlock(f"{_where(header, session)}: {_beyond(values, header.offset)}")
    return values


def _beyond(values: np.ndarray, offset: tuple[int, ...]) -> str:
    """The first value that cannot be trained on, in words."""
    index = tuple(int(i) for i in np.argwhere(~(np.abs(values) <= LARGEST))[0])
    value = values[index]
    index = tuple(i + o for i, o in zip(index, offset, strict=True))
    if not np.isfinite(value):
        return f"{value} at index {index}; expected finite values"
    return (
        f"{value:.3g} at index {index}; expected at most {LARGEST:.2e}, the largest number of float32, "
        "in which the model is trained"
    )


def _where(header: Header, session: Session) -> str:
    return f"field '{header.field}' at step {header.step} (rank {session.rank})"


def _field(header: Header, stream: OpenStream) -> Field:
    for field in stream.simulation.fields:
        if field.name == header.field:
            return field
    known = [field.name for field in stream.simulation.fields]
    raise BadBlock(f"field '{header.field}' was not announced; {nearest(header.field, known)}")


def _dtype(header: Header, stream: OpenStream, where: str) -> np.dtype:
    if header.dtype not in DTYPES:
        remedy = ""
        if header.dtype[:1] == ">" and "<" + header.dtype[1:] in DTYPES:
            remedy = f" (big-endian: convert with array.astype('<{header.dtype[1:]}'))"
        raise BadBlock(
            f"{where}: dtype {header.dtype}{remedy}; expected one of {', '.join(DTYPES)}"
        )
    dtype = np.dtype(header.dtype)
    announced = stream.dtypes.setdefault(header.field, dtype)
    if dtype != announced:
        raise BadBlock(f"{where}: dtype {dtype.str}; expected {announced.str}, as announced")
    return dtype


def _check_shape(
    header: Header, field: Field, stream: OpenStream, session: Session, where: str
) -> None:
    whole = field.shape(stream.simulation.domain)
    if field.on == "point":
        offset = session.block.offset + (0,) * len(field.trailing)
        shape = session.block.shape + field.trailing
    else:
        offset, shape = (0,) * len(whole), whole
        if session.rank != 0:
            raise BadBlock(f"{where}: a field on '{field.on}'; expected it whole, from rank 0 only")
    if header.global_shape != whole:
        raise BadBlock(f"{where}: of global shape {header.global_shape}; expected {whole}")
    if header.shape != shape or header.offset != offset:
        raise BadBlock(
            f"{where}: block of shape {header.shape} at {header.offset}; "
            f"expected shape {shape} at {offset}"
        )
