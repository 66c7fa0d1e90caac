"""What stands in for torch and dask: a model that is the list of the samples it has seen, and workers.

Of the training, the real :class:`Learning` and :class:`Checkpoints` run, on modules of this file in the
place of those that need torch.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgpack
from system import here

import sciml
import sciml.study.schema  # phases are real, and need no torch
from sciml.ensemble.folders import write_json
from sciml.errors import ScimlError, no_room

PACKAGE = Path(sciml.__file__).parent
#: Seconds of a gradient step.
STEP = 0.2


#: What needs torch, and is not there.
_ABSENT = ("torch", "safetensors", "sciml.surrogates", "sciml.training", "sciml.run.outcome")


class Nothing:
    """What a module that is not there would have given; it can be made, and called, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Nothing:
        return self

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


class _Absent(ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class _Finder:
    """Gives an empty module for each that needs torch."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if any(name == p or name.startswith(f"{p}.") for p in _ABSENT):
            return importlib.util.spec_from_loader(name, self)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def module(name: str, **entries: Any) -> ModuleType:
    made = _Absent(name)
    made.__dict__.update(entries)
    return made


def loaded(name: str, beside: dict[str, ModuleType]) -> ModuleType:
    """A fresh copy of a module of the product, which finds others ``beside`` it than it would, and
    nothing of what needs torch."""
    path = PACKAGE.parent / (name.replace(".", "/") + ".py")
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    before = dict(sys.modules)
    for key in before:
        if any(key == p or key.startswith(f"{p}.") for p in _ABSENT):
            del sys.modules[key]
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    sys.modules.update({**beside, name: made})
    try:
        spec.loader.exec_module(made)
    finally:
        sys.meta_path.remove(finder)
        for key in {*sys.modules} - {*before}:
            if key == name or any(key == p or key.startswith(f"{p}.") for p in _ABSENT):
                del sys.modules[key]
        sys.modules.update(before)
        if name not in before:
            sys.modules.pop(name, None)
    return made


# -- the model, and the loop around it -------------------------------------------------------------


class Model(Nothing):
    """Knows what it has been trained on: (simulation, origin), in order."""

    def __init__(self) -> None:
        self.drawn: list[list[int]] = []
        self.dt: Any = None

    @classmethod
    def load(cls, path: Path, file: Any = None) -> Model:
        model = cls()
        model.drawn = json.loads((Path(path) / "drawn.json").read_text())
        return model

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "drawn.json").write_text(json.dumps(self.drawn))

    def to(self, device: Any) -> Model:
        return self

    def eval(self) -> Model:
        return self

    structures = ()

    def strange(self, domain: Any) -> str:
        return ""


class Shares(Nothing):
    """Statistics that have nothing against any sample."""

    def fix(self, samples: Any) -> bool:
        return True

    def renew(self, samples: Any) -> bool:
        return False

    def scale(self, name: str) -> tuple[float, float]:
        return 0.0, float("inf")

    def state_dict(self) -> dict[str, Any]:
        return {}


class Outcome(Nothing):
    """Writes a summary of what the model knows, last."""

    def __init__(self, study: Any, run: Any, heldout: Any, progress: dict[str, Any]) -> None:
        self.study, self.run, self.heldout, self.progress = study, run, heldout, progress

    def train(
        self,
        model: Model,
        source: Any,
        objective: Any,
        phases: Any,
        resume: Any,
        say: Any,
        **hooks: Any,
    ) -> Any:
        training = self.study.training
        checkpoints = CHECKPOINT.Checkpoints(self.run.checkpoints, keep=training.keep_checkpoints)
        given = SimpleNamespace(
            checkpoints=checkpoints, checkpoint_every=training.checkpoint_every, **hooks
        )
        return train(model, source, phases, hooks=given, resume=resume)

    def on_step(self, step: Any, history: Any) -> None:
        self.progress["step"] = step.step

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.progress["step"]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.progress["step"] = state["step"]

    def write(self, surrogate: Model, history: Any, **figures: Any) -> None:
        surrogate.save(self.run.surrogate)
        held_out = sorted(s.id for s, _ in self.heldout.trajectories())
        write_json(
            self.run.summary,
            {
                "steps": self.progress["step"],
                "drawn": surrogate.drawn,
                "held_out": held_out,
                "entered": self.heldout.entered,
                **figures,
            },
        )


def train(
    model: Model,
    source: Any,
    phases: Any,
    *,
    hooks: Any,
    resume: Any,
) -> Any:
    """As :func:`sciml.training.loop.train`, without arithmetic: draws, counts, takes checkpoints."""
    import time

    step, saved, exhausted, failed = 0, -1, False, None
    if resume is not None:
        step = saved = resume.step
        exhausted = resume.state["exhausted"]
        source.load_state_dict(resume.state["source"])
    length = sum(phase.steps for phase in phases)

    def checkpoint() -> None:
        nonlocal saved, failed
        if saved == step:
            return
        state = {
            "step": step,
            "phase": 0,
            "exhausted": exhausted,
            "source": source.state_dict(),
            "extra": hooks.extra_state(),
        }
        try:
            path = hooks.checkpoints.save(step, model, state)
        except CHECKPOINT.CheckpointError as error:
            failed = step
            hooks.on_checkpoint_failed(error)
            return
        saved, failed = step, None
        hooks.on_checkpoint(path, state)

    while step < length and not exhausted and not hooks.stop.is_set():
        batch = source.next_batch()
        if not batch:
            exhausted = not hooks.stop.is_set()
            break
        model.drawn += [list(sample.key) for sample in batch]
        time.sleep(STEP)
        step += 1
        hooks.on_step(SimpleNamespace(step=step), None)
        due = step % hooks.checkpoint_every == 0
        if due or (failed in (None, step) and hooks.checkpoint_wanted()):
            checkpoint()
    checkpoint()
    return SimpleNamespace(ended="source" if exhausted else "phases")


def _write(directory: Path, model: Model, state: dict[str, Any]) -> None:
    model.save(directory)
    (directory / "training.msgpack").write_bytes(msgpack.packb(state))


def _read(path: Path) -> Any:
    if not CHECKPOINT.intact(path):
        raise CHECKPOINT.CheckpointError(f"{path}: no intact checkpoint")
    state = msgpack.unpackb((path / "training.msgpack").read_bytes())
    return CHECKPOINT.Checkpoint(path, state["step"], state)


CHECKPOINT = loaded(
    "sciml.training.checkpoint",
    {"safetensors": module("safetensors", SafetensorError=ZeroDivisionError)},
)
CHECKPOINT._write, CHECKPOINT.read, CHECKPOINT._sync = _write, _read, lambda path: None

_SOURCE = loaded(
    "sciml.training.stream_source",
    {
        "sciml.surrogates.collation": module(
            "sciml.surrogates.collation", collate=lambda samples, *_: list(samples)
        )
    },
)

LEARNING = loaded(
    "sciml.run.online.training",
    {
        "sciml.run.outcome": module(
            "sciml.run.outcome", Outcome=Outcome, new_surrogate=lambda *_: Model()
        ),
        "sciml.surrogates": module("sciml.surrogates", Statistics=Nothing, Surrogate=Model),
        "sciml.surrogates.shares": module("sciml.surrogates.shares", Shares=Shares),
        "sciml.training.checkpoint": CHECKPOINT,
        "sciml.training.stream_source": _SOURCE,
    },
)
LEARNING.model_file = lambda *_, **__: None
LEARNING.learned = lambda study, setting, fed: (fed, None)


# -- dask ------------------------------------------------------------------------------------------


class KilledWorker(Exception):
    """As dask's."""


class Future:
    def __init__(self) -> None:
        self.state, self._result, self._error = "waiting", None, None
        self.place: Any = None

    def done(self) -> bool:
        return self.state in ("done", "cancelled")

    def exception(self, timeout: float | None = None) -> BaseException | None:
        here().step("ask dask")
        return self._error

    def result(self, timeout: float | None = None) -> Any:
        here().step("ask dask")
        return self._result

    def cancel(self) -> None:
        if self.state == "waiting":
            self.state = "cancelled"

    def release(self) -> None:
        pass


class Cluster:
    """Runs jobs in threads of the process that made it, or in workers on other hosts.

    Args:
        slots: jobs side by side.
        workers: hosts of the workers, one a slot; none: threads.
    """

    #: Deaths of workers that a task outlives.
    FAILURES = 3

    def __init__(self, slots: int, workers: tuple[str, ...] = ()) -> None:
        self.world, self.owner = here(), here().current.process
        self.queue: list[tuple[Future, Any, Any, int]] = []
        self.free: list[Any] = list(workers) if workers else [None] * slots
        self.closed = False
        self._threads: list[Task] = []
        # What is queued for a client that is gone is let go of; what runs runs on.
        self.owner.at_end.append(self.queue.clear)

    def submit(self, work: Any, job: Any) -> Future:
        future = Future()
        self.queue.append((future, work, job, 0))
        self.feed()
        return future

    def feed(self) -> None:
        while self.free and not self.closed:
            self.queue[:] = [entry for entry in self.queue if entry[0].state == "waiting"]
            if not self.queue:
                return
            self._place(self.free.pop(0), self.queue.pop(0))

    def _place(self, where: str | None, entry: tuple[Future, Any, Any, int]) -> None:
        future, work, job, failures = entry
        future.state, world = "running", self.world
        future.place = place = object()

        def run() -> None:
            world.current.leader = job.leader
            try:
                result, error = work(job), None
            except Exception as raised:
                result, error = None, raised
                # Of one that slept, another leader has removed what it was writing.
                slept = world.now - process.woke < 15.0
                if not (no_room(raised) or isinstance(raised, ScimlError) or slept):
                    world.wrong(f"a worker dies of {type(raised).__name__}: {raised}")
            process.settled = True
            # A worker elsewhere says it over the network.
            delay = 0.0 if where is None else world.random.random()
            world.at(delay, lambda: ended(result, error))

        def ended(result: Any, error: BaseException | None) -> None:
            if future.state == "running" and future.place is place:
                future.state, future._result, future._error = "done", result, error
            self.free.append(where)
            self.feed()

        def lost() -> None:
            # That it is gone is noticed when its heartbeats have stopped for a while.
            if not getattr(process, "settled", False):
                world.at(world.random.random() ** 2 * 8, noticed)

        def noticed() -> None:
            if future.place is not place or getattr(process, "settled", False):
                return
            self.free.append(where)
            future.place = None
            if future.state == "running" and failures + 1 > self.FAILURES:
                future.state, future._error = "done", KilledWorker(str(job.simulation))
            elif future.state == "running":
                future.state = "waiting"
                self.queue.insert(0, (future, work, job, failures + 1))
            self.feed()

        if where is None:
            process = self.owner
            if process.alive:
                self._threads.append(world.thread(process, run))
            return
        process = world.start(world.host(where), "worker", run)
        process.at_end.append(lost)
        process.lost = lost  # also of one that lives, and cannot be heard

    def close(self, patience: float = 5.0) -> None:
        """Threads that wait for jobs get a moment to end."""
        self.closed = True
        for thread in self._threads:
            deadline = self.world.now + patience
            while not thread.ended:
                thread.joiners.append(self.world.current)
                if not self.world.block(deadline):
                    return


class Client:
    def __init__(self, cluster: Cluster, set_as_default: bool = False) -> None:
        self._cluster = cluster

    def submit(self, work: Any, job: Any, *, resources: Any, pure: bool, key: str) -> Future:
        here().step(f"submit {key}")
        return self._cluster.submit(work, job)

    def close(self) -> None:
        pass


DISTRIBUTED = module("distributed", Client=Client, KilledWorker=KilledWorker)
