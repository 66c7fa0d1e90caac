"""How fast are the spectral programs, against exponax? Run by hand:

    pip install exponax pyfftw
    python tests/benchmarks/bench_spectral.py [--rounds 7] [--fft fftw] [--json spectral.json]

The same equation, grid, dealiasing, scheme (ETDRK4), step and float64 on both sides; one process, one
core (pinned), rounds in turn. exponax is jit-compiled, steps in Fourier space under ``lax.scan`` and
never returns to points in between; ours is compiled where a run is long enough, which is assumed. KdV
without the hyper-diffusion and Burgers in the conservative form that exponax does not take by default;
its KdV drops the imaginary part of the coefficients of ETDRK and converges at first order only (4.2e-2
at dt = 1e-3, 2.1e-2 at half of it, for one soliton), so that the two are apart. Given
are the medians of a step, the ratio of neighboring rounds (below 1: we are faster) and its range, and
how far the two states are apart at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORE = max(os.sched_getaffinity(0))
os.sched_setaffinity(0, {CORE})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import exponax as ex  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
from programs import started  # noqa: E402

from sciml.heap import keep_heap  # noqa: E402

jax.config.update("jax_enable_x64", True)
DEALIAS = 2.0 / 3.0
Stepper = Any


def case(
    name: str,
    options: dict[str, Any],
    steps: int,
    peer: Callable[[tuple[float, int, float]], Stepper],
) -> dict[str, Any]:
    return {"name": name, "options": options, "steps": steps, "peer": peer}


def flow(n: int) -> dict[str, Any]:
    options = {"shape": (n, n), "dt": 2e-3, "nu": 1e-3, "forcing": "none", "modes": 16}
    return case(
        "navier_stokes", options, 20,
        lambda a: ex.stepper.NavierStokesVorticity(2, *a, diffusivity=1e-3, order=4),
    )  # fmt: skip


def reaction(n: int) -> dict[str, Any]:
    options = {"shape": (n, n), "dt": 1.0, "feed": 0.029, "kill": 0.057}
    return case(
        "gray_scott", options, 20,
        lambda a: ex.stepper.reaction.GrayScott(
            2, *a, feed_rate=0.029, kill_rate=0.057, order=4, dealiasing_fraction=1.0
        ),
    )  # fmt: skip


def line(name: str, n: int) -> dict[str, Any]:
    match name:
        case "burgers":
            options: dict[str, Any] = {"dt": 1e-3, "nu": 0.02, "initial": "sine"}
            make = lambda a: ex.stepper.Burgers(  # noqa: E731
                1, *a, diffusivity=0.02, conservative=True, order=4
            )
        case "korteweg_de_vries":
            options = {"dt": 1e-3}
            make = lambda a: ex.stepper.KortewegDeVries(  # noqa: E731
                1, *a, convection_scale=6.0, hyper_diffusivity=0.0, conservative=True, order=4
            )
        case _:
            options = {"dt": 0.05}
            make = lambda a: ex.stepper.KuramotoSivashinskyConservative(1, *a, order=4)  # noqa: E731
    return case(name, {"shape": (n,), **options}, 400, make)


LINES = ("burgers", "kuramoto_sivashinsky", "korteweg_de_vries")
CASES = [
    flow(64),
    flow(256),
    reaction(128),
    reaction(256),
    *(line(n, s) for n in LINES for s in (256, 1024)),
]


def measure(one: dict[str, Any], rounds: int, fft: str) -> dict[str, Any]:
    options, steps = one["options"] | {"fft": fft}, one["steps"]
    program = started(one["name"], **options, steps=10**6)
    start = np.stack([program.state()[f.name] for f in program.fields])
    stepper = one["peer"]((program.given.length, program.grid.shape[0], program.dt))
    ndim = program.grid.ndim

    def advance(u_hat):
        return jax.lax.scan(
            lambda u, _: (stepper.step_fourier(u), None), u_hat, None, length=steps
        )[0]

    advance = jax.jit(advance)
    u_hat = ex.fft(jax.numpy.asarray(start), num_spatial_dims=ndim)
    advance(u_hat).block_until_ready()
    program.step(0)  # as the peer's compilation, what is made once is not counted
    program.u[:] = program.fourier.forward(start)
    ours, theirs = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        for n in range(steps):
            program.step(n)
        ours.append((time.perf_counter() - began) / steps)
        began = time.perf_counter()
        u_hat = advance(u_hat).block_until_ready()
        theirs.append((time.perf_counter() - began) / steps)
    mine = np.stack([program.state()[f.name] for f in program.fields])
    peer = np.asarray(ex.ifft(u_hat, num_spatial_dims=ndim, num_points=program.grid.shape[0]))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "program": one["name"],
        "shape": program.grid.shape,
        "ours": ours,
        "exponax": theirs,
        "ratios": ratios,
        "apart": float(np.linalg.norm(mine - peer) / np.linalg.norm(peer)),
        "steps": rounds * steps,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--fft", default="numpy", choices=("numpy", "fftw"), help="of ours")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    keep_heap()  # as every solver program does first
    print(f"{'program':>22} {'grid':>10} {'ours ms':>8} {'exponax':>8}  ratio (range)       apart")
    figures = []
    for one in CASES:
        found = measure(one, arguments.rounds, arguments.fft)
        figures.append(found)
        ratios = found["ratios"]
        print(
            f"{found['program']:>22} {'x'.join(map(str, found['shape'])):>10} "
            f"{1e3 * statistics.median(found['ours']):8.3f} "
            f"{1e3 * statistics.median(found['exponax']):8.3f}  "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})   "
            f"{found['apart']:.1e} after {found['steps']} steps",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
