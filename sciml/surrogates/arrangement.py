"""A caller's dataset as a surrogate sees it, and predictions as the caller has them: levels apart and
together, axes ascending and as they came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from sciml.domain.field import Level
from sciml.domain.inference import ascending
from sciml.domain.levels import SAME, Together, apart, vertical
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates.physical_model import PhysicalModel


@final
class Arrangement:
    """What was done to a dataset before a surrogate was used on it.

    Args:
        surrogate: what it knows of levels.
        ds: the caller's dataset; anything else is left to those who refuse it.
        targets: whether targets are wanted as well, to compare with.

    Raises:
        InputError: other levels than those of the training.
    """

    def __init__(self, surrogate: PhysicalModel, ds: xr.Dataset, *, targets: bool = False) -> None:
        self.ds = ds
        self._together: Together | None = None
        self._turned: Sequence[str] = ()
        if not hasattr(ds, "data_vars"):
            return
        task = surrogate.task
        names = (*task.inputs, *task.static, *task.forcing, *(task.targets if targets else ()))
        self.ds, _ = apart(ds, names, "channels" if task.levels == "channels" else "axis")
        self._require_levels(surrogate, ds, names)
        self._together = Together(ds, [f for f in surrogate.fields if f.name in task.targets])
        self.ds, self._turned = ascending(self.ds)

    def restored(self, out: xr.Dataset, at: Sequence[str] = ()) -> xr.Dataset:
        """Predictions with axes and levels as the caller's dataset has them."""
        turned = [dim for dim in self._turned if dim in out.dims and dim not in at]
        if turned:
            out = out.isel({dim: slice(None, None, -1) for dim in turned})
        return out if self._together is None else self._together(out)

    def _require_levels(
        self, surrogate: PhysicalModel, given: xr.Dataset, names: Sequence[str]
    ) -> None:
        known = {f.name: f.level for f in surrogate.fields if f.level is not None}
        for name in names:
            level = known.get(name)
            if level is None:
                continue
            if name in self.ds.variables:
                here = Level.noted(self.ds[name].attrs)
                dim = vertical(self.ds, name)
                if here is not None and abs(here.value - level.value) > SAME * abs(level.value):
                    levels = [here.value]
                elif here is None and dim is not None and level.of == name:
                    levels = _levels(given, dim)
                else:
                    continue
            elif level.of in given.variables and (dim := vertical(given, level.of)) is not None:
                levels = _levels(given, dim)
            else:
                continue
            trained = [one.value for one in known.values() if one.of == level.of]
            raise InputError(
                f"'{level.of}' has the levels {_words(levels)}; the surrogate was trained on "
                f"{_words(trained)} {'' if level.units == '1' else level.units}".rstrip()
                + f": give those, ds.sel({level.dim}=[...]), or interpolate, ds.interp"
            )


def _levels(ds: xr.Dataset, dim: str) -> list[float]:
    return ds[dim].values.tolist() if dim in ds.coords else list(range(ds.sizes[dim]))


def _words(levels: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in levels)
