"""What is compared on u_t + u u_x = ν u_xx: viscosities and methods, and the data of others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

sys.path.append(str(Path(__file__).parents[1] / "lpinn_convection"))
from trainings import (
    LBFGS,
    PLACES,
    TIMES,
    Case,
    relative,
)

from sciml.equations import burgers
from sciml.equations.sines import Sines

VISCOSITIES = (0.1, 0.05, 0.01)
METHODS = ("LPINN hard", "LPINN soft", "LPINN uncorrected", "PINN")
LINE = {"x": {"low": 0.0, "high": 2 * pi, "points": PLACES, "periodic": True}}
#: Points inside a step, and at the start.
INSIDE, START = 1024, 128
PHASES: list[dict[str, Any]] = [
    {"optimizer": "soap", "lr": 3e-3, "schedule": "cosine", "warmup": 0, "steps": 2000},
    {**LBFGS, "steps": 20, "batch_size": 2560, "redraw": 10},
]

#: The published solution with ν = 0.01/π from −sin πx on [−1, 1], and when it steepens.
PUBLISHED_NU, STEEP = 0.01 / pi, 0.32
UNIT = {"x": {"low": -1.0, "high": 1.0, "points": PLACES, "periodic": True}}


def viscous() -> Iterator[Case]:
    for nu in VISCOSITIES:
        for method in METHODS:
            yield case("exact", LINE, method, nu)


def published(path: Path) -> Iterator[Case]:
    """Of the file ``burgers.npz`` of deepxde: up to where it steepens, and the whole."""
    with np.load(path) as file:
        t, x, u = file["t"].ravel(), file["x"].ravel(), file["usol"]
    u = u if u.shape == (len(t), len(x)) else u.T
    whole = xr.DataArray(u, {"time": t, "x": x}, ("time", "x"))
    for method, last in (("LPINN hard", STEEP), ("PINN", STEEP), ("PINN", 1.0)):
        exact = whole.sel(time=slice(0.0, last + 1e-9))
        yield case(path.name, UNIT, method, PUBLISHED_NU, last, exact)


def breaking() -> Iterator[Case]:
    """Without viscosity, until shortly before the shock at t = 1: when is it seen?"""
    about = {"data": "inviscid", "nu": 0.0, "last": 0.9, "method": "LPINN hard"}
    model = {"name": "lpinn", "initial": {"equation": "inviscid-burgers", "solution": "sine"}}
    yield Case(
        about, "inviscid-burgers", {}, "sine", model, PHASES[:1], {"batch_size": INSIDE}, LINE, 0.9
    )


def case(
    data: str,
    domain: dict[str, Any],
    method: str,
    nu: float,
    last: float = 1.0,
    exact: xr.DataArray | None = None,
) -> Case:
    """One row."""
    points: dict[str, Any] = {"batch_size": INSIDE, "initial": START}
    phases, model = PHASES, {"name": "pinn"}
    if method.startswith("LPINN"):
        model = {"name": "lpinn", "jacobian": "uncorrected" not in method}
    else:
        phases = [{**phase, "weights": {"physics.initial": 100.0}} for phase in phases]
    if method in ("LPINN hard", "LPINN uncorrected"):
        model["initial"] = {"equation": "burgers", "solution": "sine"}
        points.pop("initial")
    about = {"data": data, "nu": nu, "last": last, "method": method}
    return Case(
        about, "burgers", {"nu": nu}, "sine", model, phases, points, domain, last, exact=exact
    )


def floor(nu: float) -> float:
    """What the uncorrected form errs by when it is solved exactly: with u_ξξ for u_xx it is
    u = e^(−νt) sin ξ on X = ξ + (1 − e^(−νt))/ν sin ξ.
    """
    x, t = 2 * pi * np.arange(PLACES) / PLACES, np.linspace(0.0, 1.0, TIMES)[:, None]
    reach, labels = -np.expm1(-nu * t) / nu, np.linspace(0.0, 2 * pi, 20_001)
    places = labels + reach * np.sin(labels)
    found = [
        np.exp(-nu * one) * np.sin(np.interp(x, place, labels))
        for one, place in zip(t, places, strict=True)
    ]
    at_t, at_x = np.broadcast_arrays(t, x)
    start = Sines(0.0, ((1.0, 1.0, 0.0),))
    truth = burgers.from_sines(
        start, at_x.ravel(), at_t.reshape(-1, 1), np.full((at_t.size, 1), nu)
    )
    return relative(np.stack(found), truth.reshape(at_t.shape))
