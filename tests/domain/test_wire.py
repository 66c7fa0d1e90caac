"""Domains and fields survive msgpack, and a hostile sender gets an error, not memory."""

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sciml.domain import Field, Graph, Grid, Mesh, Particles
from sciml.domain.wire import (
    domain_from_wire,
    domain_to_wire,
    fields_from_wire,
    fields_to_wire,
    pack_array,
    unpack_array,
)
from sciml.errors import DomainError

DOMAINS = [
    Grid((4, 5), ((0, 1), (-1, 1)), ("periodic", "dirichlet"), "m"),
    Mesh([[0.0, 0], [1, 0], [0, 1]], [[0, 1, 2]], "km"),
    Particles([8, 1, 1], np.eye(3), (True, False, True), "angstrom"),
    Particles([8, 1, 1], expected=(1, 6, 8)),
    Graph(4, [[0, 1], [1, 2]]),
]


def through_msgpack(body):
    return msgpack.unpackb(msgpack.packb(body))


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: d.kind)
def test_domain_round_trip(domain):
    back = domain_from_wire(through_msgpack(domain_to_wire(domain)))
    assert back == domain and getattr(back, "expected", ()) == getattr(domain, "expected", ())


def test_fields_round_trip():
    fields = (Field("u", "K", "temperature"), Field("force", components=3), Field("e", on="global"))
    assert fields_from_wire(through_msgpack(fields_to_wire(fields))) == fields


@given(
    st.sampled_from(["<f4", "<f8", ">f8", ">i4", "<i8", "|u1"]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
    )
)
@settings(max_examples=60)
def test_array_round_trip(array):
    for given_ in (array, array.T):
        back = unpack_array(through_msgpack(pack_array(given_)))
        np.testing.assert_array_equal(back, given_)
        assert back.dtype == given_.dtype.newbyteorder("=") or back.dtype == given_.dtype
        assert back.flags.writeable and back.shape == given_.shape


GOOD = pack_array(np.zeros((2, 3)))


@pytest.mark.parametrize(
    "packed",
    [
        {**GOOD, "dtype": "|O8"},
        {**GOOD, "dtype": ["<f8"]},
        {**GOOD, "dtype": None},
        {**GOOD, "shape": [2, 4]},
        {**GOOD, "shape": [2**40, 2**40]},
        {**GOOD, "shape": [-2, -3]},
        {**GOOD, "shape": [2.0, 3]},
        {**GOOD, "shape": "23"},
        {**GOOD, "shape": None},
        {**GOOD, "data": "x" * 48},
        {**GOOD, "data": GOOD["data"][:-1]},
        {"dtype": "<f8", "shape": [0]},
        None,
        7,
    ],
)
def test_bad_arrays_are_refused(packed):
    with pytest.raises(DomainError):
        unpack_array(packed)


@pytest.mark.parametrize(
    "wire",
    [
        {"kind": "sphere"},
        {},
        {"kind": "grid", "shape": [4]},
        {"kind": "grid", "shape": 4, "extent": [], "boundary": [], "units": "1"},
        {"kind": "grid", "shape": [4], "extent": [[0]], "boundary": ["open"], "units": "1"},
        {"kind": "grid", "shape": ["a"], "extent": [[0, 1]], "boundary": ["open"], "units": "1"},
        {"kind": "mesh", "points": GOOD, "cells": None, "units": "1"},
        {"kind": "graph", "nodes": "many", "edges": pack_array(np.zeros((2, 1), "i8"))},
        {"kind": "particles", "species": pack_array(np.zeros(2, "i8"))},
    ],
)
def test_bad_domains_are_refused(wire):
    with pytest.raises(DomainError):
        domain_from_wire(wire)


@pytest.mark.parametrize("wire", [[{"nam": "u"}], [{}], [7], [{"name": "u", "on": "face"}]])
def test_bad_fields_are_refused(wire):
    with pytest.raises(DomainError):
        fields_from_wire(wire)


def test_what_is_no_domain():
    with pytest.raises(DomainError, match="int is no domain"):
        domain_to_wire(3)
    with pytest.raises(DomainError, match="dtype complex128"):
        pack_array(np.zeros(2, complex))
