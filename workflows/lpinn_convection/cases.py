"""What is compared on u_t + c u_x = ν u_xx: speeds, methods, optimizers, and what was published."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi
from typing import Any

from trainings import LBFGS, Case

SPEEDS = (0.0, 10.0, 30.0, 50.0, 70.0)
#: Of the viscous equation, with ν = 0.01.
DIFFUSION, DIFFUSED = 0.01, (10.0, 50.0, 70.0)
LINE = {"x": {"low": 0.0, "high": 2 * pi, "points": 256, "periodic": True}}

#: Points inside a step, and at the start.
INSIDE, START = 1024, 128
OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "SOAP": [{"optimizer": "soap", "lr": 3e-3, "schedule": "cosine", "warmup": 300, "steps": 3000}],
    "Adam, L-BFGS": [
        {"optimizer": "adam", "lr": 3e-3, "schedule": "exponential", "final": 0.1, "steps": 2000},
        {**LBFGS, "steps": 20, "batch_size": 2560, "redraw": 10},
    ],
}
#: Of single rows: what patience gains, and what is lost without a warm-up.
MORE = {
    "SOAP, 10 000 steps": [{**OPTIMIZERS["SOAP"][0], "warmup": 0, "steps": 10_000}],
    "SOAP, no warm-up, 2000 steps": [{**OPTIMIZERS["SOAP"][0], "warmup": 0, "steps": 2000}],
}
#: Second derivatives cost twice as much.
DIFFUSED_STEPS = {"warmup": 120, "steps": 1200}


def convection() -> Iterator[Case]:
    for speed in SPEEDS:
        for method in METHODS:
            for optimizer in OPTIMIZERS:
                yield case(speed, 0.0, method, optimizer)


def single() -> Iterator[Case]:
    yield case(30.0, 0.0, "PINN expert", "SOAP, 10 000 steps")
    for speed in SPEEDS:
        yield case(speed, 0.0, "LPINN soft", "SOAP, no warm-up, 2000 steps")


def diffusion() -> Iterator[Case]:
    for speed in DIFFUSED:
        for method in ("LPINN soft", "LPINN hard", "PINN"):
            yield case(speed, DIFFUSION, method, "SOAP")


METHODS = ("PINN", "PINN expert", "LPINN soft", "LPINN hard")


def case(speed: float, nu: float, method: str, optimizer: str) -> Case:
    """One row."""
    equation, parameters = "convection", {"speed_x": speed}
    if nu:
        equation, parameters = "convection-diffusion", {"speed_x": speed, "kappa": nu}
    phases, points = {**OPTIMIZERS, **MORE}[optimizer], {"batch_size": INSIDE, "initial": START}
    if nu:
        phases = [{**phase, **DIFFUSED_STEPS} for phase in phases]
    model = {"name": "pinn"}
    if method.startswith("LPINN"):
        model = {"name": "lpinn"}
    if method == "LPINN hard":
        model["initial"] = {"equation": equation, "solution": "wave"}
        points.pop("initial")
    if method == "PINN":
        model["harmonics"] = 0
        points["seam"] = START
    if method == "PINN expert":
        phases = [{**phase, "balance": 100} for phase in phases]
        model["fourier"] = 64
    about = {"nu": nu, "speed": speed, "method": method, "optimizer": optimizer}
    return Case(about, equation, parameters, "wave", model, phases, points, LINE)


#: Relative L2 errors by speed, of the same equation from sin x; sources in README.md.
PUBLISHED = {
    "PINN, published": {30.0: "0.90 to 1.10", 50.0: "0.84"},
    "curriculum, PINNsFormer, published": {30.0: "2e-2", 50.0: "2.7e-2"},
}
