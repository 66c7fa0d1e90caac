"""Who is still there, and who notices that another is gone."""

import fcntl
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE, wait_until

from sciml.ensemble.folders import write_json
from sciml.ensemble.processes import (
    code_within,
    end_session,
    session_members,
    sessions_with,
    start_time,
)
from sciml.run.directory import RunDirectory

STOPPED = 75


def test_a_process_that_has_ended_and_is_not_reaped_is_gone():
    """The supervisor of a run may be killed by one who never waits for it."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: start_time(process.pid) is None)
    assert os.path.exists(f"/proc/{process.pid}")
    process.wait()


@pytest.mark.parametrize("told", [True, False])
def test_the_code_of_a_process_is_there_when_it_has_ended(told, monkeypatch):
    if not told:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    process = subprocess.Popen([sys.executable, "-c", "input(); exit(3)"], stdin=subprocess.PIPE)
    assert code_within(process, 0.0) is None
    process.stdin.write(b"\n")
    process.stdin.close()
    assert code_within(process, PATIENCE) == 3
    assert code_within(process, PATIENCE) == 3  # of one that nobody remembers any more


@pytest.mark.skipif(platform.machine() != "x86_64", reason="calls the system by number")
def test_a_process_whose_first_thread_is_gone_still_holds_its_locks(tmp_path):
    """So does a trainer that gets a SIGKILL, for as long as its other threads need to end."""
    source = (
        "import ctypes, fcntl, sys, threading, time\n"
        "lock = open(sys.argv[1], 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "print('there', flush=True)\n"
        "ctypes.CDLL(None).syscall(60, 0)  # this thread alone\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path / "lock")],
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    state = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z")
    assert start_time(process.pid) is not None
    assert session_members(process.pid) == [process.pid]
    with (tmp_path / "lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end_session(process.pid, grace=0.0)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert start_time(process.pid) is None
    process.communicate()


def test_sessions_are_found_by_what_they_were_started_with():
    mark = f"here-{os.getpid()}-"  # other runs of the tests may be on the machine
    source = "import time; print('there', flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        env={**os.environ, "SCIML_TEST_MARK": f"{mark}17"},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    assert sessions_with("SCIML_TEST_MARK", mark) == {process.pid}
    assert sessions_with("TEST_MARK", mark) == sessions_with("SCIML_TEST_MARK", "her ") == set()
    process.kill()
    process.communicate()


def test_a_trainer_whose_supervisor_died_before_it_could_ask_to_be_told_ends(tmp_path):
    run = RunDirectory.create(tmp_path / "run")
    run.study.write_text("")
    write_json(run.supervisor, {"pid": 2**22 - 1, "began": 1})
    done = subprocess.run(
        [sys.executable, "-m", "sciml.run.online.trainer", str(run.path)],
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == STOPPED, done.stderr
    assert not run.endpoint.exists()
