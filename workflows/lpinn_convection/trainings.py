"""Trainings of an equation alone, each measured against the exact solution and written down once."""

from __future__ import annotations

import argparse
import json
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
        exact: the solution on the grid instead of that by name.
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
        """The solution on the grid of all errors, ``(time, x)``."""
        if self.exact is not None:
            return self.exact
        held = named(self.equation)
        told = {"name": self.solution} if isinstance(self.solution, str) else dict(self.solution)
        solution = held.solution(told.pop("name"))
        side = self.domain["x"]
        low, high = side["low"], side["high"]
        x = low + (high - low) * np.arange(PLACES) / PLACES
        t = np.linspace(0.0, self.last, TIMES)
        at_t, at_x = np.meshgrid(t, x, indexing="ij")
        given = held.given_to(solution, {**self.parameters, **told})
        values = solution.value({"x": at_x}, at_t, {"x": (low, high)}, **given)["u"]
        return xr.DataArray(np.asarray(values), {"time": t, "x": x}, ("time", "x"))


def predicted(surrogate: Surrogate, like: xr.DataArray) -> xr.DataArray:
    """On the same grid."""
    asked = xr.Dataset(coords={"time": like["time"]})
    found = surrogate.predict(asked, at={"x": like["x"].values})["u"]
    return found.transpose("time", "x")


def relative(found: np.ndarray, truth: np.ndarray) -> float:
    """‖found − truth‖ / ‖truth‖, L2."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def measure(case: Case, seed: int) -> dict[str, Any]:
    """A line of the results."""
    began = time.perf_counter(), time.process_time()
    surrogate = case.trained(seed)
    row = {
        **case.about,
        "seed": seed,
        "seconds": round(time.perf_counter() - began[0], 1),
        "cpu_seconds": round(time.process_time() - began[1], 1),
        "weights": sum(p.numel() for p in surrogate.parameters()),
        "steps": len(surrogate.history.steps),
    }
    truth = case.truth()
    found = predicted(surrogate, truth).values
    row["error"] = relative(found, truth.values)
    row["error_last"] = relative(found[-1], truth.values[-1])
    watch = watched(surrogate)
    return row if watch is None else row | watch.figures


def rows_of(path: Path) -> list[dict[str, Any]]:
    """All results that there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def chosen(rows: Iterable[Mapping[str, Any]], **wanted: Any) -> list[Mapping[str, Any]]:
    """Rows that have the wanted values."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def mean_and_std(rows: Sequence[Mapping[str, Any]], key: str = "error", form: str = ".1e") -> str:
    """Over seeds, with their number where it is not three."""
    values = np.array([row[key] for row in rows if key in row])
    if not len(values):
        return "–"
    spread = f" ± {values.std(ddof=1):{form}}" if len(values) > 1 else ""
    few = "" if len(values) == 3 else f" (seeds: {len(values)})"
    return f"{values.mean():{form}}{spread}{few}"


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
            row = measure(case, seed)
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{case.name}, seed {seed}: {row['error']:.2e} in {row['seconds']} s", flush=True)
    print(table(rows_of(results)))
