"""Equations with characteristics: speeds, and exact solutions without residual, by autograd."""

import numpy as np
import pytest
import torch

from sciml.equations.burgers import cole_hopf
from sciml.equations.equation import called
from sciml.equations.named import EQUATIONS, equation
from sciml.errors import InputError

LINE = {"x": (0.0, 2.0 * np.pi)}
PLANE = {"y": (-1.0, 1.0), "x": (-1.0, 1.0)}
COLUMNS = {"speed_x": 3.0, "kappa": 0.02, "rho": 1.5, "rotation": 2.0}


def points(sides, n=40):
    draw = torch.Generator().manual_seed(0)
    low = {axis: a for axis, (a, _) in sides.items()}
    size = {axis: b - a for axis, (a, b) in sides.items()}
    drawn = torch.rand(len(sides) + 1, n, generator=draw, dtype=torch.float64)
    columns = {a: low[a] + size[a] * drawn[i] for i, a in enumerate(sides)}
    return {a: c.requires_grad_() for a, c in (columns | {"t": 0.9 * drawn[-1]}).items()}


def derivative(values, by):
    return torch.autograd.grad(values.sum(), by, create_graph=True, materialize_grads=True)[0]


GENERIC = [
    (name, solution)
    for name, one in EQUATIONS.items()
    if one.speed is not None and "burgers" not in name
    for solution in one.solutions
]


@pytest.mark.parametrize(("name", "solution"), GENERIC)
def test_a_solution_has_no_residual(name, solution):
    """In both forms: the residual by names, and u_t + f·∇u = ν ∇²u + s with the attributes."""
    held = equation(name)
    sides = PLANE if "rotation" in name else LINE
    at = points(sides)
    # Of each point by itself, as where they are parameters.
    given = {n: COLUMNS[n] * (1.0 + 0.1 * at["t"].detach()) for n in held.constants}
    given |= {"center_x": 0.2} if held.defaults else {}
    u = held.solution(solution).value(at, at["t"], sides, **given)["u"]
    known = {"u": u, **at, **given, "u_t": derivative(u, at["t"])}
    for axis in sides:
        known["u_" + axis] = derivative(u, at[axis])
    laplacian = sum(derivative(known["u_" + axis], at[axis]) for axis in sides)
    known["laplacian"] = laplacian
    assert known["u_t"].abs().max() > 0.1
    assert called(held.residual, known).abs().max() < 1e-10
    speed = called(held.speed, known)
    assert {*speed} == {*sides}
    carried = known["u_t"] + sum(f * known["u_" + axis] for axis, f in speed.items())
    spread = 0.0 if held.diffusion is None else called(held.diffusion, known) * laplacian
    source = 0.0 if held.reaction is None else called(held.reaction, known)
    assert (carried - spread - source).abs().max() < 1e-10


@pytest.mark.parametrize("solution", ["sine", "waves"])
@pytest.mark.parametrize(
    ("name", "nu"), [("burgers", n) for n in (0.1, 0.05, 0.01)] + [("inviscid-burgers", 0)]
)
def test_burgers_by_differences(name, nu, solution):
    """Of sixth order, in time and along the line, with amplitudes as columns."""
    value, h = equation(name).solution(solution).value, 2e-3
    x, amplitude = np.linspace(0.3, 6.0, 15), np.linspace(0.5, 1.5, 15)
    given = {"nu": nu} if nu else {}
    given |= {"amplitude" if solution == "sine" else "a1": amplitude}
    time = 0.9 if nu else 0.3

    def u(dx=0, dt=0):
        return value({"x": x + dx * h}, time + dt * h, LINE, **given)["u"]

    first, second = (45, -9, 1), (270, -27, 2)
    u_t = sum(w * (u(dt=k) - u(dt=-k)) for k, w in enumerate(first, 1)) / (60 * h)
    u_x = sum(w * (u(k) - u(-k)) for k, w in enumerate(first, 1)) / (60 * h)
    u_xx = sum(w * (u(k) - 2 * u() + u(-k)) for k, w in enumerate(second, 1)) / (180 * h * h)
    left = u_t + u() * u_x - nu * u_xx
    assert np.abs(u_t).max() > 0.2
    assert np.abs(left).max() < 2e-7 * max(1.0, np.abs(nu * u_xx).max())


@pytest.mark.parametrize("nu", [0.1, 0.05, 0.01])
def test_burgers_from_a_sine_has_ten_digits(nu):
    """Beside the series of scaled Bessel functions, θ = I₀ + 2 Σ Iₙ cos nx e^{−n²νt} of z = 1/2ν."""
    from scipy.special import ive

    x = np.linspace(0.0, 2.0 * np.pi, 65)
    for t in (1e-3, 0.1, 1.0):
        found = equation("burgers").solution("sine").value({"x": x}, t, LINE, nu=nu)["u"]
        # u = −2ν θ_x/θ, θ(x, 0) = exp(cos x/2ν) times a constant.
        n = np.arange(1, 200)[:, None]
        part = 2.0 * ive(n, 0.5 / nu) * np.exp(-n * n * nu * t)
        theta = ive(0, 0.5 / nu) + (part * np.cos(n * x)).sum(0)
        wanted = 2.0 * nu * (part * n * np.sin(n * x)).sum(0) / np.maximum(theta, 1e-5)
        # The sum loses digits where θ is small, near x = π at first; the quadrature does not.
        sure = theta > 1e-5
        assert sure.sum() > 10 and np.abs(found - wanted)[sure].max() < 1e-10
        fine = cole_hopf(x, t, np.sin, lambda y: -np.cos(y), nu)
        assert np.abs(found - fine).max() < 1e-12
    start = equation("burgers").solution("sine")
    assert np.allclose(start.start({"x": x}, 0.0, LINE)["u"], np.sin(x), atol=1e-15)
    assert np.allclose(start.value({"x": x}, 0.0, LINE, nu=nu)["u"], np.sin(x), atol=1e-15)


def test_the_first_shock():
    held = equation("inviscid-burgers")
    sine, waves = held.solution("sine"), held.solution("waves")
    assert sine.ends(LINE) == pytest.approx(1.0)
    assert sine.ends({"x": (-1.0, 1.0)}, amplitude=2.0) == pytest.approx(0.5 / np.pi)
    # One wave alone is the sine, moved.
    ones = np.array([1.0, 2.0])
    assert waves.ends(LINE, a1=ones, a2=0 * ones, a3=0 * ones) == pytest.approx(
        1.0 / ones, rel=1e-5
    )
    x = np.linspace(0.0, 6.0, 7)
    assert np.isfinite(sine.value({"x": x}, 0.999, LINE)["u"]).all()
    with pytest.raises(InputError, match="first shock is at t=1;"):
        sine.value({"x": x}, 1.5, LINE)


def test_a_turned_cone_comes_back():
    x = np.linspace(-1.0, 1.0, 21)
    at = dict(zip(("y", "x"), np.meshgrid(x, x, indexing="ij"), strict=True))
    cone = equation("solid-body-rotation").solution("cone").value
    start, turned, back = (cone(at, t, PLANE, rotation=2.0 * np.pi)["u"] for t in (0.0, 0.25, 1.0))
    assert start.max() == pytest.approx(1.0) and start[10, 15] == start.max()
    assert turned[15, 10] == pytest.approx(1.0)  # from x to y
    assert np.abs(back - start).max() < 1e-12


@pytest.mark.parametrize(
    ("name", "solution"),
    [(n, s) for n, one in EQUATIONS.items() for s, held in one.solutions.items() if held.periodic],
)
def test_what_is_said_to_be_periodic_continues_itself(name, solution):
    """Also once it has been carried across a side."""
    held, side = equation(name), (-1.0, 19.0)
    x, time = np.linspace(*side, 9), 3.0 if "inviscid" not in name else 0.5
    constants = {"speed_x": 7.0, "kappa": 0.02, "nu": 0.1, "rho": 0.2}
    given = held.given_to(held.solutions[solution], constants)
    found, moved = (
        held.solutions[solution].value({"x": at}, time, {"x": side}, **given)["u"]
        for at in (x, x + 20.0)
    )
    np.testing.assert_allclose(found, moved, atol=1e-12)
    assert np.abs(found).max() > 0.1


def test_no_speed_where_nothing_is_carried():
    assert all(EQUATIONS[name].speed is None for name in ("heat", "wave", "helmholtz"))
