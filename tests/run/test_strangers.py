"""Who has nothing to do with a run: other users of the machine, other name spaces, other machines."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
import zmq
from killing import PATIENCE, _command, marked, start, trainers, wait_for_step, wait_until
from sockets import listening, public
from test_kills import check_account, study_of

NOBODY = 65534
TRAINING = 6
APART = ["unshare", "--pid", "--fork", "--mount-proc", "--uts"]
#: As on another machine whose file system carries no locks from here.
ELSEWHERE = """
import errno, fcntl, sys
def no_locks(*_): raise OSError(errno.ENOLCK, "no locks")
fcntl.flock = no_locks
from sciml.ensemble import job as launch
from sciml.ensemble import leader
from sciml.ensemble import processes
from sciml.run import supervisor
there = {"host": "node17", "boot": "another", "namespace": "pid:[1]"}
for module in (launch, leader, processes, supervisor): module.here = lambda: there
from sciml.cli import main
sys.exit(main())
"""


def may_unshare():
    tool = shutil.which("unshare")
    return bool(tool) and subprocess.run([*APART, "true"], capture_output=True).returncode == 0


own_name_space = pytest.mark.skipif(
    not may_unshare(), reason="no right to make a name space of processes here"
)


@pytest.fixture
def folder():
    """One that others can look into, as run directories may be."""
    path = Path(tempfile.mkdtemp(prefix="sciml-strangers-"))
    path.chmod(0o755)
    yield path
    while left := marked(path / "run"):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path)


def begun(folder, *before, step=0):
    """A run whose trainer listens, or has come to a step, and its process; in a place of its own where
    ``before`` makes one."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study_of(TRAINING)))
    run = folder / "run"
    process = start("run", folder / "study.yaml", "--out", run, run=run, before=before)
    wait_until(process, (run / "endpoint.json").exists)
    wait_until(process, (run / "status.json").exists)  # dask has closed its pages by then
    wait_for_step(process, run, step)
    assert process.poll() is None, process.communicate()[0]
    return run, process


def refused(run, process):
    """What one who comes too is told, while the run cannot end."""
    for pid in trainers(run):
        os.kill(pid, signal.SIGSTOP)
    said, _ = process.communicate(timeout=PATIENCE)
    for pid in trainers(run):
        os.kill(pid, signal.SIGCONT)
    assert process.returncode == 2, said
    *_, line = said.strip().splitlines()
    assert line.startswith(f"error: {run} is running, led by process "), said
    print(f"\n{line}")
    return line


def as_nobody(work):
    """What ``work()`` returns, as text, when another user does it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return json.loads(said)


def read(path):
    try:
        return path.read_text()
    except PermissionError:
        return None


def answered(port, keys):
    """Whether a trainer says anything to one with other keys, or none."""
    context = zmq.Context()
    line = context.socket(zmq.DEALER)
    line.linger = 0
    if keys:
        line.curve_publickey, line.curve_secretkey = zmq.curve_keypair()
        line.curve_serverkey, _ = zmq.curve_keypair()
    line.connect(f"tcp://127.0.0.1:{port}")
    line.send(b"\x82\xa1v\x04\xa4kind\xa5hello")
    there = bool(line.poll(1000))
    line.close()
    context.term()
    return there


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_finds_one_door_and_no_key(folder):
    run, _ = begun(folder)
    found = listening(*marked(run))
    # Of Open MPI's own starter, which listens everywhere whatever it is told: see the limits.
    mine = {at: pid for at, pid in found.items() if "prterun" not in _command(pid)}
    print("\n", {at: _command(pid)[:60] for at, pid in found.items()})
    [(host, port)] = mine
    assert not public(mine), mine
    assert f"tcp://{host}:{port}" == json.loads((run / "endpoint.json").read_text())["address"]
    for name in ("endpoint.json", "server.key"):
        assert stat.S_IMODE((run / name).stat().st_mode) == 0o600
        assert as_nobody(lambda name=name: read(run / name)) is None
    assert as_nobody(lambda: read(folder / "study.yaml")), "it is not for the folder's sake"
    assert not as_nobody(lambda: answered(port, False))
    assert not as_nobody(lambda: answered(port, True))


@pytest.mark.slow
@own_name_space
def test_in_another_name_space_of_processes_nobody_leads_a_run_that_is_led(folder):
    run, process = begun(folder)
    other = start(
        "resume", run, run=run, before=[*APART, "sh", "-c", 'hostname node2; exec "$@"', "sh"]
    )
    line = refused(run, other)
    assert f"process {process.pid} of another name space" in line
    assert line.endswith(f" on {socket.gethostname()}; wait, or end it there")


@pytest.mark.slow
@own_name_space
def test_a_run_goes_from_one_name_space_of_processes_to_another(folder):
    """Its processes have numbers there that are others' here."""
    run, process = begun(folder, *APART, step=3)
    first = json.loads((run / "pids/supervisor.json").read_text())
    line = refused(run, start("resume", run, run=run))
    assert f"process {first['pid']} of another name space" in line
    process.kill()  # whom it was made for; the name space ends with its first process, which is killed
    for pid in marked(run):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    second = start("resume", run, run=run)
    said, _ = second.communicate(timeout=2 * PATIENCE)
    assert second.returncode == 0, said
    check_account(run, TRAINING)


@pytest.mark.slow
def test_a_machine_that_sees_no_lock_is_kept_out_by_the_lease(folder):
    run, process = begun(folder)
    line = refused(
        run,
        subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, "resume", run],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ),
    )
    assert f"led by process {process.pid} on {socket.gethostname()}; wait" in line
    said, _ = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, said
    check_account(run, TRAINING)
