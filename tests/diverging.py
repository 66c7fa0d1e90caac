"""A program that diverges in several ways, and a small study of it.

Travelling waves on 32 points. In its tenth step a simulation with a fault *grows* ten times a step until
it is NaN; *jumps* to 1e20 and is NaN five steps later; *stops* with an error when it has grown by eight
decades; or stays *high*, at 1e6, and ends as if nothing were wrong. *absent* ones end before they send.
"""

from pathlib import Path

PROGRAM = """
import json, os, sys, time
from pathlib import Path
import numpy as np

if "--describe" in sys.argv:
    print(json.dumps({
        "schema_version": 1, "name": "waves", "equation": "u_t + a u_x = 0", "summary": "for tests",
        "fields": [{"name": "u", "units": "1", "long_name": "u"}],
        "parameters": [{"name": "a", "units": "1", "low": 0.0, "high": 9.0, "default": 1.0, "help": ""}],
        "options": [], "order": {"space": 0, "time": 0}, "deterministic": True, "static": []}))
    raise SystemExit(0)

from sciml.domain import Field, Grid
from sciml.samples import Simulation
from sciml.stream.client import connect

number = int(os.environ["SCIML_SIMULATION"])
plan = Path(os.environ["SCIML_ENDPOINT"]).parent / "simulations.json"
entries = json.loads(plan.read_text()) if plan.exists() else []  # none where it is only tried out
training = [entry["id"] for entry in entries if entry["role"] == "train"]
fault = FAULTS.get(training.index(number)) if number in training else None
if fault == "absent":
    sys.exit("not there")
a = float(sys.argv[sys.argv.index("--a") + 1])
grid = Grid((32,), ((0.0, 1.0),), ("periodic",))
x = np.arange(32) / 32
waves = np.random.default_rng(number).normal(size=(3, 2))
client = connect(Simulation(number, grid, (Field("u"),), {"a": a}), dtype="float32")
for step in range(FRAMES):
    t = 0.05 * step
    u = sum(
        (c * np.cos(2 * np.pi * k * (x - a * t)) + s * np.sin(2 * np.pi * k * (x - a * t))) / k
        for k, (c, s) in enumerate(waves, 1)
    )
    late = step - 9
    if late > 0:
        if fault == "grows":
            u = u * 10.0**late if late < 36 else u * np.nan
        elif fault == "jumps":
            u = u * 1e20 if late < 5 else u * np.nan
        elif fault == "stops":
            u = u * 10.0**late
            if late == 8:
                sys.exit("the field has grown beyond reason")
        elif fault == "high":
            u = u * 1e6
    client.send(step, t, u=u)
    time.sleep(PACE if fault or (entries and not HURRY) else 0.0)
client.close()
"""


def diverging_study(
    folder: Path,
    faults: dict[int, str],
    *,
    seed: int = 0,
    simulations: int = 10,
    frames: int = 60,
    pace: float = 0.05,
    hurry: bool = False,
    steps: int = 1500,
    **changes,
) -> dict:
    """The study, with its program written into ``folder``; two more simulations are held out.

    Args:
        folder: where the program lies.
        faults: by place among the simulations for training.
        seed: of the study.
        simulations: for training.
        frames: a simulation.
        pace: seconds a frame; ``hurry``: of those with a fault alone.
        steps: of the training, if the stream feeds so many.
        changes: sections instead of others.
    """
    program = folder / "waves.py"
    words = {"FAULTS": faults, "PACE": pace, "FRAMES": frames, "HURRY": hurry}
    text = PROGRAM
    for word, value in words.items():
        text = text.replace(word, repr(value))
    program.write_text(text)
    return {
        "schema_version": 1,
        "name": "diverging",
        "seed": seed,
        "solver": {"program": str(program), "ranks": 1},
        "parameters": {
            "design": "random",
            "simulations": simulations,
            "ranges": {"a": [0.5, 1.5]},
            "seed": False,
        },
        "task": {"inputs": ["u"], "targets": ["u"], "parameters": ["a"], "increment": False},
        "model": {"name": "fno", "modes": [8], "hidden_channels": 16, "n_layers": 2},
        "buffer": {"kind": "reservoir", "capacity": 600, "watermark": 50, "draws": 40},
        "training": {
            "batch_size": 16,
            "loss": "relative_l2",
            "phases": [{"lr": 4.0e-3, "schedule": "cosine", "steps": steps}],
        },
        "validation": {"simulations": 2, "every": 500, "rollout": 5},
        "cluster": {"kind": "local", "simulations_at_once": 2, "retries": 0},
        **changes,
    }
