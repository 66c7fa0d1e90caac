"""What is solved, and by which models: a solver, a task, and the keys of a study for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Of each model that has none of its own: steps of Adam, learning rate, samples a step.
STEPS, RATE, BATCH = 300, 1e-2, 4

#: Fields themselves diffuse, with conductances that edges say: (u_i)' = Σ_j w_ij (u_j − u_i) / V_i.
FIELD = {
    "latent": False, "score": "none", "stochastic": "symmetric", "positive": "squareplus",
    "heads": 1, "width": 1, "time": 1.0, "step": 0.25,
}  # fmt: skip
#: Small ones, so that all train within seconds; published sizes are the defaults of the models.
GCN = {"name": "gcn", "hidden": 32, "layers": 4}
MESSAGES = {"name": "meshgraphnet", "hidden": 32, "layers": 4}
GRAND = {"name": "grand", "hidden": 32, "width": 16, "time": 3.0}
SHEAF = {"name": "sheaf_diffusion", "stalk": 2, "features": 16, "layers": 3, "maps_hidden": 16}


@dataclass(frozen=True)
class Model:
    """A row of a table.

    Args:
        keys: of ``model:`` in a study.
        steps, rate: of the training.
        task: keys of the task that differ.
    """

    keys: Mapping[str, Any]
    steps: int = STEPS
    rate: float = RATE
    task: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Physics:
    """A table: its first model is trained while the solver streams, the others on the same stream again.

    Args:
        program, options: the solver and what is fixed of it.
        frames: that follow the first; ``every`` states of the solver lie between two.
        task: keys of the study's.
        models: by name.
        ranges: of parameters that vary.
        finer: options that differ on a finer mesh; of ``rollout`` frames all are.
        rollout: frames that are predicted, one after the other.
        bounds: that no value leaves; ``None``: those of the start.
        kept: whether Σ V u is kept.
        scale: D and r of the equation, where they are known.
        simulations: that are streamed.
        stream: the physics whose stream it learns from; left away: its own.
    """

    program: str
    options: Mapping[str, Any]
    frames: int
    task: Mapping[str, Any]
    models: Mapping[str, Model]
    every: int = 1
    ranges: Mapping[str, Any] = field(default_factory=dict)
    finer: Mapping[str, Any] = field(default_factory=dict)
    rollout: int = 20
    bounds: tuple[float, float] | None = None
    kept: bool = False
    scale: Mapping[str, float] = field(default_factory=dict)
    simulations: int = 8
    stream: str = ""


def _volume(spacing: float) -> dict[str, float]:
    return {"node_volume": spacing**2}


def _pairs(**options: Any) -> Model:
    keys = {"name": "grand", **FIELD, "score": "pair", "source": False, **options}
    return Model(keys, 600, 5e-2)


PLATE = {
    "spacing": 0.08, "kappa": 0.02, "contrast": 1.0, "pieces": 5, "mass": "lumped",
    "initial": "random", "scheme": "crank-nicolson", "dt": 0.005, "t0": 0.0, "t_outer": 0.0,
    "t_hole": 1.0,
}  # fmt: skip
CELLS = {"static": ["conductivity", "anisotropy"], "prescribed": {"u": ["outer", "hole"]}}
REACTING = {"spacing": 0.07, "dt": 0.05}
REACTIONS = {"Fisher": "fisher", "Allen–Cahn": "allen_cahn", "Zeldovich": "zeldovich"}


def _reacting(reaction: str, **options: Any) -> Physics:
    volume = _volume(REACTING["spacing"])
    models = {
        f"GREAD, {name}": Model({"name": "gread", **FIELD, **volume, "reaction": key}, 400, 2e-2)
        for name, key in REACTIONS.items()
    }
    if reaction == "allen-cahn":
        models = {n: models[n] for n in ("GREAD, Allen–Cahn", "GREAD, Fisher", "GREAD, Zeldovich")}
    models["GRAND, no reaction"] = Model(
        {"name": "grand", **FIELD, **volume, "source": False}, 400, 2e-2
    )
    key = reaction.replace("-", "_")
    models |= {
        "GREAD of 32 channels": Model(
            {"name": "gread", "hidden": 32, "width": 16, "time": 2.0, "reaction": key}
        ),
        "sheaf of identities": Model({**SHEAF, "maps": "identity"}),
        "GCN": Model(GCN),
        "MeshGraphNet, small": Model(MESSAGES),
    }
    return Physics(
        "solvers/reaction_diffusion_mesh.py",
        {**REACTING, "reaction": reaction, "diffusivity": 2e-3, **options},
        20, {"inputs": ["u"], "targets": ["u"]}, models, every=4,
        finer={"spacing": 0.05}, bounds=(0.0, 1.0) if reaction == "fisher" else (-1.0, 1.0),
        scale={"D": 2e-3, "r": 1.0},
    )  # fmt: skip


#: The heat equation of vectors: rotations by what edges say of their direction in the nodes' frames.
TURNING = {
    "name": "sheaf_diffusion", "stalk": 2, "latent": False, "linear": True, "of_edges": True,
    "frozen": True, "time": 1.0, "step": 0.25, "frames": "frame",
}  # fmt: skip
FRAMED = {"frames": "frame"}
SPACE = {"inputs": ["arrow"], "targets": ["arrow"], "static": []}

SENSED = {
    **REACTING, "reaction": "allen-cahn", "initial": "waves", "width": 0.3, "diffusivity": 5e-3,
}  # fmt: skip
SENSORS = {
    "GRAND": Model(GRAND),
    "GREAD, Allen–Cahn": Model(
        {"name": "gread", "hidden": 32, "width": 16, "time": 3.0, "reaction": "allen_cahn"}
    ),
    "sheaf of O(2)": Model({**SHEAF, "layers": 4}),
    "sheaf of identities": Model({**SHEAF, "layers": 4, "maps": "identity"}),
    "GCN": Model(GCN),
    "MeshGraphNet, small": Model(MESSAGES),
}
FLUX = {"head": "flux"}

PHYSICS = {
    "network": Physics(
        "solvers/network_diffusion.py",
        {"nodes": 60, "radius": 0.25, "network": 7, "spots": 6, "width": 0.05, "dt": 0.01},
        10, {"inputs": ["u"], "targets": ["u"]},
        {"GRAND, a number a pair": _pairs(), "GCN": Model(GCN)},
        every=2, kept=True, simulations=16,
    ),
    "plate": Physics(
        "solvers/heat_mesh.py", {**PLATE, "plate": 3, "stretch": 0.3}, 4,
        {"inputs": ["u"], "targets": ["u"], "prescribed": CELLS["prescribed"]},
        {"GRAND, a number a pair": _pairs(**_volume(0.08))},
        every=4, bounds=(0.0, 1.0), simulations=8,
    ),
    "plates": Physics(
        "solvers/heat_mesh.py", {**PLATE, "stretch": 0.3}, 12,
        {"inputs": ["u"], "targets": ["u"], **CELLS},
        {
            "GRAND, linear": Model(
                {"name": "grand", **FIELD, **_volume(0.08), "edge_hidden": 32, "source": False},
                600, 1e-2,
            ),
            "GRAND of 32 channels": Model(GRAND),
            "sheaf of O(2)": Model(SHEAF),
            "sheaf of identities": Model({**SHEAF, "maps": "identity"}),
            "GCN": Model(GCN),
            "MeshGraphNet, small": Model(MESSAGES),
        },
        every=4, finer={"spacing": 0.055}, bounds=(0.0, 1.0),
    ),
    "fisher": _reacting("fisher"),
    "allen-cahn": _reacting("allen-cahn", initial="waves", width=0.15),
    "vectors": Physics(
        "solvers/vector_heat.py", {"nodes": 250, "bumps": 0.2, "dt": 0.05}, 20,
        {"inputs": ["u"], "targets": ["u"], "static": ["frame"]},
        {
            "sheaf of rotations": Model(
                {**TURNING, "maps": "rotation", "bounded": False}, 400, 2e-2
            ),
            "sheaf of identities": Model({**TURNING, "maps": "identity"}, 400, 2e-2),
            "sheaf of O(2), 32 channels": Model({**SHEAF, **FRAMED}),
            "sheaf of identities, 32 channels": Model({**SHEAF, **FRAMED, "maps": "identity"}),
            "GRAND": Model({**GRAND, **FRAMED}),
            "GRAND, vectors in space": Model(GRAND, task=SPACE),
            "GCN": Model({**GCN, **FRAMED}),
            "MeshGraphNet, small": Model({**MESSAGES, **FRAMED}),
        },
        finer={"nodes": 500},
    ),
    "sensors": Physics(
        "solvers/reaction_diffusion_mesh.py", SENSED, 20,
        {"inputs": ["seen"], "targets": ["u"], "static": ["sensor"], "lead": 0},
        SENSORS, ranges={"sensors": [0.05, 0.2]},
    ),
    "forecast": Physics(
        "solvers/reaction_diffusion_mesh.py", SENSED, 20,
        {"inputs": ["seen"], "targets": ["u"], "static": ["sensor"], "history": 3, "lead": 5},
        {n: SENSORS[n] for n in ("GRAND", "sheaf of O(2)", "GCN", "MeshGraphNet, small")},
        ranges={"sensors": [0.05, 0.2]}, stream="sensors",
    ),
    "transport": Physics(
        "solvers/transport_mesh.py", {"spacing": 0.07, "dt": 0.01}, 30,
        {"inputs": ["u"], "targets": ["u"], "static": ["velocity"]},
        {
            "directed sheaf, fluxes": Model({**SHEAF, **FLUX, "maps": "general", "directed": True}),
            "directed sheaf": Model({**SHEAF, "maps": "general", "directed": True}),
            "sheaf of general maps": Model({**SHEAF, "maps": "general"}),
            "sheaf of O(2)": Model(SHEAF),
            "sheaf of identities": Model({**SHEAF, "maps": "identity"}),
            "GRAND": Model(GRAND),
            "GCN": Model(GCN),
            "MeshGraphNet, small": Model(MESSAGES),
        },
        every=3, finer={"spacing": 0.05, "dt": 0.006}, rollout=30, kept=True,
    ),
}  # fmt: skip
