"""The checker finds what it is there for; the run that it looks at is written by hand."""

import fcntl
import json
import os
import subprocess
import sys

import checker
import h5py
import msgpack
import numpy as np
import pytest

from sciml.domain import Field, Grid
from sciml.ensemble.job import scratch_prefix
from sciml.record import Recorder
from sciml.run.directory import RunDirectory
from sciml.run.held_out import HeldOut
from sciml.samples import Frame, Simulation
from sciml.stream.spool import Spool

STEPS, EVERY = 12, 3
FRAMES = STEPS // EVERY + 1
PLAN = [
    {"id": 0, "role": "train", "parameters": {"kappa": 0.1}, "seed": 5},
    {"id": 1, "role": "validation", "parameters": {"kappa": 0.2}, "seed": 6},
    {"id": 2, "role": "train", "parameters": {"kappa": 0.3}, "seed": 7},
]


def written(folder):
    """A run of three simulations that finished, as the product writes one."""
    run = RunDirectory(folder / "run")
    for path in (run.path, run.pids, run.logs, run.validation, run.checkpoints):
        path.mkdir(parents=True)
    study = {
        "solver": {"options": {"steps": STEPS}, "send": {"every": EVERY}},
        "record": {"enabled": True},
        "cluster": {"retries": 1},
        "training": {"phases": [{"steps": None}]},
    }
    write(run.lineage, {"studies": [{"study": study}]})
    write(run.solver, {"options": [{"name": "steps", "default": 100}]})
    write(run.simulations, PLAN)
    recorder = Recorder(run.recording, about={entry["id"]: entry for entry in PLAN})
    heldout = HeldOut(run.validation)
    spool = Spool(run.spool, segment_size=1 << 16)
    grid = Grid((4, 4), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    for entry in PLAN:
        number = entry["id"]
        simulation = Simulation(number, grid, (Field("u"),), entry["parameters"])
        recorder.open(simulation)
        heldout.open(simulation)
        for step in range(FRAMES):
            u = np.full((4, 4), 10 * number + step, np.float32)
            frame = Frame(number, step, 0.1 * step, {"u": u}, 1)
            recorder.push(frame)
            heldout.push(frame)
            spool.append({"kind": "block", "simulation": number, "step": step}, u)
        recorder.close(number)
        if entry["role"] == "validation":
            heldout.close(number)
        write(record_of(run.path, number), {"attempt": 1, "session": None, "code": 0})
        (run.logs / f"simulation-{number:05d}.attempt-1.log").touch()
    recorder.finish()
    spool.close()
    write(run.supervisor, {"pid": 1, "released": True})
    frames = {"received": 3 * FRAMES, "produced": 3 * FRAMES, "lost": 0, "doubled": 0}
    write(run.status, {"state": "finished", "frames": frames})
    write(run.summary, {"steps": 10})
    run.metrics.write_text('{"step": 5}\n{"step": 10}\n')
    return run.path


def write(path, content):
    path.write_text(json.dumps(content))


def record_of(run, number):
    return run / f"pids/simulation-{number:05d}.json"


def recorded(run, number):
    return h5py.File(run / f"recording/simulation-{number:05d}.nc", "r+")


def resize(file, length):
    """All that is along time, to another length; returns the length of before."""
    before = len(file["time"])
    for name in ("u", "time", "arrival", "segment"):
        file[name].resize(length, axis=0)
    return before


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return written(tmp_path_factory.mktemp("reference"))


@pytest.fixture
def run(tmp_path):
    return written(tmp_path)


def test_a_whole_run_has_no_faults(run, reference):
    account = checker.check(run, reference)
    assert not account.faults
    assert (account.planned, account.with_outcome, account.expected) == (3, 3, 3 * FRAMES)
    assert (account.recorded, account.held_out) == (3 * FRAMES, FRAMES)
    assert (account.lost, account.doubled, account.equal, account.different) == (0, 0, 4, 0)
    assert (account.records, account.damaged) == (3 * FRAMES, 0)


def test_a_frame_that_is_missing_at_the_end(run):
    with recorded(run, 2) as file:
        resize(file, FRAMES - 1)
    account = checker.check(run)
    assert (account.lost, account.doubled) == (1, 0)
    assert any("simulation-00002.nc: 4 frames" in fault for fault in account.faults)


def test_a_frame_that_is_missing_in_the_middle(run, reference):
    with recorded(run, 1) as file:
        file["arrival"][2] = -1
        file["u"][2] = np.nan
    account = checker.check(run, reference)
    assert (account.lost, account.different) == (1, 1)


def test_a_frame_that_is_there_twice(run):
    with recorded(run, 0) as file:
        resize(file, FRAMES + 1)
        for name in ("u", "time"):
            file[name][FRAMES] = file[name][FRAMES - 1]
        file["arrival"][FRAMES] = 100
    account = checker.check(run)
    assert (account.lost, account.doubled) == (0, 1)
    assert any("simulation-00000.nc: 6 frames at 5 times" in fault for fault in account.faults)


def test_two_frames_with_one_place_in_the_order(run):
    with recorded(run, 0) as file:
        file["arrival"][1] = file["arrival"][0]
    account = checker.check(run)
    assert account.doubled == 1 and any("order of arrival" in fault for fault in account.faults)


def test_a_value_that_was_altered(run, reference):
    with recorded(run, 2) as file:
        file["u"][3, 1, 1] += np.float32(1e-6) * file["u"][3, 1, 1]
    account = checker.check(run, reference)
    assert (account.equal, account.different) == (3, 1)
    assert account.faults == ["recording/simulation-00002.nc differs from the reference: ['u']"]


def test_a_file_that_is_missing(run):
    (run / "recording/simulation-00001.nc").unlink()
    account = checker.check(run)
    assert account.lost == FRAMES
    assert any("index and files disagree" in fault for fault in account.faults)


@pytest.mark.parametrize("record", [None, {"attempt": 1, "session": 7}, {"code": -9}])
def test_a_simulation_without_an_outcome(run, record):
    record_of(run, 2).unlink() if record is None else write(record_of(run, 2), record)
    account = checker.check(run)
    assert account.with_outcome == 2
    assert account.faults[0] == "simulations without an outcome: [2]"


def test_outcomes_are_told_apart(run):
    """Given up after its attempts, quarantined by the checkpoint, not needed after the last step."""
    write(record_of(run, 0), {"code": 1})
    (run / "logs/simulation-00000.attempt-2.log").touch()
    step = run / "checkpoints/step-00000010"
    step.mkdir()
    state = {"extra": {"ledger": {"quarantined": {"1": "NaN"}}}}
    (step / "training.msgpack").write_bytes(msgpack.packb(state))
    write(record_of(run, 1), {"code": 3})
    record_of(run, 2).unlink()
    lineage = checker.read(run / "lineage.json")
    lineage["studies"][0]["study"]["training"]["phases"] = [{"steps": 10}]
    write(run / "lineage.json", lineage)
    outcomes = checker.check(run).outcomes
    assert outcomes == {"given up": 1, "quarantined": 1, "skipped": 1}


def test_what_the_run_says_of_itself_is_not_believed(run):
    frames = {"received": 3 * FRAMES - 1, "produced": 3 * FRAMES - 1, "lost": 0, "doubled": 0}
    write(run / "status.json", {"state": "validating", "frames": frames})
    (run / "metrics.jsonl").write_text('{"step": 10}\n{"step": 5}\n')
    faults = checker.check(run).faults
    assert faults == [
        "status.json says 'validating'",
        f"status.json: {3 * FRAMES - 1} frames received, the plan has {3 * FRAMES}",
        "metrics.jsonl: steps go back",
    ]


def test_a_damaged_record_of_the_spool(run):
    [segment] = (run / "spool").glob("*.segment")
    with segment.open("r+b") as file:
        file.seek(64 * 4 + 50)
        file.write(b"\xff\xff")
    account = checker.check(run)
    assert account.damaged == 1 and account.records == 3 * FRAMES - 1


def test_what_is_left_behind(run, tmp_path):
    """A process, a lock that is held, a lease that was not given back, scratch files."""
    (tmp_path / f"{scratch_prefix(RunDirectory(run))}0-abc").mkdir()
    (run / "recording/simulation-00009.nc.part").touch()
    (run / ".status.json.x1y2").touch()
    write(run / "pids/supervisor.json", {"pid": 1, "released": False})
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        env={**os.environ, "SCIML_ENDPOINT": f"{run}/endpoint.json"},
    )
    with (run / "pids/leader.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        account = checker.check(run, places=(tmp_path,))
    sleeper.communicate()
    assert (account.orphans, account.locks, account.leftovers) == (1, 2, 3)
    assert sum("left" in fault for fault in account.faults) == 4
    assert checker.orphans(run) == {}


def test_nothing_of_the_product_is_imported():
    """Who checks and who is checked do not share a mistake."""
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(checker.__file__)!r}); import checker; "
    )
    code += "assert not [name for name in sys.modules if name.startswith('sciml')]"
    subprocess.run([sys.executable, "-c", code], check=True)
