"""The last lines of a run: its figures, and what it did not do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sciml.report.card import shown
from sciml.run.directory import RunDirectory
from sciml.study.schema import Study
from sciml.training.figures import lines, remarks

log = logging.getLogger("sciml.run")


def left_behind(directory: RunDirectory) -> str:
    """Draw the figures of a run that has finished; what lies where, in a line."""
    from sciml.report.figures import leave

    drawn = leave(directory.path, log)
    predicted = any(directory.path.glob(f"{directory.predictions.stem}*.nc"))
    what = ["surrogate", "metrics", *["predictions"] * predicted, *["figures"] * bool(drawn)]
    return f"{', '.join(what[:-1])} and {what[-1]}: {shown(directory.path)}"


def shortcomings(study: Study, summary: dict[str, Any], given_up: int) -> list[str]:
    """What a run that finished did not do of what the study asked for."""
    lines = []
    if given_up:
        lines.append(
            f"{given_up} simulations were given up: what is learned lacks their part of the design"
        )
    if missing := summary["frames"]["missing"]:
        short = list(summary["simulations"]["short"])
        some = ", ".join(short[:5]) + (", …" if len(short) > 5 else "")
        lines.append(
            f"{missing} of {summary['frames']['expected']} frames never came: {len(short)} simulations "
            f"ended well with fewer than they should have sent ({some}); see logs/ in the run"
        )
    planned = study.training.steps
    if planned and summary["steps"] < planned:
        lines.append(
            f"the stream fed {summary['steps']} of {planned} steps; raise buffer.draws or "
            "parameters.simulations, or lower training.phases"
        )
    return lines


def figures(summary: dict[str, Any], metrics: Sequence[dict[str, Any]] = ()) -> str:
    """The result of a run in a few lines, with what is wrong with it."""
    said = [f"trained {summary['steps']} steps"]
    if summary.get("loss") is not None:
        said[0] += f", last loss {summary['loss']:.2e}"
    count = summary.get("validation_simulations")
    unseen = f"on {count} unseen simulation{'s' * (count != 1)}"
    said += lines(summary, unseen)
    first = summary.get("first_step") or {}
    if first:
        said.append(
            f"first gradient step when {first['simulations_started']} of "
            f"{first['simulations_planned']} simulations had started"
        )
    said += [f"warning: {line}" for line in remarks(summary, metrics)]
    return "\n".join(said)
