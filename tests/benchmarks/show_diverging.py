"""What simulations that diverge do to a training: errors with three of twelve, and without them.

``python tests/benchmarks/show_diverging.py [--seeds 3] [--faults absent grows jumps stops high]``

The faults are those of ``tests/diverging.py``; *absent* is the error without the three. Two
simulations run at a time, two of the twelve are held out, and each sample is drawn forty times.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from diverging import diverging_study


def run(seed: int, faults: dict[int, str], **changes) -> tuple[dict, str]:
    """Summary of the run, as far as it has one, with its account; and what it said."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # More steps than the stream feeds: all samples come, however busy the machine is.
        study = diverging_study(folder, faults, seed=seed, pace=0.01, steps=4000, **changes)
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        command = ["run", folder / "study.yaml", "--out", folder / "out"]
        process = subprocess.run(
            [sys.executable, "-m", "sciml.cli", *map(str, command)], capture_output=True, text=True
        )
        summary, state = folder / "out/summary.json", folder / "out/status.json"
        found = json.loads(summary.read_text()) if summary.exists() else {}
        status = json.loads(state.read_text()) if state.exists() else {}
        found |= {name: status.get(name) for name in ("samples", "frames")}
    return found, process.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--places", type=int, nargs=3, default=(1, 4, 8))
    parser.add_argument(
        "--faults", nargs="*", default=("absent", "grows", "jumps", "stops", "high")
    )
    parser.add_argument("--say", action="store_true", help="what the runs said")
    given = parser.parse_args()
    for fault in given.faults:
        for seed in range(given.seeds):
            found, said = run(seed, dict.fromkeys(given.places, fault))
            figures = {k: found.get(k) for k in ("one_step", "steps")}
            line = ", ".join(f"{k} {v:.4g}" for k, v in figures.items() if v is not None)
            print(f"{fault}, seed {seed}: {line}", found["samples"], found["frames"], flush=True)
            if given.say or "one_step" not in found:
                print(said, flush=True)


if __name__ == "__main__":
    main()
