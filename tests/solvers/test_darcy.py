"""The Darcy program: exact layers, its coefficients, and bad input."""

import numpy as np
import pytest
import truths
from programs import ALONE, made, started

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel import ConjugateGradient, Decomposition, Diffusion, GlobalSum, Multigrid


@pytest.mark.parametrize("coefficient", ["thresholded", "smooth"])
def test_converges_for_random_coefficients(coefficient):
    """Against a grid twice as fine as the finest: order 2 for smooth ones, 1 or more for jumps."""
    fields = {}
    for n in (33, 65, 129, 257):
        words = f"--shape {n} {n} --coefficient {coefficient} --seed 3 --modes 16"
        u = started("darcy", words).state()["u"]
        fields[n] = u[:: (n - 1) // 32, :: (n - 1) // 32]
    errors = [np.linalg.norm(fields[n] - fields[257]) for n in (33, 65, 129)]
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    least = 1.9 if coefficient == "smooth" else 0.5
    assert rates.min() > least, f"errors {errors}, rates {rates}"


def test_layers_are_exact():
    """Across layers whose borders are faces, points hold the exact solution and faces its flux."""
    n = 21
    grid = Grid((8, n), ((0.0, 1.0), (0.0, 1.0)), ("neumann", "dirichlet"))
    h = grid.spacing[1]
    # Borders halfway between points: the third layer's at 6.5 h, 14.5 h.
    values, widths = (1.0, 500.0, 0.2), (6.5 * h, 8.0 * h, 5.5 * h)
    line = np.repeat(values, (7, 8, 6))
    exact = truths.darcy_layered_solution(grid.coordinates(1), values, widths, (3.0, 1.0))
    cut = Decomposition(grid, 1, 2)
    operator, multigrid = Diffusion(ALONE, cut), Multigrid(ALONE, cut)
    operator.update(np.tile(line, (8, 1)))
    multigrid.update(operator.faces)
    u, load = operator.halo.allocate(), np.zeros(operator.shape)
    operator.halo.owned(u)[:, 0], operator.halo.owned(u)[:, -1] = exact[0], exact[-1]
    operator.on(u, load)
    free = np.zeros(operator.shape)
    ConjugateGradient(
        operator.apply, GlobalSum(ALONE), operator.shape, tolerance=1e-14, precondition=multigrid
    ).solve(-load, free)
    u[operator.inner] = free
    got = operator.halo.owned(u)
    np.testing.assert_allclose(got, np.tile(exact, (8, 1)), rtol=1e-11)
    k = 2.0 * line[:-1] * line[1:] / (line[:-1] + line[1:])
    np.testing.assert_allclose(
        -k * np.diff(got[3]) / h, truths.darcy_harmonic_mean(values, widths) * 2.0
    )


def test_both_phases_are_in_every_sample():
    """As in the published files of FNO's Darcy flow: a share of 0.50 ± 0.05, from 0.34 to 0.64; with the
    mean of g it would be 0.50 ± 0.33, and one sample in eight uniform."""
    run = started("darcy", "--shape 33 33 --modes 32 --seed 1")
    shares = np.array([(run.coefficient(n) == run.given.high).mean() for n in range(200)])
    assert abs(shares.mean() - 0.5) < 0.02
    assert 0.04 < shares.std() < 0.08 and shares.min() > 0.2 and shares.max() < 0.8


@pytest.mark.parametrize("length", [0.2, 0.5])
def test_the_smooth_coefficient_has_its_covariance_everywhere(length):
    """At walls and corners too: between Neumann walls the variance would be 2 and 4 there."""
    run = started("darcy", f"--shape 9 9 --coefficient smooth --contrast 0.5 --length {length}")
    g = np.array([np.log(run.coefficient(n)) / 0.5 for n in range(400)])
    places = np.array([(0, 0), (0, 4), (8, 8), (4, 0), (4, 4), (1, 1)])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) / 8.0
    wanted = np.exp(-(apart**2) / (2.0 * length**2))
    np.testing.assert_allclose(np.cov(g[:, places[:, 0], places[:, 1]].T), wanted, atol=0.25)
    few, many = (
        started("darcy", f"--shape 9 9 --coefficient smooth --length {length} --modes {modes}")
        for modes in (4, 128)
    )
    rough = [np.abs(np.diff(np.log(run.coefficient(0)), axis=0)).mean() for run in (few, many)]
    assert rough[0] < rough[1] or length == 0.5


@pytest.mark.parametrize("coefficient", ["smooth", "thresholded", "rough", "multiscale"])
def test_frames_are_samples_of_their_own(coefficient):
    words = f"--shape 40 36 --coefficient {coefficient} --seed 4"
    run = started("darcy", words)
    first = {name: field.copy() for name, field in run.state().items()}
    assert run.step(0) == 1.0
    second = {name: field.copy() for name, field in run.state().items()}
    assert np.abs(second["a"] - first["a"]).max() > 0.1
    assert first["a"].shape == (40, 36) and first["a"].min() > 0.0
    if coefficient in ("thresholded", "rough"):
        low = 3.0 if coefficient == "thresholded" else 2.0
        assert set(np.unique(first["a"])) == {low, 12.0}
    for fields in (first, second):
        u = fields["u"]
        assert u[1:-1, 1:-1].min() > 0.0  # the maximum principle
        assert not u[[0, -1]].any() and not u[:, [0, -1]].any()
    # Whatever was solved for before, a sample depends on the seed and its number alone.
    again = started("darcy", words)
    again.sample(1)
    np.testing.assert_array_equal(again.state()["u"], second["u"])
    other = started("darcy", words.replace("--seed 4", "--seed 5"))
    assert np.abs(other.state()["a"] - second["a"]).max() > 0.1


def test_balance_of_source_and_flux():
    """What the source gives leaves through the walls."""
    run = started("darcy", "--shape 50 50 --source 3 --tolerance 1e-12")
    u = run.state()["u"]
    k = [run.operator.halo.owned(f) for f in run.operator.faces]
    # Faces between walls and their neighbors, each flux times the side of a cell over its area.
    out = (k[0][0] * u[1]).sum() + (k[1][:, 0] * u[:, 1]).sum()
    out += (k[0][-2] * u[-2]).sum() + (k[1][:, -2] * u[:, -2]).sum()
    assert out == pytest.approx(3.0 * 48 * 48, rel=1e-9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--coefficient rough --low 3.5", "coefficient=rough has low=2; leave out --low"),
        ("--high 100 --low 0.01", "differ by 10000; expected a factor of 1000"),
        ("--low 0", "low=0 is out of range"),
        ("--contrast 3", "contrast=3 is out of range"),
        ("--alpha 1", "alpha=1 is out of range"),
        ("--shape 3 9", "shape"),
        ("--coefficient ruff", "coefficient"),
        ("--tolerance 0", "tolerance"),
        ("--permeability 3", "unknown flag --permeability"),
    ],
)
def test_bad_input_is_one_line(words, message):
    with pytest.raises(InputError) as caught:
        made("darcy", words)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_task_must_not_advance_samples_in_time():
    from sciml.run.simulations import check
    from sciml.solver.program_description import describe
    from sciml.study.schema import Study

    assert describe("solvers/darcy.py").steady and not describe("solvers/heat.py").steady
    study = {
        "schema_version": 1,
        "name": "darcy",
        "solver": {"program": "solvers/darcy.py", "options": {"shape": [16, 16], "steps": 3}},
        "parameters": {"simulations": 2},
        "task": {"inputs": ["a"], "targets": ["u"]},
        "model": {"name": "fno"},
    }
    with pytest.raises(InputError, match=r"task\.lead: 1, .*darcy.*; set task\.lead: 0"):
        check(Study(**study))
    study["task"]["lead"] = 0
    assert check(Study(**study)).name == "darcy"
