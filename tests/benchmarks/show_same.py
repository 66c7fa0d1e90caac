"""Trainings on grids whose figures no change may move, with fixed seeds. Run by hand, here and on the
commit before, from its own checkout:

    PYTHONPATH=. python tests/benchmarks/show_same.py [--json same.json] [--against before.json]

One step ahead as in the quickstart, Darcy's map with an FNO, an antiderivative with a DeepONet, a U-Net
over two steps. Each line has the last losses and the validation, bit by bit, and a checksum of the
predictions. Uses nothing but `sciml.fit`, so that it runs on old commits.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import sciml

Found = dict[str, Any]


def heat() -> xr.Dataset:
    """u(t, y, x) of heat on a torus, exact, of several diffusivities."""
    rng, n, steps = np.random.default_rng(0), 16, 9
    k = np.fft.fftfreq(n, 1 / n)
    k2 = k[:, None] ** 2 + k[None] ** 2
    kappa = rng.uniform(0.5, 2.0, 6)
    start = np.fft.fft2(rng.standard_normal((6, n, n))) / (1 + k2)
    decay = np.exp(-0.02 * kappa[:, None, None, None] * k2 * np.arange(steps)[:, None, None])
    u = np.fft.ifft2(start[:, None] * decay).real
    return xr.Dataset(
        {"u": (("sample", "time", "y", "x"), u, {"units": "K"}), "kappa": ("sample", kappa)},
        coords={
            "time": ("time", 0.1 * np.arange(steps)),
            **{axis: (axis, np.arange(n) / n) for axis in ("y", "x")},
        },
    )


def darcy() -> xr.Dataset:
    """A coefficient a and a smooth p of it on a grid with walls."""
    rng, n = np.random.default_rng(1), 17
    s = np.linspace(0, 1, n)
    noise = rng.standard_normal((24, 4, 4))
    waves = np.stack([np.cos(np.pi * m * s) for m in range(4)])
    a = np.where(np.einsum("bij,iy,jx->byx", noise, waves, waves) > 0, 12.0, 3.0)
    wall = np.sin(np.pi * s)
    p = wall[:, None] * wall / a.mean(axis=(1, 2), keepdims=True) * (1 + 0.1 * np.cumsum(1 / a, 2))
    return xr.Dataset(
        {"a": (("sample", "y", "x"), a), "p": (("sample", "y", "x"), p)},
        coords={axis: (axis, s) for axis in ("y", "x")},
    )


def antiderivative() -> xr.Dataset:
    """u(x) and s(x) = ∫u."""
    rng, n = np.random.default_rng(2), 33
    x = np.linspace(0, 1, n)
    c = rng.standard_normal((30, 5))
    m = np.arange(1, 6)
    u = c @ np.cos(np.pi * m[:, None] * x)
    s = c @ (np.sin(np.pi * m[:, None] * x) / (np.pi * m[:, None]))
    return xr.Dataset({"u": (("sample", "x"), u), "s": (("sample", "x"), s)}, coords={"x": x})


def trained(name: str) -> tuple[Any, xr.Dataset]:
    small = {"name": "fno", "modes": 4, "hidden_channels": 6, "n_layers": 2}
    unet = {"name": "unet", "width": 4}
    operator = {"name": "deeponet", "basis": 24}
    match name:
        case "quickstart":
            ds = heat()
            found = sciml.fit(small, ds, parameters=["kappa"], epochs=4, batch_size=8, rollout=4)
        case "darcy":
            ds = darcy()
            found = sciml.fit(small, ds, inputs=["a"], targets=["p"], epochs=6, batch_size=4)
        case "deeponet":
            ds = antiderivative()
            found = sciml.fit(
                operator, ds, inputs=["u"], targets=["s"], epochs=6, points=20, loss="mse"
            )
        case _:
            ds = heat()
            found = sciml.fit(unet, ds, unroll=2, epochs=3, batch_size=8, rollout=3, ema=0.9)
    return found, ds


def figures(name: str) -> Found:
    surrogate, ds = trained(name)
    history = surrogate.history
    [check] = history.validations[-1:]
    out = surrogate.predict(ds.isel(sample=slice(0, 2)))
    values = np.concatenate([np.ravel(out[t].values) for t in surrogate.task.targets])
    return {
        "losses": [float(step.loss).hex() for step in list(history.steps)[-3:]],
        "loss": history.losses[-1],
        "validation": {k: float(v).hex() for k, v in check.items() if isinstance(v, float)},
        "predictions": f"{zlib.crc32(np.ascontiguousarray(values)):08x}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--against", type=Path, help="what --json wrote on another commit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: figures(name) for name in ("quickstart", "darcy", "deeponet", "unet")}
    before = json.loads(options.against.read_text()) if options.against else {}
    for name, one in found.items():
        same = ""
        if name in before:
            parts = [k for k, v in before[name].items() if v != one[k]]
            same = f"  DIFFERS in {', '.join(parts)}" if parts else "  bitwise the same"
        print(
            f"{name:>12}  loss {one['loss']:.9e}  {one['losses'][-1]}  {one['predictions']}{same}"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if any(before.get(name, one) != one for name, one in found.items()):
        sys.exit("figures moved")


if __name__ == "__main__":
    main()
