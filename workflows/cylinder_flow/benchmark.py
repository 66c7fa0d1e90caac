"""Schäfer and Turek's benchmark of the flow past a cylinder, on meshes that are refined.

    python workflows/cylinder_flow/benchmark.py 2D-1 2D-2

Prints what each mesh gives; what lies within the published range has a star. Each mesh goes on from the
flow of the one before.
"""

import argparse
import importlib.util
import time
from types import SimpleNamespace

import numpy as np

from sciml.share import find
from sciml.solver.flags import parse

#: Published ranges: M. Schäfer, S. Turek, doi:10.1007/978-3-322-89849-4_39, tables 3 and 4.
RANGES = {
    "2D-1": {
        "c_D": (5.57, 5.59), "c_L": (0.0104, 0.0110), "L_a": (0.0842, 0.0852), "Δp": (0.1172, 0.1176),
    },
    "2D-2": {"c_D": (3.22, 3.24), "c_L": (0.99, 1.01), "St": (0.295, 0.305), "Δp": (2.46, 2.50)},
}  # fmt: skip
#: Inflow [m/s]; seconds until the flow is what it will be, on the first mesh and on those behind it.
SPEED = {"2D-1": 0.3, "2D-2": 1.5}
SETTLED = {"2D-1": (6.0, 2.5), "2D-2": (6.0, 2.0)}
#: Seconds that are measured of 2D-2, three periods.
MEASURED = 1.0
#: Diameter and mean speed of 2D-2 by which the frequency is made a Strouhal number.
DIAMETER = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=["2D-1", "2D-2"], choices=[*RANGES])
    parser.add_argument("--spacings", nargs="+", type=float, default=[0.07, 0.05, 0.035])
    parser.add_argument("--refinement", type=float, default=4.0)
    parser.add_argument("--order", type=int, default=3)
    given = parser.parse_args()
    for case in given.cases:
        print(
            f"\n{case}: " + ", ".join(f"{n} {a:g} to {b:g}" for n, (a, b) in RANGES[case].items())
        )
        before = None
        for spacing in given.spacings:
            flags = {"spacing": spacing, "refinement": given.refinement, "order": given.order}
            before, found = measured(case, before, **flags)
            print(row(case, found), flush=True)


def row(case: str, found: dict[str, float]) -> str:
    """A line of the table; what lies within its range is marked."""
    cells = [
        f"{found['nodes']:5d} nodes, {found['unknowns']:6d} unknowns, {found['ms']:5.1f} ms a step"
    ]
    for name, (low, high) in RANGES[case].items():
        cells.append(f"{name} {found[name]:.4f}{'*' if low <= found[name] <= high else ' '}")
    if (
        "c_L min" in found
    ):  # the lift swings about less than 0: half of its range stands beside both
        half, (low, high) = 0.5 * (found["c_L"] - found["c_L min"]), RANGES[case]["c_L"]
        cells.append(f"c_L min {found['c_L min']:.4f}, half the range {half:.4f}")
        cells[-1] += "*" * (low <= half <= high)
    return "   ".join(cells)


def measured(case, before=None, **flags):
    """The program after its march on a mesh, from the flow of the one ``before``, and its figures."""
    program = made(speed=SPEED[case], dt=0.01 if case == "2D-1" else 0.002, **flags)
    if before is not None:
        program.initial = lambda: before.flow.moved
    program.start(SimpleNamespace(rank=0, size=1))
    steps = round(SETTLED[case][before is not None] / program.given.dt)
    began = time.process_time()
    march(program, steps)
    took = (time.process_time() - began) / (steps * program.substeps)
    found = {"nodes": program.mesh.size, "unknowns": program.flow.space.ndof, "ms": 1e3 * took}
    return program, found | (steady if case == "2D-1" else shedding)(program)


def made(**flags):
    """The program solvers/cylinder.py, for these flags."""
    spec = importlib.util.spec_from_file_location("cylinder", find("solvers/cylinder.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    return module.Cylinder(parse(module.Cylinder, words))


def march(program, steps):
    """Drag, lift and Δp of as many states; ``(steps, 3)``."""
    states = []
    for n in range(steps):
        program.step(n)
        state = program.state()
        states.append([state[name] for name in ("drag", "lift", "pressure_drop")])
    return np.array(states)


def steady(program) -> dict[str, float]:
    """Of a flow that has come to rest; L_a ends where the flow along the axis turns."""
    given, state = program.given, program.state()
    x = given.cylinder_x + given.radius + np.linspace(0.07, 0.1, 301)
    along = program.flow.at(np.stack([x, np.full_like(x, given.cylinder_y)], axis=1))[:, 0]
    turn = int(np.flatnonzero((along[:-1] < 0) & (along[1:] >= 0))[0])
    length = np.interp(0.0, along[turn : turn + 2], x[turn : turn + 2])
    length -= given.cylinder_x + given.radius
    named = {"c_D": "drag", "c_L": "lift", "Δp": "pressure_drop"}
    return {"L_a": float(length)} | {name: float(state[field]) for name, field in named.items()}


def shedding(program) -> dict[str, float]:
    """Of a flow that sheds vortices; Δp half a period behind a maximum of the lift."""
    dt = program.given.dt
    drag, lift, drop = march(program, round(MEASURED / dt)).T
    tops = (
        np.flatnonzero((lift[1:-1] > lift[:-2]) & (lift[1:-1] >= lift[2:]) & (lift[1:-1] > 0)) + 1
    )
    lows = (
        np.flatnonzero((lift[1:-1] < lift[:-2]) & (lift[1:-1] <= lift[2:]) & (lift[1:-1] < 0)) + 1
    )
    times = np.array([top + peak(lift[top - 1 : top + 2])[0] for top in tops])
    period = float(np.diff(times).mean())
    half = np.interp(times[:-1] + 0.5 * period, np.arange(len(drop)), drop)
    above = np.flatnonzero((drag[1:-1] > drag[:-2]) & (drag[1:-1] >= drag[2:])) + 1
    mean = 2.0 / 3.0 * program.given.speed
    return {
        "c_D": max(peak(drag[k - 1 : k + 2])[1] for k in above),
        "c_L": max(peak(lift[k - 1 : k + 2])[1] for k in tops),
        "c_L min": -max(peak(-lift[k - 1 : k + 2])[1] for k in lows),
        "St": DIAMETER / (period * dt * mean),
        "Δp": float(half.mean()),
    }


def peak(values: np.ndarray) -> tuple[float, float]:
    """Of the parabola through three values: place from the middle one, and height."""
    before, middle, after = values.tolist()
    slope, bend = 0.5 * (after - before), after - 2.0 * middle + before
    return -slope / bend, middle - 0.5 * slope**2 / bend


if __name__ == "__main__":
    main()
