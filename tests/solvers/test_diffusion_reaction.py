"""Diffusion–reaction: sine modes, the reaction alone, orders, resolutions, bad input."""

import numpy as np
import pytest
import truths
from programs import ALONE, load, march, rates

from sciml.equations import diffusion_reaction as equation
from sciml.errors import InputError
from sciml.solver.flags import parse


def with_source(words, u):
    cls = load("diffusion_reaction")
    run = cls(parse(cls, words.split()))
    run.random = lambda seed: u(run.domain().coordinates(1))
    run.start(ALONE)
    return run


def coordinates(run):
    return np.ix_(*(run.domain().coordinates(axis) for axis in (0, 1)))


@pytest.mark.parametrize("diffusivity", [0.01, 0.3])
def test_order_in_space_by_sine_modes(diffusivity):
    """Without reaction, each mode of u grows to its steady size by itself."""
    errors = []
    for n in (17, 33, 65, 129):
        steps = max(2, round(diffusivity * 0.2 * (n - 1) ** 2))
        words = f"--shape 11 {n} --k 0 --diffusivity {diffusivity} --substeps {steps}"
        run = with_source(words, lambda x: np.sin(np.pi * x) - 2.0 * np.sin(3.0 * np.pi * x))
        t, x = coordinates(run)
        one, three = (equation.linear_mode(x, t, mode, diffusivity) for mode in (1, 3))
        errors.append(np.abs(run.state()["s"] - (one - 2.0 * three)).max())
    seen = rates(errors)
    assert np.abs(seen - run.order_space).max() < 0.05, f"errors {errors}, rates {seen}"
    assert errors[0] < 0.05


@pytest.mark.parametrize("k", [0.8, -2.0])
def test_the_reaction_away_from_the_ends(k):
    """Where diffusion has not come yet, r = −k s obeys dr/dt = −r² − k u."""
    run = march("diffusion_reaction", k=k, diffusivity=1e-6, amplitude=0, mean=1.5, steps=0)
    t = run.x()
    s = run.fields["s"][0]
    wanted = truths.riccati_constant_input(t, -k * 1.5, 0.0) / -k
    np.testing.assert_allclose(s[:, 50], wanted, atol=1e-8)
    assert (s[:, 0] == 0.0).all() and (s[:, -1] == 0.0).all() and (s[0] == 0.0).all()


def test_the_source_is_one_function_at_all_times_and_resolutions():
    coarse = march("diffusion_reaction", shape=(5, 26), steps=3, every=1, seed=8, substeps=8).fields
    fine = march("diffusion_reaction", shape=(9, 101), steps=3, every=1, seed=8, substeps=32).fields
    assert coarse["u"].shape == (4, 5, 26)
    assert (coarse["u"] == coarse["u"][:, :1]).all()
    np.testing.assert_allclose(fine["u"][:, ::2, ::4], coarse["u"], atol=1e-13)
    assert np.abs(fine["s"][:, ::2, ::4] - coarse["s"]).max() < 0.02 * np.abs(fine["s"]).max()
    assert len(np.unique(coarse["u"][:, 0, 0])) == 4


def test_the_equation_holds_for_what_is_given():
    run = march("diffusion_reaction", shape=(201, 201), substeps=8, steps=1, every=1, k=0.4)
    (dt, h), (u, s) = run.program.domain().spacing, (run.fields[name] for name in "us")
    s_t = (s[:, 2:] - s[:, :-2])[..., 1:-1] / (2.0 * dt)
    s_xx = (s[..., 2:] - 2.0 * s[..., 1:-1] + s[..., :-2])[:, 1:-1] / h**2
    inner = np.s_[:, 1:-1, 1:-1]
    left = equation.residual(s[inner], s_t, s_xx, u[inner], 0.01, 0.4)[:, 40:]
    assert np.abs(left).max() < 2e-3 and np.abs(s_t).max() > 0.5 and np.abs(0.01 * s_xx).max() > 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--shape 100", "shape"),
        ("--shape 100 2", "shape=2; expected 3 or more"),
        (
            "--shape 11 101 --substeps 4",
            "stable limit of rk4 on 101 points; expected --substeps 15",
        ),
        ("--diffusivity 0", "diffusivity=0 is out of range"),
        ("--d 0.01", "unknown flag --d"),
    ],
)
def test_bad_input_is_one_line(words, message):
    cls = load("diffusion_reaction")
    with pytest.raises(InputError) as caught:
        cls(parse(cls, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_stable_steps_that_it_asks_for_are_stable():
    for scheme, substeps in (("rk4", 15), ("heun", 20)):
        run = march(
            "diffusion_reaction", shape=(11, 101), substeps=substeps, scheme=scheme, end=5.0,
            diffusivity=2e-3, steps=0,
        )  # fmt: skip
        assert np.abs(run.fields["s"]).max() < 20.0
