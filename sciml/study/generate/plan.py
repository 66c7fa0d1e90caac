"""Which runs of the program make a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sciml.errors import InputError
from sciml.study.designs import draw, seed_of
from sciml.study.generate.recipe import SPLITS, Recipe


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
    """

    id: int
    split: str
    samples: int
    point: str | None
    parameters: dict[str, Any]
    seed: int | None

    def values(self, recipe: Recipe) -> dict[str, Any]:
        """All that the program is told, but for where to write."""
        given = {**recipe.solver.options, **self.parameters}
        if recipe.keep == "all":
            given["every"] = recipe.solver.send.every
        elif recipe.keep == "samples":
            given |= {"steps": self.samples - 1, "every": 1}
        else:
            given["every"] = int(given["steps"])
        if self.seed is not None:
            given["seed"] = self.seed
        return given


def planned_runs(recipe: Recipe, simulations: int | None = None) -> list[PlannedRun]:
    """All runs, split after split.

    Each split has draws and seeds of its own: it does not change with the size of another, and its
    first samples are the same in a quick try and in the whole dataset. A grid is for training; the
    other splits are then drawn at random, off its points.

    Args:
        recipe: of one size.
        simulations: as many samples in all, shared out among the splits, in place of the recipe's.

    Raises:
        InputError: more simulations than the recipe has, or none; a grid that cannot be.
    """
    wanted = recipe.counts if simulations is None else _share(recipe.counts, simulations)
    design, planned = recipe.parameters, []
    names = list(design.points)
    streams = np.random.SeedSequence(recipe.seed).spawn(len(SPLITS))
    for split, stream in zip(SPLITS, streams, strict=True):
        draws, seeds = stream.spawn(2)
        kind = "random" if design.design == "grid" and split != "train" else design.design
        runs = -(-recipe.counts[split] // recipe.per_run)
        drawn = draw(kind, design.ranges, runs, draws)
        for index in range(-(-wanted[split] // recipe.per_run)):
            point = names[index % len(names)] if names else None
            planned.append(
                PlannedRun(
                    id=len(planned),
                    split=split,
                    samples=min(recipe.per_run, wanted[split] - index * recipe.per_run),
                    point=point,
                    parameters={**(design.points[point] if point else {}), **drawn[index]},
                    seed=seed_of(seeds, index) if design.seed else None,
                )
            )
    return planned


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
