"""Figures of a run, from what lies in its folder: how it learned, how far off it is, and where.

They are drawn by matplotlib (extra ``plot``) on Agg; neither pyplot nor anyone's settings are touched.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.names import SAMPLE
from sciml.errors import InputError, require_known
from sciml.report.history import history
from sciml.report.predictions import Errors, Predictions
from sciml.report.rows import rows_of

if TYPE_CHECKING:
    import xarray as xr

    from sciml.report.cases import Case
    from sciml.report.sheet import Sheet

#: Each figure by its name, and what it shows.
KINDS = {
    "learning": "loss, and each field's error at the validations, over the steps",
    "errors": "errors along the rollouts beside persistence; of maps, of each held-out frame",
    "median": "truth, prediction and difference of the held-out simulation in the middle",
    "worst": "the same of the one with the largest error",
}
#: Those of one simulation.
CASES = ("median", "worst")
#: ``0`` in the environment: none are drawn at the end of a run.
SWITCH = "SCIML_FIGURES"
#: Endings that files may have, and that of animations.
FORMATS, FILM = ("png", "pdf", "svg"), "gif"


class Figures(Mapping[str, "Sheet"]):
    """Figures by name; notebooks show all of them."""

    def __init__(self, sheets: Mapping[str, Sheet]) -> None:
        self._sheets = dict(sheets)

    def __getitem__(self, name: str) -> Sheet:
        require_known("no figure", name, self._sheets)
        return self._sheets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sheets)

    def __len__(self) -> int:
        return len(self._sheets)

    def __repr__(self) -> str:
        return f"Figures({', '.join(self._sheets)})"

    def _repr_html_(self) -> str:
        from base64 import b64encode

        pictures = (b64encode(sheet._repr_png_()).decode() for sheet in self._sheets.values())
        return "".join(f'<img src="data:image/png;base64,{one}"/><br/>' for one in pictures)


def figures(folder: Path, name: str | None = None) -> Figures:
    """Draw what lies in the folder of a run or of a ``fit``.

    Args:
        folder: with ``metrics.jsonl``, ``predictions.nc`` or both.
        name: of one of :data:`KINDS` alone; ``None``: all that there is something for.

    Raises:
        InputError: matplotlib is not there; an unknown name; nothing to draw.
    """
    if find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib: pip install 'sciml-surrogates[plot]'")
    require_known("no figure", [] if name is None else name, KINDS)
    from sciml.report.sheet import drawing

    with drawing():
        drawn = dict(_drawn(folder, (name,) if name else tuple(KINDS)))
    if not drawn:
        lacks = {"learning": "metrics.jsonl", None: "metrics.jsonl and no predictions.nc"}
        raise InputError(
            f"{folder} has nothing to draw: no {lacks.get(name, 'predictions.nc')}; a run that has "
            "finished has both"
        )
    return Figures(drawn)


def write(
    folder: Path, out: Path | None = None, *, name: str | None = None, ending: str = "png"
) -> list[Path]:
    """Draw the figures of a folder into files; returns their paths.

    Args:
        folder, name: as in :func:`figures`.
        out: folder for the files; by default ``figures/`` in it.
        ending: ``png``, ``pdf`` or ``svg``; or ``gif``, an animation of the rollout of ``median`` or
            ``worst``.

    Raises:
        InputError: as :func:`figures`; a folder that cannot be written; an animation of something else.
    """
    if ending not in (*FORMATS, FILM):
        raise InputError(f"figures as '{ending}'; expected one of {', '.join((*FORMATS, FILM))}")
    if ending == FILM and name not in (None, *CASES):
        raise InputError(f"an animation of '{name}'; expected {' or '.join(CASES)}")
    sheets = _animated(folder, name or CASES[0]) if ending == FILM else figures(folder, name)
    from sciml.report.sheet import drawing

    out = folder / "figures" if out is None else Path(out)
    paths = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for one, sheet in sheets.items():
            path = out / f"{one}.{ending}"
            aside = out / f".{one}.part"
            with drawing():
                sheet(aside) if ending == FILM else sheet.savefig(aside, format=ending)
            os.replace(aside, path)
            paths.append(path)
    except OSError as error:
        raise InputError(
            f"figures cannot be written to {out}: {error.strerror}; name another"
        ) from error
    return paths


def leave(folder: Path, log: logging.Logger) -> list[Path]:
    """Draw figures at the end of a run, unless matplotlib is missing or :data:`SWITCH` is off. What goes
    wrong is no matter of the run, and said in a line."""
    if find_spec("matplotlib") is None or os.environ.get(SWITCH) == "0":
        return []
    try:
        return write(folder)
    except Exception as error:  # whatever it is, the run has done what it was for
        log.warning("figures were not drawn: %s: %s", type(error).__name__, error)
        return []


def _drawn(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[str, Sheet]]:
    from sciml.report.cases import draw_case
    from sciml.report.curves import learning
    from sciml.report.error_curves import errors_along, errors_of_frames

    predictions = Predictions(folder) if any(folder.glob("predictions*.nc")) else None
    is_map = predictions is not None and predictions.about.kind == "map"
    if "learning" in names:
        rows = rows_of(folder / "metrics.jsonl")
        sheet = learning(history(rows), map_=any(row.get("same_frame") for row in rows))
        if sheet is not None:
            yield "learning", sheet
    if predictions is None or not {"errors", *CASES} & {*names}:
        return
    errors = predictions.errors()
    if "errors" in names:
        if is_map:
            yield "errors", errors_of_frames(errors)
        else:
            yield "errors", errors_along(errors, step=_step(predictions))
    chosen = _chosen(errors)
    for kind, one in chosen.items():
        again = kind == "worst" and one is chosen["median"] and len(names) > 1  # a single one
        if kind in names and not again:
            yield kind, draw_case(*_case(predictions, one, kind, len(errors)))


def _animated(folder: Path, kind: str) -> dict[str, Callable[[Path], None]]:
    """By its name, what writes an animation to a path."""
    if find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib: pip install 'sciml-surrogates[plot]'")
    from sciml.report.film import write_film

    predictions = Predictions(folder)
    errors = predictions.errors()
    case, title = _case(predictions, _chosen(errors)[kind], kind, len(errors))
    return {kind: partial(write_film, case, title)}


def _chosen(errors: Sequence[Errors]) -> dict[str, Errors]:
    ranked = sorted(errors, key=lambda one: one.score)
    return {"median": ranked[(len(ranked) - 1) // 2], "worst": ranked[-1]}


def _case(predictions: Predictions, one: Errors, kind: str, count: int) -> tuple[Case, str]:
    """What is drawn, and its title."""
    from sciml.report.cases import Case

    ds = predictions.simulation(one.number)
    layout = predictions.layout(ds)
    given = [name for name in predictions.varying if ds.coords[name].ndim == 0]
    title = _title(ds, layout, one, kind, count, sorted(given))
    return Case(ds, layout, predictions.about, one), title


def _title(
    ds: xr.Dataset, layout: Any, one: Errors, kind: str, count: int, names: Sequence[str]
) -> str:
    from sciml.report.sheet import NO_UNITS, plain, time_words, units_of

    what = f"Simulation {one.number}"
    if one.frame is not None and layout.time is not None and ds.sizes[layout.time] > 1:
        # Frames of a steady program are numbered, which is no time.
        stamped = layout.time in ds.coords and (
            ds[layout.time].dtype.kind not in "iuf" or units_of(ds[layout.time]) not in NO_UNITS
        )
        what += f", {time_words(ds[layout.time], one.frame)}" if stamped else f", frame {one.frame}"
    rank = {"median": f"median of {count} held out", "worst": f"worst of {count} held out"}[kind]
    score = "not finite" if not np.isfinite(one.score) else f"{one.score:.2e}"
    if count == 1:
        rank = "held out"
    lines = [f"{what}: {rank}, mean VRMSE {score}"]
    given = []
    for name in names:
        array = ds.coords[name]
        if array.dtype.kind in "fiu" and name not in (layout.sample, layout.time, SAMPLE):
            units = units_of(array)
            said = "" if units in NO_UNITS else f" {plain(units)}"
            given.append(f"{plain(name)} = {array.item():.4g}{said}")
    if given:
        lines.append(", ".join(given[:6]))
    if len(layout.space) == 3:
        dim = layout.space[0]
        middle = ds.sizes[dim] // 2
        at = (
            f"{float(ds[dim][middle]):.4g} {units_of(ds[dim])}" if dim in ds.coords else str(middle)
        )
        lines.append(f"slice at {plain(dim)} = {at.removesuffix(' 1')}")
    return "\n".join(lines)


def _step(predictions: Predictions) -> str:
    """What a step of a rollout is in time, where the file says units."""
    from sciml.report.sheet import NO_UNITS, units_of

    _, ds = next(iter(predictions))
    time = predictions.layout(ds).time
    if time not in ds.coords or ds[time].dtype.kind not in "fiu" or ds.sizes[time] < 2:
        return ""
    steps = np.diff(ds[time].values.astype(float))
    units = units_of(ds[time])
    return "" if units in NO_UNITS else f"{steps.mean():.4g} {units}"
