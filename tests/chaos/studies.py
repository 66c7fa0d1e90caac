"""Small studies that differ in what chaos could break: buffers, ranks, what is sent and recorded."""


def study(**changes):
    """Heat on 16², 14 + 2 simulations of some 60 frames; ``changes`` replace sections or add keys."""
    found = {
        "schema_version": 1,
        "name": "chaos",
        "seed": 3,
        "solver": {
            "program": "solvers/heat.py",
            "ranks": 1,
            "options": {"shape": [16, 16], "boundary": "periodic", "steps": 3600, "dt": 2.0e-4},
            "send": {"every": 60, "dtype": "float32"},
        },
        "parameters": {"design": "sobol", "simulations": 14, "ranges": {"kappa": [0.05, 0.1]}},
        "task": {"inputs": ["u"], "targets": ["u"], "parameters": ["kappa"]},
        # The quickest to import.
        "model": {"name": "mlp", "hidden": [32], "activation": "relu"},
        "buffer": {"kind": "reservoir", "capacity": 120, "watermark": 30},
        "training": {
            "batch_size": 4,
            "phases": [{"optimizer": "adamw", "lr": 1.0e-3}],
            "checkpoint_every": 25,
        },
        "validation": {"simulations": 2, "every": 40, "rollout": 5},
        "record": {"enabled": True},
        # A job that is killed counts as one that failed.
        "cluster": {
            "kind": "local",
            "simulations_at_once": 2,
            "oversubscribe": True,
            "retries": 50,
        },
    }
    for name, section in changes.items():
        if isinstance(section, dict) and isinstance(found.get(name), dict):
            found[name] = {**found[name], **section}
        else:
            found[name] = section
    return found


STUDIES = {
    # A reservoir, one rank; ends when the stream is drained.
    "reservoir": study(),
    # First in, first out; two ranks; every other point, in double precision.
    "fifo": study(
        buffer={"kind": "fifo", "capacity": 100, "watermark": 20},
        solver={
            "program": "solvers/advection_diffusion.py",
            "ranks": 2,
            "options": {"shape": [32, 32], "steps": 2400, "dt": 2.0e-4},
            "send": {"every": 48, "coarsen": 2, "dtype": "float64"},
        },
        parameters={"simulations": 10, "ranges": {}},
        task={"parameters": []},
    ),
    # Training is over before the held-out simulations are: it waits for them, and skips others.
    "held out": study(
        buffer={"kind": "firo", "capacity": 100, "watermark": 20},
        parameters={"simulations": 18},
        training={"phases": [{"lr": 1.0e-3, "steps": 30}], "checkpoint_every": 10},
        validation={"simulations": 6, "every": 15},
    ),
    # Two fields of which one is sent, three ranks.
    "one field": study(
        solver={
            "program": "solvers/gray_scott.py",
            "ranks": 3,
            "options": {"shape": [24, 24], "steps": 600},
            "send": {"every": 10, "fields": ["v"], "dtype": "float32"},
        },
        parameters={"simulations": 8, "ranges": {}},
        task={"inputs": ["v"], "targets": ["v"], "parameters": []},
    ),
    # Nothing is recorded; frames of all of 0.1 s each.
    "unrecorded": study(
        record={"enabled": False},
        training={"phases": [{"lr": 1.0e-3, "steps": 150}]},
        validation={"simulations": 3},
    ),
}
