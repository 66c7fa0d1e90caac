"""All simulations of a study live on one kind of domain; grids have one shape and one box."""

from __future__ import annotations

from sciml.domain import Domain, Grid
from sciml.domain.grid import box_difference
from sciml.errors import DomainError, InputError
from sciml.surrogates.scope import Scope


def joined_with(scope: Grid | Scope | None, number: int, domain: Domain) -> Grid | Scope:
    """What is known of the domains of all simulations, one more of them.

    Grids stand in one batch, so that all must have the shape of the first, and a surrogate knows one
    box. Meshes, particles and graphs may differ.

    Args:
        scope: of those before; ``None``: there is none.
        number: of the simulation.
        domain: where it lives.

    Raises:
        InputError: another kind of domain, number of dimensions or unit of lengths; another shape or box
            of a grid.
    """
    given = Scope.of(domain)
    if scope is None:
        return given
    if given.kind != scope.kind:
        raise InputError(
            f"simulation {number} lives on {_words(given)}, others on {_words(scope)}; expected one "
            "kind of domain in all: train on one of them"
        )
    if isinstance(scope, Scope):
        try:
            return scope.joined(given)
        except DomainError as error:
            raise InputError(f"simulation {number}: {error}") from error
    if given.shape != scope.shape:
        raise InputError(
            f"simulation {number} lives on {_words(given)} of {given.shape} points, others "
            f"on {_words(scope)} of {scope.shape}; expected one shape in all: train on one "
            "of them, or interpolate with ds.interp"
        )
    axis = box_difference(scope, given)
    if axis is not None:
        (a, b), (c, d) = scope.extent[axis], given.extent[axis]
        raise InputError(
            f"simulation {number} spans [{c:g}, {d:g}] along {given.dims[axis]}, others "
            f"[{a:g}, {b:g}]; expected one box in all: train on one of them, or scale coordinates "
            "and equation to one length, which is then a parameter"
        )
    return scope


def _words(scope: Grid | Scope) -> str:
    return scope.kind if scope.kind == "particles" else f"a {scope.kind}"
