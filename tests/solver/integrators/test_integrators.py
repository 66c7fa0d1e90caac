"""Every method: its stated order, exactness on the linear part, and what the engine refuses."""

import numpy as np
import pytest

from sciml.errors import DivergedError, InputError
from sciml.solver.integrators import METHODS, Integrator
from sciml.solver.integrators.exponential import phi
from sciml.solver.integrators.rows import Row, prune

IMPLICIT = ["cn-euler", "cn-heun", "ars-222", "ars-443", "etdrk2", "etdrk4"]


def riccati(t, u, out):
    """u' = L u + u² + cos t, three values of L at once."""
    np.multiply(u, u, out=out)
    out += np.cos(t)


def march(method, steps, linear, dtype=float, end=1.0):
    u = np.full(linear.shape, 0.3, dtype)
    stepper = Integrator(method, riccati, end / steps, linear=linear)
    for n in range(steps):
        stepper.advance(n * end / steps, u)
    return u


@pytest.mark.parametrize("linear", [np.array([-1.0, -0.5, -2.0]), np.array([1j, -1.0 + 2j, -0.1])])
@pytest.mark.parametrize("method", METHODS)
def test_order(method, linear):
    dtype = linear.dtype
    reference = march("rk4", 3000, linear, dtype)
    errors = [np.abs(march(method, n, linear, dtype) - reference).max() for n in (32, 64, 128)]
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    stated = METHODS[method].order
    assert rates[-1] > stated - 0.1, f"errors {errors}, rates {rates}"
    assert rates[-1] < stated + 0.5, f"errors {errors}, rates {rates}: a higher order than stated"


@pytest.mark.parametrize("method", ["etdrk2", "etdrk4"])
def test_the_linear_part_is_exact_however_stiff(method):
    linear = -np.logspace(-8, 6, 15)
    u = np.ones(15)
    Integrator(method, lambda t, u, out: np.copyto(out, 0.0), 0.1, linear=linear).advance(0.0, u)
    np.testing.assert_allclose(u, np.exp(0.1 * linear), rtol=1e-15)


@pytest.mark.parametrize("method", ["etdrk2", "etdrk4"])
def test_a_constant_source_is_exact(method):
    linear = -np.logspace(-8, 6, 15)
    u = np.zeros(15)
    Integrator(method, lambda t, u, out: np.copyto(out, 1.0), 0.1, linear=linear).advance(0.0, u)
    np.testing.assert_allclose(u, np.expm1(0.1 * linear) / linear, rtol=1e-12)


@pytest.mark.parametrize("method", ["ars-222", "ars-443"])
def test_stiff_modes_are_damped(method):
    """L-stability: what decays infinitely fast is gone after one step."""
    u = np.ones(1)
    stepper = Integrator(
        method, lambda t, u, out: np.copyto(out, 0.0), 1.0, linear=np.array([-1e9])
    )
    stepper.advance(0.0, u)
    assert abs(u[0]) < 1e-8


@pytest.mark.parametrize("method", IMPLICIT)
def test_a_complex_state_with_a_real_operator_takes_the_short_way_to_the_same(method):
    linear = np.array([-1.0, 0.5, -2.0])
    fast = march(method, 8, linear, complex)
    slow = march(method, 8, linear.astype(complex), complex)
    np.testing.assert_allclose(fast, slow, rtol=1e-14)


@pytest.mark.parametrize("method", IMPLICIT)
def test_compiled_and_numpy_combinations_agree(method):
    linear = -np.linspace(0.1, 3.0, 700).reshape(7, 100)
    ends = []
    for work in (0.0, 1e12):
        u = np.random.default_rng(1).standard_normal((3, 7, 100)) * (0.3 + 0.1j)
        stepper = Integrator(method, riccati, 0.05, linear=linear, work=work)
        for n in range(5):
            stepper.advance(0.05 * n, u)
        assert stepper.compiled == (work > 0.0)
        ends.append(u)
    np.testing.assert_array_equal(*ends)


def test_complex_operators_are_not_compiled():
    stepper = Integrator("etdrk4", riccati, 0.1, linear=np.array([1j]), work=1e12)
    stepper.advance(0.0, np.array([1.0 + 0j]))
    assert not stepper.compiled


def test_the_operator_is_broadcast_over_components():
    linear = np.array([[-1.0, -2.0, -3.0]])
    u = np.full((2, 3), 0.3)
    Integrator("etdrk4", riccati, 0.1, linear=linear).advance(0.0, u)
    np.testing.assert_array_equal(u[0], u[1])
    assert u[0, 0] != u[0, 1]


@pytest.mark.parametrize("z", [1e-12, 1e-3, -0.7, -50.0, 1e-3j, 30j])
def test_phi(z):
    from math import factorial

    for k in (1, 2, 3):
        series = sum(z**n / factorial(n + k) for n in range(40))
        closed = (np.exp(z) - sum(z**n / factorial(n) for n in range(k))) / z**k
        assert phi(k, z) == pytest.approx(series if abs(z) < 1 else closed, rel=1e-12)


def test_stages_that_nothing_reads_are_left_out():
    rows = (Row(1.0, (1.0,), 1.0), Row(1.0, (0.5, 0.5), 1.0), Row(1.0, (0.5, 0.5, None), 1.0))
    assert prune(rows) == (rows[0], Row(1.0, (0.5, 0.5), 1.0))
    assert [len(METHODS[m].rows(-1.0)) for m in ("cn-euler", "cn-heun", "ars-443")] == [1, 2, 4]


@pytest.mark.parametrize("work", [0.0, 1e12])
@pytest.mark.parametrize("value", [np.nan, -np.inf, complex(0.0, np.inf)])
@pytest.mark.parametrize("place", [0, 700, 1299])
def test_one_number_that_is_not_finite_is_told(work, value, place):
    """By numpy, and by the compiled combination, which looks for itself."""

    def rates(t, u, out):
        out[...] = 0.0
        if t > 0.0:
            out.flat[place] = value

    u = np.full((2, 650), 1.0 + 1.0j)
    stepper = Integrator("etdrk4", rates, 0.25, linear=np.full((2, 650), -1.0), work=work)
    stepper.advance(-1.0, u)
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match=r"not finite at t=0\.25"):
        stepper.advance(0.0, u)
    assert stepper.compiled == bool(work)


def test_blow_up_is_told():
    u = np.array([1.0])
    stepper = Integrator("rk4", lambda t, u, out: np.multiply(u, u, out=out), 0.25)
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="not finite at t="):
        for n in range(40):
            stepper.advance(0.25 * n, u)


def test_unknown_scheme_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'etdrk4'"):
        Integrator("etdkr4", riccati, 0.1)
