"""Diffusion on networks: the matrix exponential, what is kept, pieces, graphs of their own."""

import numpy as np
import pytest
from programs import load, made, march, started
from scipy.linalg import expm

from sciml.equations import network_diffusion
from sciml.errors import InputError
from sciml.solver.flags import parse


def dense(program):
    """L by its definition."""
    matrix = np.zeros((program.graph.nodes,) * 2)
    for (source, receiver), w in zip(program.graph.edges.T, program.conductance, strict=True):
        matrix[receiver, source] -= w
        matrix[receiver, receiver] += w
    return matrix


def test_the_matrix_exponential():
    run = march("network_diffusion", nodes=60, radius=0.25, steps=200, every=50, dt=5e-3)
    matrix = dense(run.program)
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.abs(matrix.sum(1)).max() < 1e-12 * np.abs(matrix).max()
    for t, u in zip(run.times, run.fields["u"], strict=True):
        np.testing.assert_allclose(u, expm(-matrix * t) @ run.fields["u"][0], atol=1e-7)
    assert np.abs(run.fields["u"][-1] - run.fields["u"][0]).max() > 0.1


def test_the_bound_on_decay_rates():
    run = started("network_diffusion", nodes=60, radius=0.25, contrast=1.5)
    rates = np.linalg.eigvalsh(dense(run))
    bound = network_diffusion.fastest_decay(60, run.graph.edges, run.conductance)
    assert abs(rates[0]) < 1e-9 and 0.5 * bound < rates[-1] <= bound


def test_the_sum_stays_in_each_piece():
    options = {"nodes": 30, "radius": 0.15, "seed": 1, "median": 20.0, "steps": 4000, "dt": 5e-3}
    run = march("network_diffusion", **options)
    [warned] = run.program.warnings.all()
    assert warned.kind == "network in pieces" and "raise --radius" in warned.message
    first, last = run.fields["u"]
    null = np.linalg.eigh(dense(run.program))
    pieces = null.eigenvectors[:, np.abs(null.eigenvalues) < 1e-9]
    assert pieces.shape[1] == warned.value > 1
    np.testing.assert_allclose(pieces.T @ last, pieces.T @ first, atol=1e-11)
    np.testing.assert_allclose(last, pieces @ (pieces.T @ first), atol=1e-6)  # even in each


def test_each_seed_has_a_graph_of_its_own():
    one, same, other = (made("network_diffusion", seed=seed) for seed in (1, 1, 2))
    assert one.graph == same.graph != other.graph
    np.testing.assert_array_equal(one.conductance, same.conductance)
    kept = [made("network_diffusion", seed=seed, network=1) for seed in (1, 2)]
    assert kept[0].graph == kept[1].graph and (kept[0].places != kept[1].places).any()
    np.testing.assert_array_equal(kept[0].conductance, kept[1].conductance)
    source, receiver = one.graph.edges
    apart = np.linalg.norm(one.position[source] - one.position[receiver], axis=1)
    assert apart.min() > 0.0 and apart.max() <= one.given.radius
    pairs = {(*edge,) for edge in one.graph.edges.T}
    assert len(pairs) == len(source) and {(j, i) for i, j in pairs} == pairs
    close = np.linalg.norm(one.position[:, None] - one.position, axis=-1) < one.given.radius
    assert len(pairs) == close.sum() - one.given.nodes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--nodes 1", "nodes=1; expected 2 or more"),
        ("--radius 0.001 --nodes 5", "radius=0.001 joins no two of 5 nodes"),
        ("--dt 1", "the stable limit of rk4 on this network; lower --dt"),
        ("--scheme etdrk4", "scheme=etdrk4; expected one of rk4"),
    ],
)
def test_bad_input_is_one_line(words, message):
    cls = load("network_diffusion")
    with pytest.raises(InputError) as caught:
        cls(parse(cls, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)
