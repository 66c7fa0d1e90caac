"""A small picture of what a program gave, where matplotlib is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sciml.domain import Domain, Grid, Mesh
from sciml.samples import Frame

#: Fields in a picture.
MOST = 4


def draw(frames: list[Frame], domain: Domain, title: str, path: Path) -> str | None:
    """Draw fields on a grid or mesh: over space and time on a line, else first, middle and last state.

    Returns:
        Why there is none; ``None`` if it was drawn.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return 'none: pip install "sciml-surrogates[plot]"'
    names = [name for name, array in frames[0].fields.items() if array.shape == domain.point_shape]
    flat = domain.kind == "mesh" and domain.points.shape[1] > 1
    if not names or not (domain.kind == "grid" or flat):
        return (
            f"none: only fields at points of grids and meshes are drawn, its kind is {domain.kind}"
        )
    names, line = names[:MOST], domain.kind == "grid" and domain.ndim == 1
    columns = 1 if line else 3
    figure = Figure(figsize=(2.6 * columns + 1.5, 2.2 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), columns, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        if line:
            _over_time(figure, row[0], frames, domain, name)
        else:
            _states(figure, row, frames, domain, name)
    figure.suptitle(title)
    figure.savefig(path, dpi=100)
    return None


def _over_time(figure: Any, axes: Any, frames: list[Frame], grid: Grid, name: str) -> None:
    values = np.array([frame.fields[name] for frame in frames])
    low, high = grid.extent[0]
    times = (frames[0].time, max(frames[-1].time, frames[0].time + 1e-12))
    image = axes.imshow(values, aspect="auto", origin="lower", extent=(low, high, *times))
    axes.set(xlabel="x", ylabel="time", title=name)
    figure.colorbar(image, ax=axes)


def _states(figure: Any, row: Any, frames: list[Frame], domain: Grid | Mesh, name: str) -> None:
    some = [frames[0], frames[len(frames) // 2], frames[-1]]
    arrays = [np.asarray(frame.fields[name]) for frame in some]
    span = {"vmin": min(a.min() for a in arrays), "vmax": max(a.max() for a in arrays)}
    for axes, frame, array in zip(row, some, arrays, strict=True):
        image = _state(axes, domain, array, span)
        axes.set_title(f"{name}, time {frame.time:.3g}", fontsize="small")
    figure.colorbar(image, ax=list(row))


def _state(axes: Any, domain: Grid | Mesh, array: np.ndarray, span: dict[str, float]) -> Any:
    """One state: of three axes the middle plane, of a mesh in space its nodes seen along z."""
    if isinstance(domain, Grid):
        y, x = domain.extent[-2:]
        plane = array[len(array) // 2] if domain.ndim == 3 else array
        return axes.imshow(plane, origin="lower", extent=(*x, *y), **span)
    axes.set_aspect("equal")
    x, y = domain.points.T[:2]
    if domain.cell_type == "triangle" and domain.points.shape[1] == 2:
        return axes.tripcolor(x, y, domain.cells, array, shading="gouraud", **span)
    return axes.scatter(x, y, 4.0, array, **span)
