"""The product in a world: ``sciml resume``, trainer, solver programs, and what is watched of them.

Long, since all of one order is here: who takes part, what goes wrong, and what must hold after it.
"""

from __future__ import annotations

import functools
import gc
import io
import json
import logging
import os
import random
import sys
import tempfile
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import network
import numpy as np
import stand_ins
import system
from system import here
from world import Host, Process, World

from sciml.domain import Field, Grid
from sciml.domain.block import Block
from sciml.ensemble import cluster, job, launcher, leader, slurm
from sciml.ensemble.folders import read_json, write_json
from sciml.ensemble.job import Job
from sciml.ensemble.processes import end_session
from sciml.errors import ScimlError, StreamError, no_room
from sciml.run import directory, display, held_out, lineage, simulations, supervisor
from sciml.run.directory import RunDirectory
from sciml.run.online import intake, life, restart, study_run, trainer
from sciml.run.snapshot import Snapshot
from sciml.run.trainer_process import start_trainer
from sciml.samples import Frame, Simulation
from sciml.stream import (
    client,
    connection,
    dealer,
    endpoint,
    in_flight,
    listener,
    lobby,
    reception,
    registry,
    server,
    session,
    spool,
)
from sciml.study import training_section
from sciml.study.schema import Study

#: Frames of a simulation, seconds from one to the next.
FRAMES, PACE = 3, 0.8
GRID = Grid((4, 2), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic"))
#: Seconds of the product, stretched where they only make a wait finer: so an order costs less.
BEAT, LAPSE = 4.0, 30.0
_SLOWER = [
    (supervisor, "POLL", 1.0),
    (supervisor, "EXCHANGE_EVERY", 3.0),
    (supervisor, "TRAINER_START", 60.0),
    (listener, "TICK_MS", 5000),
    (listener, "GATHER", 0.0),
    (trainer, "STATUS_EVERY", 3.0),
    (intake, "WAIT", 5.0),
    (client, "POLL", 1.0),
    (job, "LOOK_EVERY", 2.0),
    (job, "has_shared_memory", lambda *_: False),
]


def study_of(**changes: Any) -> Study:
    plain = {
        "schema_version": 1,
        "name": "order",
        "solver": {"program": "solvers/heat.py", "ranks": 1},
        "parameters": {"simulations": 2, "ranges": {"kappa": [0.1, 0.2]}},
        "task": {"inputs": ["u"], "targets": ["u"]},
        "model": {"name": "mlp"},
        "buffer": {"kind": "fifo", "capacity": 3, "watermark": 2},
        "training": {
            "batch_size": 2,
            "checkpoint_every": 2,
            "phases": [{"optimizer": "adamw", "lr": 1e-3, "steps": 1000}],
        },
        "validation": {"simulations": 1, "patience": 100},
        "cluster": {"kind": "local", "simulations_at_once": 2, "retries": 3},
    }
    for section, entries in changes.items():
        plain[section] = {**plain.get(section, {}), **entries}
    return Study.model_validate(plain)


def values(simulation: int, step: int) -> np.ndarray:
    return np.arange(8.0).reshape(4, 2) + step / 8 + simulation / 64


class Planned:
    def __init__(self, number: int, role: str) -> None:
        self.id, self.role = number, role
        self.parameters, self.seed, self.start = {"kappa": 0.1}, None, None


PLAN = [Planned(0, "train"), Planned(1, "validation"), Planned(2, "train")]


# -- programs --------------------------------------------------------------------------------------


def resume(world: World, path: Path, told: dict[str, Any]) -> int:
    """``sciml resume``: exit codes and lines as the command gives them."""
    try:
        _, code = study_run.resume(path, plain=True)
    except KeyboardInterrupt:
        return 130
    except (ScimlError, OSError) as error:
        if not (isinstance(error, ScimlError) or no_room(error)):
            raise
        told["line"] = f"error: {' '.join(str(error).split())}".replace(str(path), path.name)
        world.tell(f"{world.current.process} says: {told['line']}")
        return 75 if no_room(error) else 2
    return code


def solver(world: World, number: int, ranks: int) -> int:
    """``mpirun`` of a program."""
    me = world.current.process
    if ranks == 1:
        return rank_of(world, number, 0, 1)
    several = [
        world.start(
            me.host,
            "rank",
            functools.partial(_exit_with, rank_of, world, number, rank, ranks),
            parent=me,
            environment=me.environment,
            session=me.session,
        )
        for rank in range(ranks)
    ]
    codes = []
    for process in several:
        while process.alive:
            task = world.current
            process.at_end.append(lambda task=task: world.wake(task))
            world.block()
        process.reaped = True
        codes.append(process.code)
        if process.code:
            for other in several:
                world.signal(other, 9)
    return max(codes, key=abs)


def rank_of(world: World, number: int, rank: int, ranks: int) -> int:
    environment = world.current.process.environment
    simulation = Simulation(number, GRID, (Field("u"),), {"kappa": 0.1})
    rows = slice(4 * rank // ranks, 4 * (rank + 1) // ranks)
    block = None if ranks == 1 else Block((rows.start, 0), (rows.stop - rows.start, 2))
    try:
        with connection.connect(
            simulation,
            block,
            rank,
            ranks,
            endpoint=environment["SCIML_ENDPOINT"],
            attempt=int(environment["SCIML_ATTEMPT"]),
            timeout=40.0,
            patience=60.0,
            shared_memory=False,
        ) as stream:
            for step in range(FRAMES):
                world.sleep(PACE * (0.5 + world.random.random()))
                stream.send(step, 0.1 * step, u=values(number, step)[rows])
    except StreamError as error:
        world.tell(f"{world.current.process} (simulation {number}) says: {error}"[:160])
        return 1
    return 0


def _exit_with(work: Any, *arguments: Any) -> None:
    sys.exit(work(*arguments))


def begin(world: World, host: Host, path: Path) -> Process:
    """Somebody types ``sciml resume`` on a host."""
    told: dict[str, Any] = {}
    process = world.start(
        host, "supervisor", functools.partial(_exit_with, resume, world, path, told), note=told
    )
    told["run"] = path
    world.tell(f"{process}: sciml resume {path.name}")

    def ended() -> None:
        world.tell(f"{process} ends, {process.code}")
        if process.token and process.code >= 0:
            world.at(TIDY, left_behind)

    def left_behind() -> None:
        for other in world.living("solver"):
            parent = other.parent
            watched = parent is not None and not parent.frozen and world.now - parent.woke > TIDY
            here_ = parent is None and other.host is process.host
            slept = other.frozen or world.now - other.woke < TIDY
            if other.leader == process.token and not slept and (watched or here_):
                world.wrong(f"{process} ended long ago, and its {other} runs")

    process.at_end.append(ended)
    return process


def launched(world: World, arguments: list[str], environment: dict[str, str], output: Any) -> Any:
    """What ``Popen`` starts."""
    me = world.current.process
    if arguments[1:3] == ["-m", "sciml.run.online.trainer"]:
        work = functools.partial(trainer.main, [arguments[3]])
        process = world.start(
            me.host, "trainer", functools.partial(_exit_with, work), parent=me, note=arguments[3]
        )
    else:
        number, ranks = int(arguments[1]), int(arguments[2])
        work = functools.partial(_exit_with, solver, world, number, ranks)
        process = world.start(
            me.host, "solver", work, parent=me, environment=environment, note=number
        )
        process.attempt = int(environment["SCIML_ATTEMPT"])
        process.leader = getattr(world.current, "leader", "")
        process.run = environment["SCIML_ENDPOINT"]
        world.tell(f"{process} is attempt {process.attempt} of simulation {number}")
        _of_a_leader_of_before(world, process)
        _started_all_the_same(world, process, number)
    process.dying = world.random.random() ** 3 * 5
    process.at_end.append(lambda: world.tell(f"{process} ends, {process.code}"))
    return process


# -- what is watched -------------------------------------------------------------------------------


class Watched(intake.Intake):
    """The real intake, which also keeps a list of what has entered; it goes with the checkpoints."""

    def __init__(self, *arguments: Any, **rest: Any) -> None:
        super().__init__(*arguments, **rest)
        self.entered: list[list[int]] = []
        self._heldout.entered = self.entered

        for taker in (self._windower, self._heldout):
            taker.push = functools.partial(self._noted, taker.push)

    def _noted(self, push: Any, frame: Frame) -> Any:
        if not np.array_equal(frame.fields["u"], values(*frame.key)):
            here().wrong(f"frame {frame.key} is not what its program sent")
        given = push(frame)
        self.entered.append([*frame.key, frame.attempt])
        return given

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "entered": [list(e) for e in self.entered]}

    def restore(self, state: Any, *rest: Any) -> None:
        super().restore(state, *rest)
        self.entered[:] = [list(e) for e in state["entered"]]


class HeldOut(held_out.HeldOut):
    """The real one, with plain files."""

    def _write(self, simulation: Simulation, frames: Any, warned: Any) -> None:
        write_json(self._path(simulation.id), [f.step for f in frames])

    def _read(self, number: int) -> tuple[Simulation, list[Frame]]:
        steps = read_json(self._path(number))
        simulation = Simulation(number, GRID, (Field("u"),), {"kappa": 0.1})
        return simulation, [Frame(number, s, 0.1 * s, {"u": values(number, s)}) for s in steps]


class Display:
    def __init__(self, title: str, **_: Any) -> None:
        pass

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, line: str) -> None:
        world = here()
        if world is not None and world.current.process.alive:
            world.tell(f"{world.current.process} says: {line}"[:200])

    def update(self, snapshot: Snapshot, **_: Any) -> None:
        pass


@contextmanager
def installed():
    """While it is entered, the product runs on the stage."""
    changes = [
        *_SLOWER,
        (leader.Leader.__init__, "__kwdefaults__", {"beat": BEAT, "lapse": LAPSE}),
        # Indented, what is written costs a tenth of an order.
        (directory, "json", SimpleNamespace(dumps=lambda c, **_: json.dumps(c), loads=json.loads)),
        (job, "is_local", lambda ranks: True),
        (job, "environment", lambda **_: {}),
        (server, "Spool", lambda folder, size, spare: spool.Spool(folder, 1 << 15, spare)),
        (listener, "zmq", network.Zmq()),
        (dealer, "zmq", network.Zmq()),
        (endpoint, "zmq", network.Zmq()),
        (lobby.Lobby, "AT_HAND", False),
        (listener, "guard", network.guard),
        (listener, "Gate", network.Gate),
        (lineage, "load_study", lambda *_, **__: here().study),
        (study_run, "with_copy", lambda run, study, **_: study),
        (study_run, "require_own", lambda *_, **__: None),
        (study_run, "require_program", lambda *_, **__: None),
        (study_run, "adopt", lambda *_, **__: None),
        (study_run, "figures", lambda *_: ""),
        (study_run, "shortcomings", lambda *_: ()),
        (study_run, "print", lambda *_, **__: None),
        (cluster, "opened", opened),
        (slurm, "cancel_left", lambda *_: None),
        (simulations, "check_program", lambda *_, **__: (Program, None)),
        (study_run, "EarlyTrainer", Trainer),
        (simulations, "kept_plan", lambda *_, **__: PLAN),
        (simulations, "jobs", jobs_of),
        (display, "Display", Display),
        (display, "in_units", lambda _: []),
        (trainer, "keep_heap", lambda: None),
        (trainer, "resident_bytes", lambda: 0),
        (restart, "_without", _lost),
        (life, "HeldOut", HeldOut),
        (life, "Intake", Watched),
        (trainer, "end_with_parent", _end_with_parent),
        (training_section.Training, "options", lambda self: None),
        (training_section.PhaseSection, "build", lambda self: self),
        (logging, "basicConfig", lambda **_: None),
        (tempfile, "gettempdir", _gettempdir(tempfile.gettempdir)),
        (random, "sample", lambda population, n: here().random.sample(population, n)),
        (leader.Leader, "__enter__", _entered(leader.Leader.__enter__)),
        # Sets of sessions are gone through in the same order each time.
        (session.Session, "__hash__", lambda s: hash((s.simulation, s.attempt, s.rank))),
        (leader.Leader, "__exit__", _exited(leader.Leader.__exit__)),
        (registry.Registry, "_session", _bound(registry.Registry._session)),
        *((launcher, name, _marked(getattr(job, name))) for name in _MARKING),
        (registry.Registry, "_begin", _begun(registry.Registry._begin)),
        (reception.Reception, "take", _taken(reception.Reception.take)),
        (in_flight.InFlight, "acknowledge", _acknowledged(in_flight.InFlight.acknowledge)),
        (client.Client, "_welcome", _welcomed(client.Client._welcome)),
        (supervisor.Supervisor, "_write_status", _written(supervisor.Supervisor._write_status)),
    ]
    modules = {
        "torch": None,  # nothing of it is needed
        "distributed": stand_ins.DISTRIBUTED,
        "sciml.run.online.training": stand_ins.LEARNING,
        "sciml.training.checkpoint": stand_ins.CHECKPOINT,
    }
    missing = object()
    before = [(where, name, getattr(where, name, missing)) for where, name, _ in changes]
    modules_before = {name: sys.modules.get(name, missing) for name in modules}
    sys.modules.update(modules)
    for where, name, value in changes:
        setattr(where, name, value)
    logging.disable(logging.CRITICAL)
    cores = os.sched_getaffinity(0)
    # One thread runs at a time: on one core it is handed on in a third of the time.
    os.sched_setaffinity(0, {sorted(cores)[os.getpid() % len(cores)]})
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with system.replaced(), redirect_stderr(io.StringIO()):
            yield
    finally:
        gc.enable()
        gc.unfreeze()
        os.sched_setaffinity(0, cores)
        logging.disable(logging.NOTSET)
        for where, name, value in before:
            if value is missing:
                delattr(where, name)
            else:
                setattr(where, name, value)
        for name, value in modules_before.items():
            if value is missing:
                del sys.modules[name]
            else:
                sys.modules[name] = value


class Program:
    """What a program says of itself."""

    path = Path("/program.py")
    fields = static = ()


class Trainer:
    """It does not start before its run: it has nothing to import."""

    def __init__(self, study: Study) -> None:
        self._study, self._process = study, None

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def try_model(self, *_: object) -> None:
        pass

    def require(self) -> None:
        pass

    def begin(self, run: RunDirectory, leader: str) -> Any:
        self._process = start_trainer(self._study, run, leader)
        return self._process

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            end_session(self._process.pid, grace=10.0)


def jobs_of(study: Study, description: Any, several: Any, run: RunDirectory, *_: Any) -> list[Job]:
    environment = {"SCIML_ENDPOINT": str(run.endpoint)}
    return [
        Job(p.id, ["mpirun", str(p.id), "2" if p.id == 2 else "1"], environment, str(run.path))
        for p in several
    ]


@contextmanager
def opened(study: Study, *_: Any):
    elsewhere = ("work-1", "work-2") if study.cluster.kind == "address" else ()
    made = stand_ins.Cluster(study.cluster.simulations_at_once, elsewhere)
    try:
        yield made, None
    finally:
        made.close()


def new_run(folder: Path) -> RunDirectory:
    run = RunDirectory.create(folder)
    run.study.write_text("a study\n")
    write_json(run.simulations, [{"id": p.id, "role": p.role} for p in PLAN])
    write_json(run.solver, {"parameters": [{"name": "kappa"}]})
    return run


def _lost(life: Any, task: Any, losses: Any, state: Any) -> None:
    here().wrong(f"the spool lacks {sorted(losses.frames)} and {sorted(losses.simulations)}")
    raise ScimlError("frames are lost")


def _end_with_parent(number: int = 15) -> None:
    here().current.process.death_signal = number


def _gettempdir(real: Any) -> Any:
    def call() -> str:
        world = here()
        if world is None:
            return real()
        folder = f"{world.folder}/{world.current.process.host.name}"
        if not os.path.lexists(folder):
            os.makedirs(folder, exist_ok=True)  # two processes may ask at once
        return folder

    return call


# -- who leads, and what is let in -----------------------------------------------------------------

#: Seconds awake in which a leader that slept finds out that it leads no more, and in which jobs end
#: that are told to.
GRACE, TIDY = 25.0, 15.0


def _entered(real: Any) -> Any:
    def enter(self: leader.Leader) -> leader.Leader:
        given = real(self)
        world = here()
        me, run = world.current.process, self._run.path.name
        before = world.leaders.get(run)
        world.tell(f"{me} leads {run}")
        awake = before is not None and before.alive and not before.frozen
        if awake and not before.left and world.now - before.woke > GRACE and not _lost(before):
            world.wrong(f"{me} leads {run} beside {before}, which is awake")
        me.token, me.left, me.run, me.leader_of = self.token, False, self._run.path.name, self
        me.since = world.now
        world.leaders[run] = me
        return given

    return enter


def _exited(real: Any) -> Any:
    def leave(self: leader.Leader, *why: Any) -> None:
        here().current.process.left = True
        real(self, *why)

    return leave


def _lost(process: Process) -> bool:
    return process.leader_of.lost.is_set()


def acts(world: World, run: str, token: str, what: str) -> None:
    """Somebody acts on a run in the name of a leader: it is the last that was made one."""
    newest = world.leaders.get(run)
    if newest is None or newest.token == token:
        return
    mine = next((p for p in world.all if getattr(p, "token", None) == token), None)
    asleep = mine is not None and (mine.frozen or world.now - mine.woke < GRACE)
    if mine is None or not asleep:
        world.wrong(f"{mine} {what} of {run}, which {newest} leads")


def _written(real: Any) -> Any:
    def write(self: supervisor.Supervisor) -> Any:
        world = here()
        if world.current.process.alive and not self._leader.overtaken():
            acts(world, self._run.path.name, self._leader.token, "writes the status")
        return real(self)

    return write


def _begun(real: Any) -> Any:
    def begin(self: registry.Registry, number: int, attempt: int, *rest: Any) -> Any:
        stream = real(self, number, attempt, *rest)
        world = here()
        key = (self.journal.spool.directory, number)
        newest = world.attempts.get(key, 0)
        if attempt < newest:
            world.wrong(f"attempt {attempt} of simulation {number} begins after {newest} had begun")
        world.attempts[key] = max(newest, attempt)
        return stream

    return begin


def _bound(real: Any) -> Any:
    def bind(self: registry.Registry, stream: Any, rank: int, token: bytes, said: Any) -> Any:
        if said["attempt"] != stream.attempt:
            here().wrong(
                f"rank {rank} of attempt {said['attempt']} of simulation {stream.simulation.id} is let "
                f"in after attempt {stream.attempt} had begun"
            )
        return real(self, stream, rank, token, said)

    return bind


_MARKING = ("skip_job", "end_jobs")


def _marked(real: Any) -> Any:
    def mark(run: RunDirectory, *which: Any, **how: Any) -> None:
        real(run, *which, **how)
        *simulation, token = which
        here().marked.setdefault((token, *simulation), here().now)

    return mark


def _of_a_leader_of_before(world: World, process: Process) -> None:
    run = Path(process.run).parent.name
    newest = world.leaders.get(run)
    late = newest is not None and world.now - newest.since > TIDY
    # One that slept in the midst of its start ends at its next look.
    slept = process.parent is not None and world.now - process.parent.woke < TIDY
    if late and not slept and newest.token != process.leader:
        world.wrong(f"{process} starts for another leader than {newest}, which leads {run}")


def _started_all_the_same(world: World, process: Process, number: int) -> None:
    """A job starts, and its leader has said that it shall not."""
    since = min(world.marked.get(key, 1e9) for key in ((process.leader,), (process.leader, number)))
    slept = process.parent is not None and world.now - process.parent.woke < TIDY
    if world.now - since > TIDY / 2 and not slept:
        world.wrong(f"{process} starts, which its leader had forbidden at {since:.1f} s")


def _taken(real: Any) -> Any:
    def take(self: Any, stream: Any, session: Any, headers: Any, payloads: Any) -> None:
        world = here()
        newest = world.attempts.get((self._journal.spool.directory, session.simulation), 0)
        if session.attempt < newest:
            world.wrong(
                f"blocks of attempt {session.attempt} of simulation {session.simulation} are taken in "
                f"after attempt {newest} had begun"
            )
        real(self, stream, session, headers, payloads)

    return take


def _acknowledged(real: Any) -> Any:
    def acknowledge(self: in_flight.InFlight, message: dict[str, Any]) -> None:
        before = {parcel.step for parcel in self._flight}
        real(self, message)
        after = {parcel.step for parcel in self._flight}
        self.__dict__.setdefault("durable", set()).update(before - after)

    return acknowledge


def _welcomed(real: Any) -> Any:
    def welcome(self: client.Client, message: dict[str, Any]) -> None:
        durable = getattr(self._in_flight, "durable", set())
        if not message.get("finished"):
            held = {s for start, stop in message["held"] for s in range(start, stop)}
            if lost := durable - held - {message["overlap"]}:
                here().wrong(
                    f"frames {sorted(lost)} of simulation {self.simulation.id} were acknowledged, and "
                    "the trainer has them no more"
                )
        real(self, message)

    return welcome
