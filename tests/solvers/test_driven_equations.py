"""Antiderivative, Riccati equation and pendulum under given and under random inputs."""

import subprocess

import numpy as np
import pytest
import truths
import xarray as xr
from programs import ALONE, load, march, rates
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.special import ellipj, ellipk

from sciml.errors import InputError
from sciml.share import find
from sciml.solver.flags import parse
from sciml.solver.mpirun import command, environment

PROGRAMS = ("antiderivative", "nonlinear_ode", "pendulum")

# u(t) for which s(t) is known, with the flags that give its initial state.
KNOWN = {
    "antiderivative": (
        "--start 0.5",
        lambda t: 3.0 * np.cos(3.0 * t),
        lambda t: {"s": 0.5 + np.sin(3.0 * t)},
    ),
    "nonlinear_ode": (
        "--start 0",
        lambda t: 2.0 * np.cos(2.0 * t) + np.sin(2.0 * t) ** 2,
        lambda t: {"s": np.sin(2.0 * t)},
    ),
    "pendulum": (
        "--k 3 --speed 2",
        lambda t: -4.0 * np.sin(2.0 * t) + 3.0 * np.sin(np.sin(2.0 * t)),
        lambda t: {"s1": np.sin(2.0 * t), "s2": 2.0 * np.cos(2.0 * t)},
    ),
}


def driven(name, words, u=None):
    """A program at frame 0; with the same u(t) in all frames, if one is given."""
    cls = load(name)
    run = cls(parse(cls, words.split()))
    if u is not None:
        t = np.linspace(0.0, run.given.end, 2 * run.given.substeps * (run.given.shape[0] - 1) + 1)
        run._random = lambda seed: u(t)
    run.start(ALONE)
    return run


@pytest.mark.parametrize("scheme", ["rk4", "heun"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_order_in_time(name, scheme):
    words, u, s = KNOWN[name]
    errors = []
    for substeps in (2, 4, 8, 16):
        run = driven(
            name, f"{words} --shape 11 --end 1.5 --scheme {scheme} --substeps {substeps}", u
        )
        t, state = run.domain().coordinates(0), run.state()
        np.testing.assert_array_equal(state["u"], u(t))
        errors.append(max(np.abs(state[key] - value).max() for key, value in s(t).items()))
    seen = rates(errors)
    assert abs(seen[-1] - run.order_time[scheme]) < 0.1, f"errors {errors}, rates {seen}"


@pytest.mark.parametrize("u, start", [(2.0, -0.7), (0.0, 1.5), (-1.5, 0.4), (-1.5, 3.0)])
def test_riccati_with_a_constant_input(u, start):
    run = march("nonlinear_ode", amplitude=0, mean=u, start=start, steps=0, substeps=16)
    wanted = truths.riccati_constant_input(run.x(), u, start)
    np.testing.assert_allclose(run.fields["s"][0], wanted, atol=1e-9)
    assert np.ptp(wanted) > 0.5 and (run.fields["u"] == u).all()


def test_a_pendulum_let_go_swings_by_elliptic_functions():
    k, angle = 4.0, 2.5
    end = 2.0 * truths.pendulum_period(angle, k)
    run = march("pendulum", amplitude=0, k=k, angle=angle, end=end, shape=(401,), steps=0)
    s1, s2 = run.fields["s1"][0], run.fields["s2"][0]
    m = np.sin(angle / 2) ** 2
    sn, cn, *_ = ellipj(ellipk(m) - np.sqrt(k) * run.x(), m)
    np.testing.assert_allclose(s1, 2.0 * np.arcsin(np.sqrt(m) * sn), atol=1e-7)
    np.testing.assert_allclose(s2, -2.0 * np.sqrt(m * k) * cn, atol=1e-7)
    assert abs(s1[200] - angle) < 1e-7 and abs(s1[100] + angle) < 1e-7
    assert np.ptp(truths.pendulum_energy(s1, s2, k)) < 1e-7
    assert np.ptp(s1) > 4.9


def test_work_of_the_torque_is_the_energy():
    run = march("pendulum", shape=(401,), steps=3, every=1, seed=2, k=5.0, end=3.0)
    t = run.x()
    for u, s1, s2 in zip(*(run.fields[name] for name in ("u", "s1", "s2")), strict=True):
        work = CubicSpline(t, u * s2).antiderivative()(t)
        np.testing.assert_allclose(truths.pendulum_energy(s1, s2, 5.0), work, atol=1e-7)
        assert np.abs(work).max() > 0.01


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_input_at_two_resolutions(name):
    """Coarse points see what fine ones do; at equal steps even the solution is the same."""
    coarse = march(name, shape=(51,), substeps=8, steps=5, every=1, seed=9)
    fine = march(name, shape=(201,), substeps=2, steps=5, every=1, seed=9)
    finer = march(name, shape=(401,), substeps=4, steps=5, every=1, seed=9)
    for field, values in coarse.fields.items():
        np.testing.assert_array_equal(fine.fields[field][:, ::4], values)
        np.testing.assert_allclose(finer.fields[field][:, ::8], values, atol=1e-9)
    assert np.ptp(coarse.fields["u"]) > 1.0


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_sample_is_the_same_however_many_are_asked_for(name):
    many = march(name, shape=(33,), steps=70, every=1, seed=4).fields
    for steps in (0, 2, 66):
        few = march(name, shape=(33,), steps=steps, every=1, seed=4).fields
        for field, values in few.items():
            np.testing.assert_array_equal(values, many[field][: steps + 1])
    assert len(np.unique(many["u"][:, 0])) == 71


def test_a_file_says_what_its_axis_is(tmp_path):
    out = tmp_path / "s.nc"
    path = find("solvers/antiderivative.py")
    words = f"--shape 23 --steps 70 --every 7 --seed 3 --out {out}".split()
    done = subprocess.run(
        command(path, 1, words), env=environment(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    run = march("antiderivative", shape=(23,), steps=70, every=7, seed=3)
    with xr.open_dataset(out) as ds:
        assert ds.u.dims == ("time", "x") and ds.x.attrs["units"] == "s"
        assert list(ds.time.values) == [7.0 * i for i in range(11)]
        np.testing.assert_array_equal(ds.s.values, run.fields["s"])


def test_covariance_of_the_inputs():
    """exp(−(t − t')² / 2 length²) between all points, the two ends included."""
    run = march(
        "antiderivative", shape=(11,), steps=999, every=1, length=0.3, amplitude=2.0, mean=1
    )
    u = run.fields["u"] - 1.0
    t = run.x()
    wanted = 4.0 * np.exp(-((t[:, None] - t) ** 2) / (2 * 0.3**2))
    assert np.abs(u.T @ u / len(u) - wanted).max() < 5.0 * 4.0 * np.sqrt(2.0 / len(u))
    assert wanted[0, -1] < 0.02


def test_inputs_without_a_solution_are_drawn_again(capsys):
    """With y'' = u y, s = y'/y passes −100 for those that were; the others stay."""
    flags = {"shape": (101,), "steps": 40, "every": 1, "seed": 3, "mean": -2.2}
    kept = march("nonlinear_ode", log="info", **flags).fields
    drawn = march("antiderivative", **flags).fields["u"]
    assert kept["s"].min() > -100.0
    again = (kept["u"] != drawn).any(axis=1)
    assert 5 < again.sum() < 36
    said = [line for line in capsys.readouterr().err.splitlines() if "drawn again" in line]
    assert f"{again.sum()} inputs without a solution" in said[0]

    def passes(u):
        u = CubicSpline(np.linspace(0.0, 1.0, 101), u)

        def bound(t, y):
            return y[1] + 100.0 * y[0]

        bound.terminal = True
        y = solve_ivp(lambda t, y: [y[1], u(t) * y[0]], (0, 1), [1.0, 0.0], events=bound, rtol=1e-9)
        return y.t[-1] < 1.0

    assert [passes(u) for u in drawn] == list(again)


def test_no_solution_for_any_input():
    cls = load("nonlinear_ode")
    run = cls(parse(cls, ["--mean", "-10", "--amplitude", "0.1", "--shape", "11"]))
    with pytest.raises(
        InputError, match=r"sample 0: \|s\| reaches 100 before end=1 for 100 inputs"
    ):
        run.start(ALONE)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--shape 1", "shape=1; expected 2 or more"),
        ("--substeps 0", "substeps=0; expected 1 or more"),
        ("--end 0", "end=0.0; expected 1e-09 or more"),
        ("--length 0", "length=0 is out of range"),
        ("--amplitude -1", "amplitude=-1 is out of range"),
        ("--scheme etdrk4", "scheme=etdrk4; expected one of rk4, heun"),
        ("--end 100 --length 0.1", "steps of 0.2525 s, longer than half of length=0.1 s"),
        ("--end 1e6 --shape 100000 --length 0.02 --substeps 10000", "modes; expected 1048576"),
        ("--sensors 100", "unknown flag --sensors"),
    ],
)
def test_bad_input_is_one_line(name, words, message):
    cls = load(name)
    with pytest.raises(InputError) as caught:
        cls(parse(cls, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)
