"""Trainers forked from a process that has imported torch, xarray and dask, which takes most of a small
run: for tests of what a run does, and not of how its processes come about.

What forks is a process of its own, ``python forked_trainers.py SOCKET``, that has done nothing but
import: a trainer begins as if it had been started. It is a child of whoever leads its run, which it asks
for, because the process between has ended.
"""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading

#: Of prctl: orphans below this process become its children, and not those of the first of all.
SUBREAPER = 36
STARTED = [sys.executable, "-m", "sciml.run.online.trainer"]
#: The process that forks, and the socket by which it is asked: none, or both.
_forker = []


class Adopted(subprocess.Popen):
    """A child that another process has forked."""

    def __init__(self, pid, words):
        self.pid, self.args, self.returncode = pid, words, None
        self.stdin = self.stdout = self.stderr = None
        self._child_created, self._sigint_wait_secs = True, 0.25
        self._waitpid_lock = threading.Lock()


@contextlib.contextmanager
def forked_trainers():
    """Meanwhile no trainer imports what the one before has imported (on Linux alone)."""
    from sciml.run import trainer_process

    if sys.platform != "linux":
        yield
        return

    start_session = trainer_process.start_session

    def forked(words, environment, output, pass_fds=()):
        assert words[:3] == STARTED, words
        if not _forker:
            _forker.extend(_start())
        output = output if isinstance(output, int) else output.fileno()
        told = {"words": words[3:], "environment": environment}
        reaper = ctypes.CDLL(None).prctl
        reaper(SUBREAPER, 1, 0, 0, 0)
        try:
            socket.send_fds(_forker[1], [json.dumps(told).encode()], [output, *pass_fds])
            return Adopted(int(_forker[1].recv(32)), words)
        finally:
            reaper(SUBREAPER, 0, 0, 0, 0)

    trainer_process.start_session = forked
    try:
        yield
    finally:
        trainer_process.start_session = start_session


def end_forker():
    """So that what it took is counted."""
    if _forker:
        process, ours = _forker
        ours.close()
        process.wait()
        _forker.clear()


def _start():
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        words = [sys.executable, __file__, str(its.fileno())]
        where = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(words, pass_fds=[its.fileno()], env=where), ours


def _fork(ours):
    """Until nobody asks any more; in each trainer it returns, with its words."""
    while True:
        told, fds, _, _ = socket.recv_fds(ours, 1 << 20, 8)
        if not told:
            sys.exit()
        told, (ready, its) = json.loads(told), os.pipe()
        between = os.fork()
        if between == 0:
            if os.fork() != 0:
                os._exit(0)
            ours.close()
            return _become(told, fds, its)
        os.close(its)
        os.waitpid(between, 0)
        with open(ready, "rb") as pipe:
            ours.send(pipe.read())
        for number in fds:
            os.close(number)


def _become(told, fds, ready):
    """A session, an environment and files of its own."""
    import torch

    os.setsid()
    with open(ready, "w") as pipe:
        print(os.getpid(), file=pipe)
    os.environ.clear()
    os.environ.update(told["environment"])
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), fds[0], fds[0])):
        os.dup2(file, number)
    words = told["words"]
    return [*words[:-1], str(fds[1])] if words[0] == "--early" else words


if __name__ == "__main__":
    with contextlib.suppress(ImportError):  # xarray imports them where they are there
        import dask.array  # noqa: F401
        import distributed  # noqa: F401
    import h5netcdf.legacyapi  # noqa: F401

    import sciml.record.recorder
    import sciml.run.online.trainer_start
    import sciml.run.online.training
    import sciml.surrogates.mlp
    import sciml.training.predictions
    import sciml.training.trial  # noqa: F401
    from sciml.run.online.trainer import main

    words = _fork(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(main(words))
