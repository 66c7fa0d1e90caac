"""Numbers one a frame keep their digits, whatever ``solver.send`` says of fields."""

import numpy as np

from sciml.domain import Field, Particles
from sciml.domain.block import Block
from sciml.samples import Simulation
from sciml.stream.parcel import Packer
from sciml.stream.policy import SendPolicy

ENERGY = -4209.0001
FIELDS = (Field("positions", components=3), Field("energy", on="global"))
SIMULATION = Simulation(0, Particles(np.array([1, 8])), FIELDS, {})


def test_an_energy_is_packed_as_it_is():
    packer = Packer(SIMULATION, Block((0,), (2,)), 0, 1, 1 << 20, np.dtype("f4"))
    arrays = packer.check(0, {"positions": np.ones((2, 3)), "energy": np.float64(ENERGY)})
    parcel = packer.pack(0, 0.0, arrays, None)
    assert [header.dtype for header in parcel.headers] == ["<f4", "<f8"]
    assert parcel.nbytes == 2 * 3 * 4 + 8 == sum(map(len, parcel.payloads))
    assert np.frombuffer(parcel.payloads[1])[0] == ENERGY


def test_the_policy_casts_fields_and_no_numbers():
    policy = SendPolicy(dtype="float32")
    assert policy.cast("global", np.array(ENERGY)).dtype == np.float64
    assert policy.cast("point", np.ones(3)).dtype == np.float32
