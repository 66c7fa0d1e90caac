"""Energies and forces of ethanol, by how many configurations a model has seen.

``python workflows/molecules/run.py --data FOLDER --model mace ponita-s --samples 50 100 200 500 1000``

FOLDER holds ``ethanol_train.xyz`` and ``ethanol_test_MD.xyz``, or the environment variable
SCIML_MOLECULES says where. Each result is a line of results.jsonl; those that are there are not
computed again, and a training that was ended goes on from its checkpoint. ``--length full`` takes the
steps of the papers, ``short`` fits a processor. Nothing is chosen on the test configurations.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

import sciml
from sciml.report.rows import append, chosen, rows_of

HERE = Path(__file__).parent
TRAIN, TEST = "ethanol_train.xyz", "ethanol_test_MD.xyz"
TASK = {"inputs": ["positions"], "targets": ["energy", "forces"], "lead": 0}
#: Models, and their first learning rates.
MODELS = {
    "mace-l": ({"name": "mace", "size": "L"}, 0.01),
    "mace-s": ({"name": "mace", "size": "S"}, 0.01),
    "mace-xs": ({"name": "mace", "hidden": "16x0e + 16x1o", "degree": 2}, 0.01),
    "ponita": ({"name": "ponita", "orientations": 20}, 5e-4),
    "ponita-s": (
        {"name": "ponita", "hidden": 48, "layers": 3, "orientations": 12, "basis": 48}, 5e-3,
    ),
}  # fmt: skip
#: Errors of energy (meV) and of a component of the forces (meV/Å), 1000 configurations, full length.
PUBLISHED = {"mace-l": (0.4, 2.1), "ponita": (0.4, 2.5)}
#: Steps of five configurations each.
LENGTHS = {"full": 400_000, "long": 10_000, "short": 1500, "tiny": 5}
#: Weights of energy and forces: of 80 % of the steps, then of those that are left.
WEIGHTS = ({"energy": 1.0, "forces": 1000.0}, {"energy": 1000.0, "forces": 100.0})


def phases(lr, steps):
    first = int(0.8 * steps)
    how = {"optimizer": "amsgrad", "weight_decay": 5e-7, "clip": 10.0}
    return [
        {**how, "lr": lr, "schedule": "cosine", "final": 0.1, "steps": first, "weights": WEIGHTS[0]},
        {**how, "lr": lr / 10, "schedule": "cosine", "final": 0.1, "steps": steps - first,
         "weights": WEIGHTS[1]},
    ]  # fmt: skip


def part(path, count, seed, folder):
    """As many configurations, drawn by a seed: those of fewer are among those of more."""
    from ase.io import read, write

    atoms = read(path, ":")
    order = np.random.default_rng(seed).permutation(len(atoms))[:count]
    target = Path(folder) / "part.xyz"
    write(target, [atoms[k] for k in order])
    return target


def measure(folder, model, count, seed, length, device, runs):
    config, lr = MODELS[model]
    steps = LENGTHS[length]
    with tempfile.TemporaryDirectory() as root:
        data = part(folder / TRAIN, count, seed, root)
        surrogate = sciml.fit(
            config, data, TASK, phases=phases(lr, steps), ema=0.99, batch_size=5, validation=0.0,
            seed=seed, device=device, progress=False, checkpoint_every=2000, validate_every=0,
            directory=runs / f"{model}-{count}-{seed}-{length}", resume=True,
        )  # fmt: skip
    spent = surrogate.history.wait + surrogate.history.compute  # of all attempts
    found = sciml.evaluate(surrogate, folder / TEST)
    atoms = 9
    return {
        "model": model, "samples": count, "seed": seed, "length": length, "steps": steps,
        "energy": 1e3 * atoms * found["mae_per_particle"], "forces": 1e3 * found["mae"],
        "seconds": round(spent, 1), "device": str(device),
        "weights": sum(p.numel() for p in surrogate.model.parameters()),
        "settings": {**config, "lr": lr, "batch": 5, "ema": 0.99, "loss": WEIGHTS},
    }  # fmt: skip


def table(lines):
    """Mean and deviation over seeds, a row a model and number of configurations."""
    rows = {}
    for line in lines:
        key = (line["length"], line["model"], line["samples"])
        rows.setdefault(key, []).append(line)
    print(
        f"{'':6} {'':9} {'samples':>7} {'energy, meV':>16} {'forces, meV/Å':>16} {'s':>7}  published"
    )
    for (length, model, count), found in sorted(rows.items()):
        cells = []
        for name in ("energy", "forces"):
            values = [line[name] for line in found]
            spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.1f}{spread} ({len(values)})")
        seconds = np.mean([line["seconds"] for line in found])
        known = PUBLISHED.get(model, ()) if count == 1000 else ()
        published = " / ".join(map(str, known))
        print(
            f"{length:6} {model:9} {count:7} {cells[0]:>16} {cells[1]:>16} {seconds:7.0f}  {published}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCIML_MOLECULES"))
    parser.add_argument("--model", nargs="+", default=["mace-s"], choices=[*MODELS])
    parser.add_argument("--samples", nargs="+", type=int, default=[50, 100, 200, 500, 1000])
    parser.add_argument("--length", default="short", choices=[*LENGTHS])
    parser.add_argument("--seeds", type=int, default=1, help="as many, from 0")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=Path, default=Path("runs/molecules"), help="of checkpoints")
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    if given.data is None or not (Path(given.data) / TRAIN).exists():
        parser.error(f"--data {given.data}: expected the folder of {TRAIN}, or SCIML_MOLECULES")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    for seed in range(given.seeds):
        for model in given.model:
            for count in given.samples:
                wanted = {"model": model, "samples": count, "seed": seed, "length": given.length}
                if chosen(rows_of(given.out), **wanted):
                    continue
                found = measure(
                    Path(given.data), model, count, seed, given.length, given.device, given.runs
                )
                append(given.out, found)
                print(
                    f"{model} {count} seed {seed}: {found['energy']:.1f} meV, {found['forces']:.1f} "
                    f"meV/Å in {found['seconds']:.0f} s",
                    flush=True,
                )
    table(rows_of(given.out))


if __name__ == "__main__":
    main()
