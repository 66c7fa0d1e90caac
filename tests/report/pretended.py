"""Folders as runs leave them, with fields that are quick to make."""

import json

import numpy as np
import xarray as xr

#: Names that no file system, no LaTeX and no format string takes kindly.
NAMES = ("u/v", "T $\\alpha$_{x", "100 % é {0}")


def curve(folder, names=("u",), steps=60):
    """``metrics.jsonl`` with a loss every ten steps and a validation every twenty."""
    lines = []
    for step in range(10, steps + 1, 10):
        lines.append({"step": step, "loss": 1.0 / step, "lr": 1e-3})
        if step % 20 == 0:
            fields = {
                n: {"vrmse": (k + 1) / step, "vrmse_persistence": 0.5} for k, n in enumerate(names)
            }
            lines.append({"loss": 1.0 / step, "step": step, "vrmse": 1.0 / step, "fields": fields})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def predictions(
    folder,
    shape=(12, 10),
    times=9,
    names=("u",),
    samples=3,
    kind="rollout",
    given=(),
    dates=False,
    **notes,
):
    """``predictions.nc`` of waves that fade; simulation k is off by k per cent."""
    names = tuple(name.replace("/", "∕") for name in names)  # as files have them
    axes = ["z", "y", "x"][3 - len(shape) :]
    coords = {
        d: (d, np.linspace(0.0, 1.0, n), {"units": "m"}) for d, n in zip(axes, shape, strict=True)
    }
    stamps = np.datetime64("2001-02-03") + np.arange(times) if dates else 0.5 * np.arange(times)
    coords["time"] = ("time", stamps, {} if dates else {"units": "s"})
    coords["sample"] = ("sample", 10 + np.arange(samples))
    coords["kappa"] = ("sample", np.linspace(0.1, 0.2, samples), {"units": "m2 s-1"})
    where = np.meshgrid(*(np.linspace(0.0, 2 * np.pi, n) for n in shape), indexing="ij")
    data = {}
    for k, name in enumerate((*names, *given)):
        wave = np.exp(-0.1 * np.arange(times)).reshape(-1, *[1] * len(shape))
        wave = wave * (np.sin(sum(where) + k) if where else 1.0 + k)
        true = np.stack([wave * (1.0 + 0.1 * s) for s in range(samples)]).astype(np.float32)
        dims = ("sample", "time", *axes)
        attrs = {"units": "K"}
        data[f"{name}_true"] = (dims, true, attrs)
        if name in names:
            off = 1.0 + 0.01 * np.arange(samples).reshape(-1, *[1] * (true.ndim - 1))
            guess = true * off.astype(np.float32)
            if kind == "rollout":
                guess[:, 0] = true[:, 0]
            data[name] = (dims, guess, attrs)
    about = {"kind": kind, "targets": list(names), "inputs": list(given), **notes}
    ds = xr.Dataset(data, coords, {"prediction": json.dumps(about)})
    folder.mkdir(parents=True, exist_ok=True)
    ds.to_netcdf(folder / "predictions.nc", engine="h5netcdf")
    return ds
