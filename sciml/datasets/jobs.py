"""Where the runs of a dataset go, and the job that each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sciml.datasets.directory import PartsDirectory
from sciml.datasets.part import PartJob
from sciml.datasets.plan import PlannedRun
from sciml.datasets.recipe import Recipe
from sciml.ensemble.addresses import check_scheduler
from sciml.errors import InputError
from sciml.solver.mpirun import cores_here, executable
from sciml.solver.program_description import Description
from sciml.study.starts import Starts


@dataclass(frozen=True, slots=True)
class Placement:
    """How many ranks a run has, how many runs go side by side, and where.

    Args:
        ranks: MPI ranks of a run; one runs without mpirun.
        at_once: runs side by side.
        scheduler: address of a dask scheduler; ``None``: this machine.
    """

    ranks: int
    at_once: int
    scheduler: str | None = None

    def __str__(self) -> str:
        where = f" on {self.scheduler}" if self.scheduler else ""
        return f"{self.at_once} at once, {self.ranks} rank{'s' * (self.ranks > 1)} each{where}"


def placement(
    recipe: Recipe, ranks: int | None, at_once: int | None, scheduler: str | None
) -> Placement:
    """What was asked for, and what fits where nothing was.

    Raises:
        InputError: more ranks at once than this machine has cores.
    """
    if scheduler is not None:
        check_scheduler(scheduler)
        return Placement(ranks or recipe.solver.ranks, at_once or 1, scheduler)
    cores = cores_here()
    # Any number of ranks gives the same fields.
    ranks = ranks or min(recipe.solver.ranks, cores)
    wanted = ranks * (at_once or 1)
    if wanted > cores:
        raise InputError(
            f"too few cores: {at_once or 1} at once of {ranks} ranks want {wanted}, there are "
            f"{cores}; lower --at-once or --ranks"
        )
    return Placement(ranks, at_once or cores // ranks)


def part_jobs(
    recipe: Recipe,
    description: Description,
    runs: Sequence[PlannedRun],
    directory: PartsDirectory,
    place: Placement,
    starts: Starts | None = None,
) -> list[PartJob]:
    """One job a run, in order."""
    send = recipe.solver.send
    jobs = []
    for run in runs:
        values, raw = run.values(recipe, directory.initial), directory.raw(run.id)
        program = executable(description.path, place.ranks)
        words = [*program, *description.arguments(values), "--out", str(raw)]
        steps = int(values.get("steps", description.flags["steps"].default))
        states = {"all": steps // send.every + 1, "ends": 2, "last": 1, "samples": run.samples}
        jobs.append(
            PartJob(
                simulation=run.id,
                command=words,
                environment={"OMP_NUM_THREADS": "1"},
                run=str(directory.path),
                ranks=place.ranks if place.ranks > 1 else 0,
                local=place.scheduler is None,
                raw=str(raw),
                part=str(directory.part(run.id)),
                states=states[recipe.keep],
                last=recipe.keep == "last",
                fields=[
                    f for f in description.fields if send.fields is None or f.name in send.fields
                ],
                static=description.static,
                parameters=[parameter.name for parameter in description.parameters],
                about=_about(run, starts),
                coarsen=send.coarsen,
                dtype=send.dtype,
            )
        )
    return jobs


def _about(run: PlannedRun, starts: Starts | None) -> dict[str, Any]:
    """What a part says of its run."""
    start = None if starts is None else str(starts.states[run.start])
    said = {"role": run.split, "seed": run.seed, "point": run.point, "initial": start}
    return {name: value for name, value in said.items() if value is not None}
