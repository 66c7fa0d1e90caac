"""Draws a few samples of a dataset: python data/figure.py FILE.nc OUT.png (needs the extra "plot").

Instead of a file, the name of a published dataset will do; of flows on meshes, the file of one of
them by a solver.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from PIL import Image

import sciml

COLUMNS = 6


def main(source: str, out: str) -> None:
    ds = xr.open_dataset(source) if Path(source).exists() else sciml.load_dataset(source)
    fields = [name for name in ds.data_vars if "sample" in ds[name].dims]
    draw = street if "mesh_face_nodes" in ds else DRAW["time" in ds.dims, "y" in ds.dims]
    draw(ds, fields).savefig(out, dpi=80)
    # A palette takes a third of the bytes; this method keeps the rare colors at both ends.
    Image.open(out).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
        out, optimize=True
    )


def lines(ds: xr.Dataset, fields: list[str]) -> plt.Figure:
    """1-D: states of the first samples over x."""
    figure, axes = plt.subplots(
        1, 4, figsize=(11, 2.6), layout="constrained", sharex=True, sharey=True
    )
    times = np.unique(np.linspace(0, ds.sizes["time"] - 1, 5).astype(int))
    for sample, panel in enumerate(axes):
        for time in times:
            state = ds[fields[0]].isel(sample=sample, time=time)
            color = plt.get_cmap("viridis")(0.9 * time / max(times[-1], 1))
            panel.plot(ds.x, state, color=color, label=f"t = {float(ds.time[time]):.4g}")
        panel.set(xlabel=labeled(ds.x), title=f"sample {sample}")
    axes[0].set_ylabel(labeled(ds[fields[0]]))
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def curves(ds: xr.Dataset, fields: list[str]) -> plt.Figure:
    """1-D without time: all fields of the first samples over x."""
    figure, axes = plt.subplots(
        1, 4, figsize=(11, 2.6), layout="constrained", sharex=True, sharey=True
    )
    for sample, panel in enumerate(axes):
        for field in fields:
            panel.plot(ds.x, ds[field].isel(sample=sample), label=field)
        panel.set(xlabel=labeled(ds.x), title=f"sample {sample}")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def films(ds: xr.Dataset, fields: list[str]) -> plt.Figure:
    """2-D in time: a row a sample, a column a time; one row a point where the design has points."""
    field = fields[-1]
    points = ds["point"].values if "point" in ds.coords else np.arange(3)
    rows = [int(np.flatnonzero(points == p)[0]) for p in dict.fromkeys(points.tolist())]
    times = np.unique(np.geomspace(1, ds.sizes["time"], COLUMNS).round().astype(int) - 1)
    figure, axes = plt.subplots(
        len(rows), len(times), figsize=(1.5 * len(times) + 1.5, 1.5 * len(rows) + 0.4),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for sample, panels in zip(rows, axes, strict=True):
        film = ds[field].isel(sample=sample, time=times).load()
        low, high = float(film.min()), float(film.max())
        for time, panel in zip(times, panels, strict=True):
            image = show(panel, ds[field].isel(sample=sample, time=time), low, high)
            if sample == rows[0]:
                panel.set_title(f"t = {float(ds.time[time]):.4g}", fontsize=9)
        name = str(points[sample]) if "point" in ds.coords else f"sample {sample}"
        panels[0].set_ylabel(name, fontsize=9)
        figure.colorbar(image, ax=list(panels), shrink=0.85, pad=0.01)
    figure.suptitle(labeled(ds[field]), fontsize=10)
    return figure


def street(ds: xr.Dataset, fields: list[str]) -> plt.Figure:
    """On a mesh: speed at six times, from the first on."""
    figure, panels = plt.subplots(3, 2, figsize=(11, 4.4), layout="constrained", sharex=True)
    speed = np.sqrt((ds.velocity**2).sum("space"))
    corners = (ds.mesh_node_x, ds.mesh_node_y, ds.mesh_face_nodes)
    for time, panel in zip(
        np.linspace(0, 0.93 * ds.sizes["time"], COLUMNS), panels.flat, strict=True
    ):
        image = panel.tripcolor(
            *corners, speed[int(time)], shading="gouraud", vmin=0, vmax=speed.max()
        )
        panel.set(
            xticks=[], yticks=[], aspect="equal", title=f"t = {float(ds.time[int(time)]):.4g} s"
        )
    figure.colorbar(image, ax=panels, label="|velocity| [m s-1]", shrink=0.8)
    return figure


def maps(ds: xr.Dataset, fields: list[str]) -> plt.Figure:
    """2-D without time: a row a field, a column a sample."""
    figure, axes = plt.subplots(
        len(fields), COLUMNS, figsize=(1.6 * COLUMNS + 1.2, 1.6 * len(fields) + 0.3),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for field, panels in zip(fields, axes, strict=True):
        shown = ds[field].isel(sample=slice(COLUMNS)).load()
        low, high = float(shown.min()), float(shown.max())
        for sample, panel in enumerate(panels):
            image = show(panel, shown.isel(sample=sample), low, high)
            panel.set_title(f"sample {sample}" if field == fields[0] else "", fontsize=9)
        panels[0].set_ylabel(labeled(ds[field]), fontsize=8)
        figure.colorbar(image, ax=list(panels), shrink=0.85, pad=0.01)
    return figure


def show(panel: plt.Axes, field: xr.DataArray, low: float, high: float):
    """One field as an image."""
    colors, span = "viridis", {"vmin": low, "vmax": high}
    if low > 0.0 and high > 100.0 * low:
        span = {"norm": LogNorm(low, high)}
    elif low < 0.0 < high and -0.33 < (high + low) / (high - low) < 0.33:
        colors, span = "RdBu_r", {"vmin": -max(-low, high), "vmax": max(-low, high)}
    panel.set(xticks=[], yticks=[])
    return panel.imshow(field, cmap=colors, origin="lower", **span)


def labeled(values: xr.DataArray) -> str:
    units = values.attrs.get("units", "1")
    name = values.attrs.get("long_name", values.name)
    return name if units == "1" else f"{name} [{units}]"


#: By whether there is time, and a second dimension.
DRAW = {
    (True, True): films,
    (False, True): maps,
    (True, False): lines,
    (False, False): curves,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
