"""One order of events: what goes wrong when, by a seed, and what must hold all the same.

A seed alone, with what happens in it, or many::

    python tests/ordering/order.py 34
    python tests/ordering/order.py 0 100000
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import network
import stage
import system
from world import Process, World

from sciml.ensemble.folders import read_json
from sciml.run.directory import RunDirectory
from sciml.run.snapshot import ENDED

#: Virtual seconds in which things go wrong, and after which everything must have come to its end.
TROUBLE, LIMIT = 60.0, 700.0
#: How often a run may have to be resumed once nothing goes wrong any more.
RESUMES = 6

STUDIES = (
    stage.study_of(),
    stage.study_of(training={"phases": [{"optimizer": "adamw", "lr": 1e-3, "steps": 1}]}),
    stage.study_of(
        cluster={"kind": "address", "address": "tcp://head:8786"}, stream={"host": "0.0.0.0"}
    ),
)


@dataclass(frozen=True)
class Action:
    """Something that happens: at a time, or at a step of the n-th process of a kind."""

    what: str
    time: float = 0.0
    kind: str = ""
    number: int = 0
    step: int = 0
    host: str = "a"
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.kind:
            return f"{self.what} {self.kind} {self.number} at its step {self.step}" + (
                f" for {self.seconds:.0f} s" if self.seconds else ""
            )
        return f"{self.what} {self.host} at {self.time:.1f} s" + (
            f" for {self.seconds:.0f} s" if self.seconds else ""
        )


@dataclass
class Result:
    """How an order went."""

    seed: int
    actions: list[Action]
    violations: list[str]
    trace: list[tuple[float, str]]
    codes: list[int] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"order {self.seed}: {self.violations[0] if self.violations else 'holds'}"]
        lines += [f"   to happen: {action}" for action in self.actions]
        lines += [f"{when:8.2f}  {line}" for when, line in self.trace]
        return "\n".join(lines)


#: Steps that processes take in an order without faults, about.
_STEPS = {"supervisor": 450, "trainer": 450, "solver": 80, "worker": 60}


def actions_of(seed: int) -> list[Action]:
    chance = random.Random(f"actions {seed}")
    cluster = study_of(seed).cluster.kind != "local"
    found = []
    for _ in range(chance.choice((1, 1, 2, 2, 3, 4))):
        what = chance.choices(
            ("kill", "freeze", "crash", "resume", "stop", "full", "cut", "copy", "part"),
            (30, 16, 5, 14, 20 if cluster else 10, 5, 5, 3, 10 if cluster else 2),
        )[0]
        time = chance.uniform(0.5, TROUBLE / 3)
        host = chance.choice("aab")
        if what in ("kill", "freeze"):
            kind = chance.choices(_KINDS, (5, 5, 3, 8 if cluster else 0))[0]
            step = int(_STEPS[kind] * chance.random() ** 1.5) + 1
            number = int(3 * chance.random() ** 2)
            seconds = chance.choice((3.0, 15.0, 2 * stage.LAPSE)) if what == "freeze" else 0.0
            found.append(Action(what, kind=kind, number=number, step=step, seconds=seconds))
            if what == "kill" and kind == "supervisor" and chance.random() < 0.7:
                found.append(Action("resume", time, host=host))
            if seconds > stage.LAPSE and kind == "supervisor":
                found.append(Action("resume", time, host=chance.choice("bba")))
        elif what == "resume" and chance.random() < 0.5:
            found.append(Action("resume", time, host=host))
            found.append(Action("resume", time + chance.random() * 3, host=chance.choice("ab")))
        elif what == "full":
            found.append(Action(what, time, seconds=chance.choice((1.0, 8.0))))
        elif what in ("crash", "cut", "part"):
            host = chance.choice(("a", "work-1", "work-2") if cluster else ("a", "a", "b"))
            seconds = chance.choice((2.0, 10.0)) if what == "part" else 0.0
            found.append(Action(what, time, host=host, seconds=seconds))
        else:
            found.append(Action(what, time, host=host))
    return found


_KINDS = tuple(_STEPS)


def study_of(seed: int) -> Any:
    return STUDIES[(0, 2, 0, 1, 2)[seed % 5]]


def run_order(
    seed: int, actions: list[Action] | None = None, unrest: float | None = None
) -> Result:
    """The order of a seed; fewer ``actions`` where a failure is made smaller."""
    chance = random.Random(f"world {seed}")
    actions = actions_of(seed) if actions is None else actions
    world = World(seed, chance.choice((0.0, 0.01, 0.04)) if unrest is None else unrest, LIMIT)
    world.disk = system.Disk(
        locks=chance.random() > 0.15,
        locks_travel=chance.random() > 0.4,
        late=chance.choice((0.0, 0.0, 30.0)),
    )
    world.network = network.Network(world, twice=chance.choice((0.0, 0.05)))
    world.pipes, world.made_pipes = {}, []
    world.leaders, world.attempts, world.marked = {}, {}, {}
    world.study = study_of(seed)
    world.launch = lambda *what: stage.launched(world, *what)
    world.host("a").wall, world.host("b").wall = 0.0, 3600.0
    folder = Path(tempfile.mkdtemp(prefix="order-", dir=_MEMORY))
    world.folder = str(folder)
    try:
        _Play(world, folder, actions).run()
    finally:
        system.close_files(world)
        shutil.rmtree(folder, ignore_errors=True)
    if seed % 64 == 63:
        gc.collect()
    codes = [p.code for p in world.all if p.kind == "supervisor"]
    steps = sum(p.steps for p in world.all)
    return Result(seed, actions, world.violations, world.trace, codes, steps, world.now)


_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class _Play:
    """What happens in an order."""

    def __init__(self, world: World, folder: Path, actions: list[Action]) -> None:
        self.world, self.folder, self.actions = world, folder, actions
        self.runs = [stage.new_run(folder / "run")]
        self.counts: dict[str, int] = {}
        self.resumes = 0
        self.healed = False

    def run(self) -> None:
        world = self.world
        world.started.append(self._prepare)
        stage.begin(world, world.host("a"), self.runs[0].path)
        for action in self.actions:
            if not action.kind:
                world.at(action.time, lambda action=action: self._do(action))
        last = max((a.time + a.seconds for a in self.actions), default=0.0)
        quiet = random.Random(f"quiet {world.seed}").choice((1.0, 30.0))
        world.at(min(last, TROUBLE) + quiet, self._heal)
        world.run()
        if world.over == "late":
            alive = ", ".join(f"{p} {p.waits()}" for p in world.living())
            world.wrong(f"hangs: at {world.now:.0f} s there are {alive}")

    def _prepare(self, process: Process) -> None:
        number = self.counts[process.kind] = self.counts.get(process.kind, -1) + 1
        if self.healed:
            return
        for action in self.actions:
            if (action.kind, action.number) == (process.kind, number):
                process.faults[action.step] = lambda p, action=action: self._hit(p, action)

    def _hit(self, process: Process, action: Action) -> None:
        if self.healed:
            return
        if action.what == "kill":
            self.world.tell(f"kill -9 {process}")
            self.world.end(process, -signal.SIGKILL)
        else:
            self.world.tell(f"{process} stands still for {action.seconds:.0f} s")
            self.world.freeze(process, action.seconds)

    def _do(self, action: Action) -> None:
        world = self.world
        if action.what == "resume":
            if not self._finished(self.runs[0]):
                stage.begin(world, world.host(action.host), self.runs[0].path)
            return
        world.tell(str(action))
        if action.what == "crash":
            world.crash(world.host(action.host))
        elif action.what == "stop":
            for process in world.living("supervisor"):
                world.signal(process, world.random.choice((signal.SIGTERM, signal.SIGINT)))
        elif action.what == "full":
            world.disk.full = True
            world.at(action.seconds, self._room)
        elif action.what == "cut":
            world.network.break_links(world.host(action.host))
        elif action.what == "part":
            host = world.host(action.host)
            world.network.part(host, action.seconds)
            for process in host.processes.values():
                if process.kind == "worker" and process.alive:
                    process.lost()
        elif action.what == "copy" and len(self.runs) == 1:
            copy = self.folder / "copy"
            shutil.copytree(self.runs[0].path, copy)
            self.runs.append(RunDirectory(copy))
            stage.begin(world, world.host(action.host), copy)

    def _room(self) -> None:
        self.world.disk.full = False

    def _heal(self) -> None:
        """From now on nothing goes wrong, and whoever comes by resumes what does not run."""
        self.healed = True
        self.world.disk.full = False
        self.world.tell("nothing goes wrong from here on")
        self._go_on()

    def _finished(self, run: RunDirectory) -> bool:
        return any(
            p.kind == "supervisor"
            and p.note["run"] == run.path
            and (p.code == 0 or "has finished" in p.note.get("line", ""))
            for p in self.world.all
        )

    def _go_on(self) -> None:
        world = self.world
        open_ = [run for run in self.runs if not self._finished(run)]
        if not open_:
            world.at(150.0, self._ended)
            return
        for run in open_:
            busy = any(
                p.kind == "supervisor" and p.alive and p.note["run"] == run.path for p in world.all
            )
            if not busy:
                self.resumes += 1
                if self.resumes > RESUMES * len(self.runs):
                    world.wrong(
                        f"{run.path.name} was resumed {self.resumes} times and is not whole"
                    )
                    world.stop()
                    return
                stage.begin(world, world.host(world.random.choice("ab")), run.path)
        world.at(2.0, self._go_on)

    def _ended(self) -> None:
        """Everything has had its time."""
        world = self.world
        for process in world.living():
            world.wrong(f"{process} is left over {process.waits()}")
        for run in self.runs:
            for line in complaints(run, unwritten=any(a.what == "full" for a in self.actions)):
                world.wrong(f"{run.path.name}: {line}")
        world.stop()


def complaints(run: RunDirectory, *, unwritten: bool = False) -> list[str]:
    """What is wrong with a run that ended with exit code 0.

    Args:
        unwritten: whether the last status may be missing, for want of room.
    """
    found = []
    if not run.summary.exists():
        return ["exit code 0, and there is no summary"]
    summary, status = read_json(run.summary), read_json(run.status)
    counts = status["simulations"]
    told = sum(counts[key] for key in ("done", "given_up", "quarantined", "skipped"))
    if unwritten and status["state"] not in ENDED:
        counts["skipped"] += counts["total"] - told
    elif told != counts["total"] or counts["total"] != len(stage.PLAN):
        found.append(f"{len(stage.PLAN)} simulations are planned, its status says {counts}")
    elif status["state"] != "finished":
        found.append(f"its status says '{status['state']}'")
    for name in ("lost", "doubled"):
        if status["frames"][name]:
            found.append(f"{status['frames'][name]} frames {name}")
    entered = [tuple(entry[:2]) for entry in summary["entered"]]
    for key in sorted({k for k in entered if entered.count(k) > 1}):
        found.append(f"frame {key} entered {entered.count(key)} times")
    drawn = [tuple(entry) for entry in summary["drawn"]]
    for key in sorted({k for k in drawn if drawn.count(k) > 1}):
        found.append(f"sample {key} was drawn {drawn.count(key)} times from a FIFO")
    if not (counts["given_up"] or counts["quarantined"]):
        early = counts["skipped"] > 0 or summary["steps"] == 1
        for planned in stage.PLAN:
            steps = {step for number, step in entered if number == planned.id}
            if steps != set(range(stage.FRAMES)) and not (early and planned.role == "train"):
                found.append(f"of simulation {planned.id} the frames {sorted(steps)} entered")
        missing = {
            (p.id, s) for p in stage.PLAN if p.role == "train" for s in range(stage.FRAMES - 1)
        } - set(drawn)
        if missing and not early:
            found.append(f"samples {sorted(missing)} were never drawn")
        wanted = [p.id for p in stage.PLAN if p.role == "validation"]
        if summary["held_out"] != wanted:
            found.append(f"held out are {summary['held_out']}, planned were {wanted}")
    return found


@dataclass
class Tally:
    """What a number of orders came to."""

    orders: int = 0
    failed: list[Result] = field(default_factory=list)
    actions: int = 0
    resumes: int = 0
    steps: int = 0
    virtual: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.orders} orders, {self.actions} faults and resumptions in them, {self.resumes} "
            f"supervisors, {self.steps} steps, {self.virtual / 3600:.0f} virtual hours, in "
            f"{self.seconds:.1f} s of CPU; {len(self.failed)} fail"
            + "".join(f"\n  order {r.seed}: {r.violations[0][:300]}" for r in self.failed)
        )


def tally(seeds: Iterable[int], *, most: int = 5) -> Tally:
    """Run orders until some have failed."""
    found, began = Tally(), time.process_time()
    for seed in seeds:
        result = run_order(seed)
        found.orders += 1
        found.actions += len(result.actions)
        found.resumes += len(result.codes)
        found.steps += result.steps
        found.virtual += result.seconds
        if result.violations:
            found.failed.append(result)
            if len(found.failed) == most:
                break
    found.seconds = time.process_time() - began
    return found


def smaller(result: Result) -> Result:
    """The same failure from fewer actions, and without unrest, where it fails then, too."""
    best = result
    for unrest in (None, 0.0):
        tried = True
        while tried:
            tried = False
            for place in range(len(best.actions)):
                fewer = best.actions[:place] + best.actions[place + 1 :]
                again = run_order(result.seed, fewer, unrest)
                if again.violations:
                    best, tried = again, True
                    break
        again = run_order(result.seed, best.actions, 0.0)
        if again.violations and len(again.trace) < len(best.trace):
            best = again
    return best


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    with stage.installed():
        if len(numbers) == 1:
            print(run_order(*numbers))
        else:
            outcome = tally(range(*numbers))
            print(outcome)
            for failed in outcome.failed[:1]:
                print(smaller(failed))
