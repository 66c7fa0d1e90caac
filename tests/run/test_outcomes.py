"""A status says what came of each simulation of the plan, whoever was there to see its job end."""

from types import SimpleNamespace

import pytest

from sciml.ensemble.folders import read_json, write_json
from sciml.errors import ScimlError
from sciml.run.directory import RunDirectory
from sciml.run.room import RoomWatch
from sciml.run.snapshot import complete
from sciml.run.supervisor import FINISHED, STOPPED, Supervisor

FOUND = {
    "planned": 4,
    "with_outcome": 4,
    "finished": 2,
    "given_up": 0,
    "quarantined": 1,
    "skipped": 1,
    "lacking": [],
}
TOLD = {"total": 4, "done": 2, "running": 0, "given_up": 0, "quarantined": 1, "skipped": 1}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.create(tmp_path / "run")
    write_json(run.summary, {"steps": 7, "simulations": FOUND})
    write_json(run.last_words, {"state": "finished", "step": 7})
    return run


def test_a_run_that_is_completed_later_counts_against_its_plan(run):
    write_json(run.status, {"state": "stopped", "simulations": {"total": 4, "restarted": 3}})
    complete(run)
    assert read_json(run.status)["simulations"] == {**TOLD, "restarted": 3}


def supervisor_of(run):
    """One whose trainer has ended, and what it says."""
    launcher = SimpleNamespace(
        total=4, finished=[], running=[1, 2], restarts=0, failures=[], skipped=0
    )
    launcher.skip = launcher.stop = lambda *_: None
    supervisor, said = object.__new__(Supervisor), []
    supervisor.__dict__ |= {
        "_launcher": launcher,
        "_leader": SimpleNamespace(overtaken=lambda: False),
        "_run": run,
        "_study": SimpleNamespace(cluster=SimpleNamespace(simulations_at_once=2)),
        "_display": SimpleNamespace(update=lambda *_, **__: None, say=said.append),
        "_room": RoomWatch(run.path, patience=60.0),
        "_stop": None,
        "_queue": None,
        "_reply": {},
        "_end_state": {},
        "_outcomes": {},
        "_quarantined": {},
        "_training": {0, 2, 3},
        "_jobs": {},
        "_ended_before": set(),
        "_said": set(),
    }
    return supervisor, said


def test_jobs_that_ended_while_the_supervisor_stood_still_are_counted(run):
    supervisor, _ = supervisor_of(run)
    assert supervisor._end(SimpleNamespace(wait=lambda: FINISHED)) == FINISHED
    assert read_json(run.status)["simulations"] == {**TOLD, "restarted": 0}


def test_a_run_that_lacks_a_simulation_does_not_end_well(run):
    found = {**FOUND, "finished": 1, "with_outcome": 3, "lacking": [2]}
    write_json(run.summary, {"steps": 7, "simulations": found})
    supervisor, _ = supervisor_of(run)
    with pytest.raises(ScimlError, match=r"1 of 4 simulations .* \(2\).* sciml resume"):
        supervisor._end(SimpleNamespace(wait=lambda: FINISHED))


@pytest.mark.parametrize(
    ("state", "words"), [("stopped", "was sent a signal"), ("failed", "no room")]
)
def test_a_trainer_that_stops_by_itself_is_not_always_out_of_room(run, state, words):
    """A signal may reach it alone."""
    write_json(run.last_words, {"state": state})
    supervisor, said = supervisor_of(run)
    assert supervisor._end(SimpleNamespace(wait=lambda: STOPPED)) == STOPPED
    assert words in said[-1] and "sciml resume" in said[-1]
