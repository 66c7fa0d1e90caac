"""What all sections of a study file share: strictness, and kinds of values."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B\s*", re.IGNORECASE)


def _bytes(value: Any) -> Any:
    """``"64MB"`` (10⁶) or ``"64MiB"`` (2²⁰) as a number of bytes."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ValueError(f"got {value!r}; expected a size such as 64MB, 2GB or 512MiB")
        number, prefix, binary = match.groups()
        power = " kmgt".index(prefix.lower() or " ")
        return round(float(number) * (1024 if binary else 1000) ** power)
    return value


def _value(value: Any) -> Any:
    """What a flag of a program can carry."""
    several = value if isinstance(value, list) else [value]
    if not several or any(
        isinstance(v, bool) or not isinstance(v, int | float | str) for v in several
    ):
        raise ValueError(f"got {value!r}; expected a number, a word, or a list of either")
    return value


def _whole(value: Any) -> Any:
    """``1e4`` where a whole number is expected."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Positive = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
Size = Annotated[int, BeforeValidator(_bytes), BeforeValidator(_whole), Field(ge=1)]
Value = Annotated[Any, BeforeValidator(_value)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Strict types, no unknown keys, no change after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def keys_of(kind: type, *left_out: str, **other: Any) -> Any:
    """A section with the keys of a dataclass, their types and defaults; what values may be is for the
    dataclass to say, when it is built.

    Args:
        left_out: keys that a study does not have.
        other: keys whose type a file has no word for, as pydantic wants them.
    """
    hints = get_type_hints(kind)
    keys: dict[str, Any] = {}
    for one in (f for f in fields(kind) if f.name not in left_out):
        made = one.default if one.default_factory is MISSING else one.default_factory()
        listed = get_origin(hints[one.name]) is tuple
        keys[one.name] = (list[str], []) if listed else (hints[one.name], made)
    return create_model(kind.__name__, __base__=_WithWholeNumbers, **{**keys, **other})


class _WithWholeNumbers(Section):
    """``1e4`` where a whole number is expected; as a number with a point it means the same."""

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, data: Any) -> Any:
        return {k: _whole(v) for k, v in data.items()} if isinstance(data, dict) else data


def short(key: str) -> BeforeValidator:
    """A value instead of a section stands for its ``key``; 0 and false for no section."""

    def spell(value: Any) -> Any:
        if isinstance(value, bool | int | float) and not value:
            return None
        if value is None or isinstance(value, dict | Section):
            return value
        return {key: [value] if key == "symmetries" and isinstance(value, str) else value}

    return BeforeValidator(spell)
