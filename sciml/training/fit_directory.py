"""The folder of one ``fit``: its checkpoints, and in each of them what it was begun with.

A folder belongs to one training. Another one is refused there, or takes its place where the caller says
so; the same one goes on from the newest checkpoint, on the CPU bitwise as if it had never ended.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sciml.errors import InputError, ScimlError
from sciml.report.figures import leave
from sciml.samples.seams import spread
from sciml.surrogates import Surrogate
from sciml.surrogates.storage import CARD
from sciml.surrogates.weights import state_of, unwrapped
from sciml.training.checkpoint import MANIFEST, Checkpoint, Checkpoints
from sciml.training.history import History, StepRecord
from sciml.training.hooks import Hooks
from sciml.training.metrics_file import MetricsFile
from sciml.training.predictions import dataset_of, write_predictions
from sciml.training.step import TrainingError
from sciml.training.validation import Trajectory

log = logging.getLogger("sciml.fit")

#: Checkpoints that stay, and the best one besides.
KEPT = 2
#: Files that make a folder something else than that of a ``fit``.
HELD = {CARD: "a saved surrogate", "run.json": "a run"}
#: Seconds of training that are lost at most, where steps are long.
MOST_SECONDS = 600.0
#: Bytes of the predictions that are left with the checkpoints; of more, some simulations are chosen.
MOST_BYTES = 1 << 28


class FitDirectory:
    """Where one ``fit`` keeps its checkpoints.

    Args:
        path: made if it is not there.
        resume: go on with the training that is there; begin it where there is none.
        overwrite: remove the checkpoints that are there, when the new training begins.

    Raises:
        InputError: a folder that cannot be written; checkpoints there, and neither ``resume`` nor
            ``overwrite``.
    """

    def __init__(self, path: str | Path, *, resume: bool, overwrite: bool) -> None:
        self.path, self.resume, self.overwrite = Path(path), resume, overwrite
        if resume and overwrite:
            raise InputError("fit: resume and overwrite; give one of them")
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"fit: directory {self.path} is a file; name another")
        for name, what in HELD.items():
            if (self.path / name).is_file():
                raise InputError(
                    f"fit: {self.path} holds {what}, which sciml.load would give in place of what is "
                    "trained; name another directory"
                )
        self.checkpoints = Checkpoints(self.path, keep=KEPT)
        if self.checkpoints.steps() and not (resume or overwrite):
            raise InputError(
                f"fit: {self.path} holds the checkpoints of another fit; give resume=True to go on with "
                "it, overwrite=True to remove them, or another directory"
            )
        if overwrite and (self.path.parent / "lineage.json").is_file():
            raise InputError(
                f"fit: {self.path} holds the checkpoints of a run, which are not overwritten; name "
                "another directory"
            )
        self.metrics = MetricsFile(self.path / "metrics.jsonl", log)
        self.about: dict[str, Any] = {}
        self._before, self._now = History(), History()
        self._wrote = time.monotonic()

    def train(self, run: Callable[..., History], hooks: Hooks, about: Mapping[str, Any]) -> History:
        """Train, with checkpoints on the way.

        Args:
            run: :func:`sciml.training.loop.train`, but for ``hooks`` and ``resume``.
            hooks: as without checkpoints.
            about: what the training is: data, model, phases; see :func:`described`.

        Returns:
            Everything since step 1, what was trained before a resumption among it.

        Raises:
            InputError: another training lies there, or goes on there.
            KeyboardInterrupt: Ctrl-C; a checkpoint is written.
        """
        self.about = _flat(json.loads(json.dumps(dict(about), default=_plain)))

        def overdue() -> bool:
            return time.monotonic() - self._wrote > MOST_SECONDS

        with self._alone():
            found = self._found()
            if self.overwrite:
                self._clear()
            if found is None:
                self.metrics.begin()
            hooks = replace(
                hooks,
                checkpoint_wanted=overdue if hooks.checkpoint_every else None,
                on_checkpoint=self._written,
                on_step=self._watched(hooks.on_step),
                on_validation=self._noted(hooks.on_validation),
                checkpoints=self.checkpoints,
                extra_state=lambda: {
                    "fit": self.about,
                    "history": self._whole().state_dict(),
                    "metrics": self.metrics.state_dict(),
                },
                on_checkpoint_failed=lambda error: log.warning("%s", error),
            )
            try:
                with _interruptible(hooks.stop):
                    self._now = run(hooks=hooks, resume=found)
                if hooks.stop.is_set():
                    raise KeyboardInterrupt
            except BaseException as error:
                said = self._what_next(error, hooks.checkpoint_every)
                error.add_note(said)
                log.warning("%s", said)
                raise
        return self._whole()

    def leave(
        self,
        surrogate: Surrogate,
        held_out: Sequence[Trajectory],
        rollout: int,
        weighting: str | None,
    ) -> None:
        """Leave ``predictions.nc`` and ``figures/`` beside the checkpoints.

        Of held-out simulations there are as many as :data:`MOST_BYTES` hold, evenly spread. What goes
        wrong with them is said, and no matter.
        """
        self.metrics.flush()
        try:
            shown = spread(held_out, max(1, MOST_BYTES // max(map(_bytes, held_out), default=1)))
            truths = ((simulation.id, dataset_of(simulation, t)) for simulation, t in shown)
            path = self.path / "predictions.nc"
            steps = rollout or 1
            write_predictions(surrogate, truths, path, steps=steps, weighting=weighting)
        except (OSError, ValueError, ScimlError) as error:
            log.warning("predictions were not written: %s", error)
        leave(self.path, log)

    def _found(self) -> Checkpoint | None:
        """The checkpoint to go on from, of the very training that is asked for."""
        if not self.resume:
            return None
        checkpoint = self.checkpoints.newest()
        if checkpoint is None:
            log.info("%s holds no checkpoint to go on from; training begins", self.path)
            return None
        state = checkpoint.state.get("extra") or {}
        if "fit" not in state:
            raise InputError(
                f"fit: {self.path} holds checkpoints that do not say what fit they are of; name another "
                "directory, or give overwrite=True"
            )
        before = state["fit"]
        differ = [
            f"{key}: {_short(before.get(key))} → {_short(self.about.get(key))}"
            for key in {**before, **self.about}
            if before.get(key) != self.about.get(key)
        ]
        if differ:
            more = f" (and {len(differ) - 3} more)" if len(differ) > 3 else ""
            raise InputError(
                f"fit: {self.path} holds another training: {'; '.join(differ[:3])}{more}; to resume, "
                "give what it was begun with; else another directory, or overwrite=True"
            )
        self._before = History.of(state["history"])
        losses = self._before.losses
        last = losses[-1] if losses else None
        self.metrics.load_state_dict(state["metrics"], checkpoint.step, last)
        log.info("going on from step %d, %s", checkpoint.step, checkpoint.path)
        return checkpoint

    def _clear(self) -> None:
        for path in map(self.checkpoints.path, self.checkpoints.steps()):
            if (path / MANIFEST).is_file():
                shutil.rmtree(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process trains in the folder meanwhile."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise InputError(
                f"fit: directory {self.path} cannot be made: {error.strerror}; name another"
            ) from error
        try:
            if not os.access(self.path, os.W_OK):
                raise InputError(f"fit: directory {self.path} cannot be written; name another")
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"fit: another fit trains in {self.path} just now; wait, or name another directory"
                ) from None
            except OSError:
                log.debug("%s lies on a file system without locks", self.path)
            yield
        finally:
            os.close(held)

    def _written(self, path: Path, state: dict[str, Any]) -> None:
        self._wrote = time.monotonic()

    def _watched(
        self, on_step: Callable[[StepRecord, History], None] | None
    ) -> Callable[[StepRecord, History], None]:
        def watch(step: StepRecord, history: History) -> None:
            self._now = history
            self.metrics.on_step(step)
            if on_step is not None:
                on_step(step, history)

        return watch

    def _noted(
        self, on_validation: Callable[[dict[str, Any]], None] | None
    ) -> Callable[[dict[str, Any]], None]:
        def note(found: dict[str, Any]) -> None:
            self.metrics.on_validation(found)
            if on_validation is not None:
                on_validation(found)

        return note

    def _whole(self) -> History:
        return self._before.joined(self._now)

    def _what_next(self, error: BaseException, every: int) -> str:
        """One line for whoever sees the training end."""
        done = self._whole().steps
        reached = f"fit ended in step {done[-1].step + 1 if done else 1}"
        if isinstance(error, KeyboardInterrupt):
            reached = f"fit was interrupted after step {done[-1].step if done else 0}"
        steps = self.checkpoints.steps()
        if not steps:
            return (
                f"{reached}; {self.path} holds no checkpoint yet, since one is written every {every} "
                "steps: begin again, with a lower checkpoint_every"
            )
        use = f"sciml.load({str(self.path)!r}) gives the surrogate of step {steps[-1]}"
        if isinstance(error, TrainingError):
            return (
                f"{reached}; from its last checkpoint the same would come again: lower the learning "
                f"rate, or clip gradients, with overwrite=True or in another directory; {use}"
            )
        return (
            f"{reached}; its last checkpoint is {self.checkpoints.path(steps[-1])}: go on with "
            f"fit(..., directory={str(self.path)!r}, resume=True); {use}"
        )


def described(
    surrogate: Surrogate,
    training: Sequence[Trajectory],
    held_out: Sequence[Trajectory],
    **settings: Any,
) -> dict[str, Any]:
    """What makes one training another one: data, model, and settings by name."""
    model = unwrapped(surrogate.model)
    state = [(n, list(getattr(v, "shape", ()))) for n, v in state_of(model).items()]
    built = {"options": surrogate.options, "source": surrogate.source}
    layers = [re.sub(r" at 0x[0-9a-f]+", "", repr(model)), repr(state)]
    averaged = surrogate.symmetrization
    return {
        "data": {"training": _digest(training), "held_out": _digest(held_out)},
        "task": surrogate.task,
        "increment": surrogate.increment,
        "model": {
            "class": type(model).__qualname__,
            **{key: value for key, value in built.items() if value is not None},
            "layers": hashlib.sha256("\n".join(layers).encode()).hexdigest(),
            "symmetrize": None if averaged is None else averaged.symmetries,
        },
        **settings,
    }


def _bytes(trajectory: Trajectory) -> int:
    """Of a simulation, with predictions beside it."""
    return 2 * sum(frame.nbytes for frame in trajectory[1])


def _digest(trajectories: Sequence[Trajectory]) -> str:
    """SHA-256 of all numbers, names and times of simulations."""
    found = hashlib.sha256()
    for simulation, frames in trajectories:
        found.update(repr(sorted(simulation.parameters.items())).encode())
        for name, values in sorted(simulation.static.items()):
            found.update(name.encode())
            found.update(np.ascontiguousarray(values))
        for frame in frames:
            found.update(repr((frame.step, float(frame.time))).encode())
            for name, values in frame.fields.items():
                found.update(f"{name} {values.dtype} {values.shape}".encode())
                found.update(np.ascontiguousarray(values))
    return found.hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, nn.Module):
        return type(value).__qualname__
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _flat(tree: Any, head: str = "") -> dict[str, Any]:
    """Values by dotted key, entries of lists of mappings by their number."""
    if isinstance(tree, list) and any(isinstance(entry, dict) for entry in tree):
        tree = {str(number): entry for number, entry in enumerate(tree)}
    if not isinstance(tree, dict) or not tree:
        return {head: tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{head}.{name}" if head else name)
    return flat


def _short(value: Any) -> str:
    """As much of a value as tells it from another."""
    text = json.dumps(value)
    if isinstance(value, str):
        text = f"{value[:8]}…" if re.fullmatch(r"[0-9a-f]{64}", value) else value
    return text if len(text) <= 60 else f"{text[:59]}…"


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C ends the training after its step, with a checkpoint; a second one at once."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield  # signals belong to the main thread, and to whoever handles them already
        return

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        log.warning("Ctrl-C: the training ends after this step, with a checkpoint; again: at once")

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
