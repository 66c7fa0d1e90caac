"""What holds at the first time and on the sides: data, functions, slopes, and seams of periodic axes."""

import os

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.domain import Grid
from sciml.equations.named import equation
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.traits import Traits
from sciml.training import CollocationSource
from sciml.training.collocation import BoxPoints
from sciml.training.equation_residual import EquationResidual

TASK = Task((), ("u",), history=0, time=True)
BOX = {"x": (-1.0, 1.0)}


class Formula(nn.Module):
    """u of x and t, instead of a network."""

    traits = Traits(pointwise=True)

    def __init__(self, of):
        super().__init__()
        self.of, self.weight = of, nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, scalars, y):
        return self.of(2.0 * y[..., 0] - 1.0, scalars[:, -1:].expand_as(y[..., 0]))[:, None]


def losses(of, objective, ends="dirichlet", time=(0.0, 0.5), **groups):
    where = Grid((9,), ((-1.0, 1.0),), (ends,))
    surrogate = Surrogate(Formula(of), TASK, None, where)
    periodic = ("x",) if ends == "periodic" else ()
    points = BoxPoints(BOX, time, {}, periodic, **groups)
    batch = CollocationSource(points, 16).next_batch().to("cpu", torch.float64)
    return {name: float(value.detach()) for name, value in objective(surrogate, batch).items()}


def wave(x, t):
    return torch.exp(-0.1 * (torch.pi / 2) ** 2 * t) * torch.sin(torch.pi / 2 * (x + 1.0))


def bent(x, t):
    """Nothing, with derivatives of all orders."""
    return 0.0 * torch.sin(x * t)


def test_slopes_on_the_sides():
    """n·∇u of the exact solution is zero loss; else it is the square of the difference."""
    objective = EquationResidual("heat", {"kappa": 0.1}, "mode")
    assert losses(wave, objective, flux=8)["flux"] < 1e-25
    found = losses(lambda x, t: wave(x, t) + 0.3 * x, objective, flux=8)
    assert found["flux"] == pytest.approx((0.3 * 2.0) ** 2)  # in units of the side, 2
    sine = EquationResidual("burgers", {"nu": 0.1}, "sine")
    with pytest.raises(InputError, match="no gradient; expected points for 'boundary'"):
        losses(wave, sine, flux=4)


def test_a_normal_stays_one_in_a_box_that_is_no_square():
    """∂u/∂n = 0 on a disk, of a field of the angle alone."""
    pytest.importorskip("deepxde", reason="needs the extra 'pinn'")
    from sciml.training.region import region_of

    sides = {"y": (0.0, 1.0), "x": (0.0, 3.0)}
    disk = region_of({"kind": "disk", "center": [1.5, 0.5], "radius": 0.4}, sides)

    def angle(x, y):
        return x * y / (x * x + y * y)

    def field(scalars, y):  # and 0 times what bends
        found = angle(3.0 * y[..., 1] - 1.5, y[..., 0] - 0.5)
        return (found + 0.0 * torch.sin(y[..., 0] * scalars[:, -1:]))[:, None]

    surrogate = Surrogate(
        Formula(None), TASK, None, Grid((9, 9), (*sides.values(),), ("open",) * 2)
    )
    surrogate.model.forward = field
    points = BoxPoints(sides, (0.0, 0.5), {}, flux=32, region=disk)
    batch = CollocationSource(points, 16).next_batch().to("cpu", torch.float64)
    objective = EquationResidual("heat", {"kappa": 0.1}, {"boundary": lambda x: 0.0 * x})
    assert objective(surrogate, batch)["flux"] < 1e-12


def test_a_first_time_that_is_not_zero():
    """Data and exact solutions hold at the times of the points, not at their own first one."""
    exact = lambda x, t: torch.sin(torch.pi * (x - t))  # noqa: E731
    given = EquationResidual("convection", {"speed_x": 1.0}, data())
    assert losses(exact, given, "periodic", (0.25, 0.5), initial=32)["initial"] < 1e-9
    burgers, sides = equation("burgers").solution("sine"), {"x": (-1.0, 1.0)}

    def later(x, t):
        found = burgers.value({"x": x.detach()}, t.detach(), sides, nu=0.1)["u"]
        return torch.as_tensor(found) + bent(x, t)

    sine = EquationResidual("burgers", {"nu": 0.1}, "sine")
    assert losses(later, sine, "periodic", (0.25, 0.5), initial=32)["initial"] < 1e-20


def test_data_say_nothing_beyond_their_ends():
    given = EquationResidual("convection", {"speed_x": 1.0}, data(periodic=False))
    with pytest.raises(InputError, match=r"data from 0 to 0.5 in time, and points from"):
        losses(wave, given, time=(0.0, 2.0), boundary=32)
    calendar = data().assign_coords(time=np.datetime64("2000-01-01") + np.arange(21))
    with pytest.raises(InputError, match=r"times of data are datetime64.*; expected numbers"):
        EquationResidual("convection", {"speed_x": 1.0}, calendar)


def test_data_that_end_a_step_early_continue_themselves_only_where_the_box_does():
    x = np.linspace(-1, 1, 64, endpoint=False)
    u = np.broadcast_to(x, (21, 64))
    ramp = data().assign(u=(("time", "x"), u))
    given = EquationResidual("convection", {"speed_x": 1.0}, ramp)
    assert losses(lambda x, t: x + bent(x, t), given, boundary=16)["boundary"] < 1e-9


def test_a_seam_is_where_a_model_does_not_continue():
    objective = EquationResidual("convection", {"speed_x": 1.0})
    on = lambda x, t: torch.sin(torch.pi * (x - t))  # noqa: E731
    assert losses(on, objective, "periodic", seam=4)["seam"] < 1e-25
    # u jumps by 1, and its slope does not.
    off = losses(lambda x, t: on(x, t) + 0.5 * x, objective, "periodic", seam=4)
    assert off["seam"] == pytest.approx(1.0)
    with pytest.raises(InputError, match="is not periodic along x"):
        fresh = EquationResidual("convection", {"speed_x": 1.0})
        losses(lambda x, t: x + bent(x, t), fresh, "periodic")


def data(n=64, timed=True, periodic=True):
    x = np.linspace(-1, 1, n, endpoint=not periodic)
    t = np.linspace(0.0, 0.5, 21)
    u = np.sin(np.pi * (x - t[:, None]))
    ds = xr.Dataset({"u": (("time", "x"), u)}, {"x": x, "time": t})
    return ds if timed else ds.isel(time=0, drop=True)


@pytest.mark.parametrize("periodic", [True, False])
def test_data_hold_at_the_start_and_on_the_sides(periodic, tmp_path):
    """Interpolated by cubics, across the seam too."""
    ds = data(periodic=periodic)
    ds.to_netcdf(tmp_path / "u.nc", engine="h5netcdf")
    exact = lambda x, t: torch.sin(torch.pi * (x - t))  # noqa: E731
    groups = {"initial": 64} if periodic else {"initial": 64, "boundary": 32}
    for given in (ds, ds.u, {"file": str(tmp_path / "u.nc")}):
        objective = EquationResidual("convection", {"speed_x": 1.0}, given)
        kind = "periodic" if periodic else "dirichlet"
        found = losses(exact, objective, kind, **groups)
        assert all(found[name] < 1e-9 for name in groups)
        assert losses(lambda x, t: 0.1 + exact(x, t), objective, kind, initial=8)[
            "initial"
        ] == pytest.approx(0.01, rel=1e-2)
    still = EquationResidual("convection", {"speed_x": 1.0}, data(timed=False, periodic=periodic))
    assert losses(exact, still, kind, initial=32)["initial"] < 1e-9


def test_functions_hold_by_the_names_of_their_arguments():
    given = {"initial": lambda x, kappa: kappa * x, "boundary": lambda t: {"u": 2.0 * t}}
    objective = EquationResidual("heat", {"kappa": 0.1}, given)
    found = losses(lambda x, t: 0.1 * x + bent(x, t), objective, initial=8)
    assert found["initial"] < 1e-25
    assert losses(lambda x, t: 2.0 * t + bent(x, t), objective, boundary=8)["boundary"] < 1e-25
    lone = EquationResidual("heat", {"kappa": 0.1}, {"initial": given["initial"]})
    with pytest.raises(InputError, match="points for 'boundary', and no such function"):
        losses(wave, lone, boundary=4)


def test_functions_of_a_file_hold(tmp_path):
    (tmp_path / "bow.py").write_text("BEND = 0.1\n")
    file = tmp_path / "start.py"
    file.write_text(
        "from bow import BEND\n\n\ndef initial(x, kappa):\n    return BEND * kappa * x\n"
    )
    objective = EquationResidual("heat", {"kappa": 2.0}, {"file": str(file)})
    assert losses(lambda x, t: 0.2 * x + bent(x, t), objective, initial=8)["initial"] < 1e-25
    with pytest.raises(InputError, match="points for 'boundary', and no such function"):
        losses(wave, objective, boundary=4)
    for text, says in (
        ("initial = 3", "neither initial nor boundary; expected functions"),
        ("raise KeyError('x')", r"start.py cannot be imported: KeyError"),
    ):
        file.write_text(text)
        os.utime(file, ns=(0, len(text)))
        with pytest.raises(InputError, match=says):
            EquationResidual("heat", {"kappa": 2.0}, {"file": str(file)})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (data().rename(u="v"), "data has no 'u'; it has v"),
        (data().expand_dims(run=2), "'u' of data on run, time, x; expected the axes of the box"),
        (data().where(data().x > 0), "values that are not finite"),
        ({"file": "nowhere.nc"}, "no file 'nowhere.nc'"),
        ({"file": "README.md"}, "README.md cannot be read"),
        ({"file": "u.nc", "mode": 2}, "no key 'mode'"),
        ({"initial": lambda x: x, "walls": lambda x: x}, "no key 'walls'"),
        ({"mode": 2}, "expected a name, or a file"),
        (lambda x: x, "solution: function; expected a name"),
        (np.zeros(64), "solution: ndarray; expected a name"),
    ],
)
def test_what_holds_has_to_be_said(given, says):
    with pytest.raises(InputError, match=says) as refused:
        EquationResidual("heat", {"kappa": 0.1}, given)
    assert "\n" not in str(refused.value)


def test_data_of_another_box_are_refused():
    objective = EquationResidual(
        "heat", {"kappa": 0.1}, data().assign_coords(x=np.linspace(0, 1, 64))
    )
    with pytest.raises(InputError, match="from 0 to 1 along x, and the domain from -1 to 1"):
        losses(wave, objective, initial=4)
    still = EquationResidual("heat", {"kappa": 0.1}, data(timed=False, periodic=False))
    with pytest.raises(InputError, match="has no times, and points for the sides"):
        losses(wave, still, boundary=4)


def test_fit_takes_data_as_what_holds():
    surrogate = sciml.fit(
        {"name": "pinn", "hidden": [16, 16]},
        targets=["u"],
        sources={"inside": {"kind": "collocation",
                            "domain": {"x": {"low": -1, "high": 1, "periodic": True}},
                            "time": [0, 0.5], "batch_size": 64, "initial": 32}},
        objectives={"physics": {"kind": "residual", "source": "inside", "equation": "convection",
                                "parameters": {"speed_x": 1.0}, "solution": data()}},
        phases=[{"optimizer": "adam", "lr": 1e-2, "steps": 60}],
    )  # fmt: skip
    x = np.linspace(-0.9, 0.9, 7)
    found = surrogate.predict(xr.Dataset(coords={"time": [0.0]}), at={"x": x})
    assert np.abs(found.u.values.ravel() - np.sin(np.pi * x)).max() < 0.3
    assert equation("convection").speed is not None
