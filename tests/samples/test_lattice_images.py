"""Particles that are put back into their cell are learned as those that go on."""

import numpy as np
import pytest

from sciml.domain import Field, Particles
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.samples.dataset import simulations_of
from sciml.surrogates import Normalizer, collate

CELL = np.array([[6.0, 0.0, 0.0], [-1.5, 5.0, 0.0], [0.3, 0.4, 7.0]])
FIELDS = (
    Field("positions", components=3),
    Field("velocities", components=3),
    Field("lattice", on="global", components=9),
)
TASK = Task(("positions", "velocities"), ("positions", "velocities"), history=2, unroll=3)


def steps(periodic, grows, put_back):
    """Six frames of gas that goes through all walls, where it is put back or not."""
    draws = np.random.default_rng(0)
    parts, speeds = draws.uniform(size=(12, 3)), draws.uniform(-0.3, 0.3, size=(12, 3))
    simulation = Simulation(0, Particles(np.ones(12, int), CELL, periodic), FIELDS)
    frames = []
    for k in range(5):
        cell, inside = (1.0 + 0.02 * k * grows) * CELL, parts + k * speeds
        if put_back:
            inside = np.where(periodic, inside % 1.0, inside)
        values = {"positions": inside @ cell, "velocities": speeds, "lattice": cell.ravel()}
        frames.append(Frame(0, k, float(k), values))
    return Sample(simulation, 1, tuple(frames[:2]), tuple(frames[2:]))


@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True)])
@pytest.mark.parametrize("grows", [False, True])
def test_who_is_put_back_moves_on(periodic, grows):
    inside, onward = (steps(periodic, grows, put_back) for put_back in (True, False))
    raw = inside.targets[0].fields["positions"] - inside.inputs[-1].fields["positions"]
    assert np.abs(raw).max() > 3.0  # some went through a wall
    batches = [collate([sample, sample], TASK) for sample in (inside, onward)]
    cells = [frame.fields["lattice"].reshape(3, 3) for frame in inside.frames]
    moves = []
    for batch in batches:
        x = np.concatenate([batch.inputs["positions"], batch.targets["positions"]], axis=1)
        parts = np.stack([x[:, k] @ np.linalg.inv(cell) for k, cell in enumerate(cells)], axis=1)
        moves.append(parts - parts[:, 1:2])
    np.testing.assert_allclose(*moves, atol=1e-12)
    now = np.tile(inside.inputs[-1].fields["positions"], (2, 1))
    np.testing.assert_array_equal(batches[0].inputs["positions"][:, -1], now)
    # What was there stays as it is.
    np.testing.assert_array_equal(
        inside.targets[0].fields["positions"],
        steps(periodic, grows, True).targets[0].fields["positions"],
    )


def test_deviations_are_those_of_who_moves_on():
    found = []
    for put_back in (True, False):
        normalizer = Normalizer(TASK)
        normalizer.update([steps((True,) * 3, False, put_back)])
        found.append(normalizer.numbers("positions", "increment"))
    assert found[0] == pytest.approx(found[1], rel=1e-12) and found[0][1] < 2.0


def test_who_was_not_put_back_stays_where_it_is():
    """Farther apart than a cell: steps as long as a cell are what they are."""
    sample = steps((True,) * 3, False, False)
    for k, frame in enumerate(sample.frames):
        frame.fields["positions"][:] += 0.9 * k * np.arange(12)[:, None] * CELL[0]
    batch = collate([sample], TASK)
    for k, frame in enumerate(sample.targets):
        np.testing.assert_array_equal(batch.targets["positions"][:, k], frame.fields["positions"])


def test_cells_that_change_are_not_passed_over():
    sample = steps((True,) * 3, True, False)
    names = ("positions", "velocities", "lattice")
    values = {n: np.stack([f.fields[n] for f in sample.frames]) for n in names}
    ds = to_dataset(sample.simulation.domain, FIELDS, values, np.arange(5.0))
    [(_, frames)] = simulations_of(ds, fields=names)
    np.testing.assert_array_equal(frames[4].fields["lattice"], values["lattice"][4])
    with pytest.raises(
        InputError, match="cell of the particles changes, and the task does not see"
    ):
        simulations_of(ds, fields=names[:2])
    constant = ds.assign(lattice=ds.lattice * 0 + ds.lattice[0])
    assert len(simulations_of(constant, fields=names[:2])) == 1
