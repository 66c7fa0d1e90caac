"""Kills while a study runs: nothing lost, nothing doubled, nothing left behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from small_study import sciml, small_study

TRAINING, HELD_OUT, FRAMES = 12, 2, 61


def study_file(folder):
    study = small_study(
        solver={
            "program": "solvers/heat.py",
            "ranks": 2,
            "options": {"shape": [16, 16], "steps": 240, "dt": 2.0e-3},
            "send": {"every": 4},
        },
        parameters={"simulations": TRAINING, "ranges": {"kappa": [0.05, 0.1]}},
        buffer={"capacity": 120, "watermark": 30},
        training={"batch_size": 8, "phases": [{"lr": 1e-3}], "checkpoint_every": 20},
        validation={"simulations": HELD_OUT, "every": 100, "rollout": 5},
        cluster={"retries": 5},
    )
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "sciml.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def step_of(run):
    try:
        return json.loads((run / "status.json").read_text())["training"]["step"] or 0
    except (FileNotFoundError, KeyError):
        return 0


def wait_for_step(process, run, step):
    deadline = time.monotonic() + 120
    while step_of(run) < step and process.poll() is None:
        assert time.monotonic() < deadline, f"step {step} not reached"
        time.sleep(0.05)


def processes(*words):
    """Living processes whose command line holds all words, by what /proc says."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if all(word in line for word in words):
                found.append(int(entry.name))
    return sorted(found)


def children(pid):
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found += children(int(entry.name))
    return found


def kill(what, process, run):
    """SIGKILL one process of a kind; returns whether there was one."""
    records = [json.loads(p.read_text()) for p in run.glob("pids/simulation-*.json")]
    jobs = [r["session"] for r in records if r["session"]]
    targets = {
        "trainer": lambda: processes("sciml.study.trainer", str(run)),
        "job": lambda: jobs,
        "rank": lambda: [p for job in jobs for p in children(job) if p in processes("heat.py")][
            -1:
        ],
        "worker": lambda: [p for p in children(process.pid) if p in processes("spawn_main")],
        "supervisor": lambda: [process.pid],
    }[what]()
    if not targets:
        return False
    os.kill(targets[-1], signal.SIGKILL)
    return True


def check_account(run):
    state = json.loads((run / "status.json").read_text())
    summary = json.loads((run / "summary.json").read_text())
    expected = (TRAINING + HELD_OUT) * FRAMES
    frames = state["frames"]
    assert frames["lost"] == frames["doubled"] == 0, frames
    assert frames["received"] == frames["produced"] == expected, frames
    assert state["samples"]["entered"] == TRAINING * (FRAMES - 1), state["samples"]
    assert summary["validation_simulations"] == HELD_OUT
    assert state["state"] == "finished"


def check_nothing_left(run):
    deadline = time.monotonic() + 10
    while left := processes(str(run)):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.1)


def run_with_kills(folder, kinds, seed):
    """Kill one process of each kind in turn at random moments; resume when the supervisor is hit."""
    print(f"kills {kinds}, seed {seed}")
    rng = random.Random(seed)
    run = folder / "run"
    process = start("run", study_file(folder), "--out", run)
    lines = []
    step = 5
    for kind in kinds:
        step = step_of(run) + rng.randrange(5, 12)
        wait_for_step(process, run, step)
        deadline = time.monotonic() + 10
        while process.poll() is None and not kill(kind, process, run):
            if time.monotonic() > deadline:
                break  # nothing of that kind runs any more
            time.sleep(0.02)
        if kind == "supervisor":
            lines += process.communicate(timeout=60)[0].splitlines()
            time.sleep(rng.random())
            process = start("resume", run)
    lines += process.communicate(timeout=240)[0].splitlines()
    said = "\n".join(lines)
    assert process.returncode == 0, said + (run / "logs/trainer.log").read_text()
    assert "Traceback" not in said, said
    check_account(run)
    check_nothing_left(run)
    return said


def test_trainer_rank_job_and_worker_are_killed_and_nothing_is_lost(tmp_path):
    kinds = ["rank", "trainer", "job", "worker", "trainer", "rank", "job", "worker"]
    said = run_with_kills(tmp_path, kinds, seed=random.randrange(10**6))
    assert "trainer died" in said


def test_the_supervisor_is_killed_and_resumed(tmp_path):
    run_with_kills(tmp_path, ["supervisor", "supervisor"], seed=random.randrange(10**6))


@pytest.mark.slow
@pytest.mark.parametrize("round", range(10))
def test_many_kills_of_every_kind(tmp_path, round):
    seed = random.randrange(10**6)
    kinds = ["rank", "job", "trainer", "worker", "supervisor"] * 2
    random.Random(seed).shuffle(kinds)
    run_with_kills(tmp_path, kinds, seed)


def test_sigterm_says_resume_me_and_resume_finishes(tmp_path):
    run = tmp_path / "run"
    process = start("run", study_file(tmp_path), "--out", run)
    wait_for_step(process, run, 10)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 75, said
    assert "sciml resume" in said
    check_nothing_left(run)
    resumed = sciml("resume", run)
    assert resumed.returncode == 0, resumed.stderr
    check_account(run)
    again = sciml("resume", run)
    assert again.returncode == 2 and "has finished" in again.stderr
