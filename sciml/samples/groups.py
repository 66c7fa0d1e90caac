"""Points by the name of a group: nodes of a mesh, points of a kind, ends of axes, a species."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciml.domain.names import NO_GROUPS
from sciml.errors import InputError, nearest
from sciml.samples.frame import Simulation

#: All points on ends of axes that are not periodic.
BOUNDARY = "boundary"


def members(simulation: Simulation, name: str) -> np.ndarray:
    """Which points of a simulation are in a group, bool ``domain.point_shape``.

    A group is one of a mesh's ``groups``; or a category of a static field of kinds on points; or on a
    grid an end of an axis, ``x_min`` or ``x_max``, or all ends of axes that are not periodic,
    ``boundary``; or the number of a species.

    Raises:
        InputError: none of these, with the nearest.
    """
    known = _known(simulation)
    if name not in known:
        none = not known and simulation.domain.kind == "mesh"
        raise InputError(
            f"group '{name}': simulation {simulation.id} has no points of that name; "
            f"{NO_GROUPS if none else nearest(name, known)}"
        )
    return known[name]()


def _known(simulation: Simulation) -> dict[str, Callable[[], np.ndarray]]:
    """Which points each group of a simulation has."""
    domain, found = simulation.domain, {}
    for name, nodes in getattr(domain, "groups", {}).items():
        found[name] = lambda nodes=nodes: _marked(domain.point_shape, nodes)
    for field in simulation.static_fields:
        if field.on == "point":
            values = simulation.static[field.name]
            for number, kind in enumerate(field.categories):
                found.setdefault(kind, lambda v=values, n=number: np.asarray(v) == n)
    if domain.kind == "particles":
        for kind in np.unique(domain.species).tolist():
            found.setdefault(str(kind), lambda kind=kind: domain.species == kind)
    if domain.kind == "grid":
        ends = {}
        for axis, (dim, kind) in enumerate(zip(domain.dims, domain.boundary, strict=True)):
            if kind != "periodic":
                index = (slice(None),) * axis
                ends |= {f"{dim}_min": (*index, 0), f"{dim}_max": (*index, -1)}
        for name, index in ends.items():
            found.setdefault(name, lambda index=index: _marked(domain.point_shape, index))
        if ends:
            found.setdefault(
                BOUNDARY,
                lambda: np.any([_marked(domain.point_shape, i) for i in ends.values()], axis=0),
            )
    return found


def _marked(shape: tuple[int, ...], index: object) -> np.ndarray:
    found = np.zeros(shape, bool)
    found[index] = True
    return found
