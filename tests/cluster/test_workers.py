"""Workers that have to leave: their simulations run again, and are not blamed."""

import os
import signal
import sys
import time

import pytest
from listening import listening
from patience import wait_until

from sciml.ensemble import slurm
from sciml.ensemble.addresses import is_loopback
from sciml.ensemble.cluster import opened
from sciml.ensemble.folders import read_json
from sciml.ensemble.job import Job
from sciml.ensemble.launcher import Launcher
from sciml.ensemble.processes import session_members
from sciml.ensemble.worker import ALLOWANCE, MARGIN, SimulationClock


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(slurm, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(slurm, "ASK_EVERY", 0.2)


def job(run, simulation, source):
    return Job(simulation, [sys.executable, "-c", source], {}, str(run.path), local=False)


def first_attempt_waits(mark):
    """Source of a program whose first attempt waits for ever, and whose second ends well."""
    return (
        "import os, sys, time\n"
        "print(os.environ.get('LOADED'), flush=True)\n"
        f"if os.environ['SCIML_ATTEMPT'] == '1': open({str(mark)!r}, 'w').close(); time.sleep(600)\n"
    )


@pytest.mark.parametrize("how", ["killed", "told"])
def test_a_lost_worker_is_replaced_and_nobody_blamed(slurm_study, run, standin, tmp_path, how):
    """Killed as at the end of a time limit, or told with all its processes, as by scancel."""
    (standin.folder / "runs").touch()
    study = slurm_study(prologue=["export LOADED=module"])
    mark = tmp_path / "mark"
    with opened(study, run) as (cluster, jobs):
        work = [job(run, 0, first_attempt_waits(mark)), job(run, 1, "print('fine')")]
        launcher = Launcher(cluster, run, work, at_once=1, retries=0)
        jobs.need(2, 0)
        wait_until(lambda: launcher.poll() or mark.exists())
        worker = int((standin.folder / "pid.100").read_text())
        [(host, _)] = listening(worker)  # no dashboard
        assert is_loopback(host)
        session = read_json(run.pids / "simulation-00000.json")["session"]
        if how == "killed":
            standin.kill("100")
        else:
            standin.becomes("100", "CANCELLED")
            os.kill(session, signal.SIGTERM)  # the solver first
            time.sleep(0.2)
            os.kill(worker, signal.SIGTERM)
        wait_until(lambda: bool(launcher.poll()) or launcher.done)
        assert sorted(launcher.finished) == [0, 1] and launcher.failures == []
        assert launcher.restarts == 0
        jobs.need(0, 2)
        launcher.close()
        assert any("worker job 100 ended" in line for line in jobs.news())
    assert session_members(session) == []
    assert set(standin.jobs.values()) <= {"TIMEOUT", "CANCELLED"} and len(standin.jobs) == 2
    log = run.logs / "simulation-00000.attempt-2.log"
    assert log.read_text() == "module\n"


def test_a_worker_leaves_before_its_limit(monkeypatch):
    now = 0.0
    monkeypatch.setattr("sciml.ensemble.worker.time.monotonic", lambda: now)
    monkeypatch.setattr("sciml.ensemble.worker.random.uniform", lambda low, high: high)
    clock = SimulationClock(1000.0)
    limit = 1000.0 - MARGIN - 100.0  # spread over a tenth of the time
    now = limit - 1.0
    assert not clock.spent  # nothing has run here: whether it fits is not known
    clock.transition("a", "ready", "executing")
    assert clock.busy
    now += 100.0
    clock.transition("a", "executing", "memory")
    assert not clock.busy and clock.spent
    now = limit - ALLOWANCE * 100.0 - 0.1
    assert not clock.spent
    now += 0.2
    assert clock.spent
