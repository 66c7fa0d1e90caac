"""Surrogates of the flow past a cylinder, from recorded flows and from a solver that runs meanwhile.

``python workflows/cylinder_flow/run.py --model s meshgraphnet transolver bsms --feed fixed online``

Each result is a line of results.jsonl; those that are there are not computed again. ``--length full``
is the published protocol, for a GPU (``--device cuda``); ``short`` fits a processor. ``fixed`` trains on
a recording, ``online`` on a solver's stream, by ``study.yaml``; both take as many steps. The first model
that is trained online runs the solver, and others of that seed replay its stream. Flows of the test have
meshes, cylinders and speeds of their own. ``--costs`` measures a training step, an answer and memory
instead, of all models in turn.
"""

import argparse
import json
import os
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from forces import forces, strouhal
from scipy.signal import detrend

import sciml
from sciml.datasets.generation import generate
from sciml.datasets.recipe import load_recipe
from sciml.record import Windows, open_recording
from sciml.report.rows import append, chosen, rows_of
from sciml.study import load_study
from sciml.surrogates import Surrogate, collate
from sciml.surrogates.batch import suited
from sciml.training import Supervised

HERE = Path(__file__).parent
RECIPE = "data/cylinder_flow"
S = {"name": "mesh_transformer"}
MODELS = {
    # As published.
    "s": S,
    "meshgraphnet": {"name": "meshgraphnet"},
    "transolver": {"name": "transolver"},
    "bsms": {"name": "meshgraphnet", "levels": 3},
    # What makes a node of S see further.
    "s windows": {**S, "dilations": [1, 2, 4]},
    "s hops": {**S, "hops": 2},
    "s random": {**S, "random_edges": 1},
    "s global": {**S, "global_nodes": 4},
    "s cylinder": {**S, "global_groups": ["cylinder"]},
    "s virtual": {**S, "virtual_node": True},
    "s levels": {**S, "levels": 2},
    # Other sizes.
    "xxs": {**S, "layers": 5, "width": 16, "heads": 2},
    "xs": {**S, "layers": 7, "width": 32, "heads": 4},
    "m": {**S, "size": "M"},
    "l": {**S, "size": "L"},
}
#: Of a rollout, besides all: what follows depends on the phase of the vortices.
EARLY = 25
#: Of the optimizer as published for the transformer; at full length MeshGraphNet has its own.
PHASE = {"optimizer": "adamw", "weight_decay": 1e-4, "schedule": "cosine", "clip": 1.0}
OWN_PHASE = {
    "optimizer": "adam", "lr": 1e-4, "schedule": "exponential", "final": 0.01, "clip": None
}  # fmt: skip
#: Size of the recipe and what differs from it; flows that a stream brings, and how often each of their
#: states is drawn; steps, and the greatest rate.
LENGTHS = {
    "full": {
        "size": "full", "options": {}, "ranges": {}, "splits": {}, "stream": 1000, "draws": 2,
        "steps": 600_000, "warmup": 1000, "lr": 1e-3,
    },
    "short": {
        "size": "small",
        "options": {"spacing": 0.06, "nodes": "corners", "spinup": 0.5, "steps": 100},
        "ranges": {
            "speed": [1.4, 1.9], "cylinder_x": [0.2, 0.3], "cylinder_y": [0.17, 0.24],
            "radius": [0.045, 0.06],
        },
        "splits": {"train": 8, "validation": 2, "test": 6}, "stream": 20, "draws": 2,
        "steps": 2000, "warmup": 100, "lr": 2e-3,
    },
    "tiny": {
        "size": "small",
        "options": {"spacing": 0.1, "nodes": "corners", "order": 2, "dt": 0.02, "steps": 4},
        "ranges": {}, "splits": {"train": 1, "validation": 0, "test": 1}, "stream": 1, "draws": 1,
        "steps": 2, "warmup": 0, "lr": 1e-3,
    },
}  # fmt: skip


def recipe(length):
    """The recipe of the flows, and what overrides it."""
    how = LENGTHS[length]
    changed = {"solver.options": how["options"], "parameters.ranges": how["ranges"]}
    changed["splits"] = how["splits"]
    words = [f"{at}.{k}={v}" for at, values in changed.items() for k, v in values.items()]
    return load_recipe(RECIPE, how["size"], words), words


def recorded(folder, length):
    """The recording of the flows, which is made once."""
    out = folder / f"flows-{length}"
    if not out.exists():
        generate(RECIPE, out, size=LENGTHS[length]["size"], overrides=recipe(length)[1], plain=True)
    return out


def study_of(model, feed, length, seed, device):
    """``study.yaml`` with the flows of a length, a model and its optimizer."""
    how, flows = LENGTHS[length], recipe(length)[0]
    phase = PHASE | {key: how[key] for key in ("steps", "warmup", "lr")}
    if length == "full":
        own = MODELS[model]["name"] == "meshgraphnet"
        phase |= OWN_PHASE if own else {"betas": [0.9, 0.95]}
    states = how["stream"] * flows.solver.options["steps"]
    changed = {
        # Other flows than the recipe's, whose seed is 0.
        "seed": seed + 1, "model": MODELS[model], "solver.options": flows.solver.options,
        "parameters.simulations": how["stream"],
        "parameters.ranges": {k: list(v.bounds) for k, v in flows.parameters.ranges.items()},
        "training.phases": [phase], "training.device": device, "record": feed == "online",
        # The training begins when two fifths are there, and the solver waits for it where it is slow.
        "buffer": {
            "kind": "reservoir", "capacity": max(2, states // 2), "watermark": max(2, 2 * states // 5),
            "draws": how["draws"],
        },
        # Of the recording, where it has some.
        "validation": {"simulations": 0, "every": how["steps"]},
    }  # fmt: skip
    return load_study(HERE / "study.yaml", [f"{k}={json.dumps(v)}" for k, v in changed.items()])


def rmse(pairs):
    """One root mean square over steps, nodes and components of velocities."""
    gaps = [np.square(a.astype(np.float64) - b).ravel() for a, b in pairs]
    return float(np.sqrt(np.concatenate(gaps).mean()))


def coefficients(flow, drag=None, lift=None):
    """Mean drag, amplitude of the lift (√2 of its deviation) and Strouhal number, of the last two thirds
    of a flow; of its fields, unless they are given. Of the lift less its straight trend, since rollouts
    drift. ``None`` where vortices are not shed, or nothing is finite."""
    diameter = 2.0 * flow.attrs["radius"]
    mean_speed = 2.0 / 3.0 * flow.attrs["speed"]
    if drag is None:
        drag, lift = forces(flow, flow.attrs["nu"], mean_speed, diameter)
    late = slice(len(drag) // 3, None)
    if not np.isfinite(lift).all():
        return [None, None, None]
    swing, dt = detrend(lift[late]), float(flow.time[1] - flow.time[0])
    found = drag[late].mean(), np.sqrt(2.0) * swing.std(), strouhal(swing, dt, mean_speed, diameter)
    return [float(v) if np.isfinite(v) else None for v in found]


def test_flows(folder, length):
    """Those that no training sees, with their numbers as attributes."""
    recording = open_recording(recorded(folder, length))
    numbers = [n for n, role in recording.roles.items() if role == "test"]
    return [
        recording.open_simulation(n).load().assign_attrs(recording.simulation(n).parameters)
        for n in numbers
    ]


def of_the_solver(flows):
    """Errors of a flow that stays as it is; coefficients by the solver, and of its fields at nodes."""
    u = [flow.velocity.values for flow in flows]
    return {
        "one_step": rmse((v[:-1], v[1:]) for v in u),
        "early": rmse((np.broadcast_to(v[0], w.shape), w) for v in u for w in [v[1 : 1 + EARLY]]),
        "rollout": rmse((np.broadcast_to(v[0], v[1:].shape), v[1:]) for v in u),
        "coefficients": [coefficients(f) for f in flows],
        "solver": [coefficients(f, f.drag.values, f.lift.values) for f in flows],
        "flows": [{k: f.attrs[k] for k in ("speed", "radius")} for f in flows],
        "nodes": [f.sizes["node"] for f in flows],
    }


def of_surrogate(surrogate, flows):
    """Its errors, and coefficients of its rollouts."""
    ahead, rolled, found = [], [], []
    for flow in flows:
        given, truth = flow.drop_vars("pressure"), flow.velocity.values[1:]
        ahead.append((surrogate.predict(given.isel(time=slice(-1))).velocity.values, truth))
        far = surrogate.rollout(given.isel(time=[0]), len(truth))
        rolled.append((far.velocity.values, truth))
        found.append(coefficients(far.assign_attrs(flow.attrs)))
    return {
        "one_step": rmse(ahead), "early": rmse((a[:EARLY], b[:EARLY]) for a, b in rolled),
        "rollout": rmse(rolled), "coefficients": found,
    }  # fmt: skip


def measure(folder, model, feed, length, seed, device):
    flows = test_flows(folder, length)
    if model == "solver":
        return of_the_solver(flows)
    out = folder / "-".join((model.replace(" ", "_"), feed, length, str(seed)))
    shutil.rmtree(out, ignore_errors=True)  # of a training that was interrupted
    study = study_of(model, feed, length, seed, device)
    streams = [
        path / "recording"
        for path in sorted(folder.glob(f"*-online-{length}-{seed}"))
        if (path / "summary.json").exists() and (path / "recording").exists()
    ]
    began = time.perf_counter()
    if feed == "fixed":
        run = sciml.train(study, recorded(folder, length), out, plain=True)
    elif streams:  # the same flows, in the order in which they came, through the same buffer
        run = sciml.train(study, streams[0], out, stream=True, plain=True)
    else:
        run = sciml.run(study, out, plain=True)
    seconds = time.perf_counter() - began
    surrogate = run.surrogate()
    how = LENGTHS[length]
    return {
        **of_surrogate(surrogate, flows), "steps": how["steps"],
        "flows": how["stream"] if feed == "online" else how["splits"].get("train"),
        "weights": sum(p.numel() for p in surrogate.parameters()),
        "seconds": round(seconds, 1), "replayed": feed == "online" and bool(streams),
        "device": device, "settings": dict(surrogate.options),
    }  # fmt: skip


class Trial:
    """A model that can be trained a step, or asked, on states of the recording.

    Args:
        windows: samples of which the first two are a batch.
    """

    def __init__(self, model, windows, task, device):
        first = windows[0].simulation
        torch.manual_seed(0)
        self.surrogate = Surrogate.build(
            MODELS[model], task, first.domain, fields=first.fields, increment=True
        ).to(device)
        pair = collate([windows[0], windows[1]], task, self.surrogate.structures)
        alone = collate([windows[0]], task, self.surrogate.structures)
        self.pair, self.alone = (suited(b, self.surrogate, device) for b in (pair, alone))
        self.optimizer = torch.optim.AdamW(self.surrogate.parameters())
        self.objective, self.device = Supervised("mse"), device

    def step(self):
        self.optimizer.zero_grad()
        sum(self.objective(self.surrogate, self.pair).values()).backward()
        self.optimizer.step()

    @torch.no_grad()
    def ask(self):
        self.surrogate(self.alone)

    def seconds(self, call):
        """Of the device; of a processor its own, whoever else works on it."""
        if self.device == "cpu":
            began = time.process_time()
            call()
            return time.process_time() - began
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        return time.perf_counter() - began


def peak(make):
    """Bytes that two training steps take beyond what is there before a model is."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        before, trial = torch.cuda.memory_allocated(), make()
        trial.step(), trial.step()
        return torch.cuda.max_memory_allocated() - before
    read, write = os.pipe()
    child = os.fork()  # memory that is freed stays with a process: each has one of its own
    if child == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        trial = make()
        trial.step(), trial.step()
        os.write(write, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return 1024 * int(said)


def costs(folder, models, length, device, rounds):
    """Of each model: seconds of a step and of an answer, by those of the first; medians over rounds in
    which models take turns, and quartiles."""
    folder = folder / f"two-{length}"
    if not folder.exists():
        words = [*recipe(length)[1], "solver.options.steps=2", "solver.options.spinup=0"]
        size = LENGTHS[length]["size"]
        generate(RECIPE, folder, size=size, overrides=words, simulations=2, plain=True)
    task = study_of(models[0], "fixed", length, 0, device).task.build()
    windows = Windows(open_recording(folder), [0], task)
    if device == "cuda":
        torch.cuda.init()
    memory = {m: peak(lambda m=m: Trial(m, windows, task, device)) for m in models}
    trials = {m: Trial(m, windows, task, device) for m in models}
    calls = {(m, what): getattr(t, what) for m, t in trials.items() for what in ("step", "ask")}
    for call in calls.values():
        call()
    found = {key: [] for key in calls}
    for _ in range(rounds):
        for (model, what), call in calls.items():
            found[model, what].append(trials[model].seconds(call))
    nodes = windows[0].simulation.domain.size
    print(f"\n{length}, {nodes} nodes, {device}, {rounds} rounds, a step of two states")
    print("| | parameters | step, ms | by the first | answer, ms | by the first | memory, MB |")
    print("|---|---|---|---|---|---|---|")
    for model, trial in trials.items():
        cells = [f"{sum(p.numel() for p in trial.surrogate.parameters()):,}".replace(",", " ")]
        for what in ("step", "ask"):
            own, first = np.array(found[model, what]), np.array(found[models[0], what])
            low, middle, high = np.percentile(first / own, (25, 50, 75))
            cells += [f"{1e3 * np.median(own):.1f}", f"{middle:.2f}× ({low:.2f}–{high:.2f})"]
        print(f"| {model} | {' | '.join(cells)} | {memory[model] / 1e6:.0f} |")


def table(rows):
    """Markdown of each length: RMSE × 10³ of velocities, and how far coefficients are off."""
    errors = ("one_step", "early", "rollout")
    for length in dict.fromkeys(row["length"] for row in rows):
        print(
            f"\n| {length} | parameters | feed, seeds | one step | {EARLY} steps | all steps ",
            end="",
        )
        print("| drag | lift | St | shed |" + "\n" + "|---" * 10 + "|")
        [solver] = chosen(rows, length=length, model="solver")
        cells = [f"{1e3 * solver[key]:.1f}" for key in errors]
        print(f"| unchanged | | | {' | '.join(cells)} | | | | |")
        off = deviations(solver["coefficients"], solver["solver"])
        print(f"| the solver's fields at the nodes | | | | | | {off} |")
        for model in MODELS:
            for feed in ("fixed", "online"):
                own = chosen(rows, length=length, model=model, feed=feed)
                if not own:
                    continue
                cells = [f"{own[0]['weights']:,}".replace(",", " "), f"{feed}, {len(own)}"]
                for key in errors:
                    values = [1e3 * row[key] for row in own]
                    more = f" ± {np.std(values, ddof=1):.1f}" if len(own) > 1 else ""
                    cells.append(f"{np.mean(values):.1f}{more}")
                every = [c for row in own for c in row["coefficients"]]
                cells.append(deviations(every, solver["coefficients"] * len(own)))
                print(f"| {model} | {' | '.join(cells)} |")


def deviations(found, true):
    """Mean distance of drag, lift and Strouhal number, relative; of how many flows that shed vortices
    it is told."""
    cells = []
    for k in range(3):
        pairs = [(f[k], t[k]) for f, t in zip(found, true, strict=True)]
        off = [abs(f - t) / t for f, t in pairs if f is not None and t]
        cells.append(f"{100 * np.mean(off):.1f} %" if off else "")
    shed = sum(t[2] is not None for t in true)
    both = sum(f[2] is not None and t[2] is not None for f, t in zip(found, true, strict=True))
    return " | ".join([*cells, f"{both} of {shed}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = ["meshgraphnet", "s", "transolver", "bsms"]
    parser.add_argument("--model", nargs="+", default=usual, choices=[*MODELS])
    parser.add_argument(
        "--feed", nargs="+", default=["fixed", "online"], choices=["fixed", "online"]
    )
    parser.add_argument("--length", default="short", choices=[*LENGTHS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--costs", type=int, metavar="ROUNDS", help="measure what models cost")
    parser.add_argument("--data", type=Path, default=HERE / "runs", help="flows and trainings")
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    given.data.mkdir(parents=True, exist_ok=True)
    if given.costs:
        costs(given.data, given.model, given.length, given.device, given.costs)
        return
    for seed in given.seeds:
        for model in ["solver", *given.model]:
            for feed in given.feed if model != "solver" else [""]:
                case = {"model": model, "feed": feed, "length": given.length}
                case["seed"] = seed if model != "solver" else 0
                if chosen(rows_of(given.out), **case):
                    continue
                found = case | measure(given.data, **case, device=given.device)
                append(given.out, found)
                print(
                    f"{model} {feed} {seed}: one step {found['one_step']:.5f}, "
                    f"all steps {found['rollout']:.4f}",
                    flush=True,
                )
    table(rows_of(given.out))


if __name__ == "__main__":
    main()
