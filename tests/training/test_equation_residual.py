"""Equations by name, points of a box, and a surrogate held to an equation at them."""

import numpy as np
import pytest
import torch
from torch import nn

from sciml.domain import Grid
from sciml.equations.named import EQUATIONS, equation
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Surrogate
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits
from sciml.training import Checkpoints, CollocationSource, Hooks, Phase, train
from sciml.training.collocation import BoxPoints
from sciml.training.equation_residual import EquationResidual

BOX = {"x": (-1.0, 1.0)}
TASK = Task((), ("u",), history=0, time=True, parameters=("kappa",))


class Net(nn.Module):
    """u(x, t, parameters), smooth."""

    traits = Traits(pointwise=True)

    def __init__(self, inputs, width=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, 1),
        )

    def forward(self, scalars, y):
        y = y if y.ndim == 3 else y.expand(len(scalars), *y.shape)
        x = torch.cat([y, scalars[:, None].expand(*y.shape[:2], -1)], dim=2)
        return self.layers(x).movedim(2, 1)


class Exact(nn.Module):
    """A solution instead of a network, so that residuals are rounding."""

    traits = Traits(pointwise=True)

    def __init__(self, solution, grid, constants):
        super().__init__()
        self.solution, self.grid, self.constants = solution, grid, constants
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, scalars, y):
        sides = dict(zip(self.grid.dims, self.grid.extent, strict=True))
        points = {
            axis: low + (high - low) * y[..., i]
            for i, (axis, (low, high)) in enumerate(sides.items())
        }
        time = scalars[:, -1:].expand_as(y[..., 0])
        return self.solution.value(points, time, sides, **self.constants)["u"][:, None]


def grid(ndim=1, boundary="dirichlet"):
    return Grid((9,) * ndim, ((-1.0, 1.0),) * ndim, (boundary,) * ndim)


@pytest.mark.parametrize(
    ("name", "solution", "constants", "ndim"),
    [
        ("heat", "mode", {"kappa": 0.1}, 1),
        ("heat", "mode", {"kappa": 0.1}, 2),
        ("heat", "wave", {"kappa": 0.1}, 2),
        ("advection-diffusion", "wave", {"kappa": 0.1, "speed_x": 0.7}, 1),
        ("korteweg-de-vries", "soliton", {}, 1),
    ],
)
def test_solutions_have_no_residual(name, solution, constants, ndim):
    held, where = equation(name), grid(ndim)
    given = {n: constants[n] for n in held.constants}
    surrogate = Surrogate(
        Exact(held.solution(solution), where, given),
        Task((), ("u",), history=0, time=True),
        None,
        where,
    )
    sides = dict(zip(where.dims, where.extent, strict=True))
    points = BoxPoints(sides, (0.0, 0.5), initial=16, boundary=16)
    batch = CollocationSource(points, 64).next_batch().to("cpu", torch.float64)
    objective = EquationResidual(name, given, solution)
    losses = objective(surrogate, batch)
    assert {*losses} == {"equation", "initial", "boundary"}
    assert all(value < 1e-15 for value in losses.values()), losses
    outside = EquationResidual(name, {n: 2.0 * v for n, v in given.items()}, solution)
    if given:
        assert outside(surrogate, batch)["equation"] > 1e-3


def test_the_sine_of_burgers_is_exact():
    """By differences of the solution itself, away from the front."""
    x, nu, h = np.linspace(-0.9, -0.3, 7), 0.05, 1e-3
    value = equation("burgers").solution("sine").value

    def u(shift=0.0, time=0.3):
        return value({"x": x + shift}, time, BOX, nu=nu)["u"]

    u_t = (u(time=0.3 + h) - u(time=0.3 - h)) / (2 * h)
    u_x, u_xx = (u(h) - u(-h)) / (2 * h), (u(h) - 2 * u() + u(-h)) / h**2
    residual = EQUATIONS["burgers"].residual(u(), u_t, u_x, u_xx, nu)
    assert np.abs(residual).max() < 1e-3 * np.abs(u_t).max()


def test_points_lie_where_they_belong():
    points = BoxPoints(
        {"y": (0.0, 2.0), "x": (-1.0, 1.0)},
        (1.0, 3.0),
        {"kappa": lambda unit: 10.0**unit},
        periodic=("x",),
        initial=5,
        boundary=6,
        sampler="latin-hypercube",
    )
    found = points(np.random.default_rng(0), 32)
    inside, start, walls = found["interior"], found["initial"], found["boundary"]
    assert inside.shape == (32, 4) and (inside[:, 2] >= 1).all() and (inside[:, 3] >= 1).all()
    # One of 32 equal parts each: what makes it a Latin hypercube.
    assert len({*np.floor(inside[:, 0] / 2 * 32)}) == 32
    assert (start[:, 2] == 1.0).all() and {*walls[:, 0]} == {0.0, 2.0}
    assert not {*walls[:, 1]} & {-1.0, 1.0}


@pytest.mark.parametrize("sampler", ["sobol", "latin-hypercube", "uniform"])
def test_points_follow_from_the_seed(sampler):
    points = BoxPoints(BOX, (0.0, 1.0), sampler=sampler)
    one, two = CollocationSource(points, 10, seed=1), CollocationSource(points, 10, seed=1)
    first = one.next_batch().inputs["interior"]
    assert torch.equal(first, two.next_batch().inputs["interior"])
    assert not torch.equal(first, one.next_batch().inputs["interior"])
    kept = CollocationSource(points, 10, seed=1, every=2)
    drawn = [kept.next_batch().inputs["interior"] for _ in range(3)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def heat(kappa_from_task=True):
    torch.manual_seed(0)
    task = TASK if kappa_from_task else Task((), ("u",), history=0, time=True)
    surrogate = Surrogate(Net(3 if kappa_from_task else 2), task, Normalizer(task), grid())
    spans = {"kappa": lambda unit: 0.05 + 0.1 * unit} if kappa_from_task else {}
    points = BoxPoints(BOX, (0.0, 1.0), spans, initial=16, boundary=16)
    return surrogate, CollocationSource(points, 64)


def test_heat_is_learned_from_its_equation_in_two_precisions():
    surrogate, source = heat(False)
    phases = [
        Phase("adam", lr=1e-2, steps=60, batch_size=32),
        Phase("lbfgs", lr=1.0, steps=4, dtype="float64", batch_size=128),
    ]
    sizes, dtypes = [], []

    class Seen(EquationResidual):
        def __call__(self, model, batch):
            sizes.append(len(batch.inputs["interior"]))
            dtypes.append(next(model.parameters()).dtype)
            return super().__call__(model, batch)

    history = train(surrogate, source, Seen("heat", {"kappa": 0.1}, "mode"), phases)
    assert sizes[:60] == [32] * 60 and {*sizes[60:]} == {128}
    assert dtypes[0] == torch.float32 and dtypes[-1] == torch.float64
    assert history.losses[-1] < 1e-2 * history.losses[0]


@pytest.mark.parametrize("stopped_at", [3, 8])  # in either precision
def test_a_training_in_two_precisions_resumes_bitwise(tmp_path, stopped_at):
    phases = [
        Phase("adam", lr=1e-2, steps=5, batch_size=32),
        Phase("lbfgs", lr=1.0, steps=4, dtype="float64", batch_size=64, redraw=2),
    ]
    objective = EquationResidual("heat", {"kappa": 0.1}, "mode")
    whole, source = heat(False)
    train(whole, source, objective, phases, options={"ema": 0.9})
    hooks = Hooks(checkpoints=Checkpoints(tmp_path))

    def stop(step, history):
        if step.step == stopped_at:
            hooks.stop.set()

    hooks.on_step = stop
    train(*heat(False), objective, phases, hooks=hooks, options={"ema": 0.9})
    again, source = heat(False)
    found = Checkpoints(tmp_path).newest()
    assert found.step == stopped_at
    train(again, source, objective, phases, resume=found, options={"ema": 0.9})
    for (name, one), other in zip(whole.named_parameters(), again.parameters(), strict=True):
        assert one.dtype == torch.float64 and torch.equal(one, other), name


def test_units_do_not_matter():
    """Metres and millimetres, seconds and hours: the same losses of the same network."""
    found = []
    for length, duration in ((1.0, 1.0), (1e3, 1 / 3600)):
        torch.manual_seed(0)
        task = Task((), ("u",), history=0, time=True)
        where = Grid((9,), ((-length, length),), ("dirichlet",))
        surrogate = Surrogate(Net(2), task, Normalizer(task), where)
        surrogate.normalizer.moments = np.array(
            [[9.0, 0.0, 9.0, 1e-13], [9.0, 0.0, 9.0 * (0.3 * duration) ** 2, 1e-13]]
        )
        points = BoxPoints({"x": (-length, length)}, (0.0, duration), initial=8, boundary=8)
        objective = EquationResidual("heat", {"kappa": 0.1 * length**2 / duration}, "mode")
        batch = CollocationSource(points, 64).next_batch().to("cpu", torch.float64)
        found.append(objective(surrogate, batch))
    for name, value in found[0].items():
        assert value.item() == pytest.approx(found[1][name].item(), rel=1e-4), name


TIMED = Setting(Task((), ("u",), history=0, time=True))


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda: EquationResidual("burger"), "unknown equation 'burger'; did you mean 'burgers'"),
        (
            lambda: EquationResidual("heat", {"kapa": 1.0}),
            "no constant 'kapa'; did you mean 'kappa'",
        ),
        (lambda: EquationResidual("heat", {}, "moed"), "no solution 'moed'; did you mean 'mode'"),
        (lambda: EquationResidual("helmholtz", {}, "mode"), "it has none"),
        (
            lambda: EquationResidual("heat", {}, {"name": "mode", "mod": 2}),
            "no option 'mod'; did you mean 'mode'",
        ),
        (
            lambda: EquationResidual("heat").require(Setting(Task((), ("v",), history=0))),
            "'heat' is about 'u', which is no target",
        ),
        (
            lambda: EquationResidual("heat").require(Setting(Task(("u",), ("u",)))),
            "fields as inputs; expected history: 0",
        ),
        (
            lambda: EquationResidual("heat").require(Setting(Task((), ("u",), history=0))),
            "varies in time; set task.time: true",
        ),
        (
            lambda: EquationResidual("heat").require(
                Setting(Task((), ("u",), history=0, time=True))
            ),
            "needs 'kappa'; give it as parameters",
        ),
        (
            lambda: EquationResidual("burgers", {"nu": -0.1}).require(TIMED),
            "nu=-0.1; expected 0 or more",
        ),
        (lambda: EquationResidual("burgers", {"nu": "small"}), "nu='small'; expected a finite"),
        (lambda: EquationResidual("burgers", {"nu": np.nan}), "nu=nan; expected a finite number"),
        (
            lambda: EquationResidual("burgers", {"nu": 0.1}).require(
                Setting(TIMED.task, grid(ndim=2))
            ),
            "'burgers' is one along x; got a box along x, y",
        ),
        (lambda: BoxPoints(BOX, sampler="sobl"), "unknown sampler 'sobl'; did you mean 'sobol'"),
        (lambda: BoxPoints(BOX, initial=3), "and no time"),
        (lambda: BoxPoints(BOX, periodic=("x",), boundary=3), "all axes are periodic"),
        (lambda: Phase(dtype="float46"), "unknown dtype 'float46'; did you mean 'float64'"),
        (lambda: Phase(batch_size=0), "batch_size=0; expected whole numbers"),
        (lambda: Phase(batch_size={"a": 1.5}), "expected whole numbers"),
        (
            lambda: train(*heat(), EquationResidual("heat"), Phase(steps=1, batch_size={"a": 2})),
            "of a single one; give a number",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(do, says):
    with pytest.raises(InputError, match=says) as refused:
        do()
    assert "\n" not in str(refused.value)


def test_points_after_a_shock_are_refused():
    task, where = Task((), ("u",), history=0, time=True), grid(boundary="periodic")
    held = equation("inviscid-burgers").solution("sine")
    surrogate = Surrogate(Exact(held, where, {}), task, None, where)
    late = CollocationSource(BoxPoints(BOX, (0.0, 0.4), periodic=("x",)), 16).next_batch()
    with pytest.raises(InputError, match=r"first shock is at t=0\.318.*viscosity"):
        EquationResidual("inviscid-burgers", solution="sine")._require_times(surrogate, late)


def test_numbers_of_a_start_may_be_parameters():
    """An option of a solution that is a parameter of the task varies with the points."""
    task = Task((), ("u",), history=0, time=True, parameters=("amplitude",))
    surrogate = Surrogate(Net(3), task, None, grid(boundary="periodic"))
    points = BoxPoints(BOX, (0.0, 1.0), {"amplitude": lambda unit: 1.0 + unit}, ("x",), 8)
    batch = CollocationSource(points, 8).next_batch()
    objective = EquationResidual("burgers", {"nu": 0.1}, {"name": "sine", "amplitude": 9.0})
    x, _, amplitude = batch.inputs["initial"].detach().unbind(1)
    columns = {"x": x, "t": 0.0 * x, "amplitude": amplitude}
    wanted = -amplitude * torch.sin(torch.pi * x)
    assert torch.allclose(objective.held(surrogate, "initial", columns)["u"], wanted, atol=1e-6)
