"""Solver jobs: attempts, sessions, retries, giving up."""

import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client
from patience import PATIENCE, wait_until
from sockets import listening

from sciml.ensemble.cluster import close_cluster, local_cluster
from sciml.ensemble.folders import read_json, write_json
from sciml.ensemble.job import Job, end_job, end_jobs, last_lines, run_job, skip_job
from sciml.ensemble.launcher import Launcher
from sciml.ensemble.processes import end_session, session_members, start_time
from sciml.errors import InputError
from sciml.run.directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run")


def job(run, simulation, source):
    return Job(simulation, [sys.executable, "-c", source], dict(os.environ), str(run.path))


def test_a_job_gets_the_next_attempt_number_each_time(run):
    source = "import os; print('attempt', os.environ['SCIML_ATTEMPT'])"
    outcomes = [run_job(job(run, 3, source)) for _ in range(3)]
    assert [o["attempt"] for o in outcomes] == [1, 2, 3]
    assert [o["stderr"] for o in outcomes] == ["attempt 1", "attempt 2", "attempt 3"]
    assert not list(run.pids.glob("*.part"))


def test_a_number_that_another_machine_took_is_not_taken_again(run, monkeypatch):
    (run.logs / "simulation-00003.attempt-1.log").touch()
    with monkeypatch.context() as patch:  # over NFS a new name may show late
        patch.setattr(Path, "glob", lambda *_: iter(()))
        outcome = run_job(job(run, 3, "import os; print(os.environ['SCIML_ATTEMPT'])"))
    assert outcome["attempt"] == 2 and outcome["stderr"] == "2"


@pytest.mark.parametrize("lease", [{"token": "theirs"}, {"token": "mine", "released": True}])
def test_a_job_of_a_leader_that_leads_no_more_does_not_start_and_ends(run, lease, monkeypatch):
    monkeypatch.setattr("sciml.ensemble.job.LOOK_EVERY", 0.05)
    mine = replace(job(run, 3, "import time; time.sleep(600)"), leader="mine")
    write_json(run.supervisor, {"token": "mine"})
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run_job(mine)))
    thread.start()
    wait_until((run.pids / "simulation-00003.json").exists)
    write_json(run.supervisor, lease)
    thread.join(PATIENCE)
    outcomes.append(run_job(mine))
    assert [outcome["cancelled"] for outcome in outcomes] == [True, True]
    assert len(list(run.logs.iterdir())) == 1


def test_a_job_has_a_scratch_folder_of_its_own_that_goes_with_it(run):
    outcome = run_job(
        job(
            run,
            0,
            "import os, pathlib; t = os.environ['TMPDIR']; pathlib.Path(t, 'x').touch(); print(t)",
        )
    )
    assert outcome["code"] == 0
    assert not os.path.exists(outcome["stderr"])


def test_a_new_attempt_ends_what_the_last_one_left_alive(run):
    forgotten = threading.Thread(
        target=run_job, args=(job(run, 1, "import time; time.sleep(600)"),)
    )
    forgotten.start()
    record = run.pids / "simulation-00001.json"
    wait_until(record.exists)
    session = read_json(record)["session"]
    outcome = run_job(job(run, 1, "print('again')"))
    forgotten.join()
    assert outcome["attempt"] == 2 and outcome["code"] == 0
    assert session_members(session) == []


def test_ending_jobs_takes_ranks_that_ignore_sigterm_along(run):
    deaf = run.path / "deaf"
    source = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import signal, sys, time;"
        'signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1], "w"); time.sleep(600)\','
        f" {str(deaf)!r}])\n"
        "time.sleep(600)"
    )
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run_job(job(run, 0, source))))
    thread.start()
    record = run.pids / "simulation-00000.json"
    wait_until(record.exists)
    session = read_json(record)["session"]
    wait_until(deaf.exists)
    assert len(session_members(session)) == 2
    end_session(session, grace=0.3)
    thread.join()
    assert session_members(session) == []
    assert outcomes[0]["code"] == -signal.SIGKILL


def test_a_job_that_its_worker_could_not_write_down_ends_before_the_next_attempt(run):
    """The worker is killed between the start of the job and its record."""
    source = "import os, time; print(os.environ['TMPDIR'], flush=True); time.sleep(600)"
    worker = multiprocessing.get_context("spawn").Process(
        target=run_job, args=(job(run, 2, source),)
    )
    worker.start()
    log = run.logs / "simulation-00002.attempt-1.log"
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"))
    record = run.pids / "simulation-00002.json"
    wait_until(record.exists)
    session, scratch = read_json(record)["session"], log.read_text().strip()
    worker.kill()
    worker.join()
    record.unlink()
    assert session_members(session) and os.path.isdir(scratch)
    again = run_job(job(run, 2, "import os; print('attempt', os.environ['SCIML_ATTEMPT'])"))
    assert again["stderr"] == "attempt 2"
    assert not session_members(session) and not os.path.exists(scratch)


def test_folders_of_other_simulations_stay(run):
    source = "import os; print(os.environ['TMPDIR'])"
    other = Path(run_job(job(run, 21, source))["stderr"])
    other.mkdir()
    end_job(run, 2)
    assert other.is_dir()
    end_job(run, 21)
    assert not other.exists()


def test_a_local_cluster_listens_to_nobody():
    """dask runs whatever comes to its ports, and its pages tell of what is run: there are none."""
    before = listening()
    with local_cluster(2) as cluster:
        assert cluster.scheduler_address.startswith("inproc://")
        assert listening().keys() == before.keys()
        with Client(cluster) as client:
            assert client.submit(sum, [1, 2], resources={"sim": 1}).result(PATIENCE) == 3
        assert listening().keys() == before.keys()


def test_a_used_pid_is_not_mistaken_for_a_job(run):
    bystander = os.spawnv(
        os.P_NOWAIT, sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"]
    )
    write_json(
        run.pids / "simulation-00007.json",
        {"attempt": 1, "session": bystander, "began": start_time(bystander) - 1},
    )
    end_job(run, 7)
    os.kill(bystander, 0)
    os.kill(bystander, signal.SIGKILL)
    os.waitpid(bystander, 0)


def test_after_stop_no_job_starts(run):
    end_jobs(run)
    outcome = run_job(job(run, 0, "print('ran')"))
    assert outcome["cancelled"] and outcome["code"] != 0


def test_last_lines_leave_out_what_mpirun_adds(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\ntwo\n" + "-" * 70 + "\nprterun has exited\n" + "-" * 70 + "\n")
    assert last_lines(log, 2) == "one\ntwo"
    assert last_lines(tmp_path / "none") == ""


def test_a_skipped_simulation_does_not_start(run):
    skip_job(run, 4)
    outcome = run_job(job(run, 4, "print('ran')"))
    assert outcome["cancelled"] and not (run.logs / "simulation-00004.attempt-1.log").exists()
    assert run_job(job(run, 5, "print('ran')"))["code"] == 0


def test_launcher_retries_gives_up_and_goes_on(run):
    flaky = (
        "import os, sys; attempt = int(os.environ['SCIML_ATTEMPT']);"
        "sys.exit(0 if attempt > 1 else 'first try fails')"
    )
    jobs = [
        job(run, 0, "print('fine')"),
        job(run, 1, flaky),
        job(run, 2, "raise SystemExit('never')"),
        job(run, 3, "print('fine')"),
    ]
    with local_cluster(2) as cluster:
        launcher = Launcher(cluster, run, jobs, at_once=2, retries=2)
        given_up = []
        wait_until(lambda: given_up.extend(launcher.poll()) or launcher.done)
        launcher.close()
    assert sorted(launcher.finished) == [0, 1, 3]
    assert [f.simulation for f in given_up] == [2]
    assert given_up[0].attempts == 3 and "never" in given_up[0].line()
    assert launcher.restarts == 3


def test_jobs_are_added_while_others_run(run):
    """By a design that draws when it has seen how the first one ended."""
    waits = f"import os, time\nwhile not os.path.exists({str(run.path / 'go')!r}):\n    time.sleep(0.01)"
    with local_cluster(1) as cluster:
        launcher = Launcher(cluster, run, [job(run, 5, waits)], at_once=1, retries=1, finished=[2])
        launcher.growing = True
        assert (launcher.total, launcher.finished, launcher.done) == (2, [2], False)
        launcher.poll()
        assert launcher.running == [5]
        launcher.submit(job(run, 6, "raise SystemExit('never')"), job(run, 7, "print('fine')"))
        assert (launcher.total, launcher.outstanding) == (4, 3)
        for known in (2, 5, 7):
            with pytest.raises(InputError, match=f"simulation {known} was submitted before"):
                launcher.submit(job(run, known, ""))
        (run.path / "go").touch()
        given_up = []
        wait_until(lambda: given_up.extend(launcher.poll()) or not launcher.outstanding)
        assert not launcher.done
        launcher.submit(job(run, 8, "print('fine')"))
        launcher.growing = False
        assert not launcher.done
        wait_until(lambda: given_up.extend(launcher.poll()) or launcher.done)
        launcher.close()
    assert launcher.finished == [2, 5, 7, 8] and launcher.total == 5
    assert [(f.simulation, f.attempts) for f in given_up] == [(6, 2)]


def test_launcher_does_not_retry_what_is_quarantined(run):
    with local_cluster(1) as cluster:
        launcher = Launcher(
            cluster,
            run,
            [job(run, 0, "raise SystemExit('NaN')")],
            at_once=1,
            retries=5,
            may_retry=lambda simulation: False,
        )
        wait_until(lambda: bool(launcher.poll()) or launcher.done)
        launcher.close()
    assert launcher.restarts == 0 and len(launcher.failures) == 1


def test_stop_ends_running_jobs(run):
    with local_cluster(1) as cluster:
        launcher = Launcher(
            cluster, run, [job(run, 0, "import time; time.sleep(600)")], at_once=1, retries=0
        )
        launcher.poll()
        record = run.pids / "simulation-00000.json"
        wait_until(record.exists)
        session = read_json(record)["session"]
        launcher.stop()
        assert session_members(session) == []
        launcher.close()


def test_a_cluster_that_is_slow_to_end_does_not_spoil_the_run(caplog):
    class Slow:
        def close(self, timeout):
            raise TimeoutError(f"timed out after {timeout} s.")

    close_cluster(Slow(), patience=0.5)
    assert "longer than 0.5 s" in caplog.text
