"""GRAND, GREAD and sheaf diffusion on physics: solvers stream, models learn, rollouts are measured.

    python workflows/graph_diffusion_physics/run.py

Each training is a line of ``results.jsonl``; what is there is not computed again. The first model of
each table is trained while the solver streams (``sciml run``); the others, and other seeds, on the same
stream, replayed in the order of arrival through the same buffer (``sciml train --stream``).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import xarray as xr
import yaml

import sciml
from sciml.errors import ScimlError
from sciml.report.rows import append, chosen, rows_of

sys.path.append(str(Path(__file__).parent))
from cases import BATCH, PHYSICS, Model
from measures import errors, still
from simulation import simulated

HERE = Path(__file__).parent
#: Baselines that are not trained.
PERSISTENCE, LAPLACIAN = "persistence", "Laplacian, one coefficient"
#: Seeds of the solver on meshes that are not trained on.
UNSEEN = (101, 102)


class Table:
    """All models of one physics.

    Args:
        name: of :data:`cases.PHYSICS`.
        out: folder of the runs.
        longer: times as many steps as :mod:`cases` says.
    """

    def __init__(self, name: str, out: Path, longer: int = 1) -> None:
        self.name, self.physics, self.out, self.longer = name, PHYSICS[name], out, longer
        self.live = "" if self.physics.stream else next(iter(self.physics.models))

    def study(self, model: Model, seed: int) -> dict[str, Any]:
        """The keys of a study."""
        physics, steps = self.physics, self.longer * model.steps
        return {
            "name": f"{self.name}-{seed}",
            "seed": seed,
            "solver": {
                "program": physics.program,
                "options": {**physics.options, "steps": physics.frames * physics.every},
                "send": {"every": physics.every},
            },
            "parameters": {"simulations": physics.simulations, "ranges": dict(physics.ranges)},
            "task": {**physics.task, **model.task},
            "model": dict(model.keys),
            "buffer": {"capacity": 1000, "watermark": physics.simulations * physics.frames // 2},
            "training": {
                "batch_size": BATCH,
                "phases": [{"steps": steps, "lr": model.rate, "schedule": "cosine"}],
                "checkpoint_every": steps,
            },
            "validation": {"simulations": 1, "every": steps},
            "record": True,
        }

    def trained(self, name: str, seed: int) -> sciml.Run:
        """A run: live for the first model and seed, replayed for others."""
        live = self.streamed()
        if (name, seed) == (self.live, 0):
            return sciml.open_run(live)
        again = self.out / f"{self.name}-{[*self.physics.models].index(name)}-{seed}"
        if not _is_done(again):
            sciml.train(self._written(name, seed), live, again, stream=True, plain=True)
        return sciml.open_run(again)

    def streamed(self) -> Path:
        """The run that has learned while the solver streamed, and recorded it."""
        if self.physics.stream:
            return Table(self.physics.stream, self.out, self.longer).streamed()
        live = self.out / f"{self.name}-live"
        if not _is_done(live):
            sciml.run(self._written(self.live, 0), live, plain=True)
        return live

    def _written(self, name: str, seed: int) -> Path:
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(self.study(self.physics.models[name], seed)))
        return path

    def simulated(self, seed: int, finer: bool = False, **options: Any) -> xr.Dataset:
        """The truth on a mesh that was not trained on."""
        physics = self.physics
        options = {**physics.options, **(physics.finer if finer else {}), **options}
        every = physics.every
        if finer and options["dt"] != physics.options["dt"]:
            every = round(every * physics.options["dt"] / options["dt"])
        steps = max(physics.frames, physics.rollout) * every
        return simulated(physics.program, every, steps=steps, seed=seed, **options)

    @cached_property
    def truths(self) -> dict[str, list[xr.Dataset]]:
        """Simulations on meshes that were not trained on, by what is new."""
        if self.physics.ranges:
            shares = (0.05, 0.1, 0.2)
            return {f"{s:g}": [self.simulated(n, sensors=s) for n in UNSEEN] for s in shares}
        found = {"unseen": [self.simulated(n) for n in UNSEEN]}
        if self.physics.finer:
            found["finer"] = [self.simulated(UNSEEN[0], finer=True)]
        return found

    def measure(self, name: str, seed: int) -> dict[str, Any]:
        """A line of the results."""
        row = {"physics": self.name, "model": name, "seed": seed}
        if name in (PERSISTENCE, LAPLACIAN):
            return row | still(self, name)
        began = time.perf_counter(), time.process_time()
        try:
            surrogate = self.trained(name, seed).surrogate()
        except ScimlError as error:
            if "diverges" not in str(error):
                raise
            return {**row, "live": False, "diverged": str(error)}
        return {
            **row,
            "weights": sum(p.numel() for p in surrogate.parameters()),
            "live": (name, seed) == (self.live, 0),
            "seconds": round(time.perf_counter() - began[0], 1),
            "cpu_seconds": round(time.process_time() - began[1], 1),
            **errors(self, name, surrogate),
        }


def _is_done(run: Path) -> bool:
    """Whether a run has finished; what is left of one that has not is removed."""
    if (run / "summary.json").exists():
        return True
    shutil.rmtree(run, ignore_errors=True)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--physics", nargs="*", default=[*PHYSICS], choices=[*PHYSICS])
    parser.add_argument(
        "--models", nargs="*", default=[], help="those whose names have all of these"
    )
    parser.add_argument("--longer", type=int, default=1, help="times as many steps")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/graph_diffusion_physics"))
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for seed in given.seeds:
        for physics in given.physics:
            table = Table(physics, given.out, given.longer)
            names = [*([PERSISTENCE, LAPLACIAN] if seed == 0 else []), *table.physics.models]
            for name in names:
                row = {"physics": physics, "model": name, "seed": seed}
                if not all(word in name for word in given.models):
                    continue
                if chosen(rows_of(given.results), **row):
                    continue
                found = table.measure(name, seed)
                append(given.results, found)
                shown = {k: v for k, v in found.items() if isinstance(v, float)}
                print(physics, name, seed, {k: f"{v:.3g}" for k, v in shown.items()}, flush=True)


if __name__ == "__main__":
    main()
