"""One network for all speeds from 0 to 50: the equation alone, a stream of simulations alone, both.

    python workflows/lpinn_parametric/run.py

The study of ``workflows/lpinn_convection/study.yaml``, with equal steps of the optimizer and more
simulations, so that data alone have a fair chance. They stream once, into a recording, which is
replayed through the buffer for each training: all learn from the same stream. Every training is a line
of ``results.jsonl``; what is there is not computed again.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

import sciml
from sciml.equations.named import equation
from sciml.report.rows import chosen, mean_and_std

sys.path.append(str(Path(__file__).parents[1] / "lpinn_convection"))
from trainings import PLACES, parser_of, relative, run

STUDY = Path(__file__).parents[1] / "lpinn_convection" / "study.yaml"
MODES = ("physics", "data", "hybrid")
#: Unseen speeds, and times at which errors are measured.
SPEEDS, TIMES = 50, 20
STEPS = 1500
#: Of the stream, besides one that is held out: 0.4 apart in speed.
SIMULATIONS, EVERY, SENT = 128, 100, 21
#: Frames and points of each in a step, as many in all as there are labels.
FRAMES, POINTS = 32, 32


@dataclass(frozen=True)
class Mode:
    """What is learned from.

    Args:
        learns: ``physics``, ``data`` or ``hybrid``.
        out: folder of the runs.
        steps: of the optimizer.
    """

    learns: str
    out: Path
    steps: int = STEPS

    @property
    def about(self) -> dict[str, Any]:
        return {"learns": self.learns}

    @property
    def name(self) -> str:
        return self.learns

    def study(self, seed: int) -> dict[str, Any]:
        """The keys of its study."""
        study = deepcopy(yaml.safe_load(STUDY.read_text()))
        training, solver = study["training"], study["solver"]["options"]
        study["name"] = f"{study['name']}-{self.learns}-{seed}"
        study["seed"] = seed
        study["record"] = False
        study["parameters"]["simulations"] = SIMULATIONS
        study["validation"] = {"simulations": 1, "every": self.steps}
        study["solver"]["send"]["every"] = EVERY
        study["buffer"] |= {"capacity": SIMULATIONS * SENT, "watermark": SIMULATIONS * SENT // 2}
        training["batch_size"] = FRAMES
        phase = {**training["phases"][0], "steps": self.steps}
        training["phases"] = [phase]
        names = {o.get("kind"): n for n, o in training["objectives"].items()}
        training["objectives"][names["supervised"]]["points"] = POINTS
        if self.learns == "physics":
            side = {"low": 0.0, "high": solver["length"], "points": 128, "periodic": True}
            [points] = (s for s in training["sources"].values() if s["kind"] == "collocation")
            points |= {"domain": {"x": side}, "parameters": study["parameters"]["ranges"]}
            study.pop("solver"), study.pop("buffer")
            training["sources"] = {
                n: s for n, s in training["sources"].items() if s["kind"] == "collocation"
            }
            training["objectives"].pop(names["supervised"])
            phase.pop("weights", None)
        if self.learns == "data":
            training["sources"] = {
                n: s for n, s in training["sources"].items() if s["kind"] == "stream"
            }
            training["objectives"].pop(names["residual"])
            # What the residual measures for the others.
            study["model"]["speed"] = {"speed_x": 1.0 / solver["length"]}
        return study

    def stream(self) -> Path:
        """The run that recorded all simulations; made where it is not there."""
        place, path = self.out / "stream", self.out / "stream.yaml"
        if (place / "summary.json").exists():
            return place
        study = Mode("data", self.out, 1).study(0)
        study |= {"record": True, "cluster": {"simulations_at_once": 2}}
        study["buffer"]["watermark"] = SIMULATIONS * SENT  # or the last ones would be skipped
        path.write_text(yaml.safe_dump(study, sort_keys=False))
        sciml.run(path, place, plain=True)
        return place

    def measure(self, seed: int) -> dict[str, Any]:
        """A line of the results."""
        study = self.study(seed)
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{study['name']}.yaml"
        path.write_text(yaml.safe_dump(study, sort_keys=False))
        place, streamed = self.out / study["name"], self.learns != "physics"
        recording = self.stream() if streamed else None
        began = time.perf_counter(), time.process_time()
        if streamed:
            found = sciml.train(path, recording, place, stream=True, plain=True)
        else:
            found = sciml.run(path, place, plain=True)
        seconds = round(time.perf_counter() - began[0], 1)
        cpu_seconds = round(time.process_time() - began[1], 1)
        errors = unseen(found.surrogate())
        worst = max(errors, key=errors.get)
        return {
            **self.about,
            "seed": seed,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "steps": found.summary["steps"],
            "weights": sum(p.numel() for p in found.surrogate().parameters()),
            "error": float(np.mean([*errors.values()])),
            "worst": errors[worst],
            "worst_speed": worst,
            "errors": errors,
        }


def unseen(surrogate: Any) -> dict[float, float]:
    """Relative L2 errors at speeds that no training has seen."""
    objective = yaml.safe_load(STUDY.read_text())["training"]["objectives"]
    [physics] = (o for o in objective.values() if o["kind"] == "residual")
    found = {}
    for speed in np.random.default_rng(2022).uniform(0.0, 50.0, SPEEDS):
        truth = exact(physics, float(speed))
        given = xr.Dataset({"speed_x": float(speed)}, {"time": truth["time"]})
        with warnings.catch_warnings():  # simulations need not reach as far as the range
            warnings.simplefilter("ignore", UserWarning)
            at = surrogate.predict(given, at={"x": truth["x"].values})["u"].transpose("time", "x")
        found[float(speed)] = relative(at.values, truth.values)
    return found


def exact(physics: Mapping[str, Any], speed: float) -> xr.DataArray:
    """The solution that the study names."""
    held, told = equation(physics["equation"]), dict(physics["solution"])
    solution = held.solution(told.pop("name"))
    x, t = 2 * np.pi * np.arange(PLACES) / PLACES, np.linspace(0.0, 1.0, TIMES)
    given = {**physics["parameters"], **told, "speed_x": speed}
    at_t, at_x = np.meshgrid(t, x, indexing="ij")
    values = solution.value({"x": at_x}, at_t, {"x": (0.0, 2 * np.pi)}, **given)["u"]
    return xr.DataArray(values, {"time": t, "x": x}, ("time", "x"))


def table(rows: list[dict[str, Any]]) -> str:
    """A row for each that is learned from."""
    lines = [
        "| learns from | weights | steps | mean error | worst error | seconds |",
        "|---|---|---|---|---|---|",
    ]
    words = {"physics": "equation", "data": "stream", "hybrid": "stream and equation"}
    for learns in MODES:
        if mine := chosen(rows, learns=learns):
            spent = np.mean([row["cpu_seconds"] for row in mine])
            lines.append(
                f"| {words[learns]} | {mine[0]['weights']:,} | {mine[0]['steps']} "
                f"| {mean_and_std(mine)} | {mean_and_std(mine, 'worst')} | {spent:.0f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    given = parser_of(__doc__, Path("runs/lpinn_parametric")).parse_args()
    run([Mode(learns, given.out) for learns in MODES], given, table)
