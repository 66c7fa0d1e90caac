"""What the product takes from Python and the system, given by the world that runs instead.

Files are real ones, in a folder of memory; who opens, writes, locks and removes them is a virtual
process, which can be killed or held up in between. Time, threads, processes, ``/proc``, locks of files
and what goes wrong with them are the world's. Outside of an order everything is as it was.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import signal
import socket
import subprocess
import threading
import time
from _thread import get_ident
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import world as module
from world import Exit, Killed, Process, World

#: Numbers of what is no real file.
PIPES = 1 << 20
_truncate = os.ftruncate


def here() -> World | None:
    """The world, if the thread that asks is one of its own."""
    world = module.ACTIVE
    return world if world is not None and world.ident == get_ident() else None


class Disk:
    """What may be wrong with the file system of a world.

    Args:
        locks_travel: whether another machine sees a lock.
        locks: whether there are locks at all.
        late: seconds for which a machine trusts what it knows of a directory, as over NFS: names that
            others have made since it looked show then, or when it changes something there itself.
    """

    def __init__(self, *, locks: bool = True, locks_travel: bool = True, late: float = 0.0) -> None:
        self.locks, self.locks_travel, self.late = locks, locks_travel, late
        self.full = False
        self.locked: dict[tuple, tuple[Process, int]] = {}
        self._made: dict[str, tuple[float, Any]] = {}
        self._looked: dict[tuple[Any, str], float] = {}

    def room(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def release(self, process: Process, fd: int | None = None) -> None:
        gone = [k for k, (p, f) in self.locked.items() if p is process and fd in (None, f)]
        for key in gone:
            del self.locked[key]

    def unseen(self, world: World, path: Any) -> bool:
        """Whether a name that is there does not show on this machine yet."""
        if not self.late or isinstance(path, int):
            return False
        path, host = os.fspath(path), world.current.process.host
        key = (host, os.path.dirname(path))
        looked = self._looked.get(key)
        if looked is None or world.now - looked > self.late:
            looked = self._looked[key] = world.now
        made = self._made.get(path)
        return made is not None and made[1] is not host and made[0] > looked

    def change(self, world: World, path: Any) -> None:
        """This machine makes or removes a name, and so learns what is in that directory."""
        if self.late and not isinstance(path, int):
            path, host = os.fspath(path), world.current.process.host
            self._looked[host, os.path.dirname(path)] = world.now
            if not os.path.lexists(path):
                self._made[path] = (world.now, host)


def missing(path: Any) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


# -- files -----------------------------------------------------------------------------------------


class WorldFile(io.FileIO):
    """A file that its process can lose between two writes; what is buffered is lost with it."""

    def __init__(self, world: World, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self._world, self._process = world, world.current.process
        self._process.files.setdefault(self.fileno(), self)

    def write(self, data: Any) -> int | None:
        if here() is not None:
            self._world.step("write")
            self._world.disk.room()
        elif not self._process.alive:
            return len(memoryview(data).cast("B"))
        return super().write(data)

    def close(self) -> None:
        process = getattr(self, "_process", None)
        if not self.closed and process is not None:
            self._world.disk.release(process, self.fileno())
            process.files.pop(self.fileno(), None)
        super().close()


class Descriptor:
    """A file that was opened by number; of a process that has ended it stays open until the order is
    over, so that nobody else gets the number."""

    def __init__(self, world: World, process: Process, fd: int) -> None:
        process.files[fd] = self


def _open(real):
    def call(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **rest):
        world = here()
        if world is None:
            return real(file, mode, buffering, encoding, errors, newline, **rest)
        process = world.current.process
        if isinstance(file, int):
            process.files.pop(file, None)
        else:
            name = os.fspath(file)
            world.step(f"open {name}")
            if name.startswith("/proc/"):
                return _proc(world, name, "b" in mode)
            if "r" in mode and world.disk.unseen(world, name):
                raise missing(name)
        kind = mode.replace("b", "").replace("t", "")
        if kind == "r":
            return real(file, mode, buffering, encoding, errors, newline, **rest)
        if not isinstance(file, int):
            world.disk.change(world, file)
        raw = WorldFile(world, file, kind)
        if buffering == 0:
            return raw
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    return call


def _proc(world: World, name: str, binary: bool) -> Any:
    """Files of ``/proc`` as far as they are read."""
    process = world.current.process
    if name.endswith("boot_id"):
        text = process.host.boot
    else:
        _, _, pid, what = name.split("/", 3)
        number = process.pid if pid == "self" else int(pid)
        other = process.host.processes.get(number)
        if other is None or (not other.alive and other.reaped):
            raise missing(name)
        if what == "stat":
            state = "S" if other.alive else "Z"
            name = f"{other.pid} ({other.kind})"
            fields = [name, state, "1", other.session, other.session, *[0] * 15, other.began, 0]
            text = " ".join(map(str, fields))
        elif what == "environ":
            text = (
                "\0".join(f"{k}={v}" for k, v in other.environment.items()) if other.alive else ""
            )
        else:
            raise missing(name)
    return io.BytesIO(text.encode()) if binary else io.StringIO(text)


def _os_open(real):
    def call(path, flags, mode=0o777, *, dir_fd=None):
        world = here()
        if world is None or dir_fd is not None:
            return real(path, flags, mode, dir_fd=dir_fd)
        world.step(f"open {os.fspath(path)}")
        if flags & os.O_CREAT:  # which asks whoever keeps the directory
            world.disk.change(world, path)
        elif world.disk.unseen(world, path):
            raise missing(path)
        fd = real(path, flags, mode)
        Descriptor(world, world.current.process, fd)
        return fd

    return call


def _os_close(real):
    def call(fd):
        world = here()
        if world is None:
            return real(fd)
        if not world.current.process.alive:
            raise Killed
        if fd >= PIPES:
            world.pipes.pop(fd, None)
            return None
        world.disk.release(world.current.process, fd)
        world.current.process.files.pop(fd, None)
        return real(fd)

    return call


def _looking(real, label):
    """Of a path that is read."""

    def call(path=".", *args, **rest):
        world = here()
        if world is None or isinstance(path, int):
            return real(path, *args, **rest)
        world.step(f"{label} {os.fspath(path)}")
        if world.disk.unseen(world, path):
            raise missing(path)
        return real(path, *args, **rest)

    return call


def _listing(real):
    def call(path="."):
        world = here()
        if world is None or isinstance(path, int):
            return real(path)
        world.step(f"list {os.fspath(path)}")
        if os.fspath(path) == "/proc":
            host = world.current.process.host
            return [str(p.pid) for p in host.processes.values() if p.alive or not p.reaped]
        names = sorted(real(path))
        if not world.disk.late:
            return names
        return [n for n in names if not world.disk.unseen(world, os.path.join(path, n))]

    return call


class _Listed:
    def __init__(self, entries):
        self._entries = iter(entries)

    def __iter__(self):
        return self._entries

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass


def _scanning(real):
    def call(path="."):
        world = here()
        if world is None or isinstance(path, int):
            return real(path)
        world.step(f"list {os.fspath(path)}")
        with real(path) as found:
            entries = sorted(found, key=lambda e: e.name)
        return _Listed(e for e in entries if not world.disk.unseen(world, e.path))

    return call


def _changing(real, label, room=False, makes=None):
    """Of what changes a directory or a file; ``makes``: which argument is a name that may be new."""

    def call(*args, **rest):
        world = here()
        if world is not None:
            first = args[0]
            named = "" if isinstance(first, int) else f" {os.fspath(first)}"
            world.step(label + named)
            if room:
                world.disk.room()
            if makes is not None:
                world.disk.change(world, args[makes])
        return real(*args, **rest)

    return call


def _allocate(real):
    def call(fd, offset, size):
        world = here()
        if world is None:
            return real(fd, offset, size)
        world.step("allocate")
        world.disk.room()
        return _truncate(fd, offset + size)  # memory that is not touched costs nothing

    return call


def _flock(real):
    def call(fd, what):
        world = here()
        if world is None:
            return real(fd, what)
        world.step("flock")
        if not world.disk.locks:
            raise OSError(errno.ENOLCK, "No locks available")
        process = world.current.process
        key = (os.fstat(fd).st_ino, None if world.disk.locks_travel else process.host)
        holder = world.disk.locked.get(key)
        if holder is not None and holder[0].alive and holder != (process, fd):
            raise BlockingIOError(errno.EWOULDBLOCK, "Resource temporarily unavailable")
        world.disk.locked[key] = (process, fd)
        return None

    return call


def _statvfs(real):
    def call(path):
        world = here()
        if world is None:
            return real(path)
        free = 0 if world.disk.full else 1 << 30
        return SimpleNamespace(f_bavail=free, f_frsize=1, f_blocks=1 << 31, f_bfree=free)

    return call


class Pipe:
    """Both ends of a pipe, as far as it wakes somebody."""

    def __init__(self) -> None:
        self.data = b""
        self.waiters: list[Any] = []


def _pipe(real):
    def call():
        world = here()
        if world is None:
            return real()
        pipe, number = Pipe(), PIPES + 2 * len(world.made_pipes)
        world.made_pipes.append(pipe)
        world.pipes[number] = world.pipes[number + 1] = pipe
        return number, number + 1

    return call


def _os_write(real):
    def call(fd, data):
        world = here()
        if world is None or fd < PIPES:
            if world is not None:
                world.step("write")
                world.disk.room()
            return real(fd, data)
        pipe = world.pipes[fd]
        if len(pipe.data) < 64:
            pipe.data += data
        for task in pipe.waiters:
            world.wake(task)
        return len(data)

    return call


def _os_read(real):
    def call(fd, size):
        world = here()
        if world is None or fd < PIPES:
            return real(fd, size)
        pipe = world.pipes[fd]
        if not pipe.data:
            raise BlockingIOError
        data, pipe.data = pipe.data[:size], pipe.data[size:]
        return data

    return call


# -- processes -------------------------------------------------------------------------------------


def _kill(real):
    def call(pid, number):
        world = here()
        if world is None:
            return real(pid, number)
        world.step(f"kill {pid} {number}")
        process = world.current.process.host.processes.get(pid)
        if process is None or (process.reaped and not process.alive):
            raise ProcessLookupError
        world.signal(process, number)
        return None

    return call


class Popen:
    """A virtual process: the world knows the program by what is called."""

    def __class_getitem__(cls, _):
        return cls

    def __init__(self, args, env=None, stdout=None, **_):
        world = here()
        world.step(f"start {args[-1]}")
        self.process = world.launch(list(args), dict(env or {}), stdout)
        self.pid = self.process.pid
        self.returncode = None

    def poll(self):
        if self.returncode is None and not self.process.alive:
            self.process.reaped = True
            self.returncode = self.process.code
        return self.returncode

    def wait(self, timeout=None):
        world = here()
        world.step("wait")
        deadline = None if timeout is None else world.now + timeout
        while self.poll() is None:
            task = world.current
            ended = lambda task=task: world.wake(task)  # noqa: E731
            self.process.at_end.append(ended)
            if not world.block(deadline):
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            here().signal(self.process, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


# -- threads ---------------------------------------------------------------------------------------


class Lock:
    """A lock between the threads of a virtual process."""

    def __init__(self) -> None:
        self.holder: Any = None
        self._waiters: list[Any] = []

    def acquire(self, blocking=True, timeout=-1):
        world = here()
        if world is None:
            return True
        task = world.current
        if not task.process.alive:
            raise Killed
        deadline = None if timeout is None or timeout < 0 else world.now + timeout
        while self.holder is not None:
            if not blocking:
                return False
            self._waiters.append(task)
            if not world.block(deadline) and self.holder is not None:
                if task in self._waiters:
                    self._waiters.remove(task)
                return False
        self.holder = task
        return True

    def release(self):
        world = here()
        if world is None:
            return
        if self.holder is None:
            raise RuntimeError("release unlocked lock")
        self.holder = None
        while self._waiters:
            task = self._waiters.pop(0)
            if task.waits_for is not None:
                world.wake(task)
                break

    def locked(self):
        return self.holder is not None

    __enter__ = acquire

    def __exit__(self, *_):
        self.release()


class RLock(Lock):
    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def acquire(self, blocking=True, timeout=-1):
        world = here()
        if world is None or self.holder is world.current or super().acquire(blocking, timeout):
            self._depth += 1
            return True
        return False

    __enter__ = acquire

    def release(self):
        self._depth -= 1
        if self._depth == 0:
            super().release()


def _start(real):
    def call(self):
        world = here()
        if world is None:
            return real(self)
        process = world.current.process
        if not process.alive:
            raise Killed
        self.task = world.thread(process, self.run)
        return None

    return call


def _join(real):
    def call(self, timeout=None):
        world, task = here(), getattr(self, "task", None)
        if world is None or task is None:
            return real(self, timeout)
        deadline = None if timeout is None else world.now + timeout
        while not task.ended:
            task.joiners.append(world.current)
            if not world.block(deadline):
                return None
        return None

    return call


def _is_alive(real):
    def call(self):
        world, task = here(), getattr(self, "task", None)
        if world is None:
            return real(self)
        return task is not None and not task.ended

    return call


def _factory(real, ours):
    def make():
        return real() if here() is None else ours()

    return make


def _main_thread(real):
    def call():
        world = here()
        if world is None:
            return real()
        main = world.current is world.current.process.main
        return threading.current_thread() if main else None

    return call


def _signal(real):
    def call(number, handler):
        world = here()
        if world is None:
            return real(number, handler)
        handlers = world.current.process.handlers
        before = handlers.get(number, signal.SIG_DFL)
        if callable(handler):
            handlers[int(number)] = handler
        else:
            handlers.pop(int(number), None)
        return before

    return call


# -- time and chance -------------------------------------------------------------------------------


def _clock(real, of):
    def call():
        world = here()
        return real() if world is None else of(world)

    return call


def _sleep(real):
    def call(seconds):
        world = here()
        return real(seconds) if world is None else world.sleep(seconds)

    return call


def _monotonic(world: World) -> float:
    return world.now - world.current.process.host.booted + 1000.0


def _urandom(real):
    def call(n):
        world = here()
        return real(n) if world is None else world.random.randbytes(n)

    return call


def _of_process(real, of):
    def call():
        world = here()
        return real() if world is None else of(world.current.process)

    return call


def _readlink(real):
    def call(path, **rest):
        world = here()
        if world is not None and os.fspath(path) == "/proc/self/ns/pid":
            return f"pid:[{world.current.process.host.name}]"
        return real(path, **rest)

    return call


def _os_exit(real):
    def call(code):
        if here() is None:
            return real(code)
        raise Exit(code)

    return call


def _pidfd_open(real):
    def call(pid, *rest):
        if here() is None:
            return real(pid, *rest)
        raise OSError(errno.ENOSYS, "no such call in this world")

    return call


def _nothing(real):
    def call(*args, **rest):
        return None if here() is not None else real(*args, **rest)

    return call


_PATCHES = [
    (builtins, "open", _open),
    (io, "open", _open),
    (os, "open", _os_open),
    (os, "close", _os_close),
    (os, "stat", lambda real: _looking(real, "look at")),
    (os, "listdir", _listing),
    (os, "scandir", _scanning),
    (os, "unlink", lambda real: _changing(real, "remove", makes=0)),
    (os, "remove", lambda real: _changing(real, "remove", makes=0)),
    (os, "rmdir", lambda real: _changing(real, "remove", makes=0)),
    (os, "mkdir", lambda real: _changing(real, "make", room=True, makes=0)),
    (os, "rename", lambda real: _changing(real, "rename", makes=1)),
    (os, "replace", lambda real: _changing(real, "rename", makes=1)),
    (os, "link", lambda real: _changing(real, "link", makes=1)),
    (os, "pwrite", lambda real: _changing(real, "write")),
    (os, "pwritev", lambda real: _changing(real, "write")),
    (os, "posix_fallocate", _allocate),
    (os, "ftruncate", lambda real: _changing(real, "truncate")),
    (os, "fsync", _nothing),
    (os, "statvfs", _statvfs),
    (os, "pipe", _pipe),
    (os, "write", _os_write),
    (os, "read", _os_read),
    (os, "set_blocking", _nothing),
    (os, "kill", _kill),
    (os, "getpid", lambda real: _of_process(real, lambda p: p.pid)),
    (os, "getppid", lambda real: _of_process(real, lambda p: p.parent.pid if p.parent else 1)),
    (os, "readlink", _readlink),
    (os, "urandom", _urandom),
    (os, "_exit", _os_exit),
    (os, "pidfd_open", _pidfd_open),
    (fcntl, "flock", _flock),
    (socket, "gethostname", lambda real: _of_process(real, lambda p: p.host.name)),
    (socket, "getfqdn", lambda real: _of_process(real, lambda p: p.host.name)),
    (time, "monotonic", lambda real: _clock(real, _monotonic)),
    (time, "perf_counter", lambda real: _clock(real, _monotonic)),
    (
        time,
        "time",
        lambda real: _clock(real, lambda w: 1.7e9 + w.now + w.current.process.host.wall),
    ),
    (time, "sleep", _sleep),
    (threading, "_time", lambda real: _clock(real, _monotonic)),
    (threading, "Lock", lambda real: _factory(real, Lock)),
    (threading, "_allocate_lock", lambda real: _factory(real, Lock)),
    (threading, "RLock", lambda real: _factory(real, RLock)),
    (threading, "main_thread", _main_thread),
    (threading.Thread, "start", _start),
    (threading.Thread, "join", _join),
    (threading.Thread, "is_alive", _is_alive),
    (signal, "signal", _signal),
]


@contextmanager
def replaced():
    """While it is entered, threads of a world get the world's."""
    before = [(where, name, getattr(where, name)) for where, name, _ in _PATCHES]
    popen = subprocess.Popen
    for where, name, make in _PATCHES:
        setattr(where, name, make(getattr(where, name)))
    subprocess.Popen = Popen
    try:
        yield
    finally:
        subprocess.Popen = popen
        for where, name, real in before:
            setattr(where, name, real)


def close_files(world: World) -> None:
    """What killed processes had open."""
    for process in world.all:
        for fd, file in list(process.files.items()):
            if isinstance(file, Descriptor):
                try:
                    os.close(fd)
                except OSError as error:
                    if error.errno != errno.EBADF:
                        raise
        process.files.clear()
