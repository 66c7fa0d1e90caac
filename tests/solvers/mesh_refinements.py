"""How the orders of programs on meshes are measured; see ``refinements.py``."""

import numpy as np
import truths
from refinements import Refinement, in_time, steps_of


def conducted(program, t):
    """The manufactured solution of heat_mesh.py, whose medium, source, sides and start are replaced."""
    return {"u": truths.heat_manufactured_solution(*program.mesh.points.T, t)}


def _on_nodes(function, held=False):
    """A method that gives a function of x, y and t at all nodes, or at those of the groups."""
    return lambda run: lambda t=0.0: function(*run.mesh.points[: run.free if held else None].T, t)


MANUFACTURED_HEAT = {
    "conductivity": lambda run: lambda points: truths.heat_manufactured_conductivity(*points.T),
    "initial": _on_nodes(truths.heat_manufactured_solution),
    "held": _on_nodes(truths.heat_manufactured_solution, held=True),
    "heating": _on_nodes(truths.heat_manufactured_heating),
}


def traveled(program, t):
    """The wave of reaction_diffusion_mesh."""
    u = program.front(t)
    return {"u": u, "seen": u * program.sensor}


def decayed(program, t):
    """What a constant vector casts on the unit sphere."""
    u = np.einsum("nac,nc->na", program.frame, program.initial()) * np.exp(-program.given.kappa * t)
    return {"u": u, "arrow": np.einsum("na,nac->nc", u, program.frame)}


def turned(program, t):
    """The spot of transport_mesh beside the middle, once it has gone around with the disc."""
    angle = program.given.speed * t
    place = 0.5 + 0.2 * np.array([np.cos(angle), np.sin(angle)])
    squared = ((program.mesh.points - place) ** 2).sum(axis=1)
    return {"u": np.exp(-0.5 * squared / program.given.width**2)}


def behind_a_lattice(program, t):
    """The flow that cylinder.py is held to on all its sides."""
    return {
        "velocity": np.stack(truths.kovasznay(*program.mesh.points.T, program.given.nu), axis=1)
    }


def _flows(run):
    import ngsolve as ng

    return truths.kovasznay(ng.x, ng.y, run.given.nu, ng.exp, ng.cos, ng.sin)


KOVASZNAY = {
    "held": lambda run: lambda: dict.fromkeys(run.mesh.groups, _flows(run)),
    "initial": lambda run: lambda: _flows(run),
}

REFINEMENTS = (
    Refinement(
        "heat_mesh/spacing", "heat_mesh", {"scheme": "crank-nicolson", "steps": 100, "dt": 5e-3},
        tuple({"spacing": h} for h in (0.05, 0.025, 0.0125)),
        conducted, replaced=MANUFACTURED_HEAT,
    ),
    Refinement(
        "heat_mesh/lumped", "heat_mesh",
        {"scheme": "crank-nicolson", "steps": 100, "dt": 5e-3, "mass": "lumped"},
        tuple({"spacing": h} for h in (0.05, 0.025, 0.0125)),
        conducted, replaced=MANUFACTURED_HEAT,
    ),
    *(
        Refinement(
            f"heat_mesh/{scheme}", "heat_mesh", {"scheme": scheme, "spacing": 0.1},
            steps_of(1.0, 32, 64, 128, 2048), scheme=scheme, replaced=MANUFACTURED_HEAT,
            below=0.2, above=0.4,
        )
        for scheme in ("backward-euler", "crank-nicolson")
    ),
    *(
        Refinement(
            f"reaction_diffusion_mesh/{reaction}", "reaction_diffusion_mesh",
            {"reaction": reaction, "initial": "front", "diffusivity": 6.25e-4, "dt": 0.02, "steps": 25},
            tuple({"spacing": h} for h in (0.04, 0.02, 0.01)),
            traveled, below=0.2,
        )
        for reaction in ("fisher", "allen-cahn")
    ),
    *in_time(
        "reaction_diffusion_mesh", "reaction_diffusion_mesh", ("strang", "lie"), 2.0, 8, spacing=0.1,
        width=0.2, diffusivity=5e-3,
    ),
    Refinement(
        "vector_heat/nodes", "vector_heat",
        {"bumps": 0.0, "initial": "constant", "kappa": 1.0, "dt": 0.02, "steps": 25},
        tuple({"nodes": n} for n in (100, 400, 1600)),
        decayed, below=0.3, above=0.3,
    ),
    *in_time(
        "vector_heat", "vector_heat", ("backward-euler", "crank-nicolson"), 1.0, 16, nodes=60,
        kappa=0.3,
    ),
    Refinement(
        "transport_mesh/spacing", "transport_mesh",
        {"flow": "rotation", "initial": "beside"},
        tuple(
            {"spacing": h, "steps": n, "dt": 0.5 / n} for h, n in ((0.04, 64), (0.02, 128), (0.01, 256))
        ),
        turned, below=0.2,
    ),
    Refinement(
        "cylinder/spacing", "cylinder",
        {"nu": 0.05, "speed": 1.0, "refinement": 2.0, "radius": 0.08, "dt": 0.05, "steps": 4},
        tuple({"spacing": h} for h in (0.2, 0.1, 0.05)),
        behind_a_lattice, replaced=KOVASZNAY, below=0.3, above=0.5,
    ),
    Refinement(
        "cylinder/sbdf2", "cylinder",
        {"nu": 0.01, "speed": 1.0, "refinement": 1.0, "spacing": 0.14, "substeps": 1, "radius": 0.08},
        steps_of(0.32, 32, 64, 128, 1024), scheme="sbdf2", below=0.2, above=0.3,
    ),
    *in_time(
        "transport_mesh", "transport_mesh", ("heun", "rk4", "euler"), 0.5, 32, spacing=0.12, width=0.2,
    ),
)  # fmt: skip
