"""What happens beside the optimizer steps of a training."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sciml.training.checkpoint import CheckpointError, Checkpoints
from sciml.training.history import History, StepRecord


@dataclass(slots=True)
class Hooks:
    """What happens beside the optimizer steps.

    Args:
        on_step: called after every step.
        validate: ``validate(model) -> dict`` of numbers.
        validate_every: steps between validations, and one at the end; 0: only at the end.
        validate_last: instead of :attr:`validate` when all steps are done.
        on_validation: called with what :attr:`validate` gave, and ``step``.
        metric: entry of the validation that says which checkpoint is the best; where it is not there,
            ``one_step``, of kinds ``cross_entropy``.
        checkpoints: where to; ``None``: nowhere.
        checkpoint_every: steps between checkpoints, and one at the end; 0: only at the end.
        checkpoint_wanted: asked after every step whether one is due for another reason.
        extra_state: plain data to put into a checkpoint (ledger, windows, …), under ``extra``.
        on_checkpoint: called with the path and the state of a checkpoint once it is written.
        on_checkpoint_failed: called with the error where one could not be written; training goes on
            and tries again at the next interval. ``None``: the error ends the training.
        rescue: called with the batches of a step whose loss is not finite; True: it has done something
            about them, and the step is taken with others. ``None``: the error ends the training.
        renewed: asked before every step whether the data have another scale than before, so that the
            optimizer's moments mean nothing any more.
        stop: when set, the loop ends after the step it is in, with a checkpoint.
    """

    on_step: Callable[[StepRecord, History], None] | None = None
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None
    validate_every: int = 0
    validate_last: Callable[[nn.Module], Mapping[str, float]] | None = None
    on_validation: Callable[[dict[str, Any]], None] | None = None
    metric: str = "vrmse"
    checkpoints: Checkpoints | None = None
    checkpoint_every: int = 0
    checkpoint_wanted: Callable[[], bool] | None = None
    extra_state: Callable[[], dict[str, Any]] | None = None
    on_checkpoint: Callable[[Path, dict[str, Any]], None] | None = None
    on_checkpoint_failed: Callable[[CheckpointError], None] | None = None
    rescue: Callable[[Sequence[Any]], bool] | None = None
    renewed: Callable[[], bool] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
