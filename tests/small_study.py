"""A study small enough to run in a test, and a way to call the command."""

import os
import subprocess
import sys


def small_study(**changes):
    """Heat on 16², six simulations of 12 frames; `changes` replace whole sections."""
    study = {
        "schema_version": 1,
        "name": "small",
        "seed": 1,
        "solver": {
            "program": "solvers/heat.py",
            "ranks": 1,
            "options": {"shape": [16, 16], "boundary": "periodic", "steps": 44, "dt": 2.0e-3},
            "send": {"every": 4, "dtype": "float32"},
        },
        "parameters": {"design": "sobol", "simulations": 5, "ranges": {"kappa": [0.05, 0.1]}},
        "task": {"inputs": ["u"], "targets": ["u"], "parameters": ["kappa"]},
        # The quickest to import.
        "model": {"name": "mlp", "hidden": [32], "activation": "relu"},
        "buffer": {"kind": "reservoir", "capacity": 64, "watermark": 8},
        "training": {
            "batch_size": 4,
            "loss": "relative_l2",
            "phases": [{"optimizer": "adamw", "lr": 1.0e-3, "steps": 20}],
        },
        "validation": {"simulations": 1, "every": 10, "rollout": 5},
        "cluster": {"kind": "local", "simulations_at_once": 1, "retries": 1},
    }
    study.update(changes)
    return study


def sciml(*arguments, cwd=None, timeout=480):
    """Run the command as a user would; returns the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "sciml.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def one_line(process):
    """The error of a process: exit code 2, one line, no traceback."""
    lines = process.stderr.strip().splitlines()
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    assert len(lines) >= 1 and lines[-1].startswith("error: "), process.stderr
    return lines[-1]
