"""Pairs of particles: those that ASE finds, in any cell; what is kept, and what is refused."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sciml.domain import Field, Mesh, Particles
from sciml.errors import DomainError, InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import collate, structure
from sciml.surrogates.particles import edges, neighbours
from sciml.surrogates.particles.mace.edges import PairedNeighbours
from sciml.surrogates.particles.neighbours import Complete, Nearest, Neighbours, neighbourhood
from sciml.training import Noise, Pushforward

SKEWED = np.array([[2.0, 0.0, 0.0], [0.7, 1.8, 0.0], [0.2, 0.3, 2.4]])
FIELDS = (Field("positions", components=3), Field("lattice", on="global", components=9))


def parts_of(found):
    return found["neighbours"].values, found["shift"].values


@pytest.fixture(params=["vesin", "tree"])
def way(request, monkeypatch):
    """With vesin, and without."""
    if request.param == "tree":
        monkeypatch.setitem(sys.modules, "vesin", None)
    else:
        pytest.importorskip("vesin")


@pytest.mark.parametrize("periodic", [(True,) * 3, (True, False, True), (False,) * 3])
@pytest.mark.parametrize("cutoff", [1.4, 2.9])
def test_neighbours_are_those_that_ase_finds(way, periodic, cutoff):
    """2.9 is above the width of the cell: images of one particle are neighbours, its own among them."""
    asked = pytest.importorskip("ase.neighborlist").primitive_neighbor_list
    x = np.random.default_rng(0).normal(size=(6, 3)) * 2  # some have left the cell
    (source, receiver), shift = parts_of(Neighbours(cutoff).parts(x, SKEWED, periodic))
    i, j, gap = asked("ijD", periodic, SKEWED, x, cutoff)

    def pairs(receiver, source, gap):
        return sorted(zip(receiver, source, *np.round(gap.T, 9) + 0.0, strict=True))

    mine = pairs(receiver, source, x[source] + shift - x[receiver])
    assert np.allclose(mine, pairs(i, j, gap), atol=1e-8) and len(mine) == len(i) > 0
    assert (np.diff(receiver) >= 0).all()
    np.testing.assert_allclose(shift, np.round(shift @ np.linalg.inv(SKEWED)) @ SKEWED, atol=1e-9)


def test_pairs_at_the_cutoff_go_both_ways(way):
    """In a crystal rounding says which are within: of both ways alike, or ``reverse`` is of others."""
    draws = np.random.default_rng(3)
    for length in draws.uniform(2.5, 3.5, 20):
        turn = np.linalg.qr(draws.normal(size=(3, 3)))[0]
        cell = length * turn
        x = (
            np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]) @ cell
            + draws.integers(-3, 4, (2, 3)) @ cell
        )
        found = PairedNeighbours(length).parts(x, cell, (True,) * 3)
        pairs, shift = parts_of(found)
        reverse = found["reverse"].values
        np.testing.assert_array_equal(pairs[:, reverse], pairs[::-1])
        np.testing.assert_allclose(shift[reverse], -shift, atol=1e-12)


def test_a_slab_needs_no_vector_along_which_it_does_not_repeat(way):
    cell, x = SKEWED.copy(), np.random.default_rng(1).normal(size=(5, 3))
    wanted = parts_of(Neighbours(2.0).parts(x, cell, (True, True, False)))
    cell[2] = 0.0
    for given, expected in zip(
        parts_of(Neighbours(2.0).parts(x, cell, (True, True, False))), wanted, strict=True
    ):
        np.testing.assert_array_equal(given, expected)
    cell[1] = cell[0]
    with pytest.raises(InputError, match="expected lattice vectors that span a volume"):
        Neighbours(2.0).parts(x, cell, (True, True, False))


def test_in_the_plane(way):
    """Neighbours of a square lattice, through its walls."""
    x = np.stack(np.meshgrid(*[np.arange(3.0)] * 2), -1).reshape(-1, 2)
    (_, receiver), shift = parts_of(Neighbours(1.1).parts(x, 3 * np.eye(2), (True, True)))
    assert (np.bincount(receiver) == 4).all() and shift.shape == (36, 2)
    (_, receiver), _ = parts_of(Neighbours(1.1).parts(x, None, (False, False)))
    assert np.bincount(receiver).tolist() == [2, 3, 2, 3, 4, 3, 2, 3, 2]


@pytest.mark.parametrize("periodic", [False, True])
def test_the_nearest_are_the_nearest(periodic):
    x = np.random.default_rng(2).uniform(size=(7, 3))
    cell, asked = np.eye(3) if periodic else None, 11 if periodic else 3
    found = Nearest(asked).parts(x, cell, (periodic,) * 3)
    (source, receiver), shift = parts_of(found)
    steps = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3) * periodic
    every = np.linalg.norm((x + np.unique(steps, axis=0)[:, None])[None] - x[:, None, None], axis=3)
    nearest = np.sort(every.reshape(7, -1), axis=1)[:, 1 : asked + 1]
    gaps = np.linalg.norm(x[source] + shift - x[receiver], axis=1).reshape(7, asked)
    np.testing.assert_allclose(gaps, nearest, atol=1e-12)
    two = Nearest(5).parts(x[:2], None, (False,) * 3)["neighbours"].values
    assert two.tolist() == [[1, 0], [0, 1]]


def test_all_pairs_are_made_once_and_not_of_what_repeats():
    three = Particles([1, 1, 8])
    assert Complete().parts(three)["neighbours"].values.tolist() == [
        [1, 2, 0, 2, 0, 1],
        [0, 0, 1, 1, 2, 2],
    ]
    for domain in (Particles([1], np.eye(3), (True,) * 3), Mesh(np.eye(3, 2), [[0, 1, 2]])):
        with pytest.raises(DomainError, match="expected particles in open space: set a cutoff"):
            Complete().parts(domain)
    assert neighbourhood("egnn", None, None) == Complete()
    assert neighbourhood("egnn", 2, None) == Neighbours(2.0)
    assert neighbourhood("egnn", None, 4, "x") == Nearest(4, "x")
    with pytest.raises(InputError, match=r"cutoff=2\.0 and nearest=3; expected one of them"):
        neighbourhood("egnn", 2.0, 3)


def sample(x, number=0, step=0, cell=None):
    domain = Particles(np.ones(len(x), int), cell, (cell is not None,) * 3)
    frame = Frame(number, step, 0.0, {"positions": x})
    return Sample(Simulation(number, domain, FIELDS), step, (frame,), (frame,))


TASK = Task(("positions",), ("positions",), lead=0)


def test_molecules_of_a_batch_have_their_own_and_frames_are_looked_at_once(monkeypatch):
    rng, looked = np.random.default_rng(0), []
    clouds = [rng.normal(size=(n, 3)) for n in (3, 1, 5)]
    search = neighbours._within
    monkeypatch.setattr(neighbours, "_within", lambda *a: looked.append(len(a[0])) or search(*a))
    for _ in range(2):
        batch = collate([sample(x, n) for n, x in enumerate(clouds)], TASK, (Neighbours(50.0),))
    assert looked == [3, 1, 5]
    source, receiver = batch.structure["neighbours"]
    assert (batch.geometry["owner"][source] == batch.geometry["owner"][receiver]).all()
    assert receiver.bincount(minlength=9).tolist() == [2, 2, 2, 0, 4, 4, 4, 4, 4]
    assert batch.structure["shift"].dtype == torch.float64


@pytest.mark.parametrize("how", ["noise", "pushforward"])
def test_what_moves_positions_in_training_finds_their_neighbours_anew(how):
    x = np.eye(3)
    task = Task(("positions",), ("positions",), unroll=2)
    frames = [Frame(0, n, float(n), {"positions": x}) for n in range(3)]
    simulation = Simulation(0, Particles(np.ones(3, int)), FIELDS)
    near = Neighbours(2.0)
    batch = collate([Sample(simulation, 0, (frames[0],), tuple(frames[1:]))], task, (near,))
    assert batch.structure["neighbours"].shape == (2, 6)

    class Far(torch.nn.Module):
        normalizer = SimpleNamespace(std=lambda name: torch.tensor(1.0))
        structures = (near,)

        def forward(self, batch):
            return {"positions": 100.0 * batch.inputs["positions"]}

    torch.manual_seed(0)
    change = Noise(100.0) if how == "noise" else Pushforward(1, draw="last")
    found = change(Far(), batch, 0)
    assert not torch.equal(found.inputs["positions"], batch.inputs["positions"])
    assert found.structure["neighbours"].shape == (2, 0)


def test_frames_that_cannot_be_are_one_line():
    x = np.eye(3)
    x[2] = x[0] + 1e-4
    with pytest.raises(
        DomainError, match=r"simulation 4, frame 7: particles 0 and 2 are 0.000173 ap"
    ):
        collate([sample(x, 4, 7)], TASK, (Neighbours(3.0),))
    x[2] = x[0]
    with pytest.raises(DomainError, match="particles 0 and 2 are 0 apart"):
        collate([sample(x)], TASK, (Nearest(1),))
    x[1, 2] = np.nan
    with pytest.raises(DomainError, match=r"particle 1 is at \[0.0, 1.0, nan\]; expected finite"):
        collate([sample(x)], TASK, (Neighbours(3.0),))
    with pytest.raises(InputError, match="expected a length above 0"):
        Neighbours(-1.0)
    with pytest.raises(InputError, match="expected 1 or more"):
        Nearest(0)


def test_a_rollout_that_diverges_has_no_neighbours_there(way):
    x = np.array([[0.0, 0, 0], [np.inf, 0, 0], [0.5, 0, 0], [1e30, 0, 0]])
    pairs, _ = parts_of(Neighbours(1.0).parts(x, None, (False,) * 3))
    assert pairs.tolist() == [[2, 0], [0, 2]]
    assert parts_of(Neighbours(1.0).parts(x[1:2], None, (False,) * 3))[0].shape == (2, 0)
    assert parts_of(Nearest(2).parts(x[:1], None, (False,) * 3))[0].shape == (2, 0)


def test_edges_are_differentiable_and_fade():
    x = torch.tensor([[0.0, 0, 0], [0, 0, 0]], dtype=torch.float64, requires_grad=True)
    pairs = torch.tensor([[1, 0], [0, 1]])
    r = edges.lengths(edges.vectors(x, pairs))
    [slope] = torch.autograd.grad(r.sum(), x)
    assert not slope.any() and not r.any()
    r = torch.tensor([[2.0 - 1e-9], [2.5]], dtype=torch.float64, requires_grad=True)
    value = edges.envelope(r, 2.0)
    for _ in range(3):
        assert value.abs().max() < 1e-6
        [value] = torch.autograd.grad(value.sum(), r, create_graph=True)
    wave = edges.bessel(torch.tensor([[0.0], [0.5]], dtype=torch.float64), 2.0, 3)
    n = torch.arange(1, 4, dtype=torch.float64)
    torch.testing.assert_close(wave[1], torch.sin(n * torch.pi / 4) / 0.5)
    torch.testing.assert_close(wave[0], n * torch.pi / 2)


def test_what_is_kept_of_frames_has_a_limit():
    assert structure.KEPT_OF_FRAMES < structure.KEPT


def test_a_cutoff_far_beyond_all_particles_costs_nothing_and_finds_the_same():
    x, cell = np.random.default_rng(0).normal(size=(6, 3)), 4.0 * np.eye(3)
    every = Neighbours(1e5).parts(x, None, (False,) * 3)["neighbours"].values
    assert every.shape == (2, 30) and len({*map(tuple, every.T)}) == 30
    along = (True, False, False)
    near, far = (Neighbours(c).parts(x, cell, along) for c in (8.0, 80.0))
    gaps = [x[s] - x[r] + part["shift"].values for part in (near, far)
            for s, r in [part["neighbours"].values]]  # fmt: skip
    within = np.linalg.norm(gaps[1], axis=1) < 8.0
    np.testing.assert_allclose(gaps[1][within], gaps[0], atol=1e-12)
    assert np.linalg.norm(gaps[1], axis=1).max() < 80.1 and len(gaps[1]) > 5 * len(gaps[0])
