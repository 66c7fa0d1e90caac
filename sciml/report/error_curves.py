"""The figure of errors: along rollouts beside persistence, or of each held-out frame of a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from sciml.report.predictions import Errors
from sciml.report.sheet import Sheet, legend, logarithmic, plain

#: Fields that have a curve of their own: the worst ones.
MOST = 8
#: Fields up to which their ranges can be told from each other.
BANDS = 3


def errors_along(errors: Sequence[Errors], step: str = "") -> Sheet:
    """VRMSE of each field over the steps of the rollouts: median of the simulations, from the least to
    the largest, and what leaving the first frame as it is would give (dashed).

    Args:
        errors: of rollouts.
        step: what one step is, ``0.0144 s``.
    """
    longest = max(len(v) for one in errors for v in one.vrmse.values())
    sheet = Sheet(5.6, 3.7)
    axes = sheet.subplots()
    drawn = []
    names = _worst(errors)
    for name in names:
        rows = _padded([one.vrmse[name] for one in errors], longest)[:, 1:]
        still = _padded([one.still[name] for one in errors], longest)[:, 1:]
        steps = np.arange(1, longest)
        middle, low, high = _along(rows)
        marker = "." if longest < 12 else None
        [line] = axes.plot(steps, middle, label=plain(name), marker=marker)
        if len(errors) > 1 and len(names) <= BANDS:
            axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.18, lw=0)
        beside = _along(still)[0]
        label = "persistence" if name == names[-1] else None
        axes.plot(steps, beside, color=line.get_color(), ls="--", lw=1.0, label=label)
        drawn += [middle, beside, low, high]
    logarithmic(axes, *drawn)
    axes.set(
        xlabel=f"steps of the rollout, {plain(step)} each" if step else "steps of the rollout",
        ylabel="VRMSE (1: the mean of the field)",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.01)
    what = "median and range" if len(names) <= BANDS else "median"
    many = f", {what} of {len(errors)} simulations" if len(errors) > 1 else ""
    axes.set_title(f"Errors along the rollout{many}", fontsize="medium")
    legend(axes, _left_out(errors))
    return sheet


def errors_of_frames(errors: Sequence[Errors]) -> Sheet:
    """VRMSE of each held-out frame, the least first.

    Args:
        errors: of maps.
    """
    sheet = Sheet(5.6, 3.7)
    axes = sheet.subplots()
    drawn = []
    for name in _worst(errors):
        values = np.sort([one.vrmse[name][0] for one in errors])
        axes.plot(np.arange(1, len(values) + 1), values, ".-", ms=4, lw=0.8, label=plain(name))
        drawn.append(values)
    logarithmic(axes, *drawn)
    axes.set(xlabel="held-out frames, the best first", ylabel="VRMSE (1: the mean of the field)")
    axes.set_title(f"Errors of {len(errors)} held-out frames", fontsize="medium")
    legend(axes, _left_out(errors))
    return sheet


def _worst(errors: Sequence[Errors]) -> list[str]:
    """Names of the fields that are drawn."""
    names = list(errors[0].vrmse)
    if len(names) <= MOST:
        return names
    means = {n: np.nan_to_num([one.vrmse[n][-1] for one in errors]).mean() for n in names}
    return sorted(names, key=means.__getitem__, reverse=True)[:MOST]


def _left_out(errors: Sequence[Errors]) -> str | None:
    count = len(errors[0].vrmse)
    return f"the {MOST} worst of {count} fields" if count > MOST else None


def _padded(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
    """NaN behind the end of shorter ones."""
    return np.array(
        [np.pad(r.astype(float), (0, length - len(r)), constant_values=np.nan) for r in rows]
    )


def _along(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, least and largest at each time; NaN where there is none, or where it is infinite."""
    there = ~np.isnan(rows).all(axis=0)
    curves = np.full((3, rows.shape[1]), np.nan)
    for row, of in zip(curves, (np.nanmedian, np.nanmin, np.nanmax), strict=True):
        row[there] = of(rows[:, there], axis=0)
    curves[~np.isfinite(curves)] = np.nan
    return tuple(curves)
