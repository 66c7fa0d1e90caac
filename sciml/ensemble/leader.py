"""Who leads a run: one supervisor at most, on whatever machine it is.

Two supervisors in one directory would end each other's jobs. Two things keep the second one out:

* a lock of the file system (``flock``) on ``pids/leader.lock``, which goes with its process, however
  that ends;
* a lease in ``pids/supervisor.json``, since not every network file system carries locks from machine
  to machine: who leads, and a count of beats that grows. Whoever finds the lock free and the lease of
  another machine watches the count by its own clock, and takes over only where it stands still.
  Clocks of two machines are never compared.

A leader that was asleep for so long that another took over finds the lease in that other's name, and has
lost: it ends without touching what is now the other's.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from sciml.ensemble.folders import JobFolders
from sciml.ensemble.processes import here, start_time
from sciml.errors import InputError
from sciml.stream.file_lock import take_lock

#: Seconds between beats.
BEAT = 2.0
#: Seconds in which a leader elsewhere must have beaten to count as alive: many beats, since a network
#: file system may show them late. Higher, and a run whose machine died waits longer to be resumed.
LAPSE = 45.0
#: Bytes of a lease, so that it is written over in place: no room is needed, and readers on other
#: machines see the same file.
LEASE = 1024


@final
class Leader:
    """The right to lead a run, held while it is entered.

    >>> with Leader(run):            # doctest: +SKIP
    ...     ...                      # start jobs, end jobs

    Args:
        run: whose directory must be there.
        say: takes a line on what is waited for.
        beat, lapse: seconds; tests have shorter ones.

    Raises:
        InputError: on entering: another leads; the line names it.
    """

    def __init__(
        self,
        run: JobFolders,
        say: Callable[[str], None] = lambda line: None,
        *,
        beat: float = BEAT,
        lapse: float = LAPSE,
    ) -> None:
        self._run, self._say, self._beat, self._lapse = run, say, beat, lapse
        #: Names this leadership: what its jobs were started by.
        self.token = uuid.uuid4().hex
        self._lock: int | None = None
        self._done = threading.Event()
        self._beats = 0
        self._thread: threading.Thread | None = None
        #: Set when another has taken over.
        self.lost = threading.Event()

    def overtaken(self) -> bool:
        """Whether another has taken over by now, which a leader that slept has missed."""
        if read_lease(self._run).get("token", self.token) != self.token:
            self.lost.set()
        return self.lost.is_set()

    def __enter__(self) -> Leader:
        self._run.pids.mkdir(exist_ok=True)
        held = self._take_lock()
        try:
            elsewhere = read_lease(self._run).get("boot", here()["boot"]) != here()["boot"]
            self._await_lapse(locks=held)
            self._write()
            if elsewhere:
                look_anew(self._run.path)
            if not held:
                # Two may have found the lease lapsed at once: the one that wrote last leads.
                time.sleep(2 * self._beat)
                lease = read_lease(self._run)
                if lease.get("token") != self.token:
                    raise InputError(self._refusal(lease))
        except BaseException:
            self._release_lock()
            raise
        self._thread = threading.Thread(target=self._keep, name="leader", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(timeout=self._beat)
        if not self.lost.is_set() and read_lease(self._run).get("token") == self.token:
            self._write(released=True)
        self._release_lock()

    def _take_lock(self) -> bool:
        """Whether this file system has locks; with one, it is ours from here on.

        Raises:
            InputError: another process has it.
        """
        try:
            self._lock, held = take_lock(self._run.pids / "leader.lock")
        except BlockingIOError as error:
            raise InputError(self._refusal(read_lease(self._run))) from error
        return held

    def _await_lapse(self, *, locks: bool) -> None:
        """Return once nobody else can lead.

        Raises:
            InputError: the one of the lease is there.
        """
        lease, place = read_lease(self._run), here()
        if not lease or lease.get("released") or lease.get("token") is None:
            self._refuse_alive(lease)
            return
        if lease.get("boot") == place["boot"]:
            # One kernel: where it has locks, one that was ours to take says that the holder is gone.
            if not locks:
                self._refuse_alive(lease)
            if locks or lease.get("namespace") == place["namespace"]:
                return
        self._say(
            f"led from {_place(lease)} last; waiting up to {self._lapse:.0f} s whether it still is"
        )
        began = time.monotonic()
        while time.monotonic() - began < self._lapse:
            time.sleep(self._beat)
            now = read_lease(self._run)
            if now.get("released"):
                return
            if now and (now.get("token"), now.get("beat")) != (lease["token"], lease.get("beat")):
                raise InputError(self._refusal(now))

    def _refuse_alive(self, lease: dict[str, Any]) -> None:
        """By its process, where that can be seen from here."""
        if not lease or lease.get("released"):
            return
        if lease.get("boot", here()["boot"]) != here()["boot"]:
            return
        began = start_time(lease["pid"])
        if began is not None and began == lease.get("began") and lease["pid"] != os.getpid():
            raise InputError(self._refusal(lease))

    def _refusal(self, lease: dict[str, Any]) -> str:
        who = f"by {_place(lease)}" if lease else "by a process that has not said which it is"
        return f"{self._run.path} is running, led {who}; wait, or end it there"

    def _keep(self) -> None:
        """Beat until the end; what cannot be renewed for long may be another's by now."""
        renewed = time.monotonic()
        while not self._done.wait(self._beat):
            try:
                lease = read_lease(self._run)
                if lease and lease.get("token") != self.token:
                    self.lost.set()
                    return
                self._write()
                renewed = time.monotonic()
            except OSError:
                if time.monotonic() - renewed > 0.6 * self._lapse:
                    self.lost.set()
                    return

    def _write(self, *, released: bool = False) -> None:
        self._beats += 1
        entries = {
            **here(),
            "pid": os.getpid(),
            "began": start_time(os.getpid()),
            "token": self.token,
            "beat": self._beats,
            "released": released,
        }
        content = json.dumps(entries).encode()
        file = os.open(self._run.supervisor, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, content.ljust(LEASE), 0)
            os.ftruncate(file, LEASE)
        finally:
            os.close(file)  # what other machines see is what was written when a file was closed

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def look_anew(folder: Path) -> None:
    """See what other machines have made in a folder and those within.

    A network file system remembers for up to a minute that a name was not there: a summary that was
    written meanwhile, say. Who makes a name in a directory learns what else is new in it.
    """
    for place in (folder, *filter(Path.is_dir, folder.iterdir())):
        with suppress(OSError):  # no room, or gone: then there is nothing to be learned
            handle, name = tempfile.mkstemp(dir=place, prefix=".look.")
            os.close(handle)
            os.unlink(name)


def read_lease(run: JobFolders) -> dict[str, Any]:
    """Who leads a run, or did: ``host``, ``boot``, ``pid``, ``token``, ``beat``, ``released``; empty
    where nobody has, or what is there is no lease."""
    for _ in range(5):
        try:
            lease = json.loads(Path(run.supervisor).read_text() or "{}")
        except FileNotFoundError:
            return {}
        except ValueError:
            time.sleep(0.02)  # it is being written over
            continue
        if isinstance(lease, dict) and isinstance(lease.get("pid", 0), int):
            return lease
        return {}
    return {}


def is_led(run: JobFolders) -> bool:
    """Whether somebody leads a run, as far as can be told from here: of another machine it cannot."""
    lease, place = read_lease(run), here()
    if not lease or lease.get("released"):
        return False
    if any(lease.get(key, place[key]) != place[key] for key in ("boot", "namespace")):
        return True
    began = start_time(lease.get("pid", 0))
    return began is not None and began == lease.get("began")


def _place(lease: dict[str, Any]) -> str:
    mine = here()
    apart = lease.get("boot") == mine["boot"] and lease.get("namespace") != mine["namespace"]
    among = " of another name space of processes (a container)" if apart else ""
    return f"process {lease.get('pid')}{among} on {lease.get('host', 'this machine')}"
