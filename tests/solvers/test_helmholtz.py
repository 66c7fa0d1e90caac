"""The Helmholtz program: an exact standing wave, its order where the medium is even, and bad input."""

import numpy as np
import pytest
import truths
from programs import made, rates, started

from sciml.equations import helmholtz
from sciml.errors import InputError


def test_even_media_are_of_fourth_order():
    errors = []
    for n in (33, 65, 129):
        points, mode = np.ix_(*[np.linspace(0.0, 1.0, n)] * 2), (3, 2)
        source = truths.helmholtz_manufactured_source(points, mode, 9.0)
        run = started(
            "helmholtz",
            f"--shape {n} {n} --omega 9 --speed 2 --variation 0",
            {
                "wave_speed": lambda run, n=n: lambda number: np.ones((n, n)),
                "load": lambda run, source=source: lambda q: run.points.weighted(source),
            },
        )
        errors.append(np.abs(run.u - truths.helmholtz_manufactured_solution(points, mode)).max())
    assert np.abs(rates(errors) - 4.0).max() < 0.25, (errors, rates(errors))


def test_a_standing_wave():
    """Driven along all of the side y = 1 in an even medium: one-dimensional, and exact but for the
    phase error of the stencil."""
    k, errors = 20.0, []
    for n in (41, 81, 161):
        run = started(
            "helmholtz", f"--shape {n} {n} --omega 40 --speed 2 --variation 0 --left 0 --right 1"
        )
        exact = truths.helmholtz_standing_wave(run.grid.coordinates(0), k)
        assert np.ptp(run.u, axis=1).max() < 1e-9
        errors.append(np.abs(run.u[:, 0] - exact).max())
    assert np.abs(rates(errors) - 4.0).max() < 0.15, (errors, rates(errors))


def test_converges_for_random_media():
    """At 400, three wavelengths a side, 101 points are within a few per cent of 201."""
    fields = {}
    for n in (51, 101, 201):
        run = started("helmholtz", f"--shape {n} {n} --omega 400 --modes 24")
        fields[n] = run.u[:: (n - 1) // 50, :: (n - 1) // 50]
    errors = [
        np.linalg.norm(fields[n] - fields[201]) / np.linalg.norm(fields[201]) for n in (51, 101)
    ]
    assert errors[1] < 0.02 and errors[0] > 2.0 * errors[1], errors


def test_frames_are_samples_that_satisfy_the_equation():
    run = started("helmholtz", "--seed 2")
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
    again = started("helmholtz", "--seed 2")
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
def test_bad_input_is_one_line(words, message):
    with pytest.raises(InputError) as caught:
        made("helmholtz", words)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_shape_that_is_named_will_do():
    made("helmholtz", "--shape 85 85")
