"""What a thread of the trainer dies of ends the run in one line, with a checkpoint."""

import errno
import json
import threading
from types import SimpleNamespace

import pytest
import yaml
from patience import PATIENCE, wait_until

from sciml.buffer import make
from sciml.domain import Field
from sciml.ensemble.folders import read_json, write_json
from sciml.errors import DomainError, InputError, ScimlError, StreamError
from sciml.run.directory import RunDirectory
from sciml.run.held_out import HeldOut
from sciml.run.online import training as learning
from sciml.run.online.intake import Intake
from sciml.run.online.study_run import resume
from sciml.run.online.trainer import Trainer
from sciml.samples import Task, Windower
from sciml.stream.control import ControlClient
from sciml.stream.ledger import Ledger
from sciml.stream.server import Server


def intake_on(tmp_path, get, stop=None):
    server = SimpleNamespace(ledger=Ledger(), events=SimpleNamespace(get=get))
    buffer = SimpleNamespace(stop=lambda: None)
    task = Task(inputs=("u",), targets=("u",))
    return Intake(server, Windower(task), buffer, HeldOut(tmp_path), {}, None, stop)


def test_an_intake_that_dies_of_anything_stops_the_training(tmp_path):
    def get(timeout):
        raise KeyError("u/v")

    stop = threading.Event()
    intake = intake_on(tmp_path, get, stop)
    intake.start()
    intake.join(PATIENCE)
    assert isinstance(intake.error, ScimlError)
    assert str(intake.error) == "the intake cannot go on: KeyError: 'u/v'"
    assert stop.is_set() and intake.first.is_set()


def trainer_with(tmp_path, status):
    trainer = object.__new__(Trainer)
    trainer._done, trainer.first_step_at = threading.Event(), {}
    trainer.stop, trainer.reason = threading.Event(), ""
    trainer.intake = intake_on(tmp_path, None, trainer.stop)
    trainer._publish = status
    trainer.run, trainer._leader = RunDirectory(tmp_path), None
    return trainer


def test_a_trainer_whose_run_another_leads_ends_as_it_is(tmp_path, monkeypatch):
    """Not even a checkpoint is written beside the other's."""
    monkeypatch.setattr("sciml.run.online.trainer.STATUS_EVERY", 0.01)
    codes = []

    def ended(code):
        codes.append(code)
        trainer._done.set()

    monkeypatch.setattr("os._exit", ended)
    trainer = trainer_with(tmp_path, lambda: None)
    trainer._leader = "mine"
    trainer.run.pids.mkdir()
    for token in ("mine", "another's"):
        trainer.run.supervisor.write_text(json.dumps({"pid": 1, "token": token}))
        trainer._require_leader()
        assert codes == ([] if token == "mine" else [75])
    trainer._done.clear()
    trainer._report()
    assert set(codes) == {75} and not trainer.stop.is_set()


def test_a_status_that_cannot_be_told_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sciml.run.online.trainer.STATUS_EVERY", 0.01)

    def status():
        raise RuntimeError("no")

    trainer = trainer_with(tmp_path, status)
    trainer._report()
    with pytest.raises(ScimlError, match="cannot go on: RuntimeError: no"):
        trainer._told_to_stop()
    assert trainer.stop.is_set()


def test_told_to_stop_nobody_waits_for_samples_that_do_not_come(tmp_path, monkeypatch):
    monkeypatch.setattr("sciml.run.online.trainer.STATUS_EVERY", 0.01)
    trainer = trainer_with(tmp_path, lambda: None)
    trainer.buffer = make("reservoir", 8, 4, 0)
    reporter = threading.Thread(target=trainer._report)
    reporter.start()
    trainer.stop.set()  # all that a handler of signals may do: locks may be held where it comes in
    assert trainer.buffer.get_batch(4) == []
    trainer._done.set()
    reporter.join(PATIENCE)


def test_too_many_open_files_cost_a_status_and_not_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sciml.run.online.trainer.STATUS_EVERY", 0.01)
    told = []

    def status():
        told.append(1)
        if len(told) < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        trainer._done.set()

    trainer = trainer_with(tmp_path, status)
    trainer._report()
    assert len(told) == 3 and not trainer._told_to_stop()


def test_a_stream_that_dies_says_so(tmp_path):
    failures = []
    server = Server(tmp_path, on_failure=failures.append)
    server.start()

    def flush():
        raise ZeroDivisionError("a fault of ours")

    server._registry.flush = flush
    server._wake()
    wait_until(lambda: failures)
    assert isinstance(failures[0], ZeroDivisionError)
    server.stop()


@pytest.mark.parametrize(
    "message",
    [
        {"given_up": [1]},
        {"given_up": [["1", "why"]]},
        {"given_up": 7},
        {"finished": ["x"]},
        {"done": "yes"},
        {"total": -1},
    ],
)
def test_a_control_message_that_no_supervisor_sends_is_refused(tmp_path, message):
    server = Server(tmp_path)
    server.start()
    client = ControlClient(tmp_path)
    try:
        with pytest.raises(StreamError, match="no supervisor says that"):
            client.exchange(message)
        server.set_status({"step": 3})
        said = {"total": 2, "finished": [0], "given_up": [[1, "why"]], "done": False}
        assert client.exchange(said) == {"step": 3}
    finally:
        client.close()
        server.stop()


@pytest.mark.parametrize("name", ["", "a/b", " u", "u\n", "\0", 3])
def test_a_name_that_no_file_takes_is_no_field(name):
    with pytest.raises(DomainError, match="expected"):
        Field(name)


@pytest.mark.parametrize(("told", "written"), [(True, False), (False, True)])
def test_told_to_stop_while_it_waits_for_held_out_simulations_a_run_writes_no_summary(
    tmp_path, monkeypatch, told, written
):
    wrote = []
    trainer = trainer_with(tmp_path, None)
    trainer._go_back = lambda: None
    trainer.intake.first.set()
    trainer.intake.start = trainer.intake.finish = lambda: None
    trainer.recorder = SimpleNamespace(finish=lambda: wrote.append("recording"))
    stub = SimpleNamespace(
        train=lambda: None,
        await_heldout=lambda: told and trainer.stop.set(),
        finish=lambda: wrote.append("summary"),
        history=SimpleNamespace(ended="phases"),
    )
    monkeypatch.setattr(learning, "Learning", lambda trainer: stub)
    assert trainer._learn() == written
    assert wrote == ["recording", "summary"] * written


SOLVER = {"solver": {"program": "solvers/heat.py"}, "parameters": {"simulations": 3}}


def test_a_run_whose_supervisor_was_killed_before_it_said_that_it_had_finished(tmp_path, capsys):
    run = RunDirectory.create(tmp_path / "run")
    run.study.write_text(yaml.safe_dump({"name": "s", "task": {"inputs": ["u"]}, **SOLVER}))
    counts = {"total": 3, "done": 3}
    write_json(run.status, {"state": "validating", "simulations": counts, "memory": 1})
    write_json(run.last_words, {"state": "finished", "step": 7, "frames": {"produced": 5}})
    outcomes = {"finished": 3, "given_up": 0, "quarantined": 0, "skipped": 0}
    write_json(run.summary, {"steps": 7, "simulations": {"planned": 3, "lacking": [], **outcomes}})
    directory, code = resume(run.path)
    assert code == 0 and "trained 7 steps" in capsys.readouterr().out
    state = read_json(directory.status)
    assert state["state"] == "finished" and state["simulations"].items() >= counts.items()
    assert state["training"]["step"] == 7 and state["frames"]["produced"] == 5
    before = contents(run.path)
    with pytest.raises(InputError, match="has finished; nothing to resume"):
        resume(run.path)
    assert contents(run.path) == before


def contents(folder):
    """Each file with its bytes and when it was written."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]
