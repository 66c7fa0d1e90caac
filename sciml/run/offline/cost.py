"""What a study of collocation points alone will cost, by a few gradients."""

from __future__ import annotations

import time

from sciml.domain import Field
from sciml.run.feasibility import check_device, check_model
from sciml.run.offline.solutions import held_against, spelled
from sciml.run.points import point_sources, scale_by_points
from sciml.study.schema import Study

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
    check_model(study, grid)
    from sciml.surrogates import Surrogate  # torch
    from sciml.training.device import device_of

    fields = tuple(map(Field, study.task.targets))
    surrogate = Surrogate.build(study.model.surrogate, study.task.build(), grid, fields=fields)
    objective = study.training.objective(surrogate.setting)
    sources = point_sources(study, grid)
    scale_by_points(surrogate, objective, sources)
    surrogate.to(device_of(study.training.device, "training.device"))
    batches = {name: source.next_batch() for name, source in sources.items()}
    sum(objective(surrogate, batches).values()).backward()  # what is done once
    began = time.perf_counter()
    for _ in range(FEW):
        sum(objective(surrogate, batches).values()).backward()
    gradient = (time.perf_counter() - began) / FEW
    rows = []
    for name, section in study.training.collocation.items():
        count = f"{study.training.size_of(name)} inside"
        count += f", {section.initial} at the start" if section.initial else ""
        count += f", {section.boundary} on the sides" if section.boundary else ""
        rows.append((name, f"{count}, a step ({section.sampler})"))
    steps = study.training.steps
    weights = sum(p.numel() for p in surrogate.parameters())
    rows += [
        ("held against", spelled(held)),
        ("model", f"{weights} weights"),
        ("training", "until it is stopped" if steps is None else f"{steps} steps"),
    ]
    told = f"{gradient * 1e3:.3g} ms a gradient"
    if steps is not None:
        evaluations = sum(
            p.steps
            * (SEARCH * p.iterations if p.optimizer == "lbfgs" else study.training.accumulate)
            for p in study.training.phases
        )
        told = f"about {gradient * evaluations:.0f} s ({told})"
    return [*rows, ("time", told)]
