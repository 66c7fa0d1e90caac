"""The results as Markdown: a row a dataset and model, offline and online side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cases import DATASETS, MODELS, MODES, PUBLISHED

from sciml.report.rows import chosen

NAMES = {"mgno": "MgNO", "fno": "FNO", "unet": "U-Net", "deeponet": "DeepONet"}


def mean_and_std(rows: list[dict[str, Any]], key: str) -> tuple[float, float]:
    """Mean and sample standard deviation of ``key`` over seeds, 0 for a single one."""
    import numpy as np

    values = [row[key] for row in rows]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def groups(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Each dataset and model that there are rows of, with these."""
    for data in DATASETS:
        for model in MODELS["small"]:
            mine = chosen(rows, data=data, model=model)
            if mine:
                yield data, model, mine


def percent(rows: list[dict[str, Any]], key: str) -> str:
    """Mean ± standard deviation in percent, and how many seeds there are if less than three."""
    if not rows:
        return "–"
    mean, std = mean_and_std(rows, key)
    spread = f" ± {100 * std:.2f}" if len(rows) > 1 else ""
    return f"{100 * mean:.2f}{spread}" + ("" if len(rows) >= 3 else f" (seeds: {len(rows)})")


def table(rows: list[dict[str, Any]]) -> str:
    """Relative errors in percent, a row a dataset and model."""
    errors = [f"{norm} {mode}" for norm in ("L2", "H1") for mode in MODES]
    lines = [
        f"| data | model | weights | {' | '.join(errors)} | published L2 / H1 |",
        "|---|---|---|" + "---|" * (len(errors) + 1),
    ]
    for data, model, mine in groups(rows):
        cells = [percent(chosen(mine, mode=mode), key) for key in ("l2", "h1") for mode in MODES]
        published = PUBLISHED.get((data, model), "–")
        lines.append(
            f"| {data} | {NAMES[model]} | {mine[0]['weights']:,} | {' | '.join(cells)} "
            f"| {published} |"
        )
    return "\n".join([*lines, "", *streamed(rows)]) + "\n"


def streamed(rows: list[dict[str, Any]]) -> list[str]:
    """How many samples the online trainings saw, beside the offline ones, and how
    long all steps took."""
    lines = [
        "| data | model | draws | distinct offline | distinct online | s offline | s online |",
        "|---|---|---|---|---|---|---|",
    ]
    for data, model, mine in groups(rows):
        cells = [
            f"{mean_and_std(part, key)[0]:.0f}" if part else "–"
            for key in ("distinct", "training_seconds")
            for part in (chosen(mine, mode=mode) for mode in MODES)
        ]
        lines.append(f"| {data} | {NAMES[model]} | {mine[0]['draws']} | {' | '.join(cells)} |")
    return lines
