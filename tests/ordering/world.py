"""A small world with a seeded scheduler: hosts, processes, threads, one clock, and no time that passes.

Each virtual thread is a thread of Python that holds the baton; it hands it on where it waits, or where
the scheduler takes it away (:meth:`World.step`). So one runs at a time, and a seed gives one order.
Nothing of the product is known here.
"""

from __future__ import annotations

import heapq
import random
import signal
import sys
import threading
import traceback
from _thread import allocate_lock, get_ident
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The world that runs now; what is patched looks here.
ACTIVE: World | None = None


class Killed(BaseException):
    """The process of this thread is gone. Whatever it still does on its way out has no effect."""


class Exit(BaseException):
    """A process ends itself."""

    def __init__(self, code: int) -> None:
        self.code = code


@dataclass(eq=False, slots=True)
class Host:
    """A machine: its boot, its clocks, its processes."""

    name: str
    wall: float = 0.0
    boots: int = 1
    booted: float = 0.0
    next_pid: int = 100
    processes: dict[int, Process] = field(default_factory=dict)

    @property
    def boot(self) -> str:
        return f"{self.name}-boot-{self.boots}"


@dataclass(eq=False)
class Process:
    """A process, with what the system knows of it."""

    host: Host
    pid: int
    session: int
    parent: Process | None
    kind: str
    environment: dict[str, str]
    began: int
    boot: str
    code: int | None = None
    reaped: bool = False
    steps: int = 0
    #: Seconds from SIGTERM to its end, of one that does not handle it.
    dying: float = 0.0
    frozen: bool = False
    death_signal: int | None = None
    handlers: dict[int, Callable[[int, Any], Any]] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    held: list[Task] = field(default_factory=list)
    files: dict[int, Any] = field(default_factory=dict)
    #: What is to happen at its n-th step.
    faults: dict[int, Callable[[Process], None]] = field(default_factory=dict)
    #: Told when it has ended.
    at_end: list[Callable[[], None]] = field(default_factory=list)
    note: Any = None
    #: Of a supervisor: the run that it leads, by which token, and whether it has let go.
    run: str = ""
    token: str = ""
    left: bool = False
    leader_of: Any = None
    #: When it was last held up for long.
    woke: float = -1e9

    @property
    def alive(self) -> bool:
        return self.code is None

    @property
    def main(self) -> Task:
        return self.tasks[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.pid}@{self.host.name}"

    def waits(self) -> str:
        """Where its threads wait, for whoever looks for the reason."""
        frames, found = sys._current_frames(), []
        for task in self.tasks:
            frame = frames.get(task.worker.ident) if task.worker and not task.ended else None
            while frame is not None and "sciml" not in frame.f_code.co_filename:
                frame = frame.f_back
            if frame is not None:
                found.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        return f"({', '.join(found)})"


class Task:
    """A thread of a process."""

    def __init__(self, process: Process, work: Callable[[], Any]) -> None:
        self.process, self.work = process, work
        self.worker: _Worker | None = None
        self.ended = self.queued = False
        #: Counts waits, so that a late timer wakes none that has come since; None: not waiting.
        self.waits_for: int | None = None
        self.woken = ""
        self.joiners: list[Task] = []
        self.error: BaseException | None = None


class _Worker:
    """A thread of Python, used again and again."""

    idle: list[_Worker] = []

    def __init__(self) -> None:
        self.baton = allocate_lock()
        self.baton.acquire()
        self.task: Task | None = None
        self.world: World | None = None
        self.ident = 0
        self.thread = threading.Thread(target=self._work, daemon=True, name="order")
        self.thread.start()

    def _work(self) -> None:
        self.ident = get_ident()
        while True:
            self.baton.acquire()
            world, task = self.world, self.task
            world.ident = get_ident()
            world.run_task(task)
            self.world = self.task = None
            _Worker.idle.append(self)
            world.hand_over()


class World:
    """Scheduler and clock.

    Args:
        seed: of everything that happens.
        unrest: chance that a thread is held up at a step.
        limit: virtual seconds after which the order is taken for one that hangs.
    """

    def __init__(self, seed: int, unrest: float = 0.02, limit: float = 600.0) -> None:
        self.seed, self.random = seed, random.Random(seed)
        self.unrest, self.limit = unrest, limit
        self.now = 0.0
        self.hosts: dict[str, Host] = {}
        self.programs: dict[str, Callable[..., Any]] = {}
        self.trace: list[tuple[float, str]] = []
        self.violations: list[str] = []
        self.ident: int | None = None
        self.current: Task | None = None
        self._ready: list[Task] = []
        self._timers: list[tuple[float, int, Any, int]] = []
        self._count = 0
        self._driver = allocate_lock()
        self._driver.acquire()
        self.started: list[Callable[[Process], None]] = []
        self.all: list[Process] = []
        #: ``"late"``: it did not end within the limit; else the error of what was to happen.
        self.over = ""
        self._stopped = False

    # -- what happens ---------------------------------------------------------------------------

    def tell(self, line: str) -> None:
        self.trace.append((self.now, line))

    def wrong(self, line: str) -> None:
        """An invariant does not hold."""
        self.tell(f"WRONG: {line}")
        self.violations.append(line)

    def at(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (self.now + delay, self._count, action, -1))

    def stop(self) -> None:
        """Nothing more is to happen."""
        self._timers.clear()
        self._stopped = True

    def run(self) -> None:
        """Until nothing is left to happen, or the limit of time."""
        global ACTIVE
        ACTIVE = self
        try:
            self.current = self.ident = None
            self._give(self._next())
            self._driver.acquire()
            self._clear()
        finally:
            ACTIVE = None
        if self.over not in ("", "late"):
            raise RuntimeError(self.over)

    def _clear(self) -> None:
        """Let go of the threads of what still lives."""
        told = len(self.trace)
        self.stop()
        for process in self.living():
            self.end(process, -signal.SIGKILL)
        self._timers.clear()
        self._give(self._next())
        self._driver.acquire()
        del self.trace[told:]

    # -- the baton ------------------------------------------------------------------------------

    def _next(self) -> Task | None:
        """Who runs next; ``None``: nobody any more."""
        while True:
            ready = self._ready
            while ready:
                place = self.random.randrange(len(ready)) if len(ready) > 1 else 0
                ready[place], ready[-1] = ready[-1], ready[place]
                task = ready.pop()
                task.queued = False
                if task.process.frozen and task.process.alive:
                    task.process.held.append(task)
                    continue
                return task
            if not self._timers or self.over or self._stopped:
                return None
            when, _, what, token = heapq.heappop(self._timers)
            if when > self.limit:
                self.over = "late"
                return None
            self.now = max(self.now, when)
            if token < 0:
                self._happen(what)
            elif what.waits_for == token:
                self._rouse(what, "")

    def _happen(self, what: Callable[[], None]) -> None:
        """What no process does: it sees files and clocks as they are."""
        ident, self.ident = self.ident, None
        try:
            what()
        except BaseException as error:
            self.over = "".join(traceback.format_exception(error))
        finally:
            self.ident = ident

    def _give(self, task: Task | None) -> None:
        """Let another thread run."""
        self.current, self.ident = task, None
        if task is None:
            self._driver.release()
            return
        if task.worker is None:
            worker = task.worker = _Worker.idle.pop() if _Worker.idle else _Worker()
            worker.world, worker.task = self, task
        self.ident = task.worker.ident
        task.worker.baton.release()

    def hand_over(self) -> None:
        """The running thread has ended."""
        self._give(self._next())

    def _switch(self) -> None:
        """The running thread waits."""
        me = self.current
        task = self._next()
        if task is me:
            return
        self._give(task)
        me.worker.baton.acquire()
        self.ident = me.worker.ident

    def run_task(self, task: Task) -> None:
        process = task.process
        try:
            if process.alive:
                task.work()
            code = 0
        except Killed:
            code = None
        except Exit as error:
            code = error.code
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException as error:
            task.error, code = error, 1
            if process.alive:
                self.tell("".join(traceback.format_exception(error)))
                self.wrong(f"{process} dies of {type(error).__name__}: {error}")
        task.ended = True
        for other in task.joiners:
            self._rouse(other, "joined")
        if process.alive and code is not None and (task is process.main or code):
            self.end(process, code)

    # -- waiting --------------------------------------------------------------------------------

    def _rouse(self, task: Task, why: str) -> None:
        task.waits_for, task.woken = None, why
        if not task.queued and not task.ended:
            task.queued = True
            self._ready.append(task)

    def wake(self, task: Task, why: str = "woken") -> None:
        """End the wait of a thread, if it waits."""
        if task.waits_for is not None:
            self._rouse(task, why)

    def block(self, deadline: float | None = None) -> bool:
        """Wait to be woken; False when that has not come by the deadline."""
        task = self.current
        process = task.process
        while True:
            if not process.alive:
                raise Killed
            self._count += 1
            task.waits_for = self._count
            if deadline is not None:
                heapq.heappush(self._timers, (deadline, self._count, task, self._count))
            self._switch()
            if not process.alive:
                raise Killed
            if process.pending and task is process.main:
                self._handle(process)
                if task.woken == "signal":
                    continue
            return task.woken != ""

    def sleep(self, seconds: float) -> None:
        self.step("sleep")
        deadline = self.now + max(0.0, seconds)
        while self.block(deadline):
            pass

    def step(self, label: str) -> None:
        """A point at which the running process can be killed, held up, or told something."""
        task = self.current
        process = task.process
        if not process.alive:
            raise Killed
        process.steps += 1
        fault = process.faults.pop(process.steps, None) if process.faults else None
        if fault is not None:
            self.tell(f"{process}, at its step {process.steps} ({label}):")
            fault(process)
            if not process.alive:
                raise Killed
        if process.frozen or self.random.random() < self.unrest:
            self.block(self.now + self.random.random() ** 3 * 2.0)
        if process.pending and task is process.main:
            self._handle(process)

    def _handle(self, process: Process) -> None:
        while process.pending:
            number = process.pending.pop(0)
            process.handlers[number](number, None)

    # -- processes ------------------------------------------------------------------------------

    def host(self, name: str) -> Host:
        if name not in self.hosts:
            self.hosts[name] = Host(name)
        return self.hosts[name]

    def start(
        self,
        host: Host,
        kind: str,
        work: Callable[[], Any],
        *,
        parent: Process | None = None,
        environment: dict[str, str] | None = None,
        note: Any = None,
        session: int | None = None,
    ) -> Process:
        """A process, in a session of its own if none is named."""
        host.next_pid += 1
        pid = host.next_pid
        began = int((self.now - host.booted) * 100) + 7
        of = session or pid
        process = Process(
            host, pid, of, parent, kind, environment or {}, began, host.boot, note=note
        )
        host.processes[pid] = process
        self.all.append(process)
        for told in self.started:
            told(process)
        self.thread(process, work)
        return process

    def thread(self, process: Process, work: Callable[[], Any]) -> Task:
        task = Task(process, work)
        process.tasks.append(task)
        self._rouse(task, "")
        return task

    def signal(self, process: Process, number: int) -> None:
        if not process.alive:
            return
        if number == signal.SIGKILL:
            self.end(process, -number)
        elif number in process.handlers:
            process.pending.append(number)
            self.wake(process.main, "signal")
        elif process.dying and number == signal.SIGTERM:
            self.at(process.dying, lambda: self.end(process, -number))
        else:
            self.end(process, -number)

    def end(self, process: Process, code: int) -> None:
        """It is gone: what it held is free, its threads find out when they wake."""
        if not process.alive:
            return
        process.code = code
        if process.parent is None or not process.parent.alive:
            process.reaped = True
        self.disk.release(process)
        for told in process.at_end:
            self._happen(told)
        for task in process.tasks:
            if not task.ended and (task.waits_for is not None or task in process.held):
                self._rouse(task, "killed")
        process.held.clear()
        for other in list(process.host.processes.values()):
            if other.parent is process:
                other.parent = None
                if not other.alive:
                    other.reaped = True
                elif other.death_signal is not None:
                    self.signal(other, other.death_signal)

    def freeze(self, process: Process, seconds: float) -> None:
        """As SIGSTOP does, or the pause of a virtual machine; its clocks go on."""
        if process.frozen or not process.alive:
            return
        process.frozen = True
        self.at(seconds, lambda: self._thaw(process))

    def _thaw(self, process: Process) -> None:
        process.frozen, process.woke = False, self.now
        held, process.held = process.held, []
        for task in held:
            self._rouse(task, task.woken)
        if process.alive:
            self.tell(f"{process} wakes up")

    def crash(self, host: Host) -> None:
        """Power off and on: all of it ends at once, and another boot begins."""
        for process in list(host.processes.values()):
            process.death_signal = None
            self.end(process, -signal.SIGKILL)
        host.processes.clear()
        host.boots += 1
        host.booted = self.now
        host.next_pid = 100

    def living(self, kind: str = "") -> list[Process]:
        return [p for p in self.all if p.alive and kind in (p.kind, "")]
