"""One run, one leader: locks, leases, copies."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from patience import PATIENCE, wait_until

from sciml.ensemble.folders import read_json, write_json
from sciml.ensemble.identity import identify
from sciml.ensemble.job import end_job, end_jobs, finished_jobs, reap, scratch_prefix
from sciml.ensemble.leader import Leader, read_lease
from sciml.ensemble.processes import here, start_time
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.results import Run

ELSEWHERE = {"host": "node17", "boot": "another-boot", "namespace": "pid:[1]"}


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run")


def quick(run, **changes):
    return Leader(run, **{"beat": 0.05, "lapse": 0.5, **changes})


def lease_of(run, **entries):
    write_json(run.supervisor, {**ELSEWHERE, "pid": 7, "began": 1, "token": "theirs", **entries})


def test_the_second_is_refused_in_a_line_that_names_the_first(run):
    source = (
        "import sys; from sciml.ensemble.leader import Leader; from sciml.run.directory import *\n"
        "with Leader(RunDirectory(__import__('pathlib').Path(sys.argv[1]))):\n"
        "    print('leads', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", source, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "leads\n"
    with pytest.raises(InputError, match=f"is running, led by process {first.pid} on ") as refused:
        quick(run).__enter__()
    assert "\n" not in str(refused.value)
    first.send_signal(signal.SIGKILL)  # it releases nothing
    first.wait(PATIENCE)
    first.stdin.close()
    first.stdout.close()
    with quick(run) as second:
        assert read_lease(run)["token"] == second.token
    assert read_lease(run)["released"]


def test_a_leader_on_another_machine_whose_lease_grows_is_not_disturbed(run):
    lease_of(run, beat=1)
    waited, ended = [], threading.Event()

    def beat():
        count = 1
        while not ended.wait(0.05):
            count += 1
            lease_of(run, beat=count)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(InputError, match="led by process 7 on node17; wait, or end it there"):
            quick(run, say=waited.append).__enter__()
    finally:
        ended.set()
        thread.join()
    assert len(waited) == 1 and "node17" in waited[0]
    assert read_lease(run)["token"] == "theirs"


def test_a_lease_of_another_machine_that_stands_still_is_taken_over(run):
    lease_of(run, beat=5)
    with quick(run) as leader:
        assert read_lease(run)["token"] == leader.token


def test_one_that_was_released_is_not_waited_for(run):
    lease_of(run, beat=5, released=True)
    with quick(run, lapse=PATIENCE):
        assert read_lease(run)["host"] == here()["host"]


def test_without_locks_of_the_file_system_one_of_two_leads(run, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    lease_of(run, beat=5)  # both find it, both see it lapse
    outcomes = []

    def contend():
        try:
            with quick(run) as leader:
                outcomes.append("leads")
                done.wait(PATIENCE)
                outcomes.append("lost" if leader.lost.is_set() else "led")
        except InputError:
            outcomes.append("refused")

    done = threading.Event()
    threads = [threading.Thread(target=contend) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(outcomes) >= 2)
    done.set()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["leads", "led", "refused"]


def test_a_leader_that_was_taken_over_from_notices_and_leaves_the_lease_alone(run):
    with quick(run) as leader:
        lease_of(run, beat=1)
        assert leader.lost.wait(PATIENCE)
    assert read_lease(run)["token"] == "theirs" and "released" not in read_lease(run)


def test_a_record_of_an_older_version_is_understood(run):
    write_json(run.supervisor, {"pid": os.getppid(), "began": start_time(os.getppid())})
    with pytest.raises(InputError, match=f"led by process {os.getppid()} on this machine"):
        quick(run).__enter__()
    write_json(run.supervisor, {"pid": os.getppid(), "began": 1})
    with quick(run):
        assert read_lease(run)["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pid": "x"}'])
def test_a_damaged_lease_keeps_nobody_out(run, content):
    run.supervisor.write_text(content)
    with quick(run):
        assert read_lease(run)["pid"] == os.getpid()


def test_a_copy_is_another_run_and_a_moved_one_is_the_same(run, tmp_path):
    name = identify(run)
    assert identify(run) == name
    for path in (run.endpoint, run.path / "server.key"):
        path.write_text("{}")
    record = "simulation-00003.json"
    write_json(run.pids / record, {"attempt": 1, "session": 12, "began": 1, "code": 0})
    copy = RunDirectory(tmp_path / "copy")
    shutil.copytree(run.path, copy.path)
    moved = RunDirectory(tmp_path / "moved")
    run.path.rename(moved.path)
    assert identify(moved) == name and moved.endpoint.exists()
    assert read_json(moved.pids / record)["session"] == 12
    other = identify(copy)
    assert other != name and identify(copy) == other
    assert not copy.endpoint.exists() and not (copy.path / "server.key").exists()
    assert read_json(copy.pids / record)["session"] is None
    assert scratch_prefix(copy) != scratch_prefix(moved)
    assert finished_jobs(copy) == [3]


def test_a_run_that_cannot_say_which_it_is(run):
    run.identity.write_text("{")
    with pytest.raises(InputError, match=r"run\.json cannot be read"):
        identify(run)


def test_a_full_disk_leaves_no_run_that_cannot_say_which_it_is(run, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sciml.ensemble.identity.json.dump", full)
        with pytest.raises(OSError, match="no space left"):
            identify(run)
    assert list(run.path.glob("*run.json*")) == []
    assert identify(run) == identify(run)


@pytest.fixture
def bystander():
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("strange", ["host", "boot", "namespace", "run"])
def test_processes_of_another_machine_name_space_or_run_are_left_alone(run, bystander, strange):
    record = {"attempt": 1, "session": bystander.pid, "began": start_time(bystander.pid), **here()}
    for name in ("trainer.json", "simulation-00000.json"):
        write_json(run.pids / name, {**record, strange: "other"})
    reap(run)
    end_job(run, 0)
    assert bystander.poll() is None
    write_json(run.pids / "simulation-00000.json", record)
    end_job(run, 0)
    assert bystander.wait(PATIENCE) == -signal.SIGTERM


def test_one_that_has_lost_ends_what_it_has_started_and_nothing_else(run, bystander):
    record = {"attempt": 1, "session": bystander.pid, "began": start_time(bystander.pid), **here()}
    write_json(run.pids / "simulation-00000.json", {**record, "leader": "theirs"})
    end_jobs(run, "ours", lost=True)
    assert bystander.poll() is None
    end_jobs(run, "theirs", lost=True)
    assert bystander.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"attempt": 1})])
def test_records_that_a_kill_tore_are_no_jobs(run, content):
    (run.pids / "simulation-00000.json").write_text(content)
    reap(run)
    assert finished_jobs(run) == []


@pytest.mark.parametrize(
    ("state", "lease", "shown"),
    [
        ("training", {"released": True}, "killed"),
        ("training", {**here(), "pid": os.getpid(), "began": start_time(os.getpid())}, "training"),
        ("training", {**here(), "pid": os.getpid(), "began": 1}, "killed"),
        ("training", ELSEWHERE, "training"),  # who knows
        ("stopped", {"released": True}, "stopped"),
        ("failed", {"released": True}, "failed"),
    ],
)
def test_status_says_whether_somebody_still_leads(run, state, lease, shown):
    write_json(run.status, {"state": state})
    write_json(run.supervisor, {"pid": 7, "began": 1, **lease})
    assert Run(run).status["state"] == shown
