"""What a study of collocation points alone will cost, by a few gradients."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sciml.domain import Field
from sciml.run.feasibility import check_device, check_model
from sciml.run.offline.solutions import held_against, spelled, undetermined
from sciml.run.points import learned
from sciml.study.schema import Study

if TYPE_CHECKING:
    from sciml.surrogates import Surrogate
    from sciml.training.objective import Objective

#: Gradients that are timed.
FEW = 3
#: Evaluations of a loss for each iteration of L-BFGS, about.
SEARCH = 1.25


def cost(study: Study) -> list[tuple[str, str]]:
    """Rows on points, steps, weights and time.

    Raises:
        InputError: a study that cannot work.
    """
    check_device(study)
    check_model(study, None)
    held, grid = held_against(study)
    import torch

    from sciml.surrogates import Surrogate
    from sciml.training.device import device_of
    from sciml.training.mixture import scale

    fields = tuple(map(Field, study.task.targets))
    surrogate = Surrogate.build(study.model.surrogate, study.task.build(), grid, fields=fields)
    source, objective = learned(study, surrogate.setting, None)
    scale(surrogate, source, objective)
    device = device_of(study.training.device, "training.device")
    surrogate.to(device)
    sizes, seconds, told = source.batch_size, 0.0, []
    for phase in study.training.phases:
        size = phase.batch_size or {}
        source.batch_size = sizes | (size if isinstance(size, dict) else dict.fromkeys(sizes, size))
        if phase.dtype is not None:
            surrogate.to(getattr(torch, phase.dtype))
        batches = {name: batch.to(device) for name, batch in source.next_batch().items()}
        gradient = _gradient(surrogate, objective, batches)
        evaluations = SEARCH * phase.iterations if phase.optimizer == "lbfgs" else 1.0
        seconds += (phase.steps or 0) * evaluations * study.training.accumulate * gradient
        told.append(f"{gradient * 1e3:.3g} ms")
    steps = study.training.steps
    weights = sum(p.numel() for p in surrogate.parameters())
    return [
        *points(study),
        ("held against", spelled(held)),
        *([("warning", said)] if (said := undetermined(study)) else []),
        ("model", f"{weights} weights"),
        ("training", "until the loss is as small" if steps is None else f"{steps} steps"),
        ("time", f"about {seconds:.0f} s ({', '.join(told)} a gradient)"),
    ]


def points(study: Study) -> list[tuple[str, str]]:
    """Rows on the collocation points of a study."""
    rows = []
    for name, section in study.training.collocation.items():
        count = f"{study.training.size_of(name)} inside"
        count += f", {section.initial} at the start" if section.initial else ""
        count += f", {section.boundary} on the sides" if section.boundary else ""
        rows.append((name, f"{count}, a step ({section.sampler})"))
    return rows


def _gradient(surrogate: Surrogate, objective: Objective, batches: Any) -> float:
    """Seconds of one."""
    seconds = []
    for _ in range(1 + FEW):  # the first does what is done once
        began = time.perf_counter()
        sum(objective(surrogate, batches).values()).backward()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
