"""A study small enough to run in a test, and two ways to call the command."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import warnings

from forked_trainers import forked_trainers


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
    """Run the command as a user would, in a process of its own; returns the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "sciml.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


#: Signals that the command handles.
CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def called(*arguments, cwd=None):
    """Run the command in this process, where all is imported, with trainers that need not import it
    either: seconds less than :func:`sciml`, which is for tests of the processes themselves. What it
    returns looks the same."""
    from sciml import cli

    said, complained, code = io.StringIO(), io.StringIO(), 0
    words, sys.argv = sys.argv, ["sciml", *map(str, arguments)]
    handlers = {number: signal.getsignal(number) for number in CAUGHT}
    with (
        contextlib.chdir(cwd or "."),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
        _warnings_told(),
        forked_trainers(),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.argv = words
            for number, handler in handlers.items():
                signal.signal(number, handler)
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
    return subprocess.CompletedProcess(arguments, code, said.getvalue(), complained.getvalue())


@contextlib.contextmanager
def _warnings_told():
    """Warnings go to stderr, as in a process of its own, and not to pytest."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda *given, **_: print(
            warnings.formatwarning(*given[:4]), file=sys.stderr
        )
        yield


def one_line(process):
    """The error of a process: exit code 2, one line, no traceback."""
    lines = process.stderr.strip().splitlines()
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    assert len(lines) >= 1 and lines[-1].startswith("error: "), process.stderr
    return lines[-1]
