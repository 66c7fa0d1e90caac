"""Singular values of snapshots in both frames: python workflows/lpinn_convection/snapshots.py OUT.png

Of the matrix of u(x, t), a column a time, and along characteristics of u(ξ, t) with the displacement
X(ξ, t) − ξ below it. How fast they fall says how few modes a linear basis needs, at best: the
Kolmogorov n-width of the solutions.
"""

import argparse
from math import pi
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sciml.equations import burgers, convection
from sciml.equations.sines import Sines

PLACES, TIMES = 256, 100
SIDE = {"x": (0.0, 2 * pi)}
WIDTH = 0.03


def carried_pulse(speed: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u in both frames, and the displacement, ``(x, t)`` each, of a narrow pulse."""
    x, t = np.arange(PLACES)[:, None] * 2 * pi / PLACES, np.linspace(0.0, 1.0, TIMES)
    still = convection.pulse({"x": x}, 0 * t, SIDE, speed_x=speed, width=WIDTH)["u"]
    moving = convection.pulse({"x": x}, t, SIDE, speed_x=speed, width=WIDTH)["u"]
    return moving, still * np.ones_like(t), speed * t * np.ones_like(x)


def steepening_sine(nu: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of Burgers from sin x; characteristics by Runge and Kutta's method, dX/dt = u(X, t)."""
    x, t = np.arange(PLACES) * 2 * pi / PLACES, np.linspace(0.0, 1.0, TIMES)
    start = Sines(0.0, ((1.0, 1.0, 0.0),))

    def u(places: np.ndarray, time: float) -> np.ndarray:
        whole = np.ones((len(places), 1))
        return burgers.from_sines(start, places, time * whole, nu * whole)

    places, step = [x], t[1]
    for time in t[:-1]:
        at = places[-1]
        k1 = u(at, time)
        k2 = u(at + step / 2 * k1, time + step / 2)
        k3 = u(at + step / 2 * k2, time + step / 2)
        k4 = u(at + step * k3, time + step)
        places.append(at + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    moving = np.stack([u(x, time) for time in t], axis=1)
    along = np.stack([u(at, time) for at, time in zip(places, t, strict=True)], axis=1)
    return moving, along, np.stack(places, axis=1) - x[:, None]


def falling(matrix: np.ndarray) -> np.ndarray:
    """Singular values over the largest one."""
    values = np.linalg.svd(matrix, compute_uv=False)
    return values / values[0]


def needed(values: np.ndarray, part: float = 1e-3) -> int:
    """Modes that leave less than ``part`` of the norm."""
    left = np.sqrt(np.cumsum(values[::-1] ** 2)[::-1])
    return int((left > part * left[0]).sum())


def main(out: str) -> None:
    problems = {
        "pulse, c = 0": carried_pulse(0.0),
        "pulse, c = 50": carried_pulse(50.0),
        "Burgers, ν = 0.01": steepening_sine(0.01),
    }
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
    for panel, (name, (moving, still, displaced)) in zip(panels, problems.items(), strict=True):
        frames = {
            "frame of the box": moving,
            "along characteristics": np.vstack([still, displaced]),
        }
        for (frame, matrix), marks in zip(frames.items(), ("C3.-", "C0.-"), strict=True):
            values = falling(matrix)
            modes = needed(values)
            panel.semilogy(np.arange(1, 41), np.maximum(values[:40], 1e-16), marks, ms=4,
                           label=f"{frame}: {modes} for 1e-3")  # fmt: skip
            print(f"{name}, {frame}: {modes} modes leave less than 1e-3 of the norm")
        panel.set(title=name, xlabel="mode", ylim=(1e-12, 2))
        panel.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("singular value / largest")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    main(parser.parse_args().out)
