"""Message passing PDE solvers and FNO on E1, E2 and E3, from a fixed set and from a stream.

``python workflows/mp_pde/run.py --model mppde fno weno5 --points 100 50 40 --seeds 3``

Each result is a line of results.jsonl; those that are there are not computed again. ``--length full``
is the published protocol, for a GPU (``--device cuda``); ``short`` and ``medium`` fit a processor.
Weights that are tested are those with the least accumulated error on validation trajectories.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from trajectories import EXPERIMENTS, FIRST, ranges, simulate, step, take

from sciml.domain import Field, Grid
from sciml.report.rows import append, chosen, rows_of
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Normalizer, Setting, Statistics, Surrogate, collate
from sciml.surrogates.batch import suited
from sciml.training import Hooks, Phase, Supervised, train

HERE = Path(__file__).parent
#: Frames in and out of one call.
BUNDLE = 25
#: The first frame that is predicted: the 25 before it come from the solver, as in the source.
BEGIN = 50
LENGTH = 16.0
MODELS = {
    "full": {
        "mppde": {"name": "mppde"},
        "fno": {"name": "fno", "modes": 32, "hidden_channels": 64},
    },
    "short": {
        "mppde": {"name": "mppde", "hidden": 64},
        "fno": {"name": "fno", "modes": 32, "hidden_channels": 32},
    },
}
#: Training, validation and test trajectories; those that a stream holds at a time, and all of them;
#: batch; steps; how often validation is looked at; peak of the rate.
LENGTHS = {
    "full": {
        "sizes": (2048, 128, 128), "stream": 32_768, "batch": 16, "steps": 640_000, "every": 16_000,
        "lr": 1e-4,
    },
    "short": {
        "sizes": (64, 32, 64), "stream": 1024, "batch": 16, "steps": 500, "every": 125, "lr": 1e-3,
    },
    "medium": {
        "sizes": (64, 32, 64), "stream": 4096, "batch": 16, "steps": 2500, "every": 500, "lr": 1e-3,
    },
    "tiny": {"sizes": (4, 2, 2), "stream": 8, "batch": 4, "steps": 4, "every": 2, "lr": 1e-3},
}  # fmt: skip
#: Accumulated errors at 100, 50 and 40 points, by the source; FNO with pushforward.
PUBLISHED = {
    "mppde": {"E1": (1.55, 1.67, 1.47), "E2": (1.58, 1.63, 1.45), "E3": (4.26, 3.74, 3.70)},
    "fno": {"E1": (0.54, 0.51, 0.57), "E2": (2.53, 2.27, 2.38), "E3": (5.69, 5.39, 5.98)},
    "weno5": {"E1": (2.02, 6.23, 9.63), "E2": (1.19, 5.35, 8.05), "E3": (4.71, 11.71, 15.97)},
}
POINTS = (100, 50, 40)


def task_of(experiment):
    """25 frames in and out; windows of two bundles, of which the first may be pushed through."""
    return Task(
        ("u",), ("u",), history=BUNDLE, bundle=BUNDLE, unroll=2 * BUNDLE, time=True,
        parameters=tuple(ranges(experiment)),
    )  # fmt: skip


class Windows:
    """Samples of trajectories, cut where they are wanted.

    Args:
        u: ``(trajectory, frame, x)``.
        numbers: parameters ``(trajectory, parameter)``.
    """

    def __init__(self, experiment, u, numbers):
        self.u, self.numbers = u, numbers
        self.names, self.dt = tuple(ranges(experiment)), step(experiment)
        self.grid = Grid((u.shape[2],), ((0.0, LENGTH),), ("periodic",))

    def window(self, task, number, origin):
        """The one of a trajectory whose last known frame is ``origin``."""
        parameters = dict(zip(self.names, self.numbers[number], strict=True))
        simulation = Simulation(number, self.grid, (Field("u"),), parameters)
        given, wanted = (
            tuple(Frame(number, n, n * self.dt, {"u": self.u[number, n]}) for n in steps)
            for steps in (task.input_steps(origin), task.target_steps(origin))
        )
        return Sample(simulation, origin, given, wanted)

    def origins(self, task):
        """Frames that windows of a trajectory can have as their last known one."""
        return range(task.history - 1, self.u.shape[1] - task.unroll)

    def rollouts(self, task):
        """One window a trajectory, to its last frame."""
        far = replace(task, unroll=self.u.shape[1] - BEGIN)
        return [self.window(far, n, BEGIN - 1) for n in range(len(self.u))]


class Draws:
    """Batches of windows, each of a trajectory and a place in it that are drawn.

    Drawn from are ``held`` trajectories: always the same, where there are no more, or those of a stream,
    of which the oldest leaves and the next enters evenly over the steps, and none comes back.
    """

    def __init__(self, windows, task, held, steps, batch, seed):
        self.windows, self.task, self.held, self.steps, self.batch = (
            windows, task, held, steps, batch,
        )  # fmt: skip
        self.rng, self.at = np.random.default_rng(seed), 0

    def open(self):
        """The trajectories that are held at this step."""
        first = (len(self.windows.u) - self.held) * self.at // max(1, self.steps - 1)
        return range(first, first + self.held)

    def next_batch(self):
        there = self.open()
        self.at += 1
        chosen = []
        for number in self.rng.choice(there, self.batch, replace=self.batch > len(there)):
            origin = int(self.rng.choice(self.windows.origins(self.task)))
            chosen.append(self.windows.window(self.task, int(number), origin))
        return collate(chosen, self.task)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@torch.no_grad()
def accumulated(surrogate, batches):
    """Σ over the frames of a rollout of the squared error's mean over x; the mean over trajectories."""
    training, found = surrogate.training, []
    surrogate.eval()
    for batch in batches:
        gap = surrogate(batch)["u"] - batch.targets["u"]
        found += gap.double().square().mean(2).sum(1).tolist()
    surrogate.train(training)
    return float(np.mean(found))


def unchanged(windows):
    """Accumulated error of the last known frame."""
    gap = windows.u[:, BEGIN:].astype(np.float64) - windows.u[:, BEGIN - 1 : BEGIN]
    return float(np.square(gap).mean(2).sum(1).mean())


def weno5(experiment, windows, points):
    """Accumulated error of finite volumes on the coarser grid, which begin at time 0, as published."""
    found = simulate(experiment, [FIRST["test"] + n for n in range(len(windows.u))], points)
    return float(np.square(found - windows.u)[:, BEGIN:].mean(2).sum(1).mean())


def measure(folder, experiment, model, points, feed, seed, length, device):
    how, task = LENGTHS[length], task_of(experiment)
    parts = dict(zip(("train", "validation", "test"), how["sizes"], strict=True))
    if feed == "stream":
        parts["train"] = how["stream"]
    key = {
        "experiment": experiment, "model": model, "points": points, "feed": feed,
        "length": length, "seed": seed,
    }  # fmt: skip
    if model == "weno5":
        parts = {"test": parts["test"]}
    windows = {
        part: Windows(experiment, *take(folder, experiment, part, count, points))
        for part, count in parts.items()
    }
    if model == "weno5":
        began = time.perf_counter()
        found = weno5(experiment, windows["test"], points)
        seconds = round(time.perf_counter() - began, 1)
        still = unchanged(windows["test"])
        return {**key, "test": found, "unchanged": still, "seconds": seconds}
    torch.manual_seed(seed)
    grid, fields = windows["train"].grid, (Field("u"),)
    normalizer = Normalizer.of(Setting(task, grid, fields))
    surrogate = Surrogate.build(
        MODELS.get(length, MODELS["short"])[model], task, grid, fields=fields,
        normalizer=normalizer, increment=True,
    )  # fmt: skip
    statistics = Statistics(surrogate)
    statistics.update(
        windows["train"].window(task, n, origin)
        for n in range(how["sizes"][0])
        for origin in windows["train"].origins(task)[::BUNDLE]
    )
    statistics.fix()
    surrogate.to(device)
    judged = {}
    for part in ("validation", "test"):
        every = windows[part].rollouts(task)
        judged[part] = [
            suited(collate(every[k : k + 16], task), surrogate, device)
            for k in range(0, len(every), 16)
        ]
    best = {"validation": np.inf}

    def look(record, _):
        if record.step % how["every"] and record.step != how["steps"]:
            return
        error = accumulated(surrogate, judged["validation"])
        if error < best["validation"] or "weights" not in best:
            kept = {k: v.clone() for k, v in surrogate.state_dict().items()}
            best.update(validation=error, step=record.step, weights=kept)

    began, spent = time.perf_counter(), time.process_time()
    source = Draws(windows["train"], task, how["sizes"][0], how["steps"], how["batch"], seed)
    train(
        surrogate, source, Supervised("mse"),
        Phase("adamw", how["lr"], "cosine", steps=how["steps"], clip=1.0),
        hooks=Hooks(on_step=look),
        # As in the source: none at first, then none or a bundle, as often.
        options={"pushforward": {"steps": BUNDLE, "grow": max(1, how["steps"] // 20 // BUNDLE)}},
    )  # fmt: skip
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    surrogate.load_state_dict(best.pop("weights"))
    return {
        **key, "test": accumulated(surrogate, judged["test"]), **best,
        "unchanged": unchanged(windows["test"]),
        "steps": how["steps"], "batch": how["batch"], "trajectories": len(windows["train"].u),
        "held": how["sizes"][0], "tested": how["sizes"][2],
        "weights": sum(p.numel() for p in surrogate.model.parameters()),
        "seconds": round(seconds, 1), "processor_seconds": round(spent, 1), "device": str(device),
        "settings": surrogate.options | {"lr": how["lr"]},
    }  # fmt: skip


def table(lines):
    """Markdown of each length: mean ± deviation (seeds), and what is published."""
    columns = [(m, f) for m in ("mppde", "fno") for f in ("fixed", "stream")] + [("weno5", "fixed")]
    names = [m if m == "weno5" else f"{m} {f}" for m, f in columns]
    for length in sorted({line["length"] for line in lines}):
        print(f"\n| {length} | points | {' | '.join(names)} | unchanged |", end="")
        print(" published: mppde | fno | weno5 |\n" + "|---" * (len(names) + 6) + "|")
        for experiment in EXPERIMENTS:
            for points in POINTS:
                place = (length, experiment, points)
                there = [r for r in lines if (r["length"], r["experiment"], r["points"]) == place]
                if not there:
                    continue
                cells = []
                for column in columns:
                    found = [r["test"] for r in there if (r["model"], r["feed"]) == column]
                    spread = f" ± {np.std(found, ddof=1):.2f}" if len(found) > 1 else ""
                    seeds = f" ({len(found)})" if column[0] != "weno5" else ""
                    cells.append(f"{np.mean(found):.2f}{spread}{seeds}" if found else "")
                cells.append(f"{there[0]['unchanged']:.1f}")
                at = POINTS.index(points)
                cells += [f"{PUBLISHED[m][experiment][at]}" for m in ("mppde", "fno", "weno5")]
                print(f"| {experiment} | {points} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", nargs="+", default=[*EXPERIMENTS], choices=[*EXPERIMENTS])
    parser.add_argument("--model", nargs="+", default=["mppde", "fno"], choices=[*PUBLISHED])
    parser.add_argument("--points", nargs="+", type=int, default=[*POINTS], choices=POINTS)
    parser.add_argument(
        "--feed", nargs="+", default=["fixed", "stream"], choices=["fixed", "stream"]
    )
    parser.add_argument("--length", default="short", choices=[*LENGTHS])
    parser.add_argument("--seeds", type=int, default=1, help="as many, from 0")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--data", type=Path, default=HERE / "runs", help="where trajectories are kept"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    keys = ("experiment", "model", "points", "feed", "length", "seed")
    wanted = [
        (experiment, model, points, feed, given.length, seed)
        for seed in range(given.seeds)
        for points in sorted(given.points)
        for experiment in given.experiment
        for model in given.model
        for feed in given.feed
    ]
    for case in wanted:
        experiment, model, points, feed, length, seed = case
        once = model == "weno5"  # there is nothing to draw, and no equation of E3 in it
        if chosen(rows_of(given.out), **dict(zip(keys, case, strict=True))) or (
            once and (seed or feed == "stream" or experiment == "E3")
        ):
            continue
        found = measure(given.data, experiment, model, points, feed, seed, length, given.device)
        append(given.out, found)
        print(
            f"{experiment} {points} {model} {feed} {seed}: {found['test']:.2f} "
            f"in {found['seconds']:.0f} s",
            flush=True,
        )
    table(rows_of(given.out))


if __name__ == "__main__":
    main()
