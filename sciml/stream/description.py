"""A simulation as it is said once, at hello."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgpack

from sciml.domain.block import Block
from sciml.domain.names import require_names
from sciml.domain.wire import (
    domain_from_wire,
    domain_to_wire,
    fields_from_wire,
    fields_to_wire,
    pack_array,
    unpack_array,
)
from sciml.errors import DomainError
from sciml.samples import Simulation
from sciml.stream.message import Malformed, extents, text, whole

#: Fields of one simulation: more of them are axes of one.
FIELDS_LIMIT = 1024


def simulation_to_wire(simulation: Simulation) -> dict[str, Any]:
    return {
        "id": simulation.id,
        "domain": domain_to_wire(simulation.domain),
        "fields": fields_to_wire(simulation.fields),
        "parameters": {str(k): float(v) for k, v in simulation.parameters.items()},
        "static": {str(k): pack_array(v) for k, v in simulation.static.items()},
        "static_fields": fields_to_wire(simulation.static_fields),
        "deterministic": bool(simulation.deterministic),
        "time_units": simulation.time_units,
    }


def simulation_from_wire(wire: Mapping[str, Any]) -> Simulation:
    """Inverse of :func:`simulation_to_wire`, for an untrusted peer.

    Raises:
        Malformed: an entry is missing or of another type.
        DomainError: a domain, a field or a name that cannot be.
    """
    number = whole(wire, "id")
    domain, fields = wire.get("domain"), wire.get("fields")
    parameters, static = wire.get("parameters"), wire.get("static")
    if not isinstance(domain, dict) or not isinstance(parameters, dict):
        raise Malformed("a simulation needs maps 'domain' and 'parameters'")
    units = text(wire, "time_units")
    if not isinstance(static, dict) or not isinstance(fields, list):
        raise Malformed("a simulation needs a map 'static' and a list 'fields'")
    if not fields:
        raise Malformed(f"a simulation of no fields; expected 1 to {FIELDS_LIMIT}")
    static_fields = wire.get("static_fields")
    _check_fields(fields)
    _check_fields(static_fields)
    for name, value in parameters.items():
        if type(value) not in (int, float) or not isfinite(value):
            raise Malformed(f"parameter {name!r:.60} = {value!r:.60}; expected a finite number")
    if not all(isinstance(name, str) for name in (*parameters, *static)):
        raise Malformed("names of parameters and static fields must be text")
    if not all(isinstance(array, dict) for array in static.values()):
        raise Malformed("static fields must be packed arrays")
    try:
        simulation = Simulation(
            number,
            domain_from_wire(domain),
            fields_from_wire(fields),
            {name: float(value) for name, value in parameters.items()},
            {name: unpack_array(array) for name, array in static.items()},
            bool(wire.get("deterministic")),
            units,
            static_fields=fields_from_wire(static_fields),
        )
    except (OverflowError, AttributeError) as error:
        raise Malformed(f"a simulation that cannot be read: {error}") from error
    require_names([f.name for f in simulation.fields], static, parameters, simulation.domain.kind)
    return simulation


def _check_fields(fields: Any) -> None:
    """Refuse what cannot be a list of fields."""
    if not isinstance(fields, list) or not all(isinstance(f, dict) for f in fields):
        raise Malformed("fields of a simulation must be a list of maps")
    if len(fields) > FIELDS_LIMIT:
        raise Malformed(f"a simulation of {len(fields)} fields; expected 1 to {FIELDS_LIMIT}")
    for field in fields:
        for key in ("name", "units", "long_name", "on"):
            text(field, key)
        for key in {"parity", "vector"} & set(field):
            text(field, key)
        whole(field, "components", high=1024)
        categories = field.get("categories", [])
        if not isinstance(categories, list) or not all(isinstance(c, str) for c in categories):
            raise Malformed(f"categories {categories!r:.60}; expected a list of words")


def block_from_wire(simulation: Simulation, ranks: int, wire: Mapping[str, Any]) -> Block | None:
    """The box of points that a rank says it holds; ``None`` if it cannot be."""
    points = simulation.domain.point_shape
    if wire.get("shape") is None and wire.get("offset") is None:
        return Block((0,) * len(points), points) if ranks == 1 else None
    try:
        block = Block(extents(wire, "offset"), extents(wire, "shape"))
    except DomainError:
        return None
    return block if block.inside(points) else None


def digest(simulation: Simulation) -> int:
    """A checksum by which ranks notice that they do not describe the same simulation.

    Static fields and meshes stay out of it: only rank 0 need hold them.
    """
    return zlib.crc32(
        msgpack.packb(
            [
                simulation.id,
                simulation.domain.kind,
                list(simulation.domain.point_shape),
                fields_to_wire(simulation.fields),
                sorted((str(k), float(v)) for k, v in simulation.parameters.items()),
                bool(simulation.deterministic),
            ]
        )
    )
