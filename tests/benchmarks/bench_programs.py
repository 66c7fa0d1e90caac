"""How fast is a potential as a program, compiled or not? Run by hand:

    python tests/benchmarks/bench_programs.py [--model mace] [--dtype float64] [--rounds 7] [--json FILE]

Energy and forces of ethanol and of 64 waters in a periodic cell (there with stress), one thread: by the
surrogate, by the program that it exports, and by that compiled by AOTInductor, in turn. All three are
asked with a batch that is ready, as they are in dynamics but for neighbours. MACE: 32x0e + 32x1o, two
layers, correlation 3, degree 3, cutoff 5 Å. Ratios are the surrogate's time by that of each program in
neighbouring rounds: above 1 the program is faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench_mace import system

from sciml.domain import Field, Particles
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Statistics, Surrogate, collate
from sciml.surrogates.batch import suited
from sciml.surrogates.potential_program import PotentialProgram

TASK = Task(("positions",), ("energy", "forces"), lead=0)
FIELDS = (
    Field("positions", "Å", components=3),
    Field("energy", "eV", on="global"),
    Field("forces", "eV/Å", components=3),
)
OPTIONS = {"mace": {"neighbours": 8.0}}


def sample(name: str) -> Sample:
    numbers, positions, cell = system(name)
    domain = Particles(numbers, cell, (cell is not None,) * 3, "Å")
    forces = np.random.default_rng(0).standard_normal(positions.shape)
    frame = Frame(0, 0, 0.0, {"positions": positions, "energy": np.array(-1e3), "forces": forces})
    return Sample(Simulation(0, domain, FIELDS), 0, (frame,), (frame,))


def compared(model: str, dtype: torch.dtype, rounds: int) -> dict[str, dict]:
    torch.manual_seed(0)
    config = {"name": model, "cutoff": 5.0, **OPTIONS.get(model, {})}
    surrogate = Surrogate.build(config, TASK, sample("ethanol").simulation.domain, fields=FIELDS)
    measured = Statistics(surrogate)
    measured.update([sample("ethanol")])
    measured.fix()
    surrogate.to(dtype).eval()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        programs = {}
        for kind in ("exported", "compiled"):
            began = time.perf_counter()
            path = Path(folder) / f"{kind}.pt2"
            surrogate.export(path, compiled=kind == "compiled")
            programs[kind] = PotentialProgram.load(path)
            print(f"{kind} in {time.perf_counter() - began:.0f} s", flush=True)
        for name in ("ethanol", "water64"):
            batch = collate([sample(name)], TASK, surrogate.structures)
            own, bare = (
                suited(batch, surrogate, "cpu"),
                surrogate.deriving(stress=name != "ethanol"),
            )
            calls = {
                "surrogate": lambda own=own, bare=bare: bare(own),
                **{k: (lambda p=p, own=own: p(own)) for k, p in programs.items()},
            }
            with torch.no_grad():
                found[name] = in_turn(calls, rounds)
    return found


def in_turn(calls: dict, rounds: int) -> dict[str, list[float]]:
    known = [call()["forces"] for call in calls.values() for _ in range(2)][1::2]
    off = max(float((f - known[0]).abs().max() / known[0].abs().max()) for f in known)
    times: dict[str, list[float]] = {kind: [] for kind in calls}
    for _ in range(rounds):
        for kind, call in calls.items():
            began, repeats = time.perf_counter(), 0
            while repeats < 1 or time.perf_counter() - began < 0.3:
                call()
                repeats += 1
            times[kind].append((time.perf_counter() - began) / repeats)
    print(f"forces differ by {off:.1e} of the largest")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mace")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = compared(given.model, getattr(torch, given.dtype), given.rounds)
    for name, times in found.items():
        for kind, seconds in times.items():
            ratios = [a / b for a, b in zip(times["surrogate"], seconds, strict=True)]
            print(
                f"{name:8} {kind:10} {1e3 * statistics.median(seconds):8.1f} ms   surrogate by it "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
