"""What crosses the socket: msgpack envelopes and headers, raw payloads; everything is checked.

A message is a list of parts::

    [envelope]                                       all kinds but blocks
    [envelope][header][payload][header][payload] …   blocks

An envelope of the kind *slots*, whose payloads lie in shared memory, has header and reference in turn
as its entry ``blocks``: every part costs both sides more than the few bytes in it.

Envelope: ``{"v": 3, "kind": …, …}``. Header: :class:`Header`. A payload is the C-ordered bytes of
one field's block. Nothing is ever unpickled, and no size that the other side states is believed
before it is compared with the bytes that came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

import msgpack

from sciml.errors import StreamError
from sciml.samples.program_warnings import Warned, parsed

#: Raised with every change of what is said or how: each side refuses the other's in one line. Before 2,
#: references to slots were parts of their own; before 3, nobody warned; before 4, nobody said of which
#: run it is.
VERSION = 4

# From client to server.
HELLO, BLOCKS, PING, BYE, CONTROL = "hello", "blocks", "ping", "bye", "control"
OFFER, SLOTS, WARN = "offer", "slots", "warn"
# From server to client; BYE, CONTROL and OFFER are answered in kind.
WELCOME, WAIT, ACK, UNKNOWN, REFUSED = "welcome", "wait", "ack", "unknown", "refused"

#: Largest part of a message, bytes: one block of one field.
MESSAGE_LIMIT = 1 << 30
#: Largest number of blocks in one message.
BLOCKS_LIMIT = 4096
#: Largest envelope: a domain with its static fields.
ENVELOPE_LIMIT = 256 << 20
#: Bytes of the header of a block: names, and up to eight axes.
HEADER_LIMIT = 16 << 10
#: Objects in a message: an empty map is one byte on the wire and 64 in memory. A supervisor that names a
#: hundred thousand simulations sends as many numbers; arrays of fields are one object each.
OBJECTS_LIMIT = 1 << 18
#: Bytes up to which a message cannot become much, whatever it is: headers are spared the count.
SHORT = 4 << 10
#: Characters of a name; whole numbers end where JSON and float64 hold them no more.
NAME_LIMIT, WHOLE_LIMIT = 256, 1 << 53


class Malformed(StreamError):
    """Bytes that no true client sends; the server counts and drops them."""


def encode(envelope: Mapping[str, Any]) -> bytes:
    return msgpack.packb(envelope, use_bin_type=True)


def envelope(kind: str, **entries: Any) -> bytes:
    """One envelope, ready to send."""
    return encode({"v": VERSION, "kind": kind, **entries})


def decode(data: Any, limit: int = ENVELOPE_LIMIT) -> dict[str, Any]:
    """A msgpack map from an untrusted peer.

    Raises:
        Malformed: not msgpack, not a map with string keys, larger than ``limit``, extension types, or
            what would become too many objects.
    """
    if len(data) > limit:
        raise Malformed(f"a map of {len(data)} bytes; expected at most {limit}")
    limits: dict[str, Any] = {}
    if len(data) > SHORT:
        limits = dict.fromkeys(("list_hook", "object_hook"), _counter())
        limits |= dict.fromkeys(("max_array_len", "max_map_len"), OBJECTS_LIMIT)
    try:
        message = msgpack.unpackb(data, raw=False, ext_hook=_refuse_extension, **limits)
    except Malformed:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise Malformed(f"not a message: {type(error).__name__} {error}"[:200]) from error
    if type(message) is not dict:
        raise Malformed(f"a {type(message).__name__}; expected a map")
    return message


def decode_envelope(data: Any) -> dict[str, Any]:
    """An envelope whose version and kind are known to be right.

    Raises:
        Malformed: see :func:`decode`; or another version of the protocol.
    """
    message = decode(data, ENVELOPE_LIMIT)
    if message.get("v") != VERSION:
        raise Malformed(
            f"protocol version {message.get('v')!r:.40}; this side speaks {VERSION}: "
            "solver and trainer must run the same version of sciml"
        )
    if not isinstance(message.get("kind"), str):
        raise Malformed("an envelope without a kind")
    return message


def _counter() -> Callable[[Any], Any]:
    """A hook of msgpack that refuses lists and maps once they hold more than :data:`OBJECTS_LIMIT`."""
    left = OBJECTS_LIMIT

    def count(held: Any) -> Any:
        nonlocal left
        left -= 1 + len(held)
        if left < 0:
            raise Malformed(f"more than {OBJECTS_LIMIT} objects")
        return held

    return count


def _refuse_extension(code: int, data: bytes) -> None:
    raise Malformed(f"extension type {code}")


# -- typed entries of a map ---------------------------------------------------------------------


def line(said: str, limit: int) -> str:
    """A reason as one line, whatever of a peer's words is in it."""
    return "".join(c if c.isprintable() else " " for c in said[:limit])


def whole(message: Mapping[str, Any], key: str, low: int = 0, high: int = WHOLE_LIMIT) -> int:
    value = message.get(key)
    if type(value) is not int or not low <= value < high:
        raise Malformed(f"{key} = {value!r:.60}; expected a whole number from {low}")
    return value


def text(message: Mapping[str, Any], key: str, limit: int = NAME_LIMIT) -> str:
    value = message.get(key)
    if not isinstance(value, str) or len(value) > limit:
        raise Malformed(f"{key} = {value!r:.60}; expected text of at most {limit} characters")
    return value


def real(message: Mapping[str, Any], key: str) -> float:
    value = message.get(key)
    if type(value) not in (int, float):
        raise Malformed(f"{key} = {value!r:.60}; expected a number")
    return float(value)


def blobs(message: Mapping[str, Any], key: str) -> list[bytes]:
    value = message.get(key)
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise Malformed(f"{key} = {value!r:.60}; expected a list of bytes")
    return value


def warnings(message: Mapping[str, Any], key: str) -> list[Warned]:
    """What a rank has warned of."""
    try:
        return parsed(message.get(key))
    except ValueError as error:
        raise Malformed(str(error)) from error


def extents(message: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """A shape or an offset: up to eight whole numbers."""
    value = message.get(key)
    if not isinstance(value, list) or len(value) > 8:
        raise Malformed(f"{key} = {value!r:.60}; expected a list of at most 8 whole numbers")
    for n in value:
        if type(n) is not int or not 0 <= n < WHOLE_LIMIT:
            raise Malformed(f"{key} = {value!r:.60}; expected whole numbers ≥ 0")
    return tuple(value)


# -- blocks -------------------------------------------------------------------------------------


class Header(NamedTuple):
    """One block of one field of one frame.

    Args:
        simulation, attempt, step, time: the frame; see :class:`~sciml.samples.Frame`.
        field: name of the field.
        dtype: as numpy writes it, with byte order: ``"<f4"``.
        global_shape: of the whole field.
        offset, shape: the box that the payload fills.
        sequence: count of the sender's ``send`` calls that went out, from 1.
    """

    simulation: int
    attempt: int
    step: int
    time: float
    field: str
    dtype: str
    global_shape: tuple[int, ...]
    offset: tuple[int, ...]
    shape: tuple[int, ...]
    sequence: int

    def encode(self) -> bytes:
        return msgpack.packb(self._asdict())

    @classmethod
    def decode(cls, data: Any) -> Header:
        """Raises :class:`Malformed`: entries that are missing or of another type."""
        message = decode(data, HEADER_LIMIT)
        return cls(
            whole(message, "simulation"),
            whole(message, "attempt", low=1),
            whole(message, "step"),
            real(message, "time"),
            text(message, "field"),
            text(message, "dtype"),
            extents(message, "global_shape"),
            extents(message, "offset"),
            extents(message, "shape"),
            whole(message, "sequence", low=1),
        )


def check_payload(shape: tuple[int, ...], itemsize: int, nbytes: int) -> None:
    """Raises :class:`Malformed` where the bytes that came are not those that the shape states."""
    if prod(shape) * itemsize != nbytes:
        raise Malformed(
            f"a payload of {nbytes} bytes for shape {shape} of {itemsize} bytes each; "
            f"expected {prod(shape) * itemsize} bytes"
        )
