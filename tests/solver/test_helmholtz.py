"""The Helmholtz program: its stated order, an exact standing wave, ranks, and bad input."""

import importlib.util
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from sciml.equations import helmholtz
from sciml.errors import InputError
from sciml.share import find
from sciml.solver.flags import parse
from sciml.solver.mpirun import command, environment

ALONE = SimpleNamespace(rank=0, size=1)


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("helmholtz_program", find("solvers/helmholtz.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Helmholtz


def started(program, words, **methods):
    run = program(parse(program, words.split()))
    for name, method in methods.items():
        setattr(run, name, method(run))
    run.start(ALONE)
    return run


def rates(errors):
    return np.log2(np.divide(errors[:-1], errors[1:]))


def manufactured(program, n, vary):
    """Largest error for k around 9, where eight eigenvalues lie below k²."""
    points, mode = np.ix_(*[np.linspace(0.0, 1.0, n)] * 2), (3, 2)
    c = 1.0 + vary * np.cos(np.pi * points[0]) * np.cos(2.0 * np.pi * points[1])
    source = helmholtz.manufactured_source(points, mode, 9.0 / c)
    run = started(
        program,
        f"--shape {n} {n} --omega 9 --speed 2 --variation 0",
        wave_speed=lambda run: lambda number: c,
        load=lambda run: lambda q: run.points.weighted(source),
    )
    return np.abs(run.u - helmholtz.manufactured_solution(points, mode)).max()


@pytest.mark.parametrize(("vary", "order"), [(0.3, None), (0.0, 4)])
def test_order_in_space(program, vary, order):
    """The stated order where the medium varies, the fourth where it does not."""
    errors = [manufactured(program, n, vary) for n in (33, 65, 129)]
    expected = order or program.order_space
    assert np.abs(rates(errors) - expected).max() < 0.25, (errors, rates(errors))


def test_a_standing_wave(program):
    """Driven along all of the side y = 1 in an even medium: one-dimensional, and exact but for the
    phase error of the stencil."""
    k, errors = 20.0, []
    for n in (41, 81, 161):
        run = started(
            program, f"--shape {n} {n} --omega 40 --speed 2 --variation 0 --left 0 --right 1"
        )
        exact = helmholtz.standing_wave(run.grid.coordinates(0), k)
        assert np.ptp(run.u, axis=1).max() < 1e-9
        errors.append(np.abs(run.u[:, 0] - exact).max())
    assert np.abs(rates(errors) - 4.0).max() < 0.15, (errors, rates(errors))


def test_converges_for_random_media(program):
    """At 400, three wavelengths a side, 101 points are within a few per cent of 201."""
    fields = {}
    for n in (51, 101, 201):
        run = started(program, f"--shape {n} {n} --omega 400 --modes 24")
        fields[n] = run.u[:: (n - 1) // 50, :: (n - 1) // 50]
    errors = [
        np.linalg.norm(fields[n] - fields[201]) / np.linalg.norm(fields[201]) for n in (51, 101)
    ]
    assert errors[1] < 0.02 and errors[0] > 2.0 * errors[1], errors


def test_frames_are_samples_that_satisfy_the_equation(program):
    run = started(program, "--seed 2")
    first = {name: field.copy() for name, field in run.state().items()}
    assert run.step(0) == 1.0
    second = run.state()
    assert np.abs(second["c"] - first["c"]).max() > 0.1
    for fields in (first, second):
        c, u = fields["c"], fields["u"]
        assert 19.0 <= c.min() < c.max() <= 21.0
        laplacian = np.diff(u, 2, 0)[:, 1:-1] + np.diff(u, 2, 1)[1:-1]
        # Second-order differences see the wave with an error of (kh)²/12, 2 per cent here.
        left = helmholtz.residual(laplacian * 1e4, u[1:-1, 1:-1], 1000.0 / c[1:-1, 1:-1])
        assert np.linalg.norm(left) < 0.03 * np.linalg.norm(laplacian * 1e4)
        # What flows in at y = 1: the slope half a cell below, and what half a cell takes up.
        along = np.diff(u[-1], 2) * 1e4 + (1000.0 / c[-1, 1:-1]) ** 2 * u[-1, 1:-1]
        slope = (u[-1] - u[-2])[1:-1] / 0.01 - 0.005 * along
        driven = np.zeros(101)
        driven[36:65], driven[[35, 65]] = 1.0, 0.5  # from 0.35 to 0.65
        assert np.linalg.norm(slope - driven[1:-1]) < 0.1 * np.linalg.norm(driven)
        assert run.residual < 1e-10
    again = started(program, "--seed 2")
    again.sample(1)
    np.testing.assert_array_equal(again.u, second["u"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--shape 64 64",
            "7.52 points to the shortest wavelength; expected 10 or more: --shape 85 85",
        ),
        ("--omega 2000", "5.97 points"),
        ("--variation 19", "nine tenths"),
        ("--left 0.7", "expected left < right"),
        ("--shape 101 500", "421 at most"),
        ("--speed 1", "speed=1 is out of range"),
        ("--omga 3", "did you mean 'omega'"),
    ],
)
def test_bad_input_is_one_line(program, words, message):
    with pytest.raises(InputError) as caught:
        program(parse(program, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_shape_that_is_named_will_do(program):
    program(parse(program, ["--shape", "85", "85"]))


def test_same_fields_on_any_ranks(tmp_path):
    fields = {}
    for ranks in (1, 2, 3, 5):
        out = tmp_path / f"{ranks}.nc"
        words = f"--shape 42 50 --omega 400 --steps 2 --seed 5 --out {out}".split()
        done = subprocess.run(
            command(find("solvers/helmholtz.py"), ranks, words),
            env=environment(), capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with xr.open_dataset(out) as ds:
            fields[ranks] = ds.load()
    one = fields[1]
    for ranks in (2, 3, 5):
        np.testing.assert_array_equal(fields[ranks].c.values, one.c.values)
        difference = np.linalg.norm(fields[ranks].u.values - one.u.values)
        assert difference <= 1e-11 * np.linalg.norm(one.u.values)
