"""Kills while a study runs: nothing lost, nothing doubled, nothing left behind."""

import json
import random
import signal

import numpy as np
import pytest
import xarray as xr
import yaml
from killing import (
    CHECKPOINT,
    END,
    KINDS,
    PATIENCE,
    VALIDATION,
    Killer,
    marked,
    start,
    wait_for_step,
)
from small_study import called, small_study

from sciml.record import open_recording

HELD_OUT, FRAMES = 2, 61


def study_of(training, **changes):
    """Heat on 16², two ranks, ``training`` simulations of 61 frames to train on."""
    return small_study(
        solver={
            "program": "solvers/heat.py",
            "ranks": 2,
            "options": {"shape": [16, 16], "steps": 240, "dt": 2.0e-3},
            "send": {"every": 4},
        },
        parameters={"simulations": training, "ranges": {"kappa": [0.05, 0.1]}},
        buffer={"capacity": 120, "watermark": 30},
        training={"batch_size": 8, "phases": [{"lr": 1e-3}], "checkpoint_every": 20},
        validation={"simulations": HELD_OUT, "every": 10, "rollout": 5},
        cluster={"retries": 5},
        **changes,
    )


def check_account(run, training):
    """Every frame entered once, every sample too, all that was held out is whole."""
    state = json.loads((run / "status.json").read_text())
    summary = json.loads((run / "summary.json").read_text())
    expected = (training + HELD_OUT) * FRAMES
    frames = state["frames"]
    assert frames["lost"] == frames["doubled"] == 0, frames
    assert frames["received"] == frames["produced"] == expected, frames
    assert state["samples"]["entered"] == training * (FRAMES - 1), state["samples"]
    assert summary["validation_simulations"] == HELD_OUT
    assert state["state"] == "finished"
    assert summary["loss"] is not None
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps), "validations of steps that were undone"
    files = list((run / "validation").glob("*.nc"))
    assert len(files) == HELD_OUT
    for path in files:
        with xr.open_dataset(path) as ds:
            assert ds.sizes["time"] == FRAMES, path.name
    return frames


def run_with_kills(folder, kinds, seed, training):
    """One kill after the other, each of which hits; returns the account and what was said."""
    print(f"\nseed {seed}: {', '.join(kinds)}")
    with Killer(study_of(training), folder, seed) as killer:
        for kind in kinds:
            killer.kill(kind)
        said = killer.finish()
        frames = check_account(killer.run, training)
        processes, files = killer.left()
    row = {**{kind: killer.counts()[kind] for kind in KINDS}}
    row |= {name: frames[name] for name in ("produced", "received", "lost", "doubled")}
    row |= {"processes left": len(processes), "files left": len(files)}
    print(f"{killer.report()}; {', '.join(f'{n} {v}' for n, v in list(row.items())[len(KINDS) :])}")
    assert sum(killer.hits.values()) == len(kinds)
    assert not processes and not files, (processes, files)
    return {"seed": seed, **row}, said


def shuffled(kinds, seed):
    """In any order, but what happens at the end last."""
    kinds = list(kinds)
    random.Random(seed).shuffle(kinds)
    return sorted(kinds, key=lambda kind: kind == END)


def test_a_kill_of_each_loses_nothing(tmp_path):
    """A rank, the trainer, and the supervisor, after which it is resumed."""
    _, said = run_with_kills(tmp_path, ["rank", "trainer", "supervisor"], 20, training=5)
    assert said.count("trainer died") == 1


@pytest.mark.slow
def test_two_kills_of_rank_job_and_trainer_lose_nothing(tmp_path):
    seed = 20
    kinds = shuffled(["rank", "job"] * 2 + ["trainer", CHECKPOINT], seed)
    _, said = run_with_kills(tmp_path, kinds, seed, training=12)
    assert said.count("trainer died") == 2


@pytest.mark.slow
def test_the_supervisor_is_killed_and_resumed_twice(tmp_path):
    run_with_kills(tmp_path, ["supervisor", "supervisor"], 21, training=8)


@pytest.mark.slow
def test_the_trainer_is_killed_while_it_writes_what_it_has_learned(tmp_path):
    """No simulation is open any more, and the buffer is empty: all there is is in the checkpoint."""
    _, said = run_with_kills(tmp_path, [END], 22, training=2)
    assert said.count("trainer died") == 1


@pytest.fixture(scope="module")
def table():
    """Rows of the slow rounds; printed when the last one is over."""
    rows = []
    yield rows
    if rows:
        names = list(rows[0])
        total = {"seed": "all", **{n: sum(row[n] for row in rows) for n in names[1:]}}
        print()
        for row in ({n: n for n in names}, *rows, total):
            print("  ".join(f"{row[n]!s:>{max(len(n), 6)}}" for n in names))


@pytest.mark.slow
@pytest.mark.parametrize("round", range(10))
def test_many_kills_of_every_kind(tmp_path, round, table):
    seed = random.randrange(10**6)
    place = (CHECKPOINT, VALIDATION, END)[round % 3]
    kinds = ["rank", "job", "supervisor"] * 2 + ["trainer", place]
    row, _ = run_with_kills(tmp_path, shuffled(kinds, seed), seed, training=20)
    table.append(row)


@pytest.mark.slow
@pytest.mark.parametrize("round", range(3))
def test_a_recording_is_the_same_whatever_was_killed(tmp_path, round):
    """Trainer and supervisor are killed: every simulation is recorded, whole, to the last bit."""
    calm, killed, seed = tmp_path / "calm", tmp_path / "killed", random.randrange(10**6)
    study = study_of(10, record=True)
    for folder in (calm, killed):
        folder.mkdir()
    with Killer(study, calm, seed) as undisturbed:
        undisturbed.finish()
    kinds = shuffled(["trainer", "supervisor", CHECKPOINT, "supervisor", "trainer"], seed)
    with Killer(study, killed, seed) as killer:
        for kind in [*kinds, END] if round == 2 else kinds:
            killer.kill(kind)
        killer.finish()
        print(killer.report())
    check_account(killer.run, 10)
    runs = undisturbed.run, killer.run
    expected, found = (open_recording(run, thorough=True) for run in runs)
    assert set(found.ids) == set(expected.ids) == set(range(10 + HELD_OUT))
    arrivals = []
    for number in expected.ids:
        truth, ours = (
            xr.load_dataset(run / f"recording/simulation-{number:05d}.nc") for run in runs
        )
        assert ours.sizes["time"] == FRAMES
        assert ours["u"].dtype == truth["u"].dtype == np.float32
        assert ours["u"].values.tobytes() == truth["u"].values.tobytes(), number
        assert ours["time"].values.tobytes() == truth["time"].values.tobytes()
        assert float(ours["kappa"]) == float(truth["kappa"])
        # One attempt goes on where the one before it was killed: no window is lost offline.
        assert not ours["segment"].any(), number
        arrivals += ours["arrival"].values.tolist()
    assert len(set(arrivals)) == len(arrivals) == (10 + HELD_OUT) * FRAMES and min(arrivals) >= 0
    with found.dataset as ours, expected.dataset as truth:
        assert ours["u"].values.tobytes() == truth["u"].values.tobytes()


@pytest.mark.slow
def test_sigterm_says_resume_me_and_resume_finishes(tmp_path):
    run, study = tmp_path / "run", tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(study_of(3)))
    process = start("run", study, "--out", run, run=run)
    wait_for_step(process, run, 1)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 75, said
    assert "sciml resume" in said
    assert not marked(run)
    resumed = called("resume", run)
    assert resumed.returncode == 0, resumed.stderr
    check_account(run, 3)
    again = called("resume", run)
    assert again.returncode == 2 and "has finished" in again.stderr
