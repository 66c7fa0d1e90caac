"""How a training went, as a dataset: the lines of ``metrics.jsonl`` by their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

#: Entries of a validation that are no figures.
_OTHER = ("step", "loss", "fields", "findings", "weighting", "rollout_steps", "same_frame")


def validations(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that are of a validation; of one step the last."""
    return list({line["step"]: line for line in lines if "fields" in line}.values())


def history(lines: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    """Loss and validations by step.

    Returns:
        ``loss(step)``, the mean over the steps since the entry before, ``lr(step)``, of several losses
        each as ``loss_<name>(step)``; figures of validations such as ``vrmse(validation, field)``, with
        the steps at which they were as coordinate ``validation``, NaN where one was not measured.
    """
    import xarray as xr

    curve = {line["step"]: line for line in lines if "lr" in line}
    checked = validations(lines)
    fields = list(dict.fromkeys(name for line in checked for name in line["fields"]))
    data: dict[str, Any] = {}
    for key in ("loss", "lr"):
        notes = {"long_name": {"loss": "loss", "lr": "learning rate"}[key]}
        data[key] = ("step", [line[key] for line in curve.values()], notes)
    for name in dict.fromkeys(name for line in curve.values() for name in line.get("losses", ())):
        column = [line.get("losses", {}).get(name, np.nan) for line in curve.values()]
        data[f"loss_{name}"] = ("step", column)
    keys = dict.fromkeys(
        key for line in checked for of in line["fields"].values() for key in of if key not in _OTHER
    )
    for key in keys:
        rows = [[line["fields"].get(n, {}).get(key, np.nan) for n in fields] for line in checked]
        data[key] = (("validation", "field"), np.array(rows, float).reshape(-1, len(fields)))
    coords = {
        "step": ("step", list(curve), {"long_name": "step"}),
        "validation": ("validation", [line["step"] for line in checked], {"long_name": "step"}),
        "field": np.array(fields, dtype=object) if fields else np.array([], dtype="U1"),
    }
    return xr.Dataset(data, coords)
