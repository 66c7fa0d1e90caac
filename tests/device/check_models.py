"""What only an accelerator can show, in one script of some minutes:

    python tests/device/check_models.py [--device cuda] [--points 64] [--json device.json]

For every model: outputs and gradients on the device against those on the CPU, saved there and loaded
here, bfloat16 (autocast) and ``torch.compile`` against neither; seconds a step. On grids of
``--points``² points; on meshes, graphs and particles as many samples of ``tests/zoo.py``; and models of
energies, with the forces that are derived of them. Steps of FNO beside neuraloperator's, alternating; at
last a training of an FNO at full size through ``sciml.fit``. Exit code 1 if anything differs by more
than it may. With ``--device cpu --points 16 --training-points 0 --no-compile`` it checks itself.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import bench_programs
from training_step import BATCH, fields
from zoo import ZOO, samples

import sciml
from sciml.samples import Task
from sciml.surrogates import Statistics, Surrogate, collate
from sciml.surrogates.batch import suited
from sciml.surrogates.registry import MODELS
from sciml.training.objective import Supervised, weighted

#: Relative differences that rounding alone may make: float32 in another order, bfloat16, a compiler.
MAY = {"output": 1e-3, "gradient": 1e-2, "loaded": 0.0, "bfloat16": 5e-2, "compiled": 1e-3}
#: Options of models that need some for so few samples, and tasks of those that see no fields.
OPTIONS = {"pod_deeponet": {"basis": 4}}
TASKS = dict.fromkeys(
    ("mlp", "pinn", "lpinn"), Task((), ("u",), history=0, parameters=("a",), time=True)
)
#: Models of energies, by what is printed of them.
POTENTIALS = {f"{name}, E": name for name in ("egnn", "mace", "mpnn", "ponita")}


def built(name: str, points: int) -> tuple[Surrogate, object]:
    """A surrogate that has seen a batch, and that batch."""
    torch.manual_seed(0)
    known, toy = (), ZOO.get(name)
    config = {"name": name, **OPTIONS.get(name, {})}
    if name in POTENTIALS:
        config = {"name": POTENTIALS[name], "cutoff": 5.0}
        task, known = bench_programs.TASK, bench_programs.FIELDS
        there = [bench_programs.sample("ethanol")] * points
    elif toy is not None and toy.domain != "grid":
        config |= toy.options
        task, there = toy.task, samples(toy) * max(1, points // 3)
        known = there[0].simulation.fields
    else:
        task, there, _ = batch_of(name, points)
    domain = there[0].simulation.domain
    surrogate = Surrogate.build(config, task, domain, fields=known)
    measured = Statistics(surrogate)
    measured.update(there)
    measured.fix()
    return surrogate, collate(there, task, surrogate.structures)


def batch_of(name: str, points: int):
    """A batch of a task that the model of grids called ``name`` takes, and the domain."""
    task = TASKS.get(name, Task(("u",), ("u",)))
    samples = fields(points)
    for i, sample in enumerate(samples):
        sample.simulation.parameters["a"] = 1.0 + 0.1 * i
    return task, samples, samples[0].simulation.domain


def loss_of(surrogate: Surrogate, batch, autocast: bool = False) -> torch.Tensor:
    kind = batch.time.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=autocast):
        return weighted(Supervised("relative_l2")(surrogate, batch), {})


def flat(fields: dict[str, torch.Tensor]) -> torch.Tensor:
    """All outputs, each by its own size: energies are large."""
    each = [t.detach().double().cpu().flatten() for t in fields.values()]
    return torch.cat([t / t.norm().clamp(min=1e-30) if len(each) > 1 else t for t in each])


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    one, other = one.detach().double().cpu(), other.detach().double().cpu()
    return float((one - other).norm() / other.norm().clamp(min=1e-30))


def check(name: str, points: int, device: torch.device, compiled: bool) -> dict[str, float]:
    """Differences by kind, and seconds a training step on the device."""
    here, batch = built(name, points)
    batch = suited(batch, here, "cpu")
    loss_of(here, batch)  # some measure the first batch that they are trained on
    there = copy.deepcopy(here).to(device)
    far = suited(batch, there, device)
    found = {}
    for surrogate, b in ((here, batch), (there, far)):
        surrogate.eval()  # what is drawn at random in training differs
        loss_of(surrogate, b).backward()
    found["output"] = difference(flat(there(far)), flat(here(batch)))
    slopes = [
        torch.cat([p.grad.flatten().abs().cpu() for p in s.parameters() if p.grad is not None])
        for s in (there, here)
    ]
    found["gradient"] = difference(*slopes)
    with tempfile.TemporaryDirectory() as folder:
        there.save(folder)
        loaded = Surrogate.load(folder)
    with torch.no_grad():
        found["loaded"] = difference(flat(loaded.to(device)(far)), flat(there(far)))
        exact = loss_of(there, far)
        found["bfloat16"] = difference(loss_of(there, far, autocast=True), exact)
        if compiled:
            quick = copy.deepcopy(there)
            quick.model.compile()
            found["compiled"] = difference(flat(quick(far)), flat(there(far)))
    there.train()
    optimizer = torch.optim.AdamW(there.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(there, far).backward()
        optimizer.step()

    found["seconds"] = median_seconds(step, device)
    return found


def median_seconds(call: Callable[[], object], device: torch.device, rounds: int = 7) -> float:
    for _ in range(3):
        call()
    times = []
    for _ in range(rounds):
        _wait(device)
        began = time.perf_counter()
        call()
        _wait(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def beside_neuraloperator(points: int, device: torch.device) -> dict[str, object]:
    """A step of our FNO and of neuraloperator's, in turn: seconds, and the ratio with its range."""
    from neuralop import LpLoss
    from neuralop.models import FNO

    modes, width = min(16, points // 4), 32
    config = {"name": "fno", "modes": modes, "hidden_channels": width, "n_layers": 4}
    task, samples, domain = batch_of("fno", points)
    ours = Surrogate.build(config, task, domain)
    ours.normalizer.update(samples)
    ours.normalizer.fix()
    ours.to(device)
    batch = collate(samples, task).to(device, torch.float32)
    theirs = FNO(
        n_modes=(modes, modes),
        in_channels=1,
        out_channels=1,
        hidden_channels=width,
        n_layers=4,
        positional_embedding=None,
    ).to(device)
    x, y = batch.inputs["u"], batch.targets["u"]
    distance = LpLoss(d=2)

    def stepper(parameters, loss):
        optimizer = torch.optim.AdamW(parameters, lr=1e-3)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            loss().backward()
            optimizer.step()

        return step

    steps = (
        stepper(ours.parameters(), lambda: loss_of(ours, batch)),
        stepper(theirs.parameters(), lambda: distance(theirs(x), y)),
    )
    pairs = [[median_seconds(step, device, 5) for step in steps] for _ in range(5)]
    ratios = [b / a for a, b in pairs]
    return {
        "points": points,
        "ours": statistics.median(a for a, _ in pairs),
        "theirs": statistics.median(b for _, b in pairs),
        "theirs/ours": statistics.median(ratios),
        "range": [min(ratios), max(ratios)],
    }


def train(points: int, device: str) -> dict[str, float]:
    """Waves that travel and decay, learned by ``sciml.fit``: seconds, and errors of one step."""
    rng = np.random.default_rng(0)
    x, t = np.arange(points) / points, np.arange(11) * 0.01
    k = rng.integers(1, 4, (48, 8, 2))
    phase, size = rng.uniform(0, 2 * np.pi, (48, 8)), rng.normal(size=(48, 8))
    u = np.zeros((48, len(t), points, points), np.float32)
    for s in range(48):
        for (a, b), p, r in zip(k[s], phase[s], size[s], strict=True):
            decay = np.exp(-0.05 * (a**2 + b**2) * t)[:, None, None]
            wave = np.sin(2 * np.pi * (a * x[:, None] + b * x - (a + b) * t[:, None, None]) + p)
            u[s] += r * decay * wave
    periodic = {"boundary": "periodic"}
    ds = xr.Dataset(
        {"u": (("sample", "time", "y", "x"), u)},
        {"time": t, "y": ("y", x, periodic), "x": ("x", x, periodic)},
    )
    began = time.perf_counter()
    model = {"name": "fno", "modes": min(16, points // 2), "hidden_channels": 64}
    surrogate = sciml.fit(model, ds, targets=["u"], epochs=20, device=device)
    last = surrogate.history.validations[-1]
    return {
        "seconds": time.perf_counter() - began,
        "steps": len(surrogate.history.steps),
        "one_step": last["one_step"],
        "persistence": last["persistence"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--points", type=int, default=64)
    parser.add_argument("--training-points", type=int, help="of the training at the end; 0: none")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    device = torch.device(given.device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"{card}, torch {torch.__version__}, batches of {BATCH}, {given.points}² points")
    print(f"{'model':>14}" + "".join(f"{kind:>12}" for kind in (*MAY, "ms a step")))
    table, wrong = {}, []
    for name in (*MODELS, *POTENTIALS):
        try:
            found = check(name, given.points, device, not given.no_compile)
        except Exception as error:  # the others are of interest all the same
            wrong.append(f"{name}: {type(error).__name__}: {error}"[:300])
            print(f"{name:>14}  {wrong[-1]}")
            continue
        table[name] = found
        row = "".join(f"{found.get(kind, float('nan')):12.1e}" for kind in MAY)
        print(f"{name:>14}{row}{found['seconds'] * 1e3:12.2f}", flush=True)
        wrong += [f"{name}: {k} {v:.1e}" for k, v in found.items() if v > MAY.get(k, np.inf)]
    peer = beside_neuraloperator(given.points, device)
    print(
        f"FNO beside neuraloperator's, ms: {peer['ours'] * 1e3:.2f}, {peer['theirs'] * 1e3:.2f}; "
        f"theirs/ours {peer['theirs/ours']:.2f} ({peer['range'][0]:.2f}–{peer['range'][1]:.2f})"
    )
    points = 2 * given.points if given.training_points is None else given.training_points
    training = train(points, given.device) if points else {}
    if training:
        print(
            f"fit of an FNO at {points}²: {training['steps']} steps in {training['seconds']:.1f} s, "
            f"one step {training['one_step']:.2e}, persistence {training['persistence']:.2e}"
        )
        if training["one_step"] > training["persistence"] / 5:
            wrong.append("fit: one step is not below a fifth of persistence")
    if given.json is not None:
        found = {"card": card, "models": table, "peer": peer, "training": training, "wrong": wrong}
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(("differs:", *wrong)) if wrong else "all as it should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
