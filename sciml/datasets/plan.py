"""Which runs of the program make a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciml.datasets.recipe import SPLITS, Recipe
from sciml.errors import InputError
from sciml.study.assignment import assigned, refuse_repeats
from sciml.study.designs import draw, seed_of
from sciml.study.starts import copy_of


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run before it starts.

    Args:
        id: number within the dataset.
        split: ``train``, ``validation`` or ``test``.
        samples: how many samples it makes.
        point: name of its point in the design, if that has points.
        parameters: values by name, those of the point among them.
        seed: ``None`` where the program's default holds.
        start: number of the state that it starts from, where the design has files of them.
    """

    id: int
    split: str
    samples: int
    point: str | None
    parameters: dict[str, Any]
    seed: int | None
    start: int | None = None

    def values(self, recipe: Recipe, folder: Path | None = None) -> dict[str, Any]:
        """All that the program is told, but for where to write.

        Args:
            recipe: that the run belongs to.
            folder: with copies of the states that runs start from.
        """
        given = {**recipe.solver.options, **self.parameters}
        if self.start is not None and folder is not None:
            given["initial"] = str(copy_of(self.start, folder))
        if recipe.keep == "all":
            given["every"] = recipe.solver.send.every
        elif recipe.keep == "samples":
            given |= {"steps": self.samples - 1, "every": 1}
        else:
            given["every"] = int(given["steps"])
        if self.seed is not None:
            given["seed"] = self.seed
        return given


def planned_runs(
    recipe: Recipe, simulations: int | None = None, starts: int = 0
) -> list[PlannedRun]:
    """All runs, split after split.

    Each split has draws and seeds of its own: it does not change with the size of another, and its
    first samples are the same in a quick try and in the whole dataset. So has each named point: every
    second set of a Sobol sequence lies in one half of the ranges. A grid is for training; the other
    splits are then drawn at random, off its points.

    Args:
        recipe: of one size.
        simulations: as many samples in all, shared out among the splits, in place of the recipe's.
        starts: how many states ``parameters.files`` hold.

    Raises:
        InputError: more simulations than the recipe has, or none; a grid that cannot be; runs that
            would be the same, which a split may not have twice, nor two splits share.
    """
    wanted = recipe.counts if simulations is None else _share(recipe.counts, simulations)
    design, planned = recipe.parameters, []
    names = list(design.points)
    streams = np.random.SeedSequence(recipe.seed).spawn(len(SPLITS))
    # Each point goes through all states: of a split they are shared out among its points' turns.
    turns_of = {split: -(-n // max(len(names), 1)) for split, n in recipe.counts.items()}
    begin = assigned(starts, turns_of, recipe.seed) if starts else None
    for split, stream in zip(SPLITS, streams, strict=True):
        draws, seeds = stream.spawn(2)
        kind = "random" if design.design == "grid" and split != "train" else design.design
        runs = -(-recipe.counts[split] // recipe.per_run)
        turns = range(max(len(names), 1))
        drawn = [
            draw(kind, design.ranges, len(range(turn, runs, len(turns))), own)
            for turn, own in zip(turns, draws.spawn(len(names)) or [draws], strict=True)
        ]
        for index in range(-(-wanted[split] // recipe.per_run)):
            turn, place = index % len(turns), index // len(turns)
            point = names[turn] if names else None
            planned.append(
                PlannedRun(
                    id=len(planned),
                    split=split,
                    samples=min(recipe.per_run, wanted[split] - index * recipe.per_run),
                    point=point,
                    parameters={**(design.points[point] if point else {}), **drawn[turn][place]},
                    seed=seed_of(seeds, index) if design.seed else None,
                    start=begin[split][place] if begin is not None else None,
                )
            )
    if begin is not None:
        for name in dict.fromkeys(run.point for run in planned):
            refuse_repeats(design, [run.start for run in planned if run.point == name])
    if not design.seed:
        _refuse_twins(planned)
    return planned


def _refuse_twins(planned: Sequence[PlannedRun]) -> None:
    """Raises :class:`InputError` where two runs without seeds of their own have the same parameters."""
    seen: dict[str, PlannedRun] = {}
    for run in planned:
        first = seen.setdefault(repr((sorted(run.parameters.items()), run.start)), run)
        if first is not run:
            raise InputError(
                f"runs {first.id} ({first.split}) and {run.id} ({run.split}) would be the same, since "
                "parameters.seed is false; expected ranges that tell them apart, fewer simulations, or "
                "seed: true"
            )


def _share(counts: dict[str, int], n: int) -> dict[str, int]:
    """``n`` samples among the splits, in proportion, none left empty if that can be."""
    total = sum(counts.values())
    if not 1 <= n <= total:
        raise InputError(
            f"--simulations {n}; expected 1 to {total}, the samples of the recipe "
            "(more with --set splits.train=N)"
        )
    shared = dict.fromkeys(SPLITS, 0)
    for split in SPLITS:
        shared[split] += min(1, counts[split], n - sum(shared.values()))
    rest = n - sum(shared.values())
    for split in reversed(SPLITS):
        shared[split] += min(counts[split] - shared[split], rest * counts[split] // total)
    for split in SPLITS:
        shared[split] += min(counts[split] - shared[split], n - sum(shared.values()))
    return shared
