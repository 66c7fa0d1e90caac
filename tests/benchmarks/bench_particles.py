"""Does the cost of models of particles grow like the particles? Run by hand:

    python tests/benchmarks/bench_particles.py [--models egnn ponita] [--json particles.json]

Liquids of one density in periodic cells, from 10 to 10 000 atoms, each with some 30 neighbours within 5
Å: seconds of finding neighbours, and of energy and forces; microseconds an atom; the power of N by
which seconds grow from 100 atoms on (1: linear). Seconds are of the process, of one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciml.domain import Field, Particles
from sciml.heap import keep_heap
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Surrogate, collate
from sciml.surrogates.particles.neighbours import Neighbours

CUTOFF, DENSITY = 5.0, 0.06  # Å, atoms an Å³
FIELDS = (
    Field("positions", "Å", components=3),
    Field("energy", "eV", on="global"),
    Field("forces", "eV/Å", components=3),
)
TASK = Task(("positions",), ("energy", "forces"), lead=0)
MODELS = {
    "egnn": {"name": "egnn", "hidden": 32, "layers": 2, "cutoff": CUTOFF},
    "mpnn": {"name": "mpnn", "hidden": 32, "layers": 2, "cutoff": CUTOFF},
    "ponita": {
        "name": "ponita", "hidden": 16, "layers": 2, "orientations": 8, "basis": 16, "cutoff": CUTOFF,
    },
}  # fmt: skip


def liquid(atoms: int) -> Sample:
    """A lattice whose points have moved by a fifth of their distance."""
    draws, side = np.random.default_rng(0), (atoms / DENSITY) ** (1 / 3)
    along = int(np.ceil(atoms ** (1 / 3)))
    places = np.stack(np.meshgrid(*[np.arange(along)] * 3), -1).reshape(-1, 3)[:atoms]
    x = side / along * (places + 0.2 * draws.uniform(-1, 1, (atoms, 3)))
    domain = Particles(draws.choice([1, 6, 8], atoms), side * np.eye(3), (True,) * 3, "Å")
    values = {"positions": x, "energy": np.array(0.0), "forces": np.zeros((atoms, 3))}
    frame = Frame(0, 0, 0.0, values)
    return Sample(Simulation(0, domain, FIELDS), 0, (frame,), (frame,))


def spent(call: Any, least: float = 0.2) -> float:
    """Seconds of the process a call, the least of a few."""
    found = []
    while sum(found) < least or len(found) < 2:
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[*MODELS], choices=[*MODELS])
    parser.add_argument("--atoms", nargs="+", type=int, default=[10, 100, 1000, 10_000])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_heap()  # as training does: else the system hands out all pages of each layer anew
    rows: dict[str, dict[int, float]] = {}
    for atoms in given.atoms:
        sample = liquid(atoms)
        domain, x = sample.simulation.domain, sample.inputs[0].fields["positions"]
        search = Neighbours(CUTOFF)
        rows.setdefault("neighbours", {})[atoms] = spent(
            lambda: search.parts(x, domain.cell, domain.periodic)  # noqa: B023
        )
        for name in given.models:
            torch.manual_seed(0)
            surrogate = Surrogate.build(
                MODELS[name], TASK, domain, fields=FIELDS, normalizer=None
            ).eval()
            batch = collate([sample], TASK, surrogate.structures).to("cpu", torch.float32)
            with torch.no_grad():
                rows.setdefault(name, {})[atoms] = spent(lambda: surrogate(batch))  # noqa: B023
    print(f"{'':12}" + "".join(f"{n:>10} atoms" for n in given.atoms) + "   power of N from 100 on")
    for name, times in rows.items():
        large = [n for n in given.atoms if n >= 100]
        logs = [np.log(large), np.log([times[n] for n in large])]
        power = float(np.polyfit(*logs, 1)[0]) if len(large) > 1 else float("nan")
        cells = "".join(f"{1e6 * t / n:>10.1f} µs/at" for n, t in times.items())
        print(f"{name:12}{cells}   {power:.2f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
