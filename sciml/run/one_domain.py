"""All simulations of a study live on one kind of domain; grids have one shape and one box."""

from __future__ import annotations

from sciml.domain import Domain
from sciml.domain.grid import box_difference
from sciml.errors import InputError


def require_one_domain(number: int, domain: Domain, first: Domain) -> None:
    """Grids stand in one batch, so that all must have the shape of the first, and a surrogate knows one
    box.

    Args:
        number: of a simulation.
        domain: where it lives.
        first: where the first one does.

    Raises:
        InputError: another kind of domain, another shape or box of a grid.
    """
    if domain.kind != first.kind or (
        first.kind == "grid" and domain.point_shape != first.point_shape
    ):
        raise InputError(
            f"simulation {number} lives on a {domain.kind} of {domain.point_shape} points, others "
            f"on a {first.kind} of {first.point_shape}; expected one shape in all: train on one "
            "of them, or interpolate with ds.interp"
        )
    axis = box_difference(first, domain) if first.kind == "grid" else None
    if axis is not None:
        (a, b), (c, d) = first.extent[axis], domain.extent[axis]
        raise InputError(
            f"simulation {number} spans [{c:g}, {d:g}] along {domain.dims[axis]}, others "
            f"[{a:g}, {b:g}]; expected one box in all: train on one of them, or scale coordinates "
            "and equation to one length, which is then a parameter"
        )
