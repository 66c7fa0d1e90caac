"""How the orders of spectral programs are measured; see ``refinements.py``."""

import numpy as np
from programs import load, run_program
from refinements import Refinement, steps_of

from sciml.equations import burgers, korteweg_de_vries, schroedinger


def cole_hopf(program, t):
    """Of u₀ = sin 2πx."""
    x, tau = program.grid.coordinates(0), 2.0 * np.pi
    return {
        "u": burgers.cole_hopf(
            x, t, lambda y: np.sin(tau * y), lambda y: -np.cos(tau * y) / tau, program.given.nu
        )
    }


def soliton(program, t):
    x = program.grid.coordinates(0) - 0.5 * program.given.length
    return {"u": korteweg_de_vries.soliton(x, t, program.given.speed)}


def bright_soliton(program, t):
    given = program.given
    x = program.grid.coordinates(0) - 0.5 * given.length
    psi = schroedinger.soliton(x, t, given.amplitude, program.velocity, given.kappa)
    return {"p": psi.real, "q": psi.imag}


def finer(name, points, **flags):
    """The fields of a run on a finer grid, at the points of the coarser one that are among its."""
    found = []

    def reference(program, t):
        if not found:
            found.append(run_program(name, shape=points, **flags)[0][-1])
        ends = [boundary != "periodic" for boundary in program.grid.boundary]
        every = tuple(
            slice(None, None, (fine - end) // (n - end))
            for fine, n, end in zip(points, program.given.shape, ends, strict=True)
        )
        return {key: values[every] for key, values in found[0].items()}

    return reference


def spectral_points(name, sizes, finest, **flags):
    """Convergence of a spectral program in the number of points along each axis."""
    ndim = len(load(name).options[0].default)
    return Refinement(
        f"{name}/points",
        name,
        flags,
        tuple({"shape": (n,) * ndim} for n in sizes),
        finer(name, (finest,) * ndim, **flags),
    )


def spectral_schemes(name, end, counts, **flags):
    """The order in time of each scheme of a spectral program, against many more steps of it."""
    runs = (*steps_of(end, *counts), *steps_of(end, 32 * counts[0]))
    return [
        Refinement(
            f"{name}/{scheme}", name, {"scheme": scheme, **flags}, runs, scheme=scheme,
            below=0.25, above=0.25,
        )
        for scheme in load(name).order_time
    ]  # fmt: skip


REFINEMENTS = (
    Refinement(
        "burgers/points",
        "burgers",
        {"initial": "sine", "nu": 0.02, "dt": 5e-4, "steps": 200},
        tuple({"shape": (n,)} for n in (32, 64, 128)),
        cole_hopf,
    ),
    Refinement(
        "korteweg_de_vries/points",
        "korteweg_de_vries",
        {"dt": 5e-4, "steps": 200},
        tuple({"shape": (n,)} for n in (64, 128, 256)),
        soliton,
    ),
    Refinement(
        "schroedinger/points",
        "schroedinger",
        {"dt": 5e-3, "steps": 200},
        tuple({"shape": (n,)} for n in (80, 160, 320)),
        bright_soliton,
    ),
    spectral_points("allen_cahn", (16, 32, 64), 128, steps=20, modes=2, diffusivity=0.01),
    spectral_points("kuramoto_sivashinsky", (36, 72, 144), 288, length=32.0, steps=100, modes=3),
    spectral_points(
        "navier_stokes", (16, 32, 64), 128, steps=60, dt=1e-2, modes=3, nu=2e-3, drift=0.5
    ),
    spectral_points(
        "gray_scott", (16, 32, 64), 128, steps=20, spots=2, width=0.15, delta_u=1e-3, delta_v=5e-4
    ),
    *spectral_schemes("burgers", 0.1, (10, 20, 40), shape=(64,), initial="sine", nu=0.05),
    *spectral_schemes("kuramoto_sivashinsky", 1.0, (80, 160, 320), shape=(48,), length=32.0),
    *spectral_schemes("korteweg_de_vries", 0.1, (50, 100, 200), shape=(96,)),
    *spectral_schemes("schroedinger", 1.0, (40, 80, 160), shape=(96,), initial="smooth"),
    *spectral_schemes("allen_cahn", 2.0, (10, 20, 40), shape=(24, 24), modes=2),
    *spectral_schemes("navier_stokes", 0.5, (24, 48, 96), shape=(24, 24), modes=5, drift=0.5),
    *spectral_schemes("gray_scott", 8.0, (8, 16, 32), shape=(24, 24), spots=2, width=0.2),
    Refinement(
        "korteweg_de_vries_burgers/points",
        "korteweg_de_vries_burgers",
        {"alpha": 0.5, "steps": 250, "dt": 4e-3, "seed": 3},
        tuple({"shape": (n,)} for n in (32, 64, 128)),
        finer("korteweg_de_vries_burgers", (512,), alpha=0.5, steps=250, dt=4e-3, seed=3),
    ),
)
