"""Residuals along characteristics: zero for solutions, in the frame of the box, without units."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from analytic import Analytic
from torch import nn

import sciml
from sciml.domain import Grid
from sciml.equations.burgers import residual as burgers_residual
from sciml.equations.equation import Equation
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Surrogate
from sciml.training import CollocationSource, Phase, train
from sciml.training.collocation import BoxPoints
from sciml.training.derivatives import Nested, asked, columns_of, derivatives
from sciml.training.equation_residual import EquationResidual

TIMED = Task((), ("u",), history=0, time=True)
LONG = 2.0 * math.pi


def box(ndim=1, ends="periodic"):
    side = (0.0, LONG) if ndim == 1 else (-1.0, 1.0)
    return Grid((9,) * ndim, (side,) * ndim, (ends,) * ndim)


def surrogate_of(displacement, state, grid, speed=1.0):
    """An LPINN of analytic functions of labels (parts of sides) and time, in units."""
    model = {"name": "lpinn", "labels": 64 if grid.ndim == 1 else 16, "speed": speed}
    surrogate = Surrogate.build(model, TIMED, grid, normalizer=None).double()
    surrogate.model.places, surrogate.model.state = Analytic(displacement), Analytic(state)
    surrogate.register_parameter("weight", nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    return surrogate


def batch_of(grid, initial=16, last=0.4, n=64):
    periodic = tuple(d for d, b in zip(grid.dims, grid.boundary, strict=True) if b == "periodic")
    sides = dict(zip(grid.dims, grid.extent, strict=True))
    points = BoxPoints(sides, (0.0, last), {}, periodic, initial=initial)
    return CollocationSource(points, n).next_batch().to("cpu", torch.float64)


def turned(z):
    """Rotation by 2t of labels of the box [-1, 1]², (y, x): the displacement in sides."""
    y, x, angle = 2 * z[:, 0] - 1, 2 * z[:, 1] - 1, 2.0 * z[:, 2]
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * y + sin * x - y, cos * x - sin * y - x], dim=1) / 2


def bump(z):
    y, x = 2 * z[:, 0] - 1, 2 * z[:, 1] - 1
    return torch.exp(-0.5 * ((x - 0.5) ** 2 + y**2) / 0.2**2)[:, None]


def grown(z):
    u = 0.5 + 0.25 * torch.sin(LONG * z[:, :1])
    return u * torch.exp(1.5 * z[:, 1:]) / (1 + u * (torch.exp(1.5 * z[:, 1:]) - 1))


CARRIED = {
    "convection": (
        {"speed_x": 3.0},
        "wave",
        lambda z: 3.0 / LONG * z[:, 1:],
        lambda z: torch.sin(LONG * z[:, :1]),
    ),
    "convection-reaction": (
        {"speed_x": 3.0, "rho": 1.5},
        "wave",
        lambda z: 3.0 / LONG * z[:, 1:],
        grown,
    ),
    "inviscid-burgers": (
        {},
        "sine",
        lambda z: z[:, 1:] * torch.sin(LONG * z[:, :1]) / LONG,
        lambda z: torch.sin(LONG * z[:, :1]),
    ),
    "solid-body-rotation": ({"rotation": 2.0}, {"name": "pulse"}, turned, bump),
}


@pytest.mark.parametrize("name", sorted(CARRIED))
def test_a_solution_has_no_residual(name):
    constants, solution, displacement, state = CARRIED[name]
    grid = box(2, "open") if "rotation" in name else box()
    surrogate = surrogate_of(displacement, state, grid)
    objective = EquationResidual(name, constants, solution)
    losses = objective(surrogate, batch_of(grid))
    assert {*losses} == {"characteristics", "state", "initial"}
    assert all(value < 1e-18 for value in losses.values()), losses
    other = EquationResidual(name, {n: 1.1 * v for n, v in constants.items()}, solution)
    if constants:
        assert other(surrogate, batch_of(grid))["characteristics"] > 0.01


@pytest.mark.parametrize("ndim", [1, 2])
def test_diffusion_is_that_of_the_box(ndim):
    """∇²u of a field of places, u = U(X(ξ, t)), by labels: of any X that does not fold."""
    grid, nu = box(ndim), 0.3

    def moved(z):
        waves = [torch.sin(LONG * z[:, i]) * (0.3 + z[:, -1]) for i in range(ndim)]
        return 0.08 * torch.stack([waves[-1] + 0.3 * waves[0], waves[0]][:ndim], dim=1)

    def field(z):
        places = z[:, :ndim] + moved(z)
        return torch.sin(LONG * places[:, :1]) * torch.cos(LONG * places[:, -1:])

    surrogate = surrogate_of(moved, field, grid)
    axes = ("y", "x")[-ndim:]
    given = {}

    def reaction(t, **places):  # what is left of du/dt once diffusion is taken off
        k2 = sum((LONG / (high - low)) ** 2 for low, high in grid.extent)
        if ndim == 1:
            k2 = 4 * k2  # sin cos of one axis: ½ sin 2·2πx
        u = field_of(places)
        return given["rate"] + nu * k2 * u

    def field_of(places):
        parts = [
            (places[a] - low) / (high - low)
            for a, (low, high) in zip(axes, grid.extent, strict=True)
        ]
        return torch.sin(LONG * parts[0]) * torch.cos(LONG * parts[-1])

    names = {"x": lambda t, x: reaction(t, x=x), "y": lambda t, x, y: reaction(t, x=x, y=y)}
    equation = Equation(
        "spread", ("u",), lambda u_t, laplacian: None,
        speed=lambda: dict.fromkeys(axes, 0.0), diffusion=lambda: nu, reaction=names[axes[0]],
    )  # fmt: skip
    batch = batch_of(grid, 0)
    points = batch.inputs["interior"].detach()
    sides = torch.tensor([high - low for low, high in grid.extent], dtype=torch.float64)
    low = torch.tensor([low for low, _ in grid.extent], dtype=torch.float64)
    z = torch.cat([(points[:, :ndim] - low) / sides, points[:, ndim:]], dim=1)
    given["rate"] = Analytic(field).jet(z, [(ndim,)])[ndim,][:, 0]
    objective = EquationResidual(equation)
    found = objective.pointwise(surrogate, "interior", points)["state"]
    assert found.max() < 1e-20
    surrogate.model.jacobian = False
    assert objective.pointwise(surrogate, "interior", points)["state"].mean() > 0.1


def trained(name="burgers", constants=None, task=TIMED, **options):
    torch.manual_seed(0)
    small = {"name": "lpinn", "state": [8], "characteristics": [8], "labels": 32, **options}
    surrogate = Surrogate.build(small, task, box())
    surrogate.model.places.layers[-1].weight.data.normal_(0, 0.1)
    seen = {("time", "time"): np.linspace(0, 0.4, 9), ("field", "u"): np.array([-1.0, 1.0])}
    surrogate.normalizer.take(seen)
    surrogate.bounds.take(seen)
    return surrogate.double(), EquationResidual(name, constants or {"nu": 0.1}, "sine")


def test_units_do_not_matter():
    found = []
    for long, duration in ((1.0, 1.0), (1e3, 1 / 3600)):
        surrogate, _ = trained()
        speed = long / duration
        where = Grid((9,), ((0.0, LONG * long),), ("periodic",))
        other = Surrogate(surrogate.model, TIMED, Normalizer(TIMED), where).double()
        other.normalizer.take({
            ("time", "time"): np.linspace(0, 0.4 * duration, 9),
            ("field", "u"): np.array([-speed, speed]),
        })  # fmt: skip
        surrogate.model.pace.zero_()
        held = {"name": "sine", "amplitude": speed}
        objective = EquationResidual("burgers", {"nu": 0.1 * long**2 / duration}, held)
        points = BoxPoints({"x": (0.0, LONG * long)}, (0.0, 0.4 * duration), {}, ("x",), 8)
        batch = CollocationSource(points, 64).next_batch().to("cpu", torch.float64)
        found.append(objective(other, batch))
    for name, value in found[0].items():
        assert value.item() == pytest.approx(found[1][name].item(), rel=1e-6), name


def test_how_far_characteristics_go_is_measured_once():
    surrogate, objective = trained()
    objective(surrogate, batch_of(box()))
    # Root mean square of sin, over 0.4·√(10/8) of time, in sides of 2π.
    duration = surrogate.scales.duration
    assert float(surrogate.model.pace) == pytest.approx(duration / math.sqrt(2) / LONG, rel=0.1)
    before = surrogate.model.pace.clone()
    EquationResidual("burgers", {"nu": 0.1}, {"name": "sine", "amplitude": 3.0})(
        surrogate, batch_of(box())
    )
    assert torch.equal(before, surrogate.model.pace)


def test_displacement_is_proportional_to_a_speed_that_is_a_parameter():
    task = Task((), ("u",), history=0, time=True, parameters=("speed_x", "phase"))
    surrogate = Surrogate.build({"name": "lpinn", "state": [8]}, task, box(), normalizer=None)
    spans = {"speed_x": lambda unit: 50 * unit, "phase": lambda unit: unit}
    points = BoxPoints({"x": (0.0, LONG)}, (0.0, 1.0), spans, ("x",), 16)
    objective = EquationResidual("convection", {}, "wave")
    losses = objective(surrogate, CollocationSource(points, 64).next_batch())
    assert surrogate.model.proportional.tolist() == [1.0, 0.0]
    assert float(surrogate.model.pace) == pytest.approx(math.sqrt(12) / LONG)
    assert all(torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize(("solution", "scale"), [(None, 1.0), ("sine", 1e-9)])
def test_displacement_is_proportional_to_nothing_else(solution, scale):
    """Where no speed is known, and where it is tiny in its units."""
    task = Task((), ("u",), history=0, time=True, parameters=("nu", "amplitude"))
    where = Grid((9,), ((0.0, LONG * scale),), ("periodic",))
    surrogate = Surrogate.build({"name": "lpinn", "state": [8]}, task, where, normalizer=None)
    spans = {"nu": lambda unit: 0.1 + unit, "amplitude": lambda unit: scale * (1 + unit)}
    points = BoxPoints({"x": (0.0, LONG * scale)}, (0.0, 1.0), spans, ("x",), 16)
    EquationResidual("burgers", {}, solution)(surrogate, CollocationSource(points, 64).next_batch())
    assert surrogate.model.proportional.tolist() == [0.0, 0.0 if solution is None else 1.0]


def test_a_start_that_is_held_leaves_nothing_to_ask():
    surrogate, objective = trained(initial={"equation": "burgers", "solution": "sine"})
    assert {*objective(surrogate, batch_of(box()))} == {"characteristics", "state"}


@pytest.mark.parametrize(
    ("name", "constants"), [("burgers", {"nu": 0.1}), ("korteweg-de-vries", {})]
)
def test_taylor_mode_gives_what_reverse_mode_gives(name, constants):
    """Derivatives of a PINN by its own, and by those of any module; of third order by these."""
    torch.manual_seed(0)
    grid = box()
    surrogate = Surrogate.build({"name": "pinn", "hidden": [8, 8]}, TIMED, grid)
    surrogate.normalizer.take(
        {("time", "time"): np.linspace(0, 0.4, 9), ("field", "u"): np.array([-2.0, 3.0])}
    )
    surrogate.double()
    words = [*EquationResidual(name, constants).equation.derivatives.values(), ("u", "xt")]
    columns = columns_of(surrogate, batch_of(grid).inputs["interior"])
    found = derivatives(surrogate, columns, words)
    assert isinstance(found, Nested) == (name != "burgers")
    wanted = Nested(columns, asked(surrogate, columns))
    for field, by in [*words, ("u", "")]:
        torch.testing.assert_close(found(field, by), wanted(field, by), rtol=1e-10, atol=1e-10)


#: Small enough for a test, on [0, 2π) for t ≤ 1.
SOURCE = {
    "kind": "collocation",
    "domain": {"x": {"low": 0.0, "high": LONG, "points": 32, "periodic": True}},
    "time": [0.0, 1.0],
    "batch_size": 128,
    "initial": 32,
}
PHASES = [
    {"optimizer": "adam", "lr": 1e-2, "steps": 150, "schedule": "cosine"},
    {"optimizer": "lbfgs", "lr": 1.0, "steps": 8, "dtype": "float64", "batch_size": 256},
]


def convection(model, phases=PHASES, **changes):
    return sciml.fit(
        model,
        targets=["u"],
        sources={"inside": {**SOURCE, **changes}},
        objectives={
            "physics": {
                "kind": "residual",
                "equation": "convection",
                "parameters": {"speed_x": 30.0},
                "solution": "wave",
            }
        },
        phases=phases,
        progress=False,
    )


def test_convection_is_learned_along_characteristics():
    """c = 30, which a PINN of the same steps does not learn."""
    times = xr.Dataset(coords={"time": np.linspace(0, 1, 11)})
    errors = {}
    for name, sizes, phases in (
        ("lpinn", {"state": [16], "characteristics": [8], "labels": 64}, PHASES),
        ("pinn", {"hidden": [16, 16]}, PHASES[:1]),
    ):
        found = convection({"name": name, **sizes}, phases).predict(times)
        truth = np.sin(found.x.values - 30 * found.time.values[:, None])
        errors[name] = np.linalg.norm(found.u - truth) / np.linalg.norm(truth)
    assert errors["lpinn"] < 0.2 and errors["pinn"] > 0.5, errors


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (
            lambda: trained()[1].__class__("heat", {"kappa": 0.1})(trained()[0], batch_of(box(), 0)),
            "no characteristic speed, and model 'lpinn' follows characteristics; take model 'pinn'",
        ),
        (
            lambda: EquationResidual("convection", {"speed_x": 1.0}, {"name": "wave", "mode": 0.5})(
                trained()[0], batch_of(box())
            ),
            "'u' at the first time differs by .* from one side of x to the other",
        ),
        (
            lambda: EquationResidual(
                Equation("other", ("u",), burgers_residual, speed=lambda u: {"x": u},
                         diffusion=lambda nu: -nu), {"nu": 0.1}
            )(trained()[0], batch_of(box(), 0)),
            "diffusion of -0.1 among the points; expected 0 or more",
        ),
        (
            lambda: EquationResidual("inviscid-burgers", {}, "sine")(
                trained()[0], batch_of(box(), last=1.2)
            ),
            "its first shock is at t=1; expected times before",
        ),
        (
            lambda: EquationResidual("burgers", {"nu": 0.1}, "sine")(
                trained(displacement="free")[0], batch_of(box())
            ),
            "not periodic along x",
        ),
        (
            lambda: EquationResidual("burgers", {"nu": 0.1}, {"name": "sine", "mode": 2})(
                trained(initial={"equation": "burgers", "solution": "sine"})[0], batch_of(box())
            ),
            "model 'lpinn' holds another initial 'u' than the objective asks for",
        ),
        (
            lambda: trained(initial={"equation": "burgers", "solution": "sine"}, first=-0.2)[1](
                trained(initial={"equation": "burgers", "solution": "sine"}, first=-0.2)[0],
                batch_of(box()),
            ),
            "holds its initial field at t=-0.2, and points begin at t=0",
        ),
        (
            lambda: trained()[1](trained(task=replace(TIMED, targets=("u", "w")))[0], batch_of(box())),
            "targets w: equation 'burgers' is not about them",
        ),
        (
            lambda: convection({"name": "lpinn"}, [{"steps": 1, "weights": {"physics.states": 1}}]),
            "did you mean 'physics.state'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_line(do, says):
    with pytest.raises(InputError, match=says) as refused:
        do()
    assert "\n" not in str(refused.value)


def test_nothing_holds_characteristics_at_the_sides():
    grid = box(ends="dirichlet")
    surrogate = Surrogate.build({"name": "lpinn", "state": [4]}, TIMED, grid)
    points = BoxPoints({"x": (0.0, LONG)}, (0.0, 0.4), boundary=4)
    with pytest.raises(InputError, match=r"points for 'boundary'.* or take model 'pinn'"):
        EquationResidual("burgers", {"nu": 0.1}, "sine")(
            surrogate, CollocationSource(points, 8).next_batch()
        )


def test_where_characteristics_meet_a_fit_says_so(caplog):
    """Burgers with next to no diffusion: characteristics cross at t = 1, and the points go on to 2."""
    with caplog.at_level("WARNING", "sciml.fit"):
        surrogate = sciml.fit(
            {"name": "lpinn", "state": [16], "characteristics": [16], "labels": 64,
             "initial": {"equation": "burgers", "solution": "sine"}},
            targets=["u"],
            sources={"inside": {**SOURCE, "time": [0.0, 2.0], "initial": 0}},
            objectives={"physics": {"kind": "residual", "equation": "burgers",
                                    "parameters": {"nu": 1e-6}, "solution": "sine"}},
            phases=[{"optimizer": "adam", "lr": 1e-2, "steps": 60}],
            progress=False,
        )  # fmt: skip
    assert "characteristics meet from t=" in caplog.text
    assert surrogate.history.losses[-1] < surrogate.history.losses[0]


@pytest.mark.slow
def test_taylor_mode_is_compiled_where_a_training_is():
    class Watched:
        runs = 0

        def __call__(self, graph, inputs):
            def run(*args):
                Watched.runs += 1
                return graph.forward(*args)

            return run

    plain, fast = (
        train(*trained_on_points(), Phase("sgd", lr=1e-4, steps=3), options=options)
        for options in ({}, {"compile": Watched()})
    )
    assert Watched.runs >= 6  # two networks, three steps
    assert fast.losses == pytest.approx(plain.losses, rel=1e-9)


def trained_on_points():
    surrogate, objective = trained()
    points = BoxPoints({"x": (0.0, LONG)}, (0.0, 0.4), {}, ("x",), 8)
    return surrogate, CollocationSource(points, 16), objective
