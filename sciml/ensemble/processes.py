"""Ending process sessions: a solver job is a session, and its exit code says nothing of its ranks.

``mpirun`` returns before its ranks have gone, and ranks have process groups of their own, but all
share the session that the launcher opened. So a job is over when its session is empty.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sciml.stream.slots import boot_id

_PR_SET_PDEATHSIG = 1
#: File descriptors that a trainer may have. There are programs that close each that may be open before
#: they start another: millions of them take minutes.
FILES = 1 << 14


def allow_files() -> None:
    """Let this process open so many files and sockets, as far as it may. Often the limit is 1024, and
    each rank of a solver takes some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def end_with_parent() -> None:
    """Have this process told to end when the one that started it is gone (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def start_session(
    words: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int, **how: Any
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; what it says goes to ``output``."""
    return subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **how,
    )


def start_time(pid: int) -> int | None:
    """Clock tick at which a process began: with the pid it names a process for good, since pids
    are used again. ``None`` if there is no such process, or one that has ended and is not reaped."""
    fields = _stat(pid)
    return None if fields is None or _ended(fields) else int(fields[19])


def here() -> dict[str, str]:
    """What machine this is: its name, its present boot, and the name space that process numbers are of.
    A process number says nothing elsewhere, nor after another boot."""
    return {"host": socket.gethostname(), "boot": boot_id(), "namespace": _namespace()}


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def session_members(session: int) -> list[int]:
    """Living processes of a session, zombies left out."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and int(fields[3]) == session and not _ended(fields):
                members.append(int(entry.name))
    return members


def sessions_with(variable: str, beginning: str) -> set[int]:
    """Sessions of our processes that were started with an environment variable that begins so."""
    wanted = f"\0{variable}={beginning}".encode()
    sessions = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue  # somebody else's, or it ended meanwhile
            if wanted in b"\0" + environment and (fields := _stat(int(entry.name))) is not None:
                sessions.add(int(fields[3]))
    return sessions


def code_within(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Exit code of a process of ours at the moment it ends; ``None`` where it runs for longer."""
    if process.poll() is not None:
        return process.returncode  # its number may be another's by now
    try:
        end = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # an older kernel, or another system, looks every 50 ms
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        return process.poll()
    try:
        look = select.poll()
        look.register(end, select.POLLIN)
        look.poll(1000 * seconds)
    finally:
        os.close(end)
    return process.poll()


def end_session(session: int, grace: float = 3.0) -> None:
    """SIGTERM to every process of a session, SIGKILL to those still there after ``grace`` seconds.

    Returns when the session is empty.
    """
    deadline = time.monotonic() + grace
    members = session_members(session)
    _signal(members, signal.SIGTERM)
    while members and time.monotonic() < deadline:
        time.sleep(0.02)
        members = session_members(session)
    while members:
        _signal(members, signal.SIGKILL)
        time.sleep(0.02)
        members = session_members(session)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # it ended between the listing and the signal, which is what was wanted


def _ended(fields: list[str]) -> bool:
    """Whether nothing of a process runs any more. The first thread of one that was killed may be gone
    while others still end, which takes its time on a busy machine: until then it holds its locks."""
    return fields[0] in "ZX" and int(fields[17]) <= 1


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/pid/stat from the state on (the name before it may hold blanks)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
