"""A figure unknown to pyplot, and how names, units and times are written on it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    import xarray as xr

#: Dots per inch of files, and in notebooks.
DPI = 110
#: What stands for none.
NO_UNITS = ("", "1", "unknown")
#: Letters of a name; longer ones are cut.
LONGEST = 60


class Sheet(Figure):
    """A figure on Agg, whatever backend is set, which notebooks show as it is."""

    def __init__(self, width: float, height: float, title: str = "") -> None:
        super().__init__(figsize=(width, height), layout="constrained", dpi=DPI)
        self.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
        FigureCanvasAgg(self)
        if title:
            self.suptitle(title, fontsize="medium")

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with drawing():
            self.savefig(file, format="png")
        return file.getvalue()


@contextmanager
def drawing() -> Iterator[None]:
    """Text is no LaTeX, whatever the user's settings; they are as before afterwards."""
    with rc_context({"text.usetex": False, "axes.unicode_minus": True}):
        yield


def plain(text: object) -> str:
    """A name that is shown letter by letter: dollars begin no formula, and it stays on one line."""
    text = " ".join(str(text).split()).replace("$", r"\$")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def with_units(name: str, units: object) -> str:
    """``u [K]``; without units the name alone."""
    units = str(units or "")
    return plain(name) if units in NO_UNITS else f"{plain(name)} [{plain(units)}]"


def units_of(array: xr.DataArray) -> str:
    return str(array.attrs.get("units", ""))


def time_words(times: xr.DataArray, place: int) -> str:
    """``t = 0.144 s``, or the date."""
    value = times.values[place]
    if isinstance(value, np.datetime64):
        text = np.datetime_as_string(value, unit="m").replace("T", " ")
        return text.removesuffix(" 00:00")
    if times.dtype == object:
        return str(value).removesuffix(" 00:00:00")
    if isinstance(value, np.timedelta64):
        return f"t = {value / np.timedelta64(1, 's'):.4g} s"
    units = units_of(times)
    return f"t = {value:.4g}" + ("" if units in NO_UNITS else f" {plain(units)}")


def legend(axes: Any, title: str | None = None) -> None:
    """Inside where there is room for it; beside the curves where they are many."""
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(axes.lines) > 6 else {}
    axes.legend(fontsize="small", title=title, title_fontsize="small", **beside)


def logarithmic(axes: Any, *values: Any) -> None:
    """A logarithmic axis where there is something positive, and more than one number."""
    numbers = np.concatenate([np.ravel(np.asarray(v, float)) for v in values] or [np.empty(0)])
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if numbers.size and numbers.max() > 1.5 * numbers.min():
        axes.set_yscale("log")
