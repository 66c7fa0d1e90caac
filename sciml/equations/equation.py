"""An equation as whoever is held to it sees it: a residual by names, and exact solutions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

from sciml.errors import InputError, nearest

#: Coordinates by which is differentiated: time and axes.
AXES = ("t", "x", "y", "z")
LAPLACIAN = "laplacian"
_DERIVATIVE = re.compile(r"(?P<field>\w+)_(?P<by>[txyz]+)")

#: Arrays by name: coordinates, or fields.
Arrays = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Solution:
    """An exact solution by name.

    Args:
        value: ``value(points, time, sides, **constants, **options) → {field: array}``; points by axis,
            sides ``(low, high)`` by axis; all arrays broadcast. Options have defaults.
        start: the same at the first time, where that is simpler; ``None``: :attr:`value`.
        wall: the same on the sides of the box, likewise.
        periodic: whether it continues itself across the sides.
    """

    value: Callable[..., Arrays]
    start: Callable[..., Arrays] | None = None
    wall: Callable[..., Arrays] | None = None
    periodic: bool = False


@dataclass(frozen=True, slots=True)
class Equation:
    """r(u, ∂u/∂t, ∂u/∂x, …; constants) = 0.

    >>> from sciml.equations import burgers
    >>> equation = Equation("burgers", ("u",), burgers.residual)
    >>> equation.constants, equation.derivatives
    (('nu',), {'u_t': ('u', 't'), 'u_x': ('u', 'x'), 'u_xx': ('u', 'xx')})

    Args:
        name: by which it is asked for.
        fields: the unknowns.
        residual: its arguments say by their names what they are: a field ``u``, a derivative ``u_t``,
            ``u_xx``, ``laplacian`` (of the first field), or a constant ``nu``. Of several equations it
            gives a mapping by name.
        solutions: exact ones, by name.
    """

    name: str
    fields: tuple[str, ...]
    residual: Callable[..., Any]
    solutions: Mapping[str, Solution] = field(default_factory=dict)

    @property
    def derivatives(self) -> dict[str, tuple[str, str]]:
        """Field and coordinates of each derivative in the residual, by the argument's name."""
        found = {}
        for name in signature(self.residual).parameters:
            match = _DERIVATIVE.fullmatch(name)
            if match is not None and match["field"] in self.fields:
                found[name] = (match["field"], match["by"])
        return found

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the residual."""
        return tuple(signature(self.residual).parameters)

    @property
    def has_laplacian(self) -> bool:
        return LAPLACIAN in self.arguments

    @property
    def constants(self) -> tuple[str, ...]:
        """What else the residual has to be given."""
        known = {*self.fields, *self.derivatives, LAPLACIAN}
        arguments = signature(self.residual).parameters.values()
        return tuple(a.name for a in arguments if a.name not in known and a.default is a.empty)

    def solution(self, name: str) -> Solution:
        """An exact solution.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.solutions:
            there = (
                nearest(name, self.solutions)
                if self.solutions
                else "it has none: give validation.data"
            )
            raise InputError(f"equation '{self.name}': no solution '{name}'; {there}")
        return self.solutions[name]


def options_of(solution: Solution, constants: tuple[str, ...]) -> dict[str, Any]:
    """Options of a solution, with their defaults."""
    arguments = signature(solution.value).parameters.values()
    return {
        a.name: a.default
        for a in arguments
        if a.kind is Parameter.KEYWORD_ONLY and a.name not in constants
    }
