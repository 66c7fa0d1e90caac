"""Fourier series against numpy, exact derivatives, products without aliasing, Parseval."""

import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.errors import DomainError, InputError
from sciml.parallel import Fourier
from sciml.parallel.line_fft import LIBRARIES
from sciml.solver.mpirun import command, environment

ALONE = SimpleNamespace(rank=0, size=1)
EXTENT = ((-1.0, 2.0), (0.0, 0.5), (0.0, 2 * np.pi))
SHAPES = [(2,), (3,), (16,), (27,), (8, 8), (9, 12), (14, 5), (2, 30), (6, 7, 8), (9, 4, 5)]


BOTH = pytest.mark.parametrize("library", LIBRARIES)


def series(shape, modes=None, library="numpy"):
    ndim = len(shape)
    grid = Grid(shape, EXTENT[:ndim], ("periodic",) * ndim)
    return Fourier(ALONE, grid, modes=modes, library=library)


def numbers(f):
    """The modes of an array of coefficients, axis by axis."""
    full = [[*range(m + 1), *range(-m, 0)] for m in f.keep[:-1]]
    return np.ix_(*full, range(f.keep[-1] + 1))


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(
    ("ranks", "library"),
    [
        *((n, "numpy") for n in (1, 4)),
        (2, "fftw"),
        # Plans take seconds; what ranks exchange is the same with either.
        *(pytest.param(n, "fftw", marks=pytest.mark.slow) for n in (1, 3, 4, 7)),
        *(pytest.param(n, "numpy", marks=pytest.mark.slow) for n in (2, 3, 7)),
    ],
)
def test_any_ranks_compute_the_same_bits(ranks, library):
    program = Path(__file__).with_name("check_fourier_ranks.py")
    words = command(program, ranks)
    words[-1:] = ["-m", "mpi4py", words[-1], library]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fine") == ranks


@BOTH
@pytest.mark.parametrize("modes", [None, "all"])
@pytest.mark.parametrize("shape", SHAPES)
def test_coefficients_are_those_of_numpy(shape, modes, library):
    f, u = series(shape, modes, library), noise((2, *shape))
    c = f.forward(u)
    for mine, one in zip(c, u, strict=True):
        np.testing.assert_allclose(
            mine, np.fft.rfftn(one, norm="forward")[numbers(f)], rtol=0, atol=1e-15
        )
    # Back: what numpy makes of the kept modes alone.
    full = np.zeros((*shape[:-1], shape[-1] // 2 + 1), complex)
    full[numbers(f)] = c[0]
    kept = np.fft.irfftn(full, shape, range(len(shape)), norm="forward")
    np.testing.assert_allclose(f.inverse(c)[0], kept, rtol=0, atol=1e-14)
    if modes == "all" and all(n % 2 for n in shape):
        np.testing.assert_allclose(f.inverse(c), u, rtol=0, atol=1e-14)


@BOTH
@pytest.mark.parametrize("shape", [(12, 10), (5, 7), (15,), (6, 3, 5)])
def test_out_is_filled_and_inputs_are_left_alone(shape, library):
    # Of an odd number of points, the second field does not begin where vectors may.
    f, u = series(shape, library=library), noise((2, *shape))
    before, c, back = u.copy(), np.empty((2, *f.shape), complex), np.empty((3, *shape))[1]
    assert f.forward(u, c) is c
    kept = c.copy()
    assert f.inverse(c[1], back) is back
    np.testing.assert_array_equal(c, kept)
    np.testing.assert_array_equal(u, before)
    np.testing.assert_array_equal(back, f.inverse(c)[1])
    assert f.owned(u) is u


def test_fields_that_do_not_begin_where_vectors_may_have_the_same_bits():
    f, memory = series((16, 16), library="fftw"), np.empty(16 * 16 + 1)
    u, odd = noise((16, 16)), memory[1:].reshape(16, 16)
    odd[...] = u
    c = f.forward(u)
    np.testing.assert_array_equal(f.forward(odd), c)
    np.testing.assert_array_equal(f.inverse(c, odd), f.inverse(c))


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyfftw", None)
    with pytest.raises(InputError, match="pyfftw is not installed; pip install pyfftw"):
        series((8, 8), library="fftw")


@pytest.mark.parametrize("shape", [(32,), (31,), (24, 16), (15, 27), (12, 9, 16)])
def test_derivatives_of_band_limited_functions_are_exact(shape):
    f = series(shape)
    x = np.ix_(*(f.grid.coordinates(axis) for axis in range(len(shape))))
    k = [2 * np.pi * m / (b - a) for m, (a, b) in zip(f.keep, f.grid.extent, strict=True)]
    phase = sum(ki * xi for ki, xi in zip(k, x, strict=True))
    c = f.forward(np.sin(phase) + 0.3 * np.cos(phase + 0.4))
    for axis in range(len(shape)):
        exact = k[axis] * (np.cos(phase) - 0.3 * np.sin(phase + 0.4))
        derivative = f.inverse(1j * f.k[axis] * c)
        np.testing.assert_allclose(derivative, exact, rtol=0, atol=1e-12 * max(k))
    laplacian = -sum(ki * ki for ki in k) * (np.sin(phase) + 0.3 * np.cos(phase + 0.4))
    np.testing.assert_allclose(
        f.inverse(-f.k2 * c), laplacian, rtol=0, atol=1e-12 * np.abs(laplacian).max()
    )


@pytest.mark.parametrize("shape", [(16,), (15,), (10, 9), (8, 13), (7, 6, 8)])
def test_products_have_no_aliasing_errors(shape):
    f = series(shape)
    u, v = (f.forward(noise(shape, seed)) for seed in (1, 2))
    got = f.forward(f.inverse(u) * f.inverse(v))

    def modes(c):
        """Coefficients by mode, the conjugate half too."""
        found = {}
        for at in product(*(range(n) for n in f.shape)):
            m = tuple(int(n.flat[i]) for n, i in zip(numbers(f), at, strict=True))
            found[m] = c[at]
            found[tuple(-i for i in m)] = np.conj(c[at])
        return found

    a, b = modes(u), modes(v)
    for m, value in modes(got).items():
        direct = sum(
            a[p] * b[q] for p in a if (q := tuple(i - j for i, j in zip(m, p, strict=True))) in b
        )
        assert abs(value - direct) < 1e-15 * len(a) ** 0.5, m
    # One mode more than the rule allows, and there are such errors.
    if len(shape) == 1:
        g = series(shape, modes=((shape[0] - 1) // 3 + 1,))
        c = np.ones(g.shape, complex)
        assert abs(g.forward(g.inverse(c) ** 2)[-1] - (g.keep[0] + 1)) > 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_parseval(shape):
    f = series(shape, "all")
    a, b = f.forward(noise((3, *shape))), f.forward(noise((3, *shape), 1))
    u, v = f.inverse(a), f.inverse(b)
    assert f.mean_square(a) == pytest.approx((u**2).sum() / f.grid.size, rel=1e-13)
    assert f.dot(a, b) == pytest.approx((u * v).sum() / f.grid.size, rel=1e-12, abs=1e-13)


def test_tail_is_the_share_of_the_last_modes():
    f = series((64, 64))  # keeps 21: the last eighth begins at 19
    y, x = np.ix_(*(2 * np.pi * np.arange(64) / 64,) * 2)
    smooth = f.forward(np.cos(18 * x) + np.sin(18 * y))
    assert f.tail(smooth) < 1e-25
    rough = f.forward(np.cos(3 * x) + 0.5 * np.cos(19 * x) + 0.5 * np.sin(x - 20 * y))
    assert f.tail(rough) == pytest.approx(0.25 / 0.75)
    assert f.tail(np.zeros(f.shape, complex)) == 0.0


@pytest.mark.parametrize("shape", [(16,), (9, 8), (6, 7, 8)])
def test_symmetrize_leaves_what_real_fields_have(shape):
    f = series(shape)
    c = f.forward(noise((2, *shape)))
    same = c.copy()
    f.symmetrize(same)
    np.testing.assert_allclose(same, c, rtol=0, atol=1e-16)
    # Of any coefficients it keeps what inverse sees.
    c = noise((2, *f.shape)) + 1j * noise((2, *f.shape), 1)
    seen = f.inverse(c)
    f.symmetrize(c)
    np.testing.assert_allclose(f.inverse(c), seen, rtol=0, atol=1e-13)
    np.testing.assert_allclose(f.forward(seen), c, rtol=0, atol=1e-14)


def test_what_cannot_be_is_refused():
    walls = Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic", "dirichlet"))
    with pytest.raises(InputError, match="periodic, dirichlet; expected a periodic grid"):
        Fourier(ALONE, walls)
    for modes in ((3,), (3, 4), (-1, 2), (1.5, 2), "most"):
        with pytest.raises(InputError, match=r"8 × 8 points; expected at most \(3, 3\)"):
            series((8, 8), modes)
    many = SimpleNamespace(rank=0, size=5)
    with pytest.raises(InputError, match=r"3 wave numbers .* cut into 5 slabs; use 3 ranks"):
        Fourier(many, series((8, 8)).grid)
    with pytest.raises(InputError, match="use 3 ranks"):
        Fourier(many, series((3,)).grid)
    with pytest.raises(
        DomainError, match=r"field of shape \(8, 7\); expected it to end in \(8, 8\)"
    ):
        series((8, 8)).forward(np.zeros((8, 7)))
    with pytest.raises(DomainError, match=r"coefficients of shape \(8, 8\)"):
        series((8, 8)).inverse(np.zeros((8, 8)))
