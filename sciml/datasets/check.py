"""A recipe held against what its program says of itself, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sciml.datasets.plan import planned_runs
from sciml.datasets.recipe import Recipe
from sciml.domain.dataset import domain_of
from sciml.errors import InputError, ScimlError
from sciml.solver.program_description import Description, describe
from sciml.solver.simulate import simulated
from sciml.stream.policy import SendPolicy
from sciml.study.starts import Starts, find_starts, kept_for_a_while


def check(recipe: Recipe) -> Description:
    """Ask the program what it is; try the corners of the design for no steps.

    Raises:
        InputError: program not found; unknown parameter, option or field; frames that are not what
            the recipe takes them for; a range that leaves the program's; values that it refuses.
    """
    description = describe(recipe.solver.program)
    design = recipe.parameters
    for name, span in design.ranges.items():
        description.check(name, *span.bounds)
    description.arguments(recipe.solver.options)
    for name, point in design.points.items():
        try:
            description.arguments(point)
        except InputError as error:
            raise InputError(f"parameters.points.{name}: {error}") from error
    _check_flags(recipe, description)
    if description.steady != (recipe.keep == "samples"):
        what = "solves one problem a frame" if description.steady else "marches in time"
        raise InputError(
            f"keep: {recipe.keep}, but {description.name} {what}; "
            f"expected {'samples' if description.steady else 'all, ends or last'}"
        )
    description.require_fields(recipe.solver.send.fields or (), "solver.send.fields")
    with _one_of(recipe, starts_of(recipe, description)) as initial:
        _try_corners(recipe, description, initial)
    return description


def starts_of(recipe: Recipe, description: Description) -> Starts | None:
    """The states that ``parameters.files`` hold, if there are any."""
    if not recipe.parameters.files:
        return None
    return find_starts(
        recipe.parameters.files, description, recipe.solver.options | next(_corners(recipe))
    )


def _one_of(recipe: Recipe, starts: Starts | None) -> AbstractContextManager[Path | None]:
    if starts is None:
        return nullcontext()
    used = {run.start for run in planned_runs(recipe, None, len(starts))}
    return kept_for_a_while(starts, used)


def _try_corners(recipe: Recipe, description: Description, initial: Path | None) -> None:
    begin = {} if initial is None else {"initial": str(initial)}
    for values in _corners(recipe):
        try:
            given = recipe.solver.options | values | begin | {"steps": 0}
            start = simulated(description.path, **given)
            if recipe.solver.send.coarsen > 1:
                kept = SendPolicy(coarsen=recipe.solver.send.coarsen)
                kept.domain(domain_of(start, [field.name for field in description.fields]))
        except ScimlError as error:
            at = ", ".join(f"{name}={value}" for name, value in values.items())
            raise InputError(f"solver at {at or 'its options'}: {error}") from error


def _check_flags(recipe: Recipe, description: Description) -> None:
    """Flags that a generated run needs."""
    needed = {
        "out": "to write its result",
        "every": "to write every so many states",
        "steps": "to say how many there are",
    }
    if recipe.parameters.seed:
        needed["seed"] = "to differ; or set parameters.seed: false"
    for flag, why in needed.items():
        if flag not in description.flags:
            raise InputError(f"{description.name} has no option '{flag}', which it needs {why}")
    if not description.thins_files:
        raise InputError(
            f"{description.name} has an option 'every' of its own, where `generate` needs the one that "
            "thins out files; rename it in the program"
        )


def _corners(recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Lower and upper ends of all ranges, at each point."""
    design = recipe.parameters
    for point in design.points.values() or ({},):
        ends = {
            tuple((name, span.bounds[end]) for name, span in design.ranges.items())
            for end in (0, 1)
        }
        for corner in sorted(ends):
            yield {**point, **dict(corner)}
