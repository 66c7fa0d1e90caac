"""How the orders of ordinary equations, and of their kin, are measured; see ``refinements.py``."""

import numpy as np
from programs import load
from refinements import Refinement, in_time, steps_of
from spectral_refinements import finer


def spread_out(program, t):
    """exp(−L t) u(0) of network_diffusion, by the eigenvectors of L."""
    matrix = program.mine.toarray()
    rates, modes = np.linalg.eigh(matrix)
    return {"u": modes @ (np.exp(-rates * t) * (modes.T @ program.initial()))}


def substeps(name, counts, **flags):
    """The order in time of each scheme of a program whose frames are solutions over time."""
    runs = tuple({"substeps": n} for n in (*counts, 32 * counts[0]))
    return [
        Refinement(
            f"{name}/{scheme}", name, {"scheme": scheme, "steps": 1, **flags}, runs, scheme=scheme,
            below=0.2, above=0.2,
        )
        for scheme in load(name).order_time
    ]  # fmt: skip


REFINEMENTS = (
    *substeps("antiderivative", (2, 4, 8), shape=(21,)),
    *substeps("nonlinear_ode", (2, 4, 8), shape=(21,)),
    *substeps("pendulum", (2, 4, 8), shape=(21,), k=4.0),
    *substeps("diffusion_reaction", (8, 16, 32), shape=(11, 31), k=0.5),
    Refinement(
        "diffusion_reaction/points",
        "diffusion_reaction",
        {"steps": 1, "substeps": 40},
        tuple({"shape": (11, n)} for n in (26, 51, 101)),
        finer("diffusion_reaction", (11, 401), steps=1, substeps=240),
        below=0.2,
        above=0.2,
    ),
    *(
        Refinement(
            f"lorenz/{scheme}",
            "lorenz",
            {"scheme": scheme, "shape": (7,)},
            (*steps_of(1.0, 200, 400, 800), *steps_of(1.0, 6400)),
            scheme=scheme,
        )
        for scheme in load("lorenz").order_time
    ),
    *in_time(
        "n_body", "n_body", ("leapfrog", "symplectic-euler"), 1.0, 16,
        law="gravity", bodies=6, softening=0.5,
    ),
    *(
        Refinement(
            f"network_diffusion/{scheme}",
            "network_diffusion",
            {"scheme": scheme, "nodes": 40, "radius": 0.3, "width": 0.1},
            steps_of(0.4, 24, 48, 96),
            spread_out,
            scheme=scheme,
        )
        for scheme in load("network_diffusion").order_time
    ),
)  # fmt: skip
