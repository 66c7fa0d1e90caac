"""Does a surrogate learn as well when the processes of its run are killed?

A small study of the heat equation runs undisturbed and with eight kills (two each of rank, job,
trainer and supervisor, at random moments), with the same seeds; a table shows the errors on
the held-out simulations at the end. Which samples a batch holds depends on the timing of solvers and
trainer, with kills or without: the stream is the same in expectation only, so that means over seeds
are compared, and the spread over seeds is the measure. Two kinds of noise are in it: weights and
design of the seed, and the timing; pairs of one seed share the first.

``python tests/benchmarks/show_kills.py --seeds 5 --json kills.json``
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import yaml

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from killing import KINDS, Killer  # noqa: E402

KILLS = [kind for kind in KINDS for _ in range(2)]
ERRORS = {"one_step": "one step", "rollout": "rollout"}


def study(seed):
    """The quickstart with fewer simulations, a smaller network and fewer steps."""
    whole = yaml.safe_load((TESTS.parent / "workflows/quickstart/study.yaml").read_text())
    whole |= {"name": "kills", "seed": seed}
    whole["parameters"]["simulations"] = 32
    whole["model"] = {"name": "fno", "modes": 12, "hidden_channels": 12, "n_layers": 4}
    whole["buffer"] |= {"capacity": 600, "watermark": 150, "draws": 3}
    whole["training"]["phases"][0]["steps"] = 300
    whole["training"]["checkpoint_every"] = 25
    whole["validation"] = {"simulations": 6, "every": 100, "rollout": 50}
    whole["cluster"]["retries"] = 5
    return whole


def one(folder, seed, kinds):
    """Run the study of a seed, with kills; its errors, and how it went."""
    began = time.monotonic()
    folder.mkdir(parents=True)
    with Killer(study(seed), folder, seed) as killer:
        for kind in kinds:
            killer.kill(kind)
        killer.finish()
        processes, files = killer.left()
    summary = json.loads((killer.run / "summary.json").read_text())
    state = json.loads((killer.run / "status.json").read_text())
    return {
        "seed": seed,
        "killed": killer.report() if kinds else "",
        "seconds": time.monotonic() - began,
        **{name: summary[name] for name in (*ERRORS, "steps", "persistence")},
        **{name: state["frames"][name] for name in ("produced", "received", "lost", "doubled")},
        "repeats": state["buffer"]["repeats"],
        "rolled_back": state["samples"]["rolled_back"],
        "left": len(processes) + len(files),
    }


def compare(calm, killed):
    """Means and spreads of both, and the difference in standard errors of the difference."""
    found = {}
    for name in ERRORS:
        a, b = ([row[name] for row in rows] for rows in (calm, killed))
        means, spreads = [statistics.mean(x) for x in (a, b)], [statistics.stdev(x) for x in (a, b)]
        pairs = [y - x for x, y in zip(a, b, strict=True)]
        found[name] = {
            "means": means,
            "stds": spreads,
            "difference": means[1] - means[0],
            "standard_error": (spreads[0] ** 2 / len(a) + spreads[1] ** 2 / len(b)) ** 0.5,
            "pairs_worse": sum(pair > 0 for pair in pairs),
            "within": abs(means[1] - means[0]) <= spreads[0],
        }
    return found


def show(calm, killed, found):
    print(
        f"\n{'seed':>6}  {'':12}{'one step':>11}{'rollout':>11}{'steps':>7}{'seconds':>9}", end=""
    )
    print(f"{'repeats':>9}{'produced':>10}{'received':>10}{'lost':>6}{'doubled':>9}{'left':>6}")
    for pair in zip(calm, killed, strict=True):
        for name, row in zip(("undisturbed", "10 kills"), pair, strict=True):
            print(
                f"{row['seed']:>6}  {name:12}{row['one_step']:>11.3e}{row['rollout']:>11.3e}"
                f"{row['steps']:>7}{row['seconds']:>9.1f}{row['repeats']:>9.1f}"
                f"{row['produced']:>10}{row['received']:>10}{row['lost']:>6}{row['doubled']:>9}"
                f"{row['left']:>6}"
            )
    for name, title in ERRORS.items():
        own = found[name]
        (a, b), (da, db) = own["means"], own["stds"]
        print(
            f"\n{title}: undisturbed {a:.3e} ± {da:.1e}, killed {b:.3e} ± {db:.1e} (mean ± std of "
            f"{len(calm)} seeds); difference {own['difference']:+.1e}, standard error "
            f"{own['standard_error']:.1e}; killed worse in {own['pairs_worse']} of {len(calm)}"
        )
        print(
            f"  the mean of the killed ones lies {'within' if own['within'] else 'OUTSIDE'} "
            "one standard deviation of the undisturbed ones"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    calm, killed = [], []
    with tempfile.TemporaryDirectory() as place:
        for seed in range(arguments.seeds):
            kinds = random.Random(seed).sample(KILLS, len(KILLS))
            # One after the other, alternating: a machine that others use is not the same for long.
            calm.append(one(Path(place) / f"calm-{seed}", seed, ()))
            killed.append(one(Path(place) / f"killed-{seed}", seed, kinds))
            print(f"{killed[-1]['killed']}, {killed[-1]['seconds']:.0f} s", flush=True)
    found = compare(calm, killed)
    show(calm, killed, found)
    if arguments.json:
        content = {"undisturbed": calm, "killed": killed, "comparison": found}
        arguments.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
