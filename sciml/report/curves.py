"""The figure of a training: its loss, and each field's error at the validations, over the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sciml.report.sheet import Sheet, legend, logarithmic, plain

if TYPE_CHECKING:
    import xarray as xr

#: Fields that have a curve of their own: the worst ones.
MOST = 8
#: Figures of a validation and what is beside them, the first that was measured.
_PAIRS = (
    ("vrmse", "vrmse_persistence", "VRMSE one step ahead"),
    ("one_step", "persistence", "relative L2 one step ahead"),
)


def learning(history: xr.Dataset, map_: bool = False) -> Sheet | None:
    """Loss and validations over the steps; ``None`` where there is nothing of either.

    Args:
        history: of :func:`sciml.report.history.history`.
        map_: whether what is predicted is of the same time: nothing is a step ahead.
    """
    checked = next((pair for pair in _PAIRS if pair[0] in history), None)
    curve = history.sizes.get("step", 0) > 0
    if not curve and checked is None:
        return None
    sheet = Sheet(4.2 * (curve + (checked is not None)), 3.3)
    panels = list(np.ravel(sheet.subplots(1, curve + (checked is not None))))
    if curve:
        axes = panels.pop(0)
        for name in history.data_vars:
            if str(name).startswith("loss_"):
                label = plain(str(name).removeprefix("loss_"))
                axes.plot(history.step, history[name], lw=1.0, alpha=0.7, label=label)
        # A mean over few steps has no points between them.
        marker = "." if history.sizes["step"] < 30 else None
        axes.plot(history.step, history.loss, color="black", lw=1.2, marker=marker, label="loss")
        logarithmic(axes, history.loss)
        axes.set(xlabel="step", ylabel="loss, mean since the point before")
        if len(axes.lines) > 1:
            axes.legend(fontsize="small")
    if checked is not None:
        _validations(panels[0], history, *checked, map_)
    return sheet


def _validations(axes, history: xr.Dataset, key: str, beside: str, label: str, map_: bool) -> None:
    errors = history[key]
    last = np.nan_to_num(errors.values[-1], nan=-1.0)
    shown = (
        np.argsort(-last, kind="stable")[:MOST]
        if errors.sizes["field"] > MOST
        else range(len(last))
    )
    marker = "o" if errors.sizes["validation"] < 30 else None
    for place in shown:
        one = errors.isel(field=int(place))
        [line] = axes.plot(
            one.validation, one, marker=marker, ms=3.5, label=plain(one.field.item())
        )
        if beside in history:
            still = history[beside].isel(field=int(place))
            name = "persistence" if place == list(shown)[-1] else None
            axes.plot(one.validation, still, color=line.get_color(), ls="--", lw=1.0, label=name)
    logarithmic(axes, errors, *([history[beside]] if beside in history else []))
    axes.set(xlabel="step", ylabel=label.removesuffix(" one step ahead") if map_ else label)
    left = errors.sizes["field"] - MOST
    title = f"the {MOST} worst of {errors.sizes['field']} fields" if left > 0 else None
    legend(axes, title)
