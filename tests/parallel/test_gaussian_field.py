"""Gaussian fields have the covariance that is asked for, and depend on the seed alone."""

from math import pi, sqrt

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel import (
    Decomposition,
    GaussianField,
    LaplacianPower,
    Matern,
    SmoothField,
    SquaredExponential,
)
from sciml.parallel.box_series import SeriesAxis, evaluate

KINDS = ("periodic", "neumann", "dirichlet", "open")
MIXED = [("periodic", "dirichlet"), ("neumann", "periodic", "open"), ("open", "neumann")]


def grid(shape, kind="neumann"):
    """Walls hold both ends, so that points from 0 to 1 are seen by all kinds of fields."""
    return Grid(shape, ((0.0, 3.0),) * len(shape), (kind,) * len(shape))


def eigenfunctions(axis, s):
    """Those of one axis at fractions ``s`` of the box: (points, modes); waves are exp(iθ)."""
    theta = np.outer(s, axis.numbers) * pi
    if axis.waves:
        return np.exp(2j * theta / axis.period)
    if axis.kind == "dirichlet":
        return sqrt(2.0) * np.sin(theta)
    return np.where(axis.numbers == 0, 1.0, sqrt(2.0)) * np.cos(theta)


@pytest.mark.parametrize("on", ["periodic", "dirichlet"])
@pytest.mark.parametrize("points", [2, 3, 8, 13, 40])
@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), *MIXED])
def test_series_are_summed_exactly_at_any_resolution(kinds, points, on):
    axes = [
        SeriesAxis(kind, 9 - i, period=3 if kind == "open" else 1) for i, kind in enumerate(kinds)
    ]
    shape = tuple(points + i for i in range(len(kinds)))
    amplitudes = np.random.default_rng(0).standard_normal([len(a.numbers) for a in axes])
    # cos θ − sin θ is the real part of (1 + i) exp(iθ).
    expected = amplitudes * (1.0 + 1j if any(a.waves for a in axes) else 1.0)
    for i, axis in enumerate(axes):
        s = np.arange(shape[i]) / (shape[i] if on == "periodic" else shape[i] - 1)
        expected = np.moveaxis(np.tensordot(eigenfunctions(axis, s), expected, (1, i)), 0, i)
    got = evaluate(amplitudes, axes, grid(shape, on))
    np.testing.assert_allclose(got, expected.real, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kinds", [*((kind,) * n for kind in KINDS for n in (1, 2, 3)), *MIXED])
def test_any_ranks_and_any_resolution_see_one_field(kinds):
    ndim = len(kinds)
    field = GaussianField(
        5, ndim, LaplacianPower(1.0, 3.0, 2.0), modes=11, boundary=kinds, mean=2.0
    )
    for on, fine, coarse in (("neumann", 25, 13), ("periodic", 24, 12)):
        points = grid((fine,) * ndim, on)
        whole = field.on(points)
        for ranks in (2, 3, 7):
            for block in Decomposition(points, ranks).blocks:
                np.testing.assert_array_equal(field.on(points, block), whole[block.slices])
        # The coarse grid does not resolve the 11 modes; it still sees their values.
        restricted = whole[(slice(None, None, 2),) * ndim]
        np.testing.assert_allclose(
            field.on(grid((coarse,) * ndim, on)), restricted, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("kind", KINDS)
def test_more_modes_add_detail_to_the_same_field(kind):
    def sample(modes, seed=1):
        covariance = LaplacianPower(1.0, 2.0, 2.0)
        return GaussianField(seed, 2, covariance, modes=modes, boundary=kind).on(grid((81, 81)))

    few, many = sample(5), sample(19)
    assert np.abs(many - few).max() > 0.01 * np.ptp(few)
    # What was added is orthogonal to what was there.
    axis = SeriesAxis(kind, 5, period=2 if kind == "open" else 1)
    added = GaussianField(1, 2, LaplacianPower(1.0, 2.0, 2.0), modes=19, boundary=kind, period=2)
    keep = [np.abs(a.numbers) <= 5 for a in added._axes]
    expected = evaluate(added._amplitudes[np.ix_(*keep)], [axis, axis], grid((81, 81)))
    np.testing.assert_allclose(few, expected, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(sample(5), few)
    assert np.abs(sample(5, seed=2) - few).max() > 0.1 * np.ptp(few)


COVARIANCES = [
    LaplacianPower(7.0**1.5, 7.0, 2.5),
    Matern(0.7, 0.3, 1.5),
    SquaredExponential(2.0, 0.2),
]


@pytest.mark.parametrize(
    ("covariance", "kind"),
    # One with each kind of series, each with one of them.
    [
        pytest.param(c, k, marks=() if c is COVARIANCES[1] or k == KINDS[0] else pytest.mark.slow)
        for c in COVARIANCES
        for k in KINDS
    ],
)
def test_samples_have_the_covariance_of_the_series(covariance, kind):
    n, seeds, modes, sides = 7, 1500, 6, (1.0, 2.0)
    points = grid((n, 2))
    samples = np.array(
        [
            GaussianField(
                seed, 2, covariance, modes=modes, boundary=kind, mean=0.5, sides=sides
            ).on(points)
            for seed in range(seeds)
        ]
    ).reshape(seeds, -1)
    period = 2 if kind == "open" else 1
    axes = [SeriesAxis(kind, modes, side, period) for side in sides]
    k2 = sum(np.ix_(*(axis.wave_numbers**2 for axis in axes)))
    eigenvalues = covariance(k2, 2) / (2.0 * period**2)
    phi = [eigenfunctions(a, np.linspace(0, 1, m)) for a, m in zip(axes, (n, 2), strict=True)]
    basis = np.einsum("ik,jl->ijkl", *phi).reshape(2 * n, -1)
    # Of waves, E f(x) f(y) = Σ λ cos(κ·(x − y)).
    expected = ((basis * eigenvalues.ravel()) @ basis.conj().T).real
    # Chance moves a mean by σ / √seeds, a covariance by √2 σ² / √seeds at most: 5 of these.
    size = np.sqrt(np.diag(expected))
    assert np.all(np.abs(samples.mean(0) - 0.5) <= 5.0 * size / sqrt(seeds) + 1e-15)
    error = np.abs(np.cov(samples.T, ddof=0) - expected)
    assert np.all(error <= 5.0 * sqrt(2.0 / seeds) * np.outer(size, size) + 1e-15)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(
    ("covariance", "kernel"),
    [
        (Matern(1.3, 0.15, 0.5), lambda r: 1.69 * np.exp(-r / 0.15)),
        (
            Matern(1.0, 0.2, 2.5),
            lambda r: (1 + sqrt(5) * r / 0.2 + 5 * r**2 / 0.12) * np.exp(-sqrt(5) * r / 0.2),
        ),
        (SquaredExponential(0.5, 0.2), lambda r: 0.25 * np.exp(-(r**2) / 0.08)),
    ],
)
def test_spectra_are_those_of_the_kernels(covariance, kernel, ndim):
    modes, length = {1: 20000, 2: 700, 3: 90}[ndim], 4.0
    m = np.arange(-modes, modes + 1)
    k2 = sum(np.ix_(*[(2 * pi * m / length) ** 2] * ndim))
    lines = covariance(k2, ndim).sum(axis=tuple(range(1, ndim))) / length**ndim
    distance = np.array([0.0, 0.1, 0.3, 0.7])
    got = np.cos(2 * pi * np.outer(distance, m) / length) @ lines
    if getattr(covariance, "nu", 9.0) < 1.0 and ndim > 1:
        # Of a rough field much of the variance is beyond the last mode, little of what is correlated.
        assert 0.9 * kernel(0.0) < got[0] < kernel(0.0)
        np.testing.assert_allclose(got[1:], kernel(distance[1:]), rtol=0, atol=3e-3)
    else:
        np.testing.assert_allclose(got, kernel(distance), rtol=0, atol=3e-4)


def test_walls():
    covariance = LaplacianPower(1.0, 3.0, 2.0)
    zero = GaussianField(0, 2, covariance, modes=40, boundary="dirichlet").on(grid((33, 41)))
    edges = np.concatenate([zero[0], zero[-1], zero[:, 0], zero[:, -1]])
    assert np.all(edges == 0.0) and np.abs(zero).max() > 0.01
    n = 2049
    flat = GaussianField(0, 1, covariance, modes=12, boundary="neumann").on(grid((n,)))
    slope = np.gradient(flat, 1.0 / (n - 1), edge_order=2)
    assert np.abs(slope).max() > 0.1
    assert np.abs(slope[[0, -1]]).max() < 1e-4 * np.abs(slope).max()


def test_the_mean_mode():
    plain = LaplacianPower(1.0, 0.0, 2.0)
    for kind, n in (("periodic", 32), ("neumann", 33)):
        field = GaussianField(3, 2, plain, modes=8, boundary=kind, drop_mean=True, mean=4.0)
        values = field.on(grid((n, n), kind))
        if kind == "neumann":  # trapezoidal weights
            values = (values[1:] + values[:-1]) / 2.0
            values = (values[:, 1:] + values[:, :-1]) / 2.0
        assert values.mean() == pytest.approx(4.0, abs=1e-13) and np.ptp(values) > 0.01
        with pytest.raises(InputError, match="no finite size; set drop_mean, or a positive tau"):
            GaussianField(3, 2, plain, boundary=kind)
    assert np.ptp(GaussianField(3, 2, plain, boundary="dirichlet").on(grid((9, 9)))) > 0.01


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None])
def test_bad_seeds_are_refused(seed):
    for field in (lambda: GaussianField(seed, 1, Matern()), lambda: SmoothField(seed, 1)):
        with pytest.raises(InputError, match=r"seed .*; expected a whole number ≥ 0") as caught:
            field()
        assert "\n" not in str(caught.value) and repr(seed) in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ndim": 4}, "4 dimensions; expected 1, 2 or 3"),
        ({"modes": 0}, "modes=0; expected a whole number"),
        ({"modes": 2.5}, "modes=2.5; expected a whole number"),
        ({"period": 1.5}, "period=1.5"),
        ({"boundary": "wall"}, "boundary wall, wall in 2 dimensions; expected one of periodic"),
        ({"boundary": ("open",)}, "or one for each axis"),
        ({"sides": (1.0,)}, r"sides \(1.0,\) in 2 dimensions"),
        ({"sides": -1.0}, "expected a positive length"),
    ],
)
def test_bad_fields_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        GaussianField(0, **{"ndim": 2, "covariance": Matern()} | wrong)


def test_other_refusals():
    with pytest.raises(InputError, match="2 axes on a grid of 1"):
        GaussianField(0, 2, Matern()).on(grid((8,)))
    with pytest.raises(InputError, match="Matern: nu=0"):
        Matern(nu=0)
    with pytest.raises(InputError, match="tau=-1"):
        LaplacianPower(tau=-1)
    with pytest.raises(InputError, match="SquaredExponential: length=nan"):
        SquaredExponential(length=float("nan"))
