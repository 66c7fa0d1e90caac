"""How fast is MACE beside mace-torch, and how does its cost grow? Run by hand:

    python tests/benchmarks/bench_mace.py --peer PYTHON [--rounds 7] [--dtype float64] [--json mace.json]
    python tests/benchmarks/bench_mace.py --atoms 12 96 768 [--json cost.json]

PYTHON has mace-torch, in an environment of its own. Two processes, one thread each, take turns: energy
and forces, and a training step (of both, differentiated by weights), of ethanol and of 64 waters in a
periodic cell; 32x0e + 32x1o, two layers, correlation 3, degree 3, cutoff 5 Å, neighbours known. Ratios
are ours by theirs in neighbouring rounds: below 1 ours is faster. Memory is what a process has at its
peak above what it had with the model, its data and all code. With
``--atoms``, waters by number: seconds an atom.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

CUTOFF, HIDDEN = 5.0, "32x0e + 32x1o"
ETHANOL = (
    (6, 6, 8, 1, 1, 1, 1, 1, 1),
    [
        [-0.75, 0.0, 0.0], [0.56, 0.55, 0.0], [1.40, -0.42, 0.40], [-0.73, -0.84, -0.7],
        [-0.95, -0.4, 1.0], [-1.52, 0.73, -0.28], [0.62, 1.42, 0.66], [0.81, 0.90, -1.01],
        [2.28, -0.07, 0.44],
    ],
)  # fmt: skip

System = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def system(name: str) -> System:
    """Numbers, positions, cell; ``water8`` is eight of them."""
    if name == "ethanol":
        return np.array(ETHANOL[0]), np.array(ETHANOL[1]), None
    count = int(name.removeprefix("water"))
    rng, side = np.random.default_rng(0), round(count ** (1 / 3))
    shape = [side, side, count // side**2]
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    bonds = np.array([[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
    turns = np.linalg.qr(rng.normal(size=(len(places), 3, 3)))[0]
    positions = 3.104 * places[:, None] + bonds @ turns
    return np.tile([8, 1, 1], len(places)), positions.reshape(-1, 3), 3.104 * np.diag(shape)


Calls = dict[str, Callable[[], object]]


def ours(name: str, dtype: torch.dtype) -> Calls:
    from sciml.surrogates.particles.fields import SUM, ParticleFields
    from sciml.surrogates.particles.mace.edges import PairedNeighbours
    from sciml.surrogates.particles.mace.mace import MACE

    numbers, positions, cell = system(name)
    species = tuple(sorted({*numbers.tolist()}))
    inputs, counts = (("positions", True),), (len(species), 0)
    fields = ParticleFields(3, inputs, "positions", (), (), species, 0, {"energy": SUM}, counts)
    model = MACE(fields, "energy", HIDDEN, cutoff=CUTOFF, neighbours=8.0)
    parts = PairedNeighbours(CUTOFF).parts(positions, cell, (cell is not None,) * 3)
    structure = {n: torch.as_tensor(p.values) for n, p in parts.items()}
    structure["shift"] = structure["shift"].to(dtype)
    owner, ptr = torch.zeros(len(numbers), dtype=torch.int64), torch.tensor([0, len(numbers)])
    places, kinds = torch.as_tensor(positions, dtype=dtype), torch.as_tensor(numbers)

    def forces(again: bool) -> tuple[torch.Tensor, torch.Tensor]:
        x = places.clone().requires_grad_()
        energy = model(x, species=kinds, ptr=ptr, owner=owner, **structure)["energy"]
        return energy, torch.autograd.grad(energy.sum(), x, create_graph=again)[0]

    return _calls(model, forces)


def theirs(name: str, dtype: torch.dtype) -> Calls:
    torch.serialization.add_safe_globals([slice])  # constants of e3nn 0.4.4
    from ase import Atoms
    from e3nn import o3
    from mace import data, modules
    from mace.tools import torch_geometric, utils

    numbers, positions, cell = system(name)
    species = sorted({*numbers.tolist()})
    residual = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = modules.ScaleShiftMACE(
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=residual,
        interaction_cls_first=residual,
        num_interactions=2,
        num_elements=len(species),
        hidden_irreps=o3.Irreps(HIDDEN),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(species)),
        avg_num_neighbors=8.0,
        atomic_numbers=species,
        correlation=3,
        gate=torch.nn.functional.silu,
    )
    atoms = Atoms(numbers, positions, cell=cell, pbc=cell is not None)
    sample = data.AtomicData.from_config(
        data.config_from_atoms(atoms), z_table=utils.AtomicNumberTable(species), cutoff=CUTOFF
    )
    batch = next(iter(torch_geometric.dataloader.DataLoader([sample], batch_size=1))).to_dict()

    def forces(again: bool) -> tuple[torch.Tensor, torch.Tensor]:
        found = model(batch, training=again)
        return found["energy"], found["forces"]

    return _calls(model, forces)


def _calls(model: torch.nn.Module, forces: Callable[[bool], tuple]) -> Calls:
    def step() -> None:
        energy, force = forces(True)
        model.zero_grad()
        (energy.square().sum() + force.square().sum()).backward()

    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"forces": lambda: forces(False), "step": step, "weights": lambda: count}


def serve(side: str, name: str, dtype: str) -> None:
    """Answer lines ``call repeats`` with seconds, until there are no more."""
    out, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, dtype))
    made = {"ours": ours, "theirs": theirs}[side]
    made("water1", getattr(torch, dtype))["step"]()  # code is loaded
    calls = made(name, getattr(torch, dtype))
    print(
        json.dumps({"weights": calls["weights"](), "memory": _status("VmRSS")}),
        file=out,
        flush=True,
    )
    for line in sys.stdin:
        call, repeats = line.split()
        began = time.perf_counter()
        for _ in range(int(repeats)):
            calls[call]()
        spent = (time.perf_counter() - began) / int(repeats)
        print(json.dumps({"seconds": spent, "memory": _status("VmHWM")}), file=out, flush=True)


def _status(key: str) -> float:
    """A figure of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1e3


class Worker:
    """A process that computes when it is asked to."""

    def __init__(self, python: str, side: str, name: str, dtype: str) -> None:
        command = [python, __file__, "--serve", side, "--system", name, "--dtype", dtype]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.first = json.loads(self.process.stdout.readline())

    def ask(self, call: str, repeats: int) -> dict[str, float]:
        print(call, repeats, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compared(peer: str, rounds: int, dtype: str) -> list[dict]:
    found = []
    print(f"{'':18} {'ours':>9} {'theirs':>9}  ratio (range)      MB ours  theirs   weights")
    for name in ("ethanol", "water64"):
        for call in ("forces", "step"):
            workers = {
                "ours": Worker(sys.executable, "ours", name, dtype),
                "theirs": Worker(peer, "theirs", name, dtype),
            }
            repeats = {}
            for side, worker in workers.items():
                for _ in range(3):  # torch.jit measures the first two
                    once = worker.ask(call, 1)["seconds"]
                repeats[side] = max(1, round(0.3 / once))
            times: dict[str, list[float]] = {side: [] for side in workers}
            memory = {}
            for _ in range(rounds):
                for side, worker in workers.items():
                    answer = worker.ask(call, repeats[side])
                    times[side].append(answer["seconds"])
                    memory[side] = answer["memory"] - worker.first["memory"]
            for worker in workers.values():
                worker.close()
            ratios = [a / b for a, b in zip(times["ours"], times["theirs"], strict=True)]
            mine, other = (1e3 * statistics.median(times[side]) for side in workers)
            weights = {side: int(w.first["weights"]) for side, w in workers.items()}
            print(
                f"{name:10} {call:7} {mine:7.1f} ms {other:6.1f} ms  {statistics.median(ratios):5.2f} "
                f"({min(ratios):.2f}–{max(ratios):.2f}) {memory['ours']:9.0f} {memory['theirs']:7.0f}   "
                f"{weights['ours']} {weights['theirs']}",
                flush=True,
            )
            row = {"system": name, "call": call, "dtype": dtype, "seconds": times}
            found.append({**row, "memory": memory, "weights": weights})
    return found


def grown(atoms: list[int], dtype: str) -> list[dict]:
    found = []
    print(f"{'atoms':>7} {'forces':>10} {'an atom':>10} {'MB':>7}")
    for count in atoms:
        worker = Worker(sys.executable, "ours", f"water{max(count // 3, 1)}", dtype)
        once = min(worker.ask("forces", 1)["seconds"] for _ in range(2))
        answer = worker.ask("forces", max(1, round(0.5 / once)))
        worker.close()
        seconds, memory = answer["seconds"], answer["memory"] - worker.first["memory"]
        print(
            f"{count:7d} {1e3 * seconds:7.1f} ms {1e6 * seconds / count:7.0f} µs {memory:7.0f}",
            flush=True,
        )
        found.append({"atoms": count, "seconds": seconds, "memory": memory, "dtype": dtype})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="a Python with mace-torch")
    parser.add_argument("--atoms", type=int, nargs="+", help="how many, in waters")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--serve", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--system", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.system, given.dtype)
        return
    found = compared(given.peer, given.rounds, given.dtype) if given.peer else []
    found += grown(given.atoms, given.dtype) if given.atoms else []
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
