"""Bodies that move, learned from a fixed set of trajectories and from a stream that never repeats.

``python workflows/n_body/run.py --model egnn fa_gnn --feed fixed stream --seeds 3``

Each result is a line of results.jsonl; those that are there are not computed again. ``--length full``
is the published protocol, for a GPU (``--device cuda``); ``short`` fits a processor. Weights that are
tested are those with the least error on validation trajectories.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from trajectories import SYSTEMS, block

from sciml.domain import Field, Particles
from sciml.report.rows import append, rows_of
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Normalizer, Setting, Statistics, Surrogate, collate
from sciml.surrogates.batch import suited
from sciml.surrogates.particles.equivariance import equivariance_errors
from sciml.training import DatasetSource, Hooks, Phase, Supervised, train

HERE = Path(__file__).parent
FIELDS = (Field("positions", components=3), Field("velocities", components=3))
TASK = Task(("positions", "velocities"), ("positions",), static=("charge",))
#: As published; and smaller ones where a processor would take hours.
MODELS = {
    "linear": {"name": str(HERE / "linear.py")},
    "mpnn": {"name": "mpnn", "hidden": 64, "layers": 4},
    "egnn": {"name": "egnn", "hidden": 64, "layers": 4},
    "fa_gnn": {"name": "fa_gnn", "channels": 20, "layers": 4},
    "fa_mpnn": {"name": "frame_averaging", "options": {"hidden": 64, "layers": 4}},
    "mace": {
        "name": "mace", "hidden": "16x0e + 16x1o", "correlation": 2, "degree": 2, "cutoff": 10.0,
    },
    "ponita": {
        "name": "ponita", "hidden": 128, "layers": 5, "orientations": 16, "layer_scale": 1e-6,
    },
    "ponita-s": {
        "name": "ponita", "hidden": 32, "layers": 3, "orientations": 8, "basis": 32,
        "layer_scale": 0.1,
    },
}  # fmt: skip
#: Test errors of the charged bodies at full length, by their authors.
PUBLISHED = {
    "linear": 0.0819, "mpnn": 0.0107, "egnn": 0.0070, "fa_gnn": 0.0057, "ponita": 0.0043
}  # fmt: skip
#: Training, validation and test trajectories; batch; steps; how often validation is looked at.
LENGTHS = {
    "full": {"sizes": (3000, 2000, 2000), "batch": 100, "steps": 300_000, "every": 300},
    "long": {"sizes": (3000, 2000, 2000), "batch": 100, "steps": 10_000, "every": 200},
    "medium": {"sizes": (3000, 2000, 2000), "batch": 100, "steps": 3000, "every": 100},
    "short": {"sizes": (3000, 2000, 2000), "batch": 100, "steps": 1000, "every": 100},
    "tiny": {"sizes": (20, 10, 10), "batch": 10, "steps": 4, "every": 2},
}
#: Gravity is dearer to compute and to learn.
SHORTER = {"gravity": {"sizes": (1000, 500, 500), "batch": 25, "steps": 600, "every": 100}}
#: First learning rates; MACE's is better by a third on validation trajectories than 1e-3.
PEAK, PEAKS = 1e-3, {"mace": 5e-3}


class Stream:
    """Batches of trajectories that nobody has seen before, computed while they are wanted."""

    def __init__(self, draw, batch):
        self.draw, self.batch, self.at, self.held = draw, batch, 0, []

    def next_batch(self):
        while len(self.held) < self.batch:
            self.held += self.draw(self.at)
            self.at += 1
        found, self.held = self.held[: self.batch], self.held[self.batch :]
        return found


class Collated:
    """A source of samples as a source of batches."""

    def __init__(self, stream, structures):
        self.stream, self.structures = stream, structures

    def next_batch(self):
        return collate(self.stream.next_batch(), TASK, self.structures)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def samples_of(states, charge, domain, first=0):
    found = []
    for n, (state, c) in enumerate(zip(states, charge, strict=True)):
        simulation = Simulation(
            first + n, domain, FIELDS, {}, {"charge": c}, static_fields=(Field("charge"),)
        )
        names = ("positions", "velocities")
        frames = [
            Frame(first + n, k, float(k), dict(zip(names, state[2 * k : 2 * k + 2], strict=True)))
            for k in (0, 1)
        ]
        found.append(Sample(simulation, 0, (frames[0],), (frames[1],)))
    return found


class Data:
    """Trajectories of a system by part, computed once and kept in a folder."""

    def __init__(self, folder, system, size):
        self.folder, self.system, self.size = folder, system, size
        # One for all, so that what is derived of it is made once.
        self.domain = Particles(np.zeros(SYSTEMS[system].bodies, int))

    def block(self, part, number):
        states, charge = block(self.folder, self.system, part, number, self.size)
        return samples_of(states.astype(np.float32), charge, self.domain, number * len(states))

    def take(self, part, count):
        blocks = range(-(-count // self.size))
        return [s for number in blocks for s in self.block(part, number)][:count]


@torch.no_grad()
def error(surrogate, batches):
    """Mean squared error of a coordinate."""
    training, total, count = surrogate.training, 0.0, 0
    surrogate.eval()
    for batch in batches:
        gap = surrogate(batch)["positions"] - batch.targets["positions"]
        total, count = total + float(gap.double().square().sum()), count + gap.numel()
    surrogate.train(training)
    return total / count


def protocol(system, length, trajectories=None):
    """Sizes and steps, with so many trajectories to train on instead."""
    how = {**LENGTHS[length], **(SHORTER.get(system, {}) if length == "short" else {})}
    return {**how, "sizes": (trajectories or how["sizes"][0], *how["sizes"][1:])}


def measure(folder, system, model, feed, seed, length, device, trajectories=None):
    peak = PEAKS.get(model, PEAK)
    how = protocol(system, length, trajectories)
    data = Data(folder, system, size=min(1000, LENGTHS[length]["sizes"][0]))
    known = [
        data.take(p, n) for p, n in zip(("train", "validation", "test"), how["sizes"], strict=True)
    ]
    config, nearest = MODELS[model], SYSTEMS[system].nearest
    if nearest and model == "fa_mpnn":
        config = {**config, "options": {**config["options"], "nearest": nearest}}
    elif nearest and model not in ("linear", "mace"):
        config = {**config, "nearest": nearest}
    torch.manual_seed(seed)
    setting = Setting(TASK, data.domain, FIELDS)
    surrogate = Surrogate.build(
        config, TASK, data.domain, fields=FIELDS, normalizer=Normalizer.of(setting), increment=True
    )
    statistics = Statistics(surrogate)
    statistics.update(known[0] if feed == "fixed" else data.block("stream", 0))
    statistics.fix()
    surrogate.to(device)
    structures = surrogate.structures
    judged = [
        [
            suited(collate(part[k : k + 250], TASK, structures), surrogate, device)
            for k in range(0, len(part), 250)
        ]
        for part in known[1:]
    ]
    if feed == "fixed":
        source = DatasetSource(known[0], TASK, how["batch"], seed=seed, structures=structures)
    else:
        stream = Stream(lambda number: data.block("stream", number), how["batch"])
        source = Collated(stream, structures)
    best = {"validation": np.inf}

    def look(record, _):
        if record.step % how["every"] and record.step != how["steps"]:
            return
        found = error(surrogate, judged[0])
        if found < best["validation"]:
            kept = {k: v.clone() for k, v in surrogate.state_dict().items()}
            best.update(validation=found, step=record.step, weights=kept)

    began = time.perf_counter()
    phase = Phase("adam", peak, "cosine", steps=how["steps"], weight_decay=1e-12)
    train(surrogate, source, Supervised("mse"), phase, hooks=Hooks(on_step=look))
    spent = time.perf_counter() - began
    surrogate.load_state_dict(best.pop("weights"))
    turns = equivariance_errors(surrogate, judged[1][0], trials=2)
    return {
        "system": system, "model": model, "feed": feed, "length": length, "seed": seed,
        "test": error(surrogate, judged[1]), **best,
        "rotation": turns["rotation"], "reflection": turns["reflection"],
        "steps": how["steps"], "batch": how["batch"], "trajectories": how["sizes"],
        "seen": how["sizes"][0] if feed == "fixed" else how["steps"] * how["batch"],
        "weights": sum(p.numel() for p in surrogate.model.parameters()),
        "seconds": round(spent, 1), "device": str(device),
        "settings": {**config, "name": Path(config["name"]).name, "lr": peak},
    }  # fmt: skip


def column(line):
    """How many trajectories there were to train on, or the stream."""
    return "stream" if line["feed"] == "stream" else f"{line['trajectories'][0]} fixed"


def key_of(line):
    """What a result is of."""
    names = ("system", "model", "length", "seed")
    return (*(line[name] for name in names), column(line), line["settings"]["lr"])


def table(lines):
    """Mean and deviation over seeds, a column for each number of trajectories and the stream."""
    rows = {}
    for line in lines:
        key = (line["length"], line["system"], line["model"], line["settings"]["lr"])
        row = rows.setdefault(key, {"line": line})
        row.setdefault(column(line), []).append(line["test"])
    columns = sorted({column(line) for line in lines}, key=lambda c: (c == "stream", len(c), c))
    head = "".join(f"{name:>20}" for name in columns)
    print(f"{'':32} {'rate':>6} {'weights':>8} {'steps':>7}{head}  published  rotation")
    for (length, system, model, lr), row in rows.items():
        cells = ""
        for name in columns:
            values = row.get(name, [])
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cell = f"{np.mean(values):.4f}{spread} ({len(values)})" if values else ""
            cells += f"{cell:>20}"
        line = row["line"]
        published = PUBLISHED.get(model, "") if system == "charged" else ""
        print(
            f"{length:6} {system:>11} {model:>13} {lr:6g} {line['weights']:8} {line['steps']:7}{cells}  "
            f"{published!s:9}  {line['rotation']:.0e}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--system", default="charged", choices=[*SYSTEMS])
    parser.add_argument("--model", nargs="+", default=["linear", "egnn"], choices=[*MODELS])
    parser.add_argument(
        "--feed", nargs="+", default=["fixed", "stream"], choices=["fixed", "stream"]
    )
    parser.add_argument("--length", default="short", choices=[*LENGTHS])
    parser.add_argument(
        "--trajectories", type=int, help="to train on, fixed; by default those of the length"
    )
    parser.add_argument("--seeds", type=int, default=1, help="as many, from 0")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--data", type=Path, default=HERE / "runs", help="where trajectories are kept"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    done = {key_of(line) for line in rows_of(given.out)}
    sizes = protocol(given.system, given.length, given.trajectories)["sizes"]
    for seed in range(given.seeds):
        for model in given.model:
            for feed in given.feed:
                wanted = {"system": given.system, "model": model, "length": given.length}
                wanted |= {"feed": feed, "trajectories": sizes, "seed": seed}
                if key_of({**wanted, "settings": {"lr": PEAKS.get(model, PEAK)}}) in done:
                    continue
                found = measure(
                    given.data, given.system, model, feed, seed, given.length, given.device,
                    given.trajectories,
                )  # fmt: skip
                append(given.out, found)
                print(
                    f"{model} {column(found)} {seed}: {found['test']:.4f} in {found['seconds']:.0f} s",
                    flush=True,
                )
    table(rows_of(given.out))


if __name__ == "__main__":
    main()
