"""A disk that is full: a run waits a while, ends as one to be resumed, and loses nothing."""

import contextlib
import json
import resource
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from patience import PATIENCE

from sciml.buffer import make
from sciml.errors import InputError, no_room
from sciml.record import RecordingError
from sciml.report.rows import append, rows_of
from sciml.run.offline.training import train_offline
from sciml.run.room import RoomWatch
from sciml.samples import Task, Windower
from sciml.study import load_study
from sciml.training.checkpoint import CheckpointError, Checkpoints


@contextlib.contextmanager
def with_room(size):
    """No file may grow beyond ``size`` bytes, of this process and those that it starts: to them the disk
    is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_a_run_that_finds_no_room_ends_to_be_resumed_and_finishes(command, write_study, tmp_path):
    # Segments of 12.5 MB on a disk that gives 4 MB: not even the first note can be written.
    # Without a number of steps: training ends when all that was asked for has come.
    training = {"batch_size": 4, "phases": [{"lr": 1e-3}]}
    stream = {"spool_limit": "100MB", "patience": 2.0}
    asked = {"simulations": 2, "ranges": {"kappa": [0.05, 0.1]}}
    study = write_study(stream=stream, training=training, parameters=asked)
    out = tmp_path / "run"
    with with_room(4_000_000):
        ended = command("run", study, "--out", out)
    assert ended.returncode == 75, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "warning: the stream stands still" in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert "no room in" in last and "File too large" in last and f"sciml resume {out}" in last
    assert "given up" not in ended.stderr
    resumed = command("resume", out)
    assert resumed.returncode == 0, resumed.stderr
    frames = json.loads((out / "status.json").read_text())["frames"]
    assert frames["lost"] == frames["doubled"] == 0 and frames["received"] == 3 * 12


def test_a_checkpoint_that_finds_no_room_leaves_the_last_and_training_goes_on(
    write_study, tmp_path, monkeypatch
):
    """As a file limit, a true one, while the checkpoint of step 10 is written."""
    data = np.random.default_rng(0).normal(size=(2, 12, 8, 8)).astype(np.float32)
    ds = xr.Dataset(
        {"u": (("sample", "time", "y", "x"), data)},
        {"time": 0.1 * np.arange(12), "y": np.arange(8.0), "x": np.arange(8.0)},
    )
    ds.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    training = {"batch_size": 4, "phases": [{"steps": 15}], "checkpoint_every": 5, "device": "cpu"}
    study = load_study(write_study(task={"inputs": ["u"]}, training=training))
    save, seen = Checkpoints.save, {}

    def save_with_little_room(self, step, *arguments):
        if step != 10:
            return save(self, step, *arguments)
        try:
            with with_room(10_000):
                return save(self, step, *arguments)
        finally:
            seen[10] = (self.steps(), self.newest().step, list(self.directory.glob(".step-*")))

    monkeypatch.setattr(Checkpoints, "save", save_with_little_room)
    said = []
    from sciml.run.offline.training import Teller

    monkeypatch.setattr(Teller, "say", lambda self, line: said.append(line))
    run, code = train_offline(study, tmp_path / "data.nc", tmp_path / "run", plain=True)
    assert code == 0 and json.loads(run.summary.read_text())["steps"] == 15
    assert seen[10] == ([5], 5, [])
    assert Checkpoints(run.checkpoints).steps()[-1] == 15
    [line] = said
    assert "checkpoint of step 10 not written" in line and "training goes on" in line


def test_room_is_waited_for_and_not_for_ever():
    def reply(received=0, step=0, spool="", checkpoint=""):
        return {
            "frames": {"received": received},
            "step": step,
            "stream": {"problem": spool},
            "checkpoint_problem": checkpoint,
        }

    watch = RoomWatch("/", patience=0.0)
    assert watch.take_in(reply()) == [] and not watch.spent
    assert watch.take_in(reply(spool="spool: full")) == ["the stream stands still: spool: full"]
    assert watch.take_in(reply(spool="spool: full", step=5)) == []
    assert watch.spent, "a reservoir that repeats what it has is no progress"
    watch.take_in(reply())
    assert not watch.spent
    [said] = watch.take_in(reply(checkpoint="checkpoint of step 5 not written"))
    assert "training goes on" in said
    patient = RoomWatch("/", patience=60.0)
    patient.take_in(reply(spool="x"))
    assert not patient.spent and patient.full
    assert "sciml resume /" in patient.farewell()


def test_what_counts_as_no_room():
    for number in (28, 122, 27):
        try:
            try:
                raise OSError(number, "no room")
            except OSError as error:
                raise RecordingError("recording") from error
        except RecordingError as error:
            assert no_room(error)
    from safetensors import SafetensorError

    assert no_room(SafetensorError("I/O error: No space left on device (os error 28)"))
    assert not no_room(OSError(2, "no such file")) and not no_room(InputError("other"))
    assert not no_room(None)


def test_a_line_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append(path, {"n": 1})
    with with_room(10), pytest.raises(OSError, match=r"space|large"):
        append(path, {"n": 2, "longer": "than there is room for"})
    append(path, {"n": 3})
    assert rows_of(path) == [{"n": 1}, {"n": 3}]


def test_a_checkpoint_of_a_model_too_large_for_the_disk_is_an_error_of_ours(tmp_path):
    """The library that writes weights raises errors of its own kind."""
    import torch

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, torch.nn.Linear(4, 4), {})
    with (
        with_room(50_000),
        pytest.raises(CheckpointError, match="earlier checkpoints are intact") as failed,
    ):
        checkpoints.save(2, torch.nn.Linear(400, 400), {})
    assert no_room(failed.value) and checkpoints.newest().step == 1


def test_a_job_that_fails_on_a_full_disk_is_not_to_blame(tmp_path):
    from sciml.ensemble.job import JobResult
    from sciml.ensemble.launcher import Launcher

    launcher = object.__new__(Launcher)
    launcher._stopping, launcher._skipped, launcher._failed_attempts = False, set(), {}
    launcher._full = lambda: True
    job = type("Job", (), {"simulation": 3})
    with pytest.raises(OSError, match="simulation 3 failed") as error:
        launcher._ended(job, JobResult(3, 1, 1, "no space left", 0.1))
    assert no_room(error.value) and launcher._failed_attempts == {}


def test_intake_that_cannot_write_ends_training_with_a_checkpoint():
    """The held-out simulation stays open, so that it is whole after a resume."""
    from sciml.run.online.intake import Intake

    class Events:
        def get(self, timeout):
            raise OSError(28, "No space left on device")

    server = SimpleNamespace(events=Events(), ledger=None)
    windower, buffer, stop = Windower(Task(("u",), ("u",))), make("fifo", 1), threading.Event()
    intake = Intake(server, windower, buffer, None, {}, stop=stop)
    intake.start()
    intake.join(PATIENCE)
    assert stop.is_set() and no_room(intake.error) and intake.first.is_set()
