"""A small picture of what a program gave, where matplotlib is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sciml.domain import Domain, Grid
from sciml.samples import Frame

#: Fields in a picture.
MOST = 4


def draw(frames: list[Frame], domain: Domain, title: str, path: Path) -> str | None:
    """Draw fields on a grid: over space and time on a line, else the first, a middle and the last state.

    Returns:
        Why there is none; ``None`` if it was drawn.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return 'none: pip install "sciml-surrogates[plot]"'
    names = [name for name, array in frames[0].fields.items() if array.shape == domain.point_shape]
    if not isinstance(domain, Grid) or not names:
        return f"none: only fields on grids are drawn, its kind is {domain.kind}"
    names, line = names[:MOST], domain.ndim == 1
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


def _states(figure: Any, row: Any, frames: list[Frame], grid: Grid, name: str) -> None:
    some = [frames[0], frames[len(frames) // 2], frames[-1]]
    arrays = [np.asarray(frame.fields[name]) for frame in some]
    if grid.ndim == 3:  # the middle plane
        arrays = [array[len(array) // 2] for array in arrays]
    (y, x), low, high = grid.extent[-2:], min(a.min() for a in arrays), max(a.max() for a in arrays)
    for axes, frame, array in zip(row, some, arrays, strict=True):
        image = axes.imshow(array, origin="lower", extent=(*x, *y), vmin=low, vmax=high)
        axes.set_title(f"{name}, time {frame.time:.3g}", fontsize="small")
    figure.colorbar(image, ax=list(row))
