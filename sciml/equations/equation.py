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
#: (low, high) of each axis.
Sides = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Solution:
    """An exact solution by name.

    Args:
        value: ``value(points, time, sides, **constants, **options) → {field: array}``; points by axis,
            sides ``(low, high)`` by axis; all arrays broadcast. Options have defaults.
        start: the same at the time ``start_at``, where that is simpler; ``None``: :attr:`value`.
        wall: the same on the sides of the box, likewise.
        periodic: whether it continues itself across the sides.
        ends: ``ends(sides, **constants, **options)``: the time up to which it holds, such as that of the
            first shock; ``None``: it holds always.
    """

    value: Callable[..., Arrays]
    start: Callable[..., Arrays] | None = None
    wall: Callable[..., Arrays] | None = None
    periodic: bool = False
    ends: Callable[..., Any] | None = None
    start_at: float | None = 0.0


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
        speed: f of the convective form ∂u/∂t + f·∇u = ν ∇²u + s, by axis; ``None``: it has no
            characteristics. This and the next two say by their arguments what they want, as the
            residual does: fields, coordinates, constants. See :func:`called`.
        diffusion: ν of that form; ``None``: 0.
        reaction: s of that form; ``None``: 0.

    An argument of the residual with a default is a constant that may be left away.
    """

    name: str
    fields: tuple[str, ...]
    residual: Callable[..., Any]
    solutions: Mapping[str, Solution] = field(default_factory=dict)
    speed: Callable[..., Mapping[str, Any]] | None = None
    diffusion: Callable[..., Any] | None = None
    reaction: Callable[..., Any] | None = None

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
        known = {*self.fields, *self.derivatives, LAPLACIAN, *AXES}
        arguments = signature(self.residual).parameters.values()
        return tuple(a.name for a in arguments if a.name not in known and a.default is a.empty)

    @property
    def defaults(self) -> dict[str, Any]:
        """Constants that may be left away, with what they are then."""
        arguments = signature(self.residual).parameters.values()
        return {a.name: a.default for a in arguments if a.default is not a.empty}

    def given_to(self, solution: Solution, given: Arrays) -> dict[str, Any]:
        """Constants and options for a solution, from all that is given by name."""
        known = {*self.constants, *self.defaults, *options_of(solution, self.constants)}
        return {**self.defaults, **{name: v for name, v in given.items() if name in known}}

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


def called(function: Callable[..., Any], given: Arrays) -> Any:
    """A function of what its arguments name, from all that is given.

    >>> called(lambda u, nu: u * nu, {"u": 2.0, "x": 0.5, "nu": 0.1})
    0.2
    """
    return function(**{n: given[n] for n in signature(function).parameters if n in given})
