"""What all sections of a study file share: strictness, and kinds of values."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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


def short(key: str) -> BeforeValidator:
    """A value instead of a section stands for its ``key``; 0 and false for no section."""

    def spell(value: Any) -> Any:
        if isinstance(value, bool | int | float) and not value:
            return None
        if value is None or isinstance(value, dict | Section):
            return value
        return {key: [value] if key == "symmetries" and isinstance(value, str) else value}

    return BeforeValidator(spell)
