"""The one loop: any source, any objective, any family of models."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ScimlError
from sciml.heap import keep_heap
from sciml.surrogates.batch import Batch
from sciml.training.checkpoint import Checkpoint, CheckpointError, Checkpoints
from sciml.training.history import History, Step
from sciml.training.objective import Losses, Objective, weighted
from sciml.training.phase import Phase, phases_of
from sciml.training.plain import random_state, set_random_state
from sciml.training.source import Batches, Source


class TrainingError(ScimlError, RuntimeError):
    """Training cannot go on; the message names the step and the loss."""


@dataclass(slots=True)
class Hooks:
    """What happens beside the optimizer steps.

    Args:
        on_step: called after every step.
        validate: ``validate(model) -> dict`` of numbers.
        validate_every: steps between validations, and one at the end; 0: only at the end.
        on_validation: called with what :attr:`validate` gave, and ``step``.
        metric: entry of the validation that says which checkpoint is the best.
        checkpoints: where to; ``None``: nowhere.
        checkpoint_every: steps between checkpoints, and one at the end; 0: only at the end.
        checkpoint_wanted: asked after every step whether one is due for another reason.
        extra_state: plain data to put into a checkpoint (ledger, windows, …), under ``extra``.
        on_checkpoint: called with the path and the state of a checkpoint once it is written.
        on_checkpoint_failed: called with the error where one could not be written; training goes on
            and tries again at the next interval. ``None``: the error ends the training.
        stop: when set, the loop ends after the step it is in, with a checkpoint.
    """

    on_step: Callable[[Step, History], None] | None = None
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None
    validate_every: int = 0
    on_validation: Callable[[dict[str, Any]], None] | None = None
    metric: str = "one_step"
    checkpoints: Checkpoints | None = None
    checkpoint_every: int = 0
    checkpoint_wanted: Callable[[], bool] | None = None
    extra_state: Callable[[], dict[str, Any]] | None = None
    on_checkpoint: Callable[[Path, dict[str, Any]], None] | None = None
    on_checkpoint_failed: Callable[[CheckpointError], None] | None = None
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Run:
    """Where a run stands."""

    model: nn.Module
    source: Source
    objective: Objective
    device: torch.device
    hooks: Hooks
    history: History = field(default_factory=History)
    step: int = 0
    phase: int = 0
    phase_step: int = 0
    optimizer: torch.optim.Optimizer | None = None
    batch: Batches | None = None
    exhausted: bool = False
    metric: float | None = None
    checked: int = -1
    saved: int = -1
    failed: int | None = None
    keep_batch: bool = False


def train(
    model: nn.Module,
    source: Source,
    objective: Objective,
    phases: Phase | Mapping[str, Any] | Iterable[Phase | Mapping[str, Any]],
    *,
    hooks: Hooks | None = None,
    resume: Checkpoint | None = None,
    device: torch.device | str | None = None,
) -> History:
    """Minimize ``objective(model, batch)`` over the batches of ``source``, phase by phase.

    Ends when the phases are done, the source ends, or ``hooks.stop`` is set. A phase on a frozen
    batch goes on with the last batch when the source has ended.

    Args:
        model: a surrogate, or any module that the objective knows how to call.
        source: of batches.
        objective: named losses of a batch.
        phases: one or several, as :class:`Phase` or its keys.
        hooks: validation, checkpoints, callbacks.
        resume: goes on exactly where it was saved; a run on the CPU from a repeatable source is
            bitwise the same as one that was never interrupted.
        device: ``None``: where the model is.

    Raises:
        TrainingError: a loss or a gradient is not finite.
        InputError: phases that do not fit the source, weights of unknown losses.
    """
    keep_heap()  # batches and gradients are made anew in each step
    plan = phases_of(phases)
    run = _Run(model, source, objective, _device(model, device), hooks or Hooks())
    # A frozen phase goes on with the batch it has, so a checkpoint must hold it.
    run.keep_batch = any(phase.frozen for phase in plan)
    model.to(run.device)
    model.train()
    state = None if resume is None else _restore(run, resume)
    while run.phase < len(plan):
        phase = plan[run.phase]
        if not _run_phase(run, phase, state):
            break
        state = None
        run.phase, run.phase_step, run.optimizer = run.phase + 1, 0, None
    stopped = run.hooks.stop.is_set() and run.phase < len(plan)
    run.history.ended = "stopped" if stopped else "source" if run.exhausted else "phases"
    _validate(run)
    _checkpoint(run)
    return run.history


def _run_phase(run: _Run, phase: Phase, state: Mapping[str, Any] | None) -> bool:
    """Train through one phase; False when the loop has been told to stop."""
    length = phase.length(getattr(run.source, "epoch_steps", None))
    run.optimizer = phase.build(run.model)
    if state is not None and state["optimizer"] is not None:
        _load(run.optimizer, state["optimizer"])
    while length is None or run.phase_step < length:
        if run.hooks.stop.is_set():
            return False
        began = time.perf_counter()
        if not _draw(run, phase):
            # A buffer that is stopped gives nothing either, yet there is more to come on resuming.
            if run.hooks.stop.is_set():
                run.exhausted = False
                return False
            break
        drawn = time.perf_counter()
        rate = phase.rate(run.phase_step, length)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        total, losses = (_descend if not phase.frozen else _search)(run, phase)
        run.step += 1
        run.phase_step += 1
        step = Step(
            run.step,
            run.phase,
            total,
            losses,
            rate,
            wait=drawn - began,
            compute=time.perf_counter() - drawn,
            samples=_size(run.batch),
        )
        run.history.add(step)
        if run.hooks.on_step is not None:
            run.hooks.on_step(step, run.history)
        if phase.until is not None and total < phase.until:
            break
        if run.hooks.validate_every and run.step % run.hooks.validate_every == 0:
            _validate(run)
        if _due(run):
            _checkpoint(run)
    return True


def _load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Moments and counts from a checkpoint; decay, momentum and the like from the phase, which may
    have been changed since."""
    set_ = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, values in zip(optimizer.param_groups, set_, strict=True):
        group.update(values)


def _due(run: _Run) -> bool:
    """Whether a checkpoint is to be written after this step."""
    hooks = run.hooks
    if hooks.checkpoint_every and run.step % hooks.checkpoint_every == 0:
        return True
    if run.failed is not None and run.step - run.failed < (hooks.checkpoint_every or 1):
        return False  # each try writes until the disk is full: not at every step
    return hooks.checkpoint_wanted is not None and hooks.checkpoint_wanted()


def _draw(run: _Run, phase: Phase) -> bool:
    """Get the batch of this step; False when there is none."""
    if phase.frozen and run.batch is not None:
        fresh = run.phase_step == 0 or (phase.redraw and run.phase_step % phase.redraw == 0)
        if not fresh or run.exhausted:
            return True
    if run.exhausted:
        return False
    batch = run.source.next_batch()
    if batch is None:
        run.exhausted = True
        return phase.frozen and run.batch is not None
    run.batch = _move(batch, run.device)
    return True


def _descend(run: _Run, phase: Phase) -> tuple[float, dict[str, float]]:
    """One step of a stochastic optimizer."""
    run.optimizer.zero_grad(set_to_none=True)
    found = run.objective(run.model, run.batch)
    total = weighted(found, phase.weights)
    value = _check(run, found, total)
    total.backward()
    if phase.clip is not None:
        norm = nn.utils.clip_grad_norm_(run.model.parameters(), phase.clip)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"step {run.step + 1}: norm of the gradient is {float(norm)} while the loss is "
                f"{value:g}; an operation in the model has no finite derivative there"
            )
    run.optimizer.step()
    return value, {name: float(loss.detach()) for name, loss in found.items()}


def _search(run: _Run, phase: Phase) -> tuple[float, dict[str, float]]:
    """One outer step of L-BFGS; its line search evaluates the frozen batch many times."""
    first: Losses = {}

    def closure() -> Tensor:
        run.optimizer.zero_grad(set_to_none=True)
        found = run.objective(run.model, run.batch)
        total = weighted(found, phase.weights)
        if not first:
            _check(run, found, total)
            first.update({name: loss.detach() for name, loss in found.items()})
        total.backward()
        return total

    run.optimizer.step(closure)
    value = float(weighted(first, phase.weights))
    return value, {name: float(loss) for name, loss in first.items()}


def _check(run: _Run, found: Losses, total: Tensor) -> float:
    value = float(total.detach())
    if not math.isfinite(value):
        bad = {n: float(v.detach()) for n, v in found.items() if not torch.isfinite(v)}
        named = ", ".join(f"'{n}' is {v}" for n, v in bad.items()) or f"their sum is {value}"
        raise TrainingError(
            f"step {run.step + 1}: loss {named}; lower the learning rate, clip gradients, or "
            f"look at the data{_origin(run.batch)}"
        )
    return value


def _origin(batch: Batches) -> str:
    keys = getattr(batch, "keys", ())
    if callable(keys) or not keys:
        return ""
    return f" of this batch: (simulation, step) {', '.join(map(str, keys[:4]))}" + (
        ", …" if len(keys) > 4 else ""
    )


def _validate(run: _Run) -> None:
    hooks = run.hooks
    if hooks.validate is None or run.checked == run.step:
        return
    run.model.eval()
    found = dict(hooks.validate(run.model))
    run.model.train()
    run.checked = run.step
    run.metric = found.get(hooks.metric)
    record = {"step": run.step, **found}
    run.history.validations.append(record)
    if hooks.on_validation is not None:
        hooks.on_validation(record)


def _checkpoint(run: _Run) -> None:
    hooks = run.hooks
    if hooks.checkpoints is None or run.saved == run.step:
        return
    state = {
        "step": run.step,
        "phase": run.phase,
        "phase_step": run.phase_step,
        "optimizer": None if run.optimizer is None else run.optimizer.state_dict(),
        "batch": _to_plain(run.batch) if run.keep_batch else None,
        "exhausted": run.exhausted,
        "source": run.source.state_dict(),
        "random": random_state(),
        "extra": {} if hooks.extra_state is None else hooks.extra_state(),
    }
    # A metric measured at an earlier step says nothing about these weights.
    metric = run.metric if run.checked == run.step else None
    try:
        path = hooks.checkpoints.save(run.step, run.model, state, metric)
    except CheckpointError as error:
        if hooks.on_checkpoint_failed is None:
            raise
        run.failed = run.step
        hooks.on_checkpoint_failed(error)
        return
    run.saved, run.failed = run.step, None
    if hooks.on_checkpoint is not None:
        hooks.on_checkpoint(path, state)


def _restore(run: _Run, checkpoint: Checkpoint) -> dict[str, Any]:
    state = checkpoint.state
    checkpoint.load_weights(run.model)
    run.source.load_state_dict(state["source"])
    run.step, run.phase, run.phase_step = state["step"], state["phase"], state["phase_step"]
    run.exhausted = state["exhausted"]
    batch = _from_plain(state["batch"])
    run.batch = None if batch is None else _move(batch, run.device)
    run.saved = run.step
    set_random_state(state["random"])
    return state


def _to_plain(batch: Batches | None) -> dict[str, Any] | None:
    if batch is None:
        return None
    if isinstance(batch, Mapping):
        return {"mixed": {name: _to_plain(b) for name, b in batch.items()}}
    return {f.name: getattr(batch, f.name) for f in fields(batch)}


def _from_plain(plain: Mapping[str, Any] | None) -> Batches | None:
    if plain is None:
        return None
    if "mixed" in plain:
        return {name: _from_plain(b) for name, b in plain["mixed"].items()}
    return Batch(**plain)


def _move(batch: Batches, device: torch.device) -> Batches:
    if isinstance(batch, Mapping):
        return {name: b.to(device) for name, b in batch.items()}
    return batch.to(device)


def _size(batch: Batches) -> int:
    return sum(b.size for b in batch.values()) if isinstance(batch, Mapping) else batch.size


def _device(model: nn.Module, device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    return next((p.device for p in model.parameters()), torch.device("cpu"))
