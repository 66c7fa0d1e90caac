"""The figure of one held-out simulation: truth, prediction and their difference.

How it is drawn is a matter of the dimension: maps in two, a slice through the middle in three, space
over time or lines in one, a curve over time of what is one number a frame; of plane meshes their
triangles, of others dots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from sciml.domain import Mesh
from sciml.domain.inference import domain_of
from sciml.domain.names import TRUTH
from sciml.errors import DomainError
from sciml.report.predictions import About, Errors
from sciml.report.sheet import Sheet, plain, time_words, units_of, with_units
from sciml.samples.seams import spread

if TYPE_CHECKING:
    import xarray as xr

    from sciml.domain.layout import Layout

#: Fields that are drawn, the worst ones where there are more; and those that a map was made from.
MOST, MOST_INPUTS = 3, 2
#: Times of a rollout in a row of maps, of one field and of each of several.
TIMES, FEW_TIMES = 4, 2
#: Frames from which on one dimension is drawn as space over time.
FILM = 8
#: Points along an axis of a picture: more are thinned, a map has no more pixels.
POINTS = 1024
#: Nodes of a mesh in a picture: more are drawn on top of each other, and take 7 µs each.
DOTS = 20_000
#: Triangles up to which those of a mesh are cut.
TRIANGLES = 8000
#: Sides of a box whose ratio is larger are not shown in their proportions.
FLAT = 6.0
#: Values of fields of one sign, of both signs, and of differences.
ONE_SIGN, BOTH_SIGNS = "viridis", "RdBu_r"


@dataclass(frozen=True, slots=True)
class Case:
    """What is drawn.

    Args:
        ds: frames of one simulation, ``u`` beside ``u_true``.
        layout: its dimensions.
        about: what was predicted, from what.
        errors: of it.
    """

    ds: xr.Dataset
    layout: Layout
    about: About
    errors: Errors

    @property
    def targets(self) -> list[str]:
        """Names of the fields that are drawn: not of numbers, where others are in space."""
        means = {n: np.nan_to_num(v, posinf=1e99).mean() for n, v in self.errors.vrmse.items()}
        space = {*self.layout.space}
        names = [n for n in means if space <= {*self.ds[n].dims}] or list(means)
        if len(names) <= MOST:
            return names
        return sorted(names, key=means.__getitem__, reverse=True)[:MOST]

    def pair(self, name: str) -> tuple[xr.DataArray, xr.DataArray]:
        """Truth and prediction, ``(time, *space)``, in float64: of vectors their lengths, of what
        lies in cells or on edges the mean over them."""
        return self.scalar(f"{name}{TRUTH}"), self.scalar(name)

    def difference(self, name: str) -> xr.DataArray:
        """Prediction − truth, of vectors the length of it."""
        apart = self.ds[name].astype(float) - self.ds[f"{name}{TRUTH}"].astype(float)
        return self._shaped(apart)

    def scalar(self, name: str) -> xr.DataArray:
        """A field as :meth:`pair` gives it."""
        return self._shaped(self.ds[name].astype(float)).assign_attrs(self.ds[name].attrs)

    def _shaped(self, array: xr.DataArray) -> xr.DataArray:
        components = [d for d in self.layout.components if d in array.dims]
        if components:
            array = np.sqrt((array**2).sum(components))
        frame = self.errors.frame
        if frame is not None and self.layout.time in array.dims:
            array = array.isel({self.layout.time: [frame]})
        dims = [d for d in (self.layout.time, *self.layout.space) if d in array.dims]
        return array.mean([d for d in array.dims if d not in dims]).transpose(*dims)

    def is_vector(self, name: str) -> bool:
        return bool({*self.layout.components} & {*self.ds[name].dims})

    def symbol(self, name: str) -> str:
        return f"|{name}|" if self.is_vector(name) else name


def draw_case(case: Case, title: str) -> Sheet:
    """Truth, prediction and difference of each field."""
    dims, drawn = len(case.layout.space), map_of(case)
    if drawn is not None:
        return _maps(case, title, drawn)
    if dims == 0:
        return _series(case, title)
    times = case.ds.sizes.get(case.layout.time, 1) if case.layout.time else 1
    film = case.errors.frame is None and times >= FILM
    return _films(case, title) if film else _lines(case, title)


def map_of(case: Case) -> Callable[..., Any] | None:
    """What draws maps, of two dimensions and more and of meshes; ``None``: there are none."""
    dims = len(case.layout.space)
    if dims == 1 and _places(case) is not None:
        return partial(_nodes, triangles=_triangles(case))
    return _map if dims > 1 else None


def _maps(case: Case, title: str, draw: Callable[..., Any]) -> Sheet:
    """2-D and more. Of a rollout a row each for truth, prediction and difference, and a column a time;
    of a map one row a field."""
    names = case.targets
    if case.errors.frame is not None or case.layout.time is None:
        return _row_a_field(case, title, draw)
    time = case.layout.time
    places = spread(range(1, case.ds.sizes[time]), TIMES if len(names) == 1 else FEW_TIMES)
    columns = [(name, place) for name in names for place in places]
    width, height = _cell(case)
    size = width * len(columns) + 0.8, 3 * height + 1.7
    sheet = Sheet(*size, title)
    panels = sheet.subplots(3, len(columns), squeeze=False, sharex=True, sharey=True)
    for column, (name, place) in zip(panels.T, columns, strict=True):
        pair = (*case.pair(name), case.difference(name))
        truth, guess, off = (array.isel({time: place}) for array in pair)
        # Of each time its own: what has decayed would not be seen in the colours of the start.
        scale = scale_of(truth)
        draw(column[0], truth, scale, case)
        mark = draw(column[1], guess, scale, case)
        label = with_units(case.symbol(name), units_of(pair[0]))
        _bar(sheet, mark, column[1], label, _beyond(guess, scale))
        mark = draw(column[2], off, offset_of(off, case.is_vector(name)), case)
        _bar(sheet, mark, column[2], "difference")
        when = time_words(case.ds[time], place) if time in case.ds.coords else f"frame {place}"
        column[0].set_title(when, fontsize="small")
    for axes, what in zip(panels[:, 0], ("solver", "surrogate", "difference"), strict=True):
        axes.set_ylabel(f"{what}\n{axes.get_ylabel()}".strip(), fontsize="small")
    _outer_labels(panels)
    return sheet


def _bar(sheet: Sheet, mark: Any, axes: Any, label: str, extend: str = "neither") -> None:
    """Colours and what they mean, below a map."""
    bar = sheet.colorbar(mark, ax=axes, location="bottom", extend=extend, pad=0.02, aspect=25)
    bar.set_label(label, fontsize="small")
    bar.ax.tick_params(labelsize="x-small")
    bar.locator = MaxNLocator(4, min_n_ticks=3)
    bar.update_ticks()


def _row_a_field(case: Case, title: str, draw: Callable[..., Any]) -> Sheet:
    names, inputs = case.targets, _inputs(case)
    columns = len(inputs) + 3
    width, height = _cell(case)
    sheet = Sheet((width + 0.75) * columns, (height + 0.45) * len(names) + 0.5, title)
    panels = sheet.subplots(len(names), columns, squeeze=False, sharex=True, sharey=True)
    for row, name in zip(panels, names, strict=True):
        for axes, given in zip(row, inputs, strict=False):
            array = _only(case.scalar(given))
            mark = draw(axes, array, scale_of(array), case)
            axes.set_title(
                f"given: {with_units(given.removesuffix(TRUTH), units_of(array))}", fontsize="small"
            )
            sheet.colorbar(mark, ax=axes)
        truth, guess = map(_only, case.pair(name))
        apart = _only(case.difference(name))
        label = with_units(case.symbol(name), units_of(truth))
        scale, off = scale_of(truth), offset_of(apart, case.is_vector(name))
        drawn = zip(row[len(inputs) :], (truth, guess, apart), (scale, scale, off), strict=True)
        marks = [draw(axes, array, kind, case) for axes, array, kind in drawn]
        for axes, what in zip(
            row[len(inputs) :], ("solver", "surrogate", "difference"), strict=True
        ):
            axes.set_title(f"{what}: {label}" if what != "difference" else what, fontsize="small")
        sheet.colorbar(marks[1], ax=row[len(inputs) : -1].tolist(), extend=_beyond(guess, scale))
        sheet.colorbar(marks[2], ax=row[-1])
    _outer_labels(panels)
    return sheet


def _films(case: Case, title: str) -> Sheet:
    """1-D over time: space to the right, time upward."""
    names, (dim,) = case.targets, case.layout.space
    sheet = Sheet(11.0, 3.0 * len(names) + 0.5, title)
    panels = sheet.subplots(len(names), 3, squeeze=False, sharex=True, sharey=True)
    time = case.layout.time
    for row, name in zip(panels, names, strict=True):
        truth, guess = case.pair(name)
        apart, label = case.difference(name), with_units(case.symbol(name), units_of(truth))
        scale, off = scale_of(truth), offset_of(apart, case.is_vector(name))
        for axes, array, kind in zip(row, (truth, guess, apart), (scale, scale, off), strict=True):
            mark = _image(
                axes, array, kind, _axis(case.ds, dim), _axis(case.ds, time), square=False
            )
            if axes is row[1]:
                sheet.colorbar(mark, ax=row[:2].tolist(), label=label, extend=_beyond(guess, scale))
        sheet.colorbar(mark, ax=row[2], label="difference")
        for axes, what in zip(row, ("solver", "surrogate", "difference"), strict=True):
            axes.set_title(what, fontsize="small")
    _outer_labels(panels)
    return sheet


def _lines(case: Case, title: str) -> Sheet:
    """1-D at a few times: the solver's full, the surrogate's dashed, and the difference underneath."""
    names, (dim,) = case.targets, case.layout.space
    alone = case.errors.frame is not None or case.layout.time is None
    time = None if alone else case.layout.time
    inputs = _inputs(case) if alone else []
    columns = len(names) + bool(inputs)
    sheet = Sheet(4.4 * columns, 4.4, title)
    panels = sheet.subplots(
        2, columns, squeeze=False, sharex=True, gridspec_kw={"height_ratios": (2, 1)}
    )
    x, x_label = _axis(case.ds, dim)
    if inputs:
        panels[1, 0].remove()
        for given in inputs:
            label = with_units(given.removesuffix(TRUTH), units_of(case.ds[given]))
            panels[0, 0].plot(x, _only(case.scalar(given)), label=label)
        panels[0, 0].set_title("given", fontsize="small")
        panels[0, 0].set_xlabel(x_label)
        panels[0, 0].tick_params(labelbottom=True)
        panels[0, 0].legend(fontsize="small")
    for column, name in zip(panels.T[bool(inputs) :], names, strict=True):
        truth, guess = case.pair(name)
        apart = case.difference(name)
        count = truth.sizes[time] if time else 1
        for n, place in enumerate(spread(range(1, count), TIMES) or [0]):
            one = [
                _only(a) if time is None else a.isel({time: place}) for a in (truth, guess, apart)
            ]
            color, when = f"C{n}", ""
            if time is not None:
                stamped = time in case.ds.coords
                when = time_words(case.ds[time], place) if stamped else f"frame {place}"
            column[0].plot(x, one[0], color=color, lw=2.2, alpha=0.5, label=when or "solver")
            column[0].plot(x, one[1], color=color if when else "black", ls="--", lw=1.2,
                           label=None if when else "surrogate")  # fmt: skip
            column[1].plot(x, one[2], color=color, lw=1.2)
        column[0].set_title(with_units(case.symbol(name), units_of(truth)), fontsize="small")
        column[0].legend(
            fontsize="small", title="surrogate dashed" if time else None, title_fontsize="small"
        )
        column[1].set(xlabel=x_label, ylabel="difference")
        column[1].axhline(0.0, color="gray", lw=0.6)
    return sheet


def _series(case: Case, title: str) -> Sheet:
    """One number a frame, over time."""
    names = case.targets
    sheet = Sheet(6.4, 3.4 * len(names) + 0.4, title)
    panels = sheet.subplots(
        2 * len(names),
        1,
        squeeze=False,
        sharex=True,
        gridspec_kw={"height_ratios": (2, 1) * len(names)},
    )[:, 0]
    time = case.layout.time
    t, t_label = _axis(case.ds, time) if time else (np.zeros(1), "")
    for block, name in enumerate(names):
        upper, lower = panels[2 * block : 2 * block + 2]
        truth, guess = case.pair(name)
        marker = "." if len(t) < 30 else None
        upper.plot(t, truth, lw=2.2, alpha=0.5, marker=marker, label="solver")
        upper.plot(t, guess, "k--", lw=1.2, label="surrogate")
        upper.set_ylabel(with_units(case.symbol(name), units_of(truth)))
        upper.legend(fontsize="small")
        lower.plot(t, case.difference(name), lw=1.2, marker=marker)
        lower.axhline(0.0, color="gray", lw=0.6)
        lower.set_ylabel("difference")
    panels[-1].set_xlabel(t_label)
    return sheet


def _map(axes: Any, array: xr.DataArray, scale: tuple[float, float, str], case: Case) -> Any:
    *above, y, x = case.layout.space
    if above:
        array = array.isel({above[0]: case.ds.sizes[above[0]] // 2})
    return _image(axes, array.transpose(y, x), scale, _axis(case.ds, x), _axis(case.ds, y))


def _image(
    axes: Any,
    array: xr.DataArray,
    scale: tuple[float, float, str],
    right: tuple[np.ndarray, str],
    up: tuple[np.ndarray, str],
    square: bool = True,
) -> Any:
    """Values ``(up, right)`` on even axes, each point in the middle of its pixel."""
    values, edges = np.asarray(array, float), []
    for axis, (points, _) in enumerate((up, right)):
        step = max(1, -(-len(points) // POINTS))
        at = [slice(None)] * 2
        at[axis] = slice(None, None, step)
        values, points = values[tuple(at)], points[::step]
        if len(points) > 1 and points[0] > points[-1]:
            values, points = np.flip(values, axis), points[::-1]
        half = 0.5 * (points[-1] - points[0]) / max(len(points) - 1, 1) or 0.5
        edges.append((points[0] - half, points[-1] + half))
    (bottom, top), (left, end) = edges
    low, high, colors = scale
    aspect = "equal" if square and _alike(end - left, top - bottom) else "auto"
    mark = axes.imshow(
        values, origin="lower", extent=(left, end, bottom, top), vmin=low, vmax=high, cmap=colors,
        interpolation="nearest", aspect=aspect,
    )  # fmt: skip
    axes.set_facecolor("0.85")  # points without values
    axes.set_xlabel(right[1], fontsize="small")
    axes.set_ylabel(up[1], fontsize="small")
    axes.tick_params(labelsize="small")
    return mark


def _nodes(
    axes: Any,
    array: xr.DataArray,
    scale: tuple[float, float, str],
    case: Case,
    triangles: np.ndarray | None,
) -> Any:
    """Values at the nodes of a mesh: on its triangles, where it has some; else as dots."""
    (x, x_label), (y, y_label) = _places(case)
    low, high, colors = scale
    colored, values = {"vmin": low, "vmax": high, "cmap": colors}, np.asarray(array)
    if triangles is not None:
        x, y, values, triangles = _finer(x, y, values, triangles)
        mark = axes.tripcolor(x, y, values, triangles=triangles, shading="gouraud", **colored)
    else:
        # By chance: every n-th node of an orderly mesh would be a line of them.
        shown = np.random.default_rng(0).permutation(len(x))[:DOTS]
        mark = axes.scatter(x[shown], y[shown], c=values[shown], s=6, **colored)
    axes.set_aspect("equal" if _alike(np.ptp(x), np.ptp(y)) else "auto")
    axes.set_xlabel(x_label, fontsize="small")
    axes.set_ylabel(y_label, fontsize="small")
    axes.tick_params(labelsize="small")
    return mark


def _finer(
    x: np.ndarray, y: np.ndarray, values: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Triangles cut into four as long as they are few: matplotlib mixes the colours of the corners,
    and between distant ones that gives colours which stand for nothing."""
    corners = np.stack([x, y, values], axis=-1)[triangles]  # (triangle, corner, number)
    while len(corners) <= TRIANGLES // 4:
        middles = 0.5 * (corners + np.roll(corners, -1, axis=1))  # of sides ab, bc, ca
        tips = (np.stack([corners[:, k], middles[:, k], middles[:, k - 1]], 1) for k in range(3))
        corners = np.concatenate([*tips, middles])
    return *corners.reshape(-1, 3).T, np.arange(3 * len(corners)).reshape(-1, 3)


def _places(case: Case) -> list[tuple[np.ndarray, str]] | None:
    """Where the nodes of a mesh are, two axes of it; ``None`` of an axis of a grid."""
    [dim] = case.layout.space
    topology = [v for v in case.ds.variables.values() if v.attrs.get("cf_role") == "mesh_topology"]
    names = str(topology[0].attrs.get("node_coordinates", "")).split() if topology else []
    there = [n for n in names if n in case.ds.variables and case.ds[n].dims == (dim,)]
    if len(there) < 2:
        return None
    arrays = [case.ds[name] for name in there[:2]]
    return [
        (
            a.values.astype(float),
            with_units(str(a.attrs.get("long_name", a.name)).removeprefix("node "), units_of(a)),
        )
        for a in arrays
    ]


def _triangles(case: Case) -> np.ndarray | None:
    """Corners of the triangles of a flat mesh, or of those that its polygons are cut into."""
    try:
        domain = domain_of(case.ds)
    except DomainError:  # nodes without cells
        return None
    flat = isinstance(domain, Mesh) and domain.points.shape[1] == 2 and domain.size <= DOTS
    if not flat or domain.cell_type == "edge":
        return None
    cells = domain.cells
    halves = np.concatenate([cells[:, [0, k, k + 1]] for k in range(1, cells.shape[1] - 1)])
    return halves[(halves >= 0).all(axis=1)]  # polygons of fewer corners end in −1


def _cell(case: Case) -> tuple[float, float]:
    """Inches of one map, in the proportions of the box."""
    if len(case.layout.space) < 2:
        (x, _), (y, _) = _places(case)
    else:
        y, x = (_axis(case.ds, dim)[0] for dim in case.layout.space[-2:])
    wide, high = np.ptp(x) or 1.0, np.ptp(y) or 1.0
    if not _alike(wide, high):
        return 2.6, 2.0
    if wide >= high:
        return 2.4, max(1.0, 2.4 * high / wide)
    return max(1.2, 2.4 * wide / high), 2.4


def _alike(wide: float, high: float) -> bool:
    """Whether a box can be shown in its proportions."""
    return 1 / FLAT < wide / high < FLAT if wide > 0 and high > 0 else False


def _axis(ds: xr.Dataset, dim: str) -> tuple[np.ndarray, str]:
    """Numbers along an axis and what to write beside it; of dates their number."""
    if dim not in ds.coords:
        return np.arange(ds.sizes[dim], dtype=float), plain(dim)
    array = ds[dim]
    if array.dtype.kind in "fiu":
        return array.values.astype(float), with_units(dim, units_of(array))
    if array.dtype.kind == "m":
        return array.values / np.timedelta64(1, "s"), f"{plain(dim)} [s]"
    first = time_words(array, 0)
    return np.arange(ds.sizes[dim], dtype=float), f"{plain(dim)}, frames from {first}"


def scale_of(truth: xr.DataArray) -> tuple[float, float, str]:
    """Least and largest of the truth, which the prediction shares; of both signs about 0."""
    values = np.asarray(truth)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if low < 0 < high and min(-low, high) > 0.2 * max(-low, high):
        most = max(-low, high)
        return -most, most, BOTH_SIGNS
    if low == high:
        wide = abs(low) * 0.01 or 1.0
        low, high = low - wide, high + wide
    return low, high, ONE_SIGN


def offset_of(apart: xr.DataArray, length: bool) -> tuple[float, float, str]:
    """Of a difference: about 0, and of a length from 0 on."""
    values = np.abs(np.asarray(apart))
    values = values[np.isfinite(values)]
    most = float(values.max()) if values.size and values.max() > 0 else 1.0
    return (0.0, most, ONE_SIGN) if length else (-most, most, BOTH_SIGNS)


def _beyond(guess: xr.DataArray, scale: tuple[float, float, str]) -> str:
    """At which ends the prediction leaves the truth's colours, by more than a hundredth."""
    values = np.asarray(guess)
    values = values[np.isfinite(values)]
    slack = 0.01 * (scale[1] - scale[0])
    below = bool((values < scale[0] - slack).any())
    above = bool((values > scale[1] + slack).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(
        (below, above), "both"
    )


def _only(array: xr.DataArray) -> xr.DataArray:
    """The one frame of it."""
    extra = [d for d in array.dims if array.sizes[d] == 1]
    return array.squeeze(extra)


def _inputs(case: Case) -> list[str]:
    """Names of the given fields that are drawn."""
    space = set(case.layout.space)
    return [n for n in case.about.inputs if space <= set(case.ds[n].dims)][:MOST_INPUTS]


def _outer_labels(panels: Sequence[Any]) -> None:
    """Axes are written at the left and below alone; ticks inside cost more time than all the rest."""
    for row in panels:
        for axes in row:
            place = axes.get_subplotspec()
            axes.xaxis.set_visible(place.is_last_row())
            axes.yaxis.set_visible(place.is_first_col())
