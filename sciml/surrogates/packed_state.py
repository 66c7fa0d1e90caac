"""Nested state as plain bytes and named tensors: what is saved instead of a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np
from torch import Tensor

from sciml.domain.wire import pack_array, unpack_array
from sciml.errors import InputError

#: Codes of msgpack's extensions.
_BIG, _ARRAY, _TENSOR, _TUPLE = 1, 2, 3, 4


def pack(tree: Any) -> tuple[bytes, dict[str, Tensor]]:
    """Numbers, strings, bytes, lists, tuples, dicts, arrays and tensors, nested in any way.

    Tensors are taken out and named by a number, for a safetensors file; the rest is msgpack.
    """
    tensors: dict[str, Tensor] = {}

    def other(value: Any) -> Any:
        if isinstance(value, tuple):
            return msgpack.ExtType(_TUPLE, encode(list(value)))
        if isinstance(value, Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone().contiguous()
            return msgpack.ExtType(_TENSOR, name.encode())
        # Generators hold words of 128 bits, which msgpack does not know.
        if isinstance(value, int):
            return msgpack.ExtType(_BIG, str(value).encode())
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            if value.dtype.str.lstrip("<|") in ("u8", "u4", "b1"):
                value, kind = value.view(np.uint8), value.dtype.str
            else:
                kind = ""
            return msgpack.ExtType(_ARRAY, encode([kind, pack_array(value)]))
        if isinstance(value, Mapping):
            return dict(value)
        raise InputError(
            f"state of type {type(value).__name__} cannot be saved; expected numbers, strings, "
            "bytes, lists, dicts, arrays or tensors"
        )

    def encode(value: Any) -> bytes:
        return msgpack.packb(value, default=other, strict_types=True)

    return encode(tree), tensors


def unpack(data: bytes, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of :func:`pack`."""

    def other(code: int, body: bytes) -> Any:
        if code == _TUPLE:
            return tuple(decode(body))
        if code == _TENSOR:
            return tensors[body.decode()]
        if code == _BIG:
            return int(body)
        kind, packed = decode(body)
        array = unpack_array(packed)
        return array.view(np.dtype(kind)) if kind else array

    def decode(body: bytes) -> Any:
        return msgpack.unpackb(body, ext_hook=other, strict_map_key=False)

    return decode(data)
