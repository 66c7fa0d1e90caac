"""What is sent does not depend on the number of ranks."""

import numpy as np
import pytest

from sciml.domain import Block, Field, Graph, Grid
from sciml.domain.block import tiles
from sciml.errors import InputError
from sciml.parallel import Decomposition
from sciml.samples import Simulation
from sciml.stream.policy import SendPolicy

FIELDS = (Field("u"), Field("v"), Field("energy", on="global"))


def grid(shape, boundary="periodic"):
    return Grid(shape, tuple((0.0, float(n)) for n in shape), (boundary,) * len(shape))


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("boundary", "shape"), [("periodic", (24, 21)), ("dirichlet", (25, 23))])
def test_coarse_blocks_tile_the_coarse_grid(ranks, boundary, shape):
    policy = SendPolicy(coarsen=3, dtype="float32", fields=("u",))
    fine = grid(shape, boundary)
    coarse = policy.domain(fine)
    u = np.random.default_rng(0).random(shape)
    blocks = Decomposition(fine, ranks).blocks
    assert tiles([policy.block(b) for b in blocks], coarse.shape)
    whole = np.zeros(coarse.shape, np.float32)
    for block in blocks:
        sent = policy.take(FIELDS, {"u": u[block.slices], "v": u[block.slices]}, block)
        assert list(sent) == ["u"] and np.shares_memory(sent["u"], u)
        whole[policy.block(block).slices] = sent["u"]
    np.testing.assert_array_equal(whole, u[::3, ::3].astype(np.float32))
    for axis in range(2):
        np.testing.assert_allclose(coarse.coordinates(axis), fine.coordinates(axis)[::3])
    assert coarse.boundary == (("periodic",) * 2 if boundary == "periodic" else (boundary, "open"))


def test_static_fields_are_cut_where_they_are_on_points():
    still = {"k": np.arange(24.0).reshape(6, 4), "total": np.float64(3.0)}
    total = Field("total", on="global")
    whole = Simulation(0, grid((6, 4)), FIELDS, static=still, static_fields=(total,))
    sent = SendPolicy(coarsen=2, dtype="float32").simulation(whole)
    np.testing.assert_array_equal(sent.static["k"], still["k"][::2, ::2])
    assert sent.static["total"] == 3.0 and sent.static_fields == (Field("k"), total)
    edges = Simulation(
        0,
        Graph(3, [[0], [1]]),
        FIELDS,
        static={"w": np.ones(1)},
        static_fields=(Field("w", on="edge"),),
    )
    assert SendPolicy().simulation(edges).static["w"].shape == (1,)


def test_global_fields_are_not_cut():
    block = Block((2, 0), (2, 4))
    sent = SendPolicy(coarsen=2).take(FIELDS, dict.fromkeys("uv", np.ones((2, 4))) | {"energy": 3.0},
                                      block)  # fmt: skip
    assert sent["u"].shape == (1, 2) and np.shape(sent["energy"]) == () and sent["energy"] == 3.0


def test_policy_reads_the_environment():
    text = '{"every": 2, "fields": ["v"], "coarsen": 1, "dtype": "float32"}'
    policy = SendPolicy.read(text)
    assert policy == SendPolicy(2, ("v",), 1, "float32")
    assert [f.name for f in policy.choose(FIELDS)] == ["v"]
    assert SendPolicy.read("{}").choose(FIELDS) == FIELDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "SCIML_SEND is no JSON"),
        ("[1]", "expected a JSON object"),
        ('{"evry": 2}', "unknown key 'evry'; did you mean 'every'"),
        ('{"every": 0}', "every=0; expected a whole number"),
        ('{"coarsen": 1.5}', "coarsen=1.5; expected a whole number"),
        ('{"dtype": "int8"}', "expected float32, float64"),
        ('{"fields": "u"}', "expected a list of names"),
    ],
)
def test_bad_policies_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        SendPolicy.read(text)


def test_policies_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="no field 'w'"):
        SendPolicy(fields=("w",)).choose(FIELDS)
    with pytest.raises(InputError, match="does not divide a periodic axis of 16"):
        SendPolicy(coarsen=3).domain(grid((16, 18)))
    with pytest.raises(InputError, match="expected 2 or more"):
        SendPolicy(coarsen=16).domain(grid((16, 16)))
    with pytest.raises(InputError, match="only grids coarsen"):
        SendPolicy(coarsen=2).domain(Graph(2, np.zeros((2, 0))))
    with pytest.raises(InputError, match="leaves no point of a block"):
        SendPolicy(coarsen=4).block(Block((1, 0), (2, 8)))
