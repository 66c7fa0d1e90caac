"""Domains and fields as plain dictionaries: what crosses a socket or lies in a checkpoint.

Only numbers, strings, lists and bytes; arrays as ``{"dtype", "shape", "data"}``. Sizes are checked
before anything is allocated, since the other side is not trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from typing import Any

import numpy as np

from sciml.domain.field import Field
from sciml.domain.graph import Graph
from sciml.domain.grid import Grid
from sciml.domain.mesh import Mesh
from sciml.domain.particles import Particles
from sciml.errors import DomainError

Domain = Grid | Mesh | Particles | Graph
#: What a domain can be.
KINDS = tuple(kind.kind for kind in (Grid, Mesh, Particles, Graph))

DTYPES = ("<f4", "<f8", "<i4", "<i8", "|u1")


def pack_array(array: np.ndarray) -> dict[str, Any]:
    """An array as little-endian, C-ordered bytes with its dtype and shape."""
    array = np.asarray(array, order="C")  # ascontiguousarray would give a scalar an axis
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.dtype.str not in DTYPES:
        raise DomainError(f"array of dtype {array.dtype}; expected one of {', '.join(DTYPES)}")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def unpack_array(packed: Mapping[str, Any]) -> np.ndarray:
    """The array of :func:`pack_array`; refuses unknown dtypes and sizes that do not fit the data."""
    try:
        dtype, shape, data = packed["dtype"], tuple(packed["shape"]), packed["data"]
    except (KeyError, TypeError) as error:
        raise DomainError(f"packed array lacks dtype, shape or data: {error}") from error
    if dtype not in DTYPES:
        raise DomainError(f"packed array of dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise DomainError(f"packed array of shape {shape}; expected whole numbers ≥ 0")
    if not isinstance(data, bytes) or prod(shape) * np.dtype(dtype).itemsize != len(data):
        raise DomainError(f"packed array: shape {shape} of {dtype} does not fit its data")
    return np.frombuffer(data, dtype=dtype).reshape(shape).copy()


def domain_to_wire(domain: Domain) -> dict[str, Any]:
    match domain:
        case Grid():
            body = {
                "shape": list(domain.shape),
                "extent": [list(e) for e in domain.extent],
                "boundary": list(domain.boundary),
                "units": domain.units,
            }
            if domain.meanings:
                body["meanings"] = list(domain.meanings)
        case Mesh():
            body = {
                "points": pack_array(domain.points),
                "cells": pack_array(domain.cells),
                "units": domain.units,
                "cell_type": domain.cell_type,
                "groups": {name: pack_array(nodes) for name, nodes in domain.groups.items()},
            }
        case Particles():
            body = {
                "species": pack_array(domain.species),
                "cell": None if domain.cell is None else pack_array(domain.cell),
                "periodic": list(domain.periodic),
                "units": domain.units,
            }
            if domain.expected:
                body["expected"] = list(domain.expected)
        case Graph():
            body = {"nodes": domain.nodes, "edges": pack_array(domain.edges)}
        case _:
            raise DomainError(
                f"{type(domain).__name__} is no domain; expected Grid, Mesh, Particles or Graph"
            )
    return {"kind": domain.kind, **body}


def domain_from_wire(wire: Mapping[str, Any]) -> Domain:
    """Inverse of :func:`domain_to_wire`."""
    try:
        match wire.get("kind"):
            case "grid":
                return Grid(
                    tuple(wire["shape"]),
                    tuple((low, high) for low, high in wire["extent"]),
                    tuple(wire["boundary"]),
                    wire["units"],
                    tuple(wire.get("meanings", ())),
                )
            case "mesh":
                points, cells = unpack_array(wire["points"]), unpack_array(wire["cells"])
                groups = {n: unpack_array(nodes) for n, nodes in wire["groups"].items()}
                return Mesh(points, cells, wire["units"], wire["cell_type"], groups)
            case "particles":
                cell = None if wire["cell"] is None else unpack_array(wire["cell"])
                return Particles(
                    unpack_array(wire["species"]), cell, tuple(wire["periodic"]), wire["units"],
                    tuple(wire.get("expected", ())),
                )  # fmt: skip
            case "graph":
                return Graph(int(wire["nodes"]), unpack_array(wire["edges"]))
            case kind:
                raise DomainError(
                    f"domain of kind {kind!r}; expected grid, mesh, particles or graph"
                )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DomainError):
            raise
        raise DomainError(f"domain cannot be read: {type(error).__name__} {error}") from error


def fields_to_wire(fields: tuple[Field, ...]) -> list[dict[str, Any]]:
    """Fields as dictionaries; parity, vector, level and categories only where they are said."""
    said = ("parity", "vector", "level", "categories")
    return [
        {k: list(v) if k == "categories" else v for k, v in asdict(f).items() if v or k not in said}
        for f in fields
    ]


def fields_from_wire(wire: list[Mapping[str, Any]]) -> tuple[Field, ...]:
    """Inverse of :func:`fields_to_wire`."""
    try:
        return tuple(Field(**entry) for entry in wire)
    except (TypeError, AttributeError) as error:
        raise DomainError(f"fields cannot be read: {error}") from error
