"""Variables read in standard order, and static ones put on the axes of the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, final

import numpy as np

from sciml.domain.layout import Layout, axis_of
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

#: Part of its largest value by which a variable over time may change and still count as static: archives
#: pack each time for itself.
STILL = 1e-6


def array_of(ds: xr.Dataset, name: str, layout: Layout) -> np.ndarray:
    """A variable of one simulation, read and in standard order; a view that cannot be written."""
    array = ds[name]
    view = np.asarray(array.transpose(*layout.order(array.dims)).values).view()
    view.flags.writeable = False
    return view


@final
class OnDemand(Mapping[str, np.ndarray]):
    """The fields of one frame, each read from its dataset whenever it is asked for.

    Args:
        ds: one simulation, whose variables are not in memory.
        names: of the fields.
        layout: of the fields.
        step: place of the frame along time.
    """

    def __init__(self, ds: xr.Dataset, names: Sequence[str], layout: Layout, step: int) -> None:
        self._ds, self._names, self._layout, self._step = ds, names, layout, step

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        time = self._layout.time
        one = self._ds[[name]]
        return array_of(
            one.isel({time: self._step}) if time in one.dims else one, name, self._layout
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@final
class OnGrid:
    """Static variables of a dataset, each on all the axes that its fields have.

    Args:
        ds: the dataset, which may have a dimension of samples.
        layout: of its fields.
        say: takes a line on what was taken for granted, once a variable.
    """

    def __init__(self, ds: xr.Dataset, layout: Layout, say: Callable[[str], None]) -> None:
        self._sizes = dict(ds.sizes)
        self._layout = layout
        self._say = say
        self._said: set[str] = set()

    def static(self, one: xr.Dataset, name: str, sample: int, kept: np.ndarray) -> np.ndarray:
        """A static variable of one simulation, ``(*space[, components])``, or in cells or on edges.

        Args:
            one: the simulation.
            name: of the variable.
            sample: number of the simulation, for messages.
            kept: which times count, bool ``(time,)``.

        Raises:
            InputError: a number, which is a parameter; other axes than those of the fields; values that
                change in time.
        """
        array, layout = one[name], self._layout
        times = [d for d in array.dims if d == layout.time or axis_of(one, d) == "T"]
        rest = [d for d in array.dims if d not in times]
        places = tuple(dim for dim in (layout.cells, layout.edges) if dim)
        wanted = (*layout.space, *places, *layout.components)
        for dim in rest:
            if dim not in wanted:
                raise InputError(
                    f"static '{name}' spans {tuple(array.dims)}; expected the axes of the fields, "
                    f"{layout.space}: interpolate it onto them (ds.{name}.interp), select one entry, "
                    f"ds.isel({dim}=0), or rename its dimensions where they mean the same"
                )
        if not rest and times:
            raise InputError(
                f"static '{name}' spans {tuple(array.dims)} and no axis in space, a number a time; "
                f"expected a field on {layout.space}: numbers over time are 'forcing', or an input"
            )
        if not rest:
            raise InputError(
                f"static '{name}' is a number; expected a field on {layout.space}: a number, for all "
                f"samples or one a sample, is a parameter: parameters=['{name}']"
            )
        values = np.asarray(array.transpose(*times, *(d for d in wanted if d in rest)).values)
        for dim in times:
            if dim == layout.time:
                values = values[kept] if kept.any() else values[:1]
            values = self._still(values, name, dim, sample)
        return values if set(places) & set(rest) else self._spread(values, name, rest)

    def _still(self, values: np.ndarray, name: str, dim: str, sample: int) -> np.ndarray:
        """The values at one time, if all times have the same."""
        held = [i for i in range(len(values)) if not _empty(values[i])]
        if not held:
            return values[0]
        first = values[held[0]]
        slack = STILL * float(np.nanmax(np.abs(first.astype(np.float64))))
        for index in held:
            if not np.allclose(values[index], first, rtol=0, atol=slack, equal_nan=True):
                raise InputError(
                    f"static '{name}' changes along '{dim}', from entry {held[0]} to {index} of sample "
                    f"{sample}; expected one field for all times: what changes is an input, "
                    f"inputs=['{name}', ...], or, where it is known ahead, 'forcing'"
                )
        self._say_once(f"static '{name}' is the same at all {len(held)} times: taken once", name)
        return first

    def _spread(self, values: np.ndarray, name: str, rest: list[str]) -> np.ndarray:
        """Values on some of the axes, alike along the others."""
        missing = [d for d in self._layout.space if d not in rest]
        if missing:
            self._say_once(
                f"static '{name}' is the same along {', '.join(missing)}", f"{name} {missing}"
            )
            shape = [self._sizes[d] for d in self._layout.space]
            index = tuple(None if d in missing else slice(None) for d in self._layout.space)
            values = np.broadcast_to(values[index], (*shape, *values.shape[len(rest) :]))
        view = values.view()
        view.flags.writeable = False
        return view

    def _say_once(self, line: str, key: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._say(line)


def _empty(values: np.ndarray) -> bool:
    """The fill behind the end of a shorter simulation."""
    return values.dtype.kind == "f" and bool(np.isnan(values).all())
