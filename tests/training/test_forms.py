"""Residuals whose linear part goes through the network as one row, beside each derivative by itself."""

import pytest
import torch

from sciml.domain import Grid
from sciml.equations.equation import Equation
from sciml.equations.named import EQUATIONS
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.traits import Traits
from sciml.training import CollocationSource, Phase, train
from sciml.training.collocation import BoxPoints
from sciml.training.derivatives import columns_of
from sciml.training.equation_residual import EquationResidual, measure

ROWS = {
    "burgers": 3,
    "heat": 3,
    "convection": 2,
    "convection-diffusion": 3,
    "convection-reaction": 2,
    "solid-body-rotation": 2,
}


def surrogate(held, varies, ndim, boundary="dirichlet"):
    """In float64, with scaling of its own, and constants that vary with the points or do not."""
    torch.manual_seed(0)
    numbers = held.constants if varies else ()
    task = Task((), held.fields, history=0, time=True, parameters=numbers)
    grid = Grid((9,) * ndim, ((-1.0, 2.0),) * ndim, (boundary,) * ndim)
    model = Surrogate.build({"name": "pinn", "hidden": [8, 8]}, task, grid).double()
    box = BoxPoints(
        dict(zip(grid.dims, grid.extent, strict=True)),
        (0.0, 0.7),
        parameters=dict.fromkeys(numbers, lambda part: 0.1 + 0.8 * part),
    )
    batch = CollocationSource(box, 20).peek()
    objective = EquationResidual(held, {} if varies else dict.fromkeys(held.constants, 0.3))
    measure(model, objective, batch)
    return model, objective, batch.inputs["interior"].double()


def found_by(model, objective, points, monkeypatch, forms):
    network = model.model
    monkeypatch.setattr(network, "traits", Traits(pointwise=True, jets=True, forms=forms))
    rows, carry = [], type(network.network).carry

    def counted(z, orders, weights=None):
        rows.append(len(orders))
        return carry(network.network, z, orders, weights)

    monkeypatch.setattr(network.network, "carry", counted)
    [residual] = objective._residuals(model, columns_of(model, points)).values()
    return residual, torch.autograd.grad(residual.square().sum(), [*model.parameters()]), rows[0]


@pytest.mark.parametrize("boundary", ["dirichlet", "periodic"])
@pytest.mark.parametrize("varies", [False, True])
@pytest.mark.parametrize("name", sorted(set(EQUATIONS) - {"korteweg-de-vries"}))
def test_a_form_is_the_residual(name, varies, boundary, monkeypatch):
    """With its gradient, in float64, for constants that are numbers and those of each point."""
    held = EQUATIONS[name]
    axes = {axis for _, by in held.derivatives.values() for axis in by} - {"t"}
    ndim = len(axes) or 2
    given = surrogate(held, varies, ndim, boundary)
    one, slopes, rows = found_by(*given, monkeypatch, True)
    other, wanted, most = found_by(*given, monkeypatch, False)
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    for found, want in zip(slopes, wanted, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-10)
    assert rows <= most
    if name in ROWS:
        assert rows == ROWS[name] + (name == "heat")


@pytest.mark.parametrize(
    "residual",
    [
        lambda u, u_t, u_xx: u * u_t + u_xx,
        lambda u_t, u_xx: u_t - u_xx * u_xx,
        lambda u_t, u_x, u_xx: u_x * u_t - u_x * u_xx,
        lambda u, u_t, u_xx: torch.where(u > 0, 1.0, 2.0) * u_xx + u_t,
        lambda u_t, u_xx, x: (1 + x * x) * u_t - 0.3 * u_xx + 5.0,
    ],
)
def test_what_is_not_linear_is_asked_for_by_itself(residual, monkeypatch):
    given = surrogate(Equation("own", ("u",), residual), False, 1)
    one, _, _ = found_by(*given, monkeypatch, True)
    other, _, _ = found_by(*given, monkeypatch, False)
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_constants_may_change(monkeypatch):
    given = surrogate(EQUATIONS["burgers"], False, 1)
    before, _, _ = found_by(*given, monkeypatch, True)
    given[1].parameters["nu"] = 3.0
    one, _, _ = found_by(*given, monkeypatch, True)
    other, _, _ = found_by(*given, monkeypatch, False)
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert (before - one).abs().max() > 1e-3


def test_a_training_is_the_same(monkeypatch):
    """Up to rounding, in 30 steps of Adam."""
    weights = []
    for forms in (True, False):
        torch.manual_seed(0)
        task, grid = (
            Task((), ("u",), history=0, time=True),
            Grid((9,), ((-1.0, 1.0),), ("dirichlet",)),
        )
        model = Surrogate.build({"name": "pinn", "hidden": [16, 16]}, task, grid)
        model.model.traits = Traits(pointwise=True, jets=True, forms=forms)
        points = BoxPoints({"x": (-1.0, 1.0)}, (0.0, 1.0), initial=20, boundary=20)
        source = CollocationSource(points, 100)
        objective = EquationResidual("burgers", {"nu": 0.05}, "sine")
        measure(model, objective, source.peek())
        train(model, source, objective, Phase("adam", lr=1e-3, steps=30))
        weights.append([p.detach().clone() for p in model.parameters()])
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
