"""The one loop: any source, any objective, any family of models."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from sciml.errors import InputError
from sciml.heap import keep_heap
from sciml.surrogates.weights import require_savable
from sciml.training.accumulation import Draws
from sciml.training.adaptive import adapt
from sciml.training.balance import Balance
from sciml.training.batches import from_plain, moved, size_of, to_plain
from sciml.training.checkpoint import Checkpoint, CheckpointError
from sciml.training.device import require_dtypes
from sciml.training.ema import Average, set_weights
from sciml.training.execution import Execution
from sciml.training.history import History, StepRecord
from sciml.training.hooks import Hooks
from sciml.training.objective import Objective
from sciml.training.options import Options
from sciml.training.phase import Phase, phases_of
from sciml.training.precision import set_dtype
from sciml.training.random_state import random_state, set_random_state
from sciml.training.source import Batches, Source
from sciml.training.step import Problem, TrainingError, advance

#: Which checkpoint is the best, where the metric that was named is not there.
INSTEAD = ("one_step", "cross_entropy")


@dataclass(slots=True)
class _Run:
    """Where a run stands."""

    model: nn.Module
    objective: Objective
    draws: Draws
    device: torch.device
    hooks: Hooks
    options: Options
    execution: Execution
    average: Average | None = None
    history: History = field(default_factory=History)
    step: int = 0
    phase: int = 0
    phase_step: int = 0
    optimizer: torch.optim.Optimizer | None = None
    batches: list[Batches] = field(default_factory=list)
    drawn: bool = False
    exhausted: bool = False
    metric: float | None = None
    checked: int = -1
    saved: int = -1
    failed: int | None = None
    keep_batches: bool = False
    #: Factors of losses, where a phase balances them; they go on from phase to phase.
    balance: Balance = field(default_factory=Balance)
    #: Of the source, for phases that do not say theirs.
    batch_size: Any = None

    def averaged(self) -> AbstractContextManager[None]:
        """The model as it is validated and saved."""
        return nullcontext() if self.average is None else self.average.applied(self.model)


def train(
    model: nn.Module,
    source: Source,
    objective: Objective,
    phases: Phase | Mapping[str, Any] | Iterable[Phase | Mapping[str, Any]],
    *,
    options: Options | Mapping[str, Any] | None = None,
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
        options: averaging of weights, augmentation, noise, pushforward, precision, compilation,
            accumulation, as :class:`Options` or its keys.
        hooks: validation, checkpoints, callbacks.
        resume: goes on exactly where it was saved; a run on the CPU from a repeatable source is
            bitwise the same as one that was never interrupted.
        device: ``None``: where the model is.

    Raises:
        TrainingError: a loss or a gradient is not finite.
        InputError: phases or options that do not fit the source, weights of unknown losses; a model that
            cannot be saved, where there are to be checkpoints.
    """
    keep_heap()  # batches and gradients are made anew in each step
    plan, options = phases_of(phases), Options.of(options).told(model)
    _require_whole(source, plan, options.accumulate)
    device = _device(model, device)
    require_dtypes(model, device)
    if hooks is not None and hooks.checkpoints is not None:
        require = getattr(model, "require_savable", None) or partial(require_savable, model)
        require()
    model.to(device)
    model.train()
    run = _Run(
        model,
        objective,
        Draws(source, options.accumulate),
        device,
        hooks or Hooks(),
        options,
        Execution(model, device, options.autocast, options.compile),
    )
    # A frozen phase goes on with the batches it has, so a checkpoint must hold them.
    run.keep_batches = any(phase.frozen for phase in plan)
    run.batch_size = getattr(source, "batch_size", None)
    if resume is not None:
        _take_dtype(run, plan[: resume.state["phase"] + 1])
    state = None if resume is None else _restore(run, resume)
    if run.average is None and options.ema is not None:
        run.average = Average(model, options.ema)
    while run.phase < len(plan):
        phase = plan[run.phase]
        _take_dtype(run, plan[: run.phase + 1])
        _take_batch_size(run, phase)
        if not _run_phase(run, phase, state):
            break
        state = None
        run.phase, run.phase_step, run.optimizer = run.phase + 1, 0, None
    stopped = run.hooks.stop.is_set() and run.phase < len(plan)
    run.history.ended = "stopped" if stopped else "source" if run.exhausted else "phases"
    _validate(run, last=not stopped)
    _checkpoint(run)
    if run.average is not None:
        run.average.copy_to(model)
    return run.history


def _require_whole(source: Source, plan: Sequence[Phase], accumulate: int) -> None:
    """That a curriculum ends before the phases do, where both are known."""
    draws = [phase.draws for phase in plan]
    if None in draws:
        return
    for one in getattr(source, "sources", {"": source}).values():
        if hasattr(one, "require_whole"):
            one.require_whole(accumulate * sum(draws))


def _run_phase(run: _Run, phase: Phase, state: Mapping[str, Any] | None) -> bool:
    """Train through one phase; False when the loop has been told to stop."""
    length = phase.length(run.draws.epoch_steps)
    run.optimizer = phase.build(run.model)
    if state is not None and state["optimizer"] is not None:
        _load(run.optimizer, state["optimizer"])
    while length is None or run.phase_step < length:
        if run.hooks.stop.is_set():
            return False
        began = time.perf_counter()
        if not _draw(run, phase):
            if run.hooks.stop.is_set():
                return False
            break
        drawn = time.perf_counter()
        rate = phase.rate(run.phase_step, length)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        if run.hooks.renewed is not None and run.hooks.renewed():
            run.optimizer.state.clear()
        try:
            total, losses = _compute(run, phase)
        except TrainingError:
            if run.hooks.rescue is None or not run.hooks.rescue(run.batches):
                raise
            run.batches = []
            continue
        run.step += 1
        run.phase_step += 1
        step = StepRecord(
            run.step,
            run.phase,
            total,
            losses,
            rate,
            wait=drawn - began,
            compute=time.perf_counter() - drawn,
            samples=sum(size_of(batch) for batch in run.batches),
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


def _take_dtype(run: _Run, phases: Sequence[Phase]) -> None:
    """Be in the dtype of the last of some phases that says one."""
    said = [phase.dtype for phase in phases if phase.dtype is not None]
    if not said:
        return
    if said[-1] == "float64" and run.device.type == "mps":
        raise InputError("phase: dtype float64, which mps does not have; take the device cpu")
    set_dtype(run.model, said[-1])
    run.batches = [moved(batch, run.model, run.device) for batch in run.batches]
    if run.average is not None:
        run.average.follow(run.model)


def _take_batch_size(run: _Run, phase: Phase) -> None:
    size = run.batch_size if phase.batch_size is None else phase.batch_size
    if size is None:
        return
    source = run.draws.source
    if run.batch_size is None:
        raise InputError(f"phase: batch_size={size}, of a source whose batches are made elsewhere")
    if isinstance(size, Mapping) and not isinstance(run.batch_size, Mapping):
        raise InputError(
            f"phase: batch_size={dict(size)} by source, of a single one; give a number"
        )
    if isinstance(run.batch_size, Mapping):  # of sources that are not named, as they were made
        size = run.batch_size | (
            dict(size) if isinstance(size, Mapping) else dict.fromkeys(run.batch_size, size)
        )
    source.batch_size = size


def _load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Moments and counts from a checkpoint; decay, momentum and the like from the phase, which may
    have been changed since."""
    set_ = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    # Before loading, too: how an update is carried out decides where its counts are kept.
    groups = [{**g, **values} for g, values in zip(state["param_groups"], set_, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})


def _due(run: _Run) -> bool:
    """Whether a checkpoint is to be written after this step."""
    hooks = run.hooks
    if hooks.checkpoint_every and run.step % hooks.checkpoint_every == 0:
        return True
    if run.failed is not None and run.step - run.failed < (hooks.checkpoint_every or 1):
        return False  # each try writes until the disk is full: not at every step
    return hooks.checkpoint_wanted is not None and hooks.checkpoint_wanted()


def _draw(run: _Run, phase: Phase) -> bool:
    """Get the batches of this step; False when there are none."""
    if phase.frozen and run.batches:
        fresh = run.phase_step == 0 or (phase.redraw and run.phase_step % phase.redraw == 0)
        if not fresh or run.exhausted:
            return True
    if run.exhausted:
        return False
    adapt(run.draws.source, run.model, run.objective)
    batches = run.draws.next()
    # A buffer that is stopped gives nothing either, yet there is more to come on resuming.
    run.exhausted = run.draws.ended and not run.hooks.stop.is_set()
    if not batches:
        return run.exhausted and phase.frozen and bool(run.batches)
    run.batches = [moved(batch, run.model, run.device) for batch in batches]
    run.drawn = True
    return True


def _compute(run: _Run, phase: Phase) -> tuple[float, dict[str, float]]:
    """One optimizer step on the batches that are there; batches are prepared once, when drawn."""
    drawn = run.drawn
    with run.execution():
        if run.drawn:
            prepare = run.options.prepared
            run.batches = [prepare(run.model, batch, run.step) for batch in run.batches]
            run.drawn = False
        problem = Problem(run.model, run.objective, run.batches, phase.weights, run.step + 1)
        if phase.balance:
            # A line search needs the same loss at every call, so that a frozen batch keeps its factors.
            fresh = drawn if phase.frozen else run.phase_step % phase.balance == 0
            if fresh or not run.balance.factors:
                run.balance.measure(problem)
            problem = replace(problem, factors=run.balance.factors)
        found = advance(problem, phase, run.optimizer)
    if run.average is not None:
        run.average.update(run.model)
    return found


def _validate(run: _Run, last: bool = False) -> None:
    hooks = run.hooks
    whole = hooks.validate_last if last else None
    if hooks.validate is None or (run.checked == run.step and whole is None):
        return
    if run.checked == run.step:
        run.history.validations.pop()  # what was found quickly gives way
    run.model.eval()
    with run.averaged():
        found = dict((whole or hooks.validate)(run.model))
    run.model.train()
    run.checked = run.step
    run.metric = next((found[k] for k in (hooks.metric, *INSTEAD) if k in found), None)
    record = {"step": run.step, **found}
    run.history.validations.append(record)
    if hooks.on_validation is not None:
        hooks.on_validation(record)


def _checkpoint(run: _Run) -> None:
    hooks = run.hooks
    if hooks.checkpoints is None or run.saved == run.step:
        return
    draws = run.draws.state_dict()
    state = {
        "step": run.step,
        "phase": run.phase,
        "phase_step": run.phase_step,
        "optimizer": None if run.optimizer is None else run.optimizer.state_dict(),
        "average": None if run.average is None else run.average.state_dict(run.model),
        "balance": run.balance.factors,
        "batches": [to_plain(batch) for batch in run.batches] if run.keep_batches else [],
        "exhausted": run.exhausted,
        "source": draws["source"],
        "drawn": draws["drawn"],
        "random": random_state(),
        "extra": {} if hooks.extra_state is None else hooks.extra_state(),
    }
    # A metric measured at an earlier step says nothing about these weights.
    metric = run.metric if run.checked == run.step else None
    try:
        with run.averaged():
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
    if state["average"] is not None:
        # The checkpoint's model is the average; the optimizer goes on from the weights beside it.
        if run.options.ema is not None:
            run.average = Average(run.model, run.options.ema)
            run.average.updates = state["average"]["updates"]
        set_weights(run.model, state["average"]["own"])
    run.draws.load_state_dict({"source": state["source"], "drawn": state["drawn"]})
    run.step, run.phase, run.phase_step = state["step"], state["phase"], state["phase_step"]
    run.exhausted = state["exhausted"]
    run.batches = [moved(from_plain(batch), run.model, run.device) for batch in state["batches"]]
    run.balance.factors = dict(state.get("balance") or {})
    run.saved = run.step
    set_random_state(state["random"])
    return state


def _device(model: nn.Module, device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    return next((p.device for p in model.parameters()), torch.device("cpu"))
