"""Trainings of an equation alone, each measured against the exact solution and written down once."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import sciml
from sciml.equations.named import equation as named
from sciml.report.rows import append, chosen, rows_of
from sciml.surrogates import Surrogate
from sciml.surrogates.pinn.watch import watched

RESULTS = "results.jsonl"
#: From results to Markdown.
Table = Callable[[list[dict[str, Any]]], str]
#: The grid of all errors: places without the second end of the period, times with both ends.
PLACES, TIMES = 256, 100

#: The second phase of what begins with Adam.
LBFGS = {"optimizer": "lbfgs", "lr": 1.0, "dtype": "float64"}


@dataclass(frozen=True)
class Case:
    """A row of a table: what is solved, by which model, how it is trained.

    Args:
        about: what the rows of a table differ in, ``{"speed": 30, "method": "LPINN soft", …}``.
        equation, parameters, solution: by name; the solution, which gives the initial field, with its
            options.
        model: by name, with its options.
        phases: of the training.
        points: keys of the source of points, besides domain and time.
        domain: the box.
        last: the last time.
        times: of the grid of all errors, both ends among them; its places are those of the domain.
        exact: the solution on such a grid, instead of that by name.
    """

    about: Mapping[str, Any]
    equation: str
    parameters: Mapping[str, float]
    solution: str | Mapping[str, Any]
    model: Mapping[str, Any]
    phases: Sequence[Mapping[str, Any]]
    points: Mapping[str, Any]
    domain: Mapping[str, Any]
    last: float = 1.0
    times: int = TIMES
    exact: xr.DataArray | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return ", ".join(
            f"{key}={value:.3g}" if isinstance(value, float) else str(value)
            for key, value in self.about.items()
        )

    def trained(self, seed: int) -> Surrogate:
        """The surrogate, with the history of its training."""
        source = {"kind": "collocation", "domain": self.domain, "time": [0.0, self.last]}
        physics = {
            "kind": "residual", "source": "inside", "equation": self.equation,
            "parameters": self.parameters, "solution": self.solution,
        }  # fmt: skip
        return sciml.fit(
            self.model,
            task={"targets": ["u"], "history": 0, "time": True},
            sources={"inside": {**source, **self.points}},
            objectives={"physics": physics},
            phases=self.phases,
            seed=seed,
            device="cpu",
            progress=False,
        )

    def truth(self) -> xr.DataArray:
        """The solution on the grid of all errors, time first."""
        if self.exact is not None:
            return self.exact
        held = named(self.equation)
        told = {"name": self.solution} if isinstance(self.solution, str) else dict(self.solution)
        solution = held.solution(told.pop("name"))
        sides = {axis: (side["low"], side["high"]) for axis, side in self.domain.items()}
        lines = {"time": np.linspace(0.0, self.last, self.times)}
        lines |= {
            axis: np.linspace(low, high, side["points"], endpoint=not side.get("periodic"))
            for (axis, side), (low, high) in zip(self.domain.items(), sides.values(), strict=True)
        }
        time_, *places = np.meshgrid(*lines.values(), indexing="ij")
        given = held.given_to(solution, {**self.parameters, **told})
        points = dict(zip(sides, places, strict=True))
        values = solution.value(points, time_, sides, **given)["u"]
        return xr.DataArray(np.asarray(values), lines, tuple(lines))

    def measure(self, seed: int) -> dict[str, Any]:
        """A line of the results."""
        began = time.perf_counter(), time.process_time()
        surrogate = self.trained(seed)
        row = {
            **self.about,
            "seed": seed,
            "seconds": round(time.perf_counter() - began[0], 1),
            "cpu_seconds": round(time.process_time() - began[1], 1),
            "weights": sum(p.numel() for p in surrogate.parameters()),
            "steps": len(surrogate.history.steps),
            **self.errors(surrogate),
        }
        watch = watched(surrogate)
        return row if watch is None else row | watch.figures

    def errors(self, surrogate: Surrogate) -> dict[str, float]:
        """Relative L2, over all times and at the last one."""
        truth = self.truth()
        found = predicted(surrogate, truth).values
        return {
            "error": relative(found, truth.values),
            "error_last": relative(found[-1], truth.values[-1]),
        }


def predicted(surrogate: Surrogate, like: xr.DataArray) -> xr.DataArray:
    """On the same grid."""
    asked = xr.Dataset(coords={"time": like["time"]})
    places = {axis: like[axis].values for axis in like.dims[1:]}
    return surrogate.predict(asked, at=places)["u"].transpose(*like.dims)


def relative(found: np.ndarray, truth: np.ndarray) -> float:
    """‖found − truth‖ / ‖truth‖, L2."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def parser_of(words: str, out: Path) -> argparse.ArgumentParser:
    """Of the command of a study, whose results are in ``out``."""
    parser = argparse.ArgumentParser(
        description=words, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="cases whose names have all of these")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=out)
    return parser


def run(cases: Iterable[Case], given: argparse.Namespace, table: Table) -> None:
    """Train what is not in the results yet, seed by seed, and print their table, in Markdown."""
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / RESULTS
    wanted = [case for case in cases if all(word in case.name for word in given.only)]
    for seed in given.seeds:
        for case in wanted:
            if chosen(rows_of(results), seed=seed, **case.about):
                continue
            row = case.measure(seed)
            append(results, row)
            print(f"{case.name}, seed {seed}: {row['error']:.2e} in {row['seconds']} s", flush=True)
    print(table(rows_of(results)))
