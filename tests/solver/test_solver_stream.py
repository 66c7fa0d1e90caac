"""A run under mpirun streams what it computes, whole, on any number of ranks."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from patience import PATIENCE

from sciml.share import find
from sciml.solver.mpirun import command, environment
from sciml.stream import Arrived, Closed, Opened, Server


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


def job(server, words, simulation=0, **send):
    env = environment()
    env |= {
        "SCIML_ENDPOINT": str(server.run_dir / "endpoint.json"),
        "SCIML_SIMULATION": str(simulation),
        "SCIML_ATTEMPT": "1",
        "SCIML_SEND": json.dumps(send),
    }
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=env)


def listen(server, job, timeout=PATIENCE):
    opened, frames, deadline = None, {}, time.monotonic() + timeout
    while time.monotonic() < deadline:
        match server.events.get(timeout=0.2):
            case Opened(simulation=opened):
                pass
            case Arrived(frame=frame):
                frames[frame.step] = frame
            case Closed():
                break
            case None if job.poll() not in (None, 0):
                break
    _, stderr = job.communicate(timeout=PATIENCE)
    return opened, frames, stderr


@pytest.mark.parametrize("ranks", [1, 3])
def test_frames_are_what_was_computed(server, simulated, ranks):
    flags = "--shape 24 20 --steps 11 --kappa 0.2 --seed 4"
    words = command(find("solvers/heat.py"), ranks, flags.split())
    sent = job(server, words, 7, every=5, coarsen=2, dtype="float32", fields=["u"])
    opened, frames, stderr = listen(server, sent)
    assert sent.returncode == 0, stderr
    assert opened.id == 7 and opened.domain.shape == (12, 10) and opened.deterministic
    assert opened.parameters["kappa"] == 0.2 and opened.fields[0].units == "K"
    states, times, _ = simulated("heat", shape=(24, 20), steps=11, kappa=0.2, seed=4)
    assert sorted(frames) == [0, 1, 2]
    for step, frame in frames.items():
        assert frame.time == pytest.approx(times[5 * step]) and frame.attempt == 1
        assert frame.fields["u"].dtype == np.float32
        wanted = states[5 * step]["u"][::2, ::2]
        np.testing.assert_allclose(frame.fields["u"], wanted, rtol=1e-6, atol=1e-6)


def test_static_fields_come_once_and_not_as_fields(server):
    words = command(
        find("solvers/wave.py"), 2, ["--shape", "12", "10", "--steps", "2", "--medium", "smooth"]
    )
    sent = job(server, words, coarsen=2)
    opened, frames, stderr = listen(server, sent)
    assert sent.returncode == 0, stderr
    assert {frame.step: set(frame.fields) for frame in frames.values()} == {
        step: {"u", "v"} for step in range(3)
    }
    [c] = opened.static.values()
    assert c.shape == (6, 5) and np.ptp(c) > 0
    assert opened.static_fields[0].units == "m s-1"


def test_no_trainer_ends_with_code_3(server):
    heat = [sys.executable, str(find("solvers/heat.py")), "--shape", "8", "8", "--steps", "3"]
    first = job(server, heat)
    _, frames, _ = listen(server, first)
    assert first.returncode == 0 and len(frames) == 4
    env = {**environment(), "SCIML_ENDPOINT": str(server.run_dir / "nowhere.json")}
    lost = subprocess.run(heat, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert lost.returncode == 3 and lost.stderr.startswith("heat: error: ")
    assert lost.stderr.count("\n") == 1, lost.stderr


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("SCIML_SEND", '{"evry": 1}', "send: unknown key 'evry'; did you mean 'every'"),
        ("SCIML_SEND", '{"fields": ["v"]}', "send: no field 'v'"),
        ("SCIML_SEND", '{"coarsen": 3}', "send: coarsen=3 does not divide a periodic axis"),
        ("SCIML_SIMULATION", "one", "SCIML_SIMULATION='one'; expected a whole number"),
        ("SCIML_ATTEMPT", "0", "SCIML_ATTEMPT='0'; expected a whole number ≥ 1"),
    ],
)
def test_a_bad_environment_is_one_line(tmp_path, variable, text, message):
    env = {**environment(), "SCIML_ENDPOINT": str(tmp_path / "none.json"), variable: text}
    done = subprocess.run(
        [sys.executable, str(find("solvers/heat.py")), "--steps", "1"],
        capture_output=True, text=True, env=env, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith(f"heat: error: {message}")
    assert done.stderr.count("\n") == 1 and os.listdir(tmp_path) == []
