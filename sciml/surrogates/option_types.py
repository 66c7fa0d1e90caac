"""Whether values from a study file fit the signature of a ``build``."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from numbers import Integral, Real
from typing import Any

from sciml.errors import InputError

#: What a type is called in front of a user.
_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "keys",
    type(None): "null",
}


def wanted_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotation of each argument, of a class to make it; those that cannot be resolved are left out,
    and so not checked."""
    if isinstance(function, type) and not is_dataclass(function):
        function = function.__init__
    try:
        return typing.get_type_hints(function)
    except NameError:  # names that are imported for type checkers alone
        return {}


def fits(value: Any, wanted: Any) -> bool:
    """Whether ``value`` is of the type ``wanted``: numbers, text, sequences and unions of them.

    A whole number is a number, and not negative; true and false are none. Types that are not known
    here fit.

    >>> fits([4, 4], Sequence[int] | int), fits("four", Sequence[int] | int)
    (True, False)
    """
    if _is_union(wanted):
        return any(fits(value, one) for one in typing.get_args(wanted))
    if typing.get_origin(wanted) is Sequence:
        [entry] = typing.get_args(wanted)
        if isinstance(value, str | dict) or not hasattr(value, "__iter__"):
            return False
        return all(fits(one, entry) for one in value)
    if isinstance(value, bool) and wanted in (int, float):
        return False
    if wanted is int:
        return isinstance(value, Integral) and value >= 0
    if wanted is float:
        return isinstance(value, Real)
    return isinstance(value, wanted) if wanted in _WORDS else True


def require_types(what: str, options: object) -> None:
    """Refuse a dataclass of options with a value of another type than it says."""
    for key, wanted in wanted_types(type(options)).items():
        value = getattr(options, key)
        if not fits(value, wanted):
            raise InputError(f"{what}: {key}={value!r}; expected {words(wanted)}")


def words(wanted: Any) -> str:
    """A type as a user would say it.

    >>> words(Sequence[int] | int | None)
    'a list of whole numbers, a whole number or null'
    """
    if _is_union(wanted):
        *most, last = [words(one) for one in typing.get_args(wanted)]
        return f"{', '.join(most)} or {last}"
    if typing.get_origin(wanted) is Sequence:
        return f"a list of {_many(typing.get_args(wanted)[0])}"
    return _WORDS.get(wanted, str(wanted))


def _many(wanted: Any) -> str:
    if typing.get_origin(wanted) is Sequence:
        return f"lists of {_many(typing.get_args(wanted)[0])}"
    return {int: "whole numbers", float: "numbers"}.get(wanted) or words(wanted)


def _is_union(wanted: Any) -> bool:
    return typing.get_origin(wanted) in (typing.Union, types.UnionType)
