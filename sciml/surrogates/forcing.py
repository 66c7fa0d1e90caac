"""What a task is given ahead, at the times that are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciml.domain.grid import box_difference
from sciml.domain.inference import ascending, domain_of
from sciml.domain.layout import Layout, layout_of
from sciml.domain.levels import apart
from sciml.domain.time_units import UNKNOWN, ratio
from sciml.errors import InputError
from sciml.samples.dataset import array_of
from sciml.samples.times import Times, in_order
from sciml.surrogates.clock import STEP_TOLERANCE, Clock

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates.physical_model import PhysicalModel


class KnownForcing:
    """The forcing of a task by sample and time: what the dataset itself has, and what is given besides.

    Targets that are prescribed somewhere may be given ahead as well; else they stay what they were.

    Args:
        surrogate: whose task it is; without forcing everything is there.
        ds: predicted from, with times that ascend; it may have forcing at times at which its inputs are
            NaN.
        layout, clock: of ``ds``.
        given: more times, or all of them; its samples are those of ``ds``, or one for all.

    Raises:
        InputError: forcing that nobody gives, on another grid, with other samples, or with times that
            cannot be compared.
    """

    def __init__(
        self,
        surrogate: PhysicalModel,
        ds: xr.Dataset,
        layout: Layout,
        clock: Clock,
        given: xr.Dataset | None = None,
    ) -> None:
        self._task, self._clock = surrogate.task, clock
        self._masks, self._normalizer = surrogate.masks, surrogate.normalizer
        self._sources: list[_Source] = []
        #: Place of the last time at which there are inputs.
        self.last = len(clock) - 1
        names = self._names = surrogate.task.forcing
        if given is not None:  # prescribed values at times ahead, too
            there = [
                n for n, _ in surrogate.task.prescribed if n in getattr(given, "variables", ())
            ]
            names = self._names = (*names, *there)
        if given is not None and not names:
            raise InputError(
                "forcing is given, and the task of the surrogate has none; leave it away"
            )
        if not names:
            return
        if given is not None:
            if not hasattr(given, "data_vars"):
                raise InputError(f"forcing of type {type(given).__name__}; expected a dataset")
            given, _ = apart(
                given, names, "channels" if self._task.levels == "channels" else "axis"
            )
        for name in names:
            if not any(name in one.variables for one in (ds, given) if one is not None):
                raise InputError(
                    f"forcing '{name}' is in no dataset, and the surrogate sees it at the times that it "
                    "predicts: forcing=ds_ahead, or in the dataset itself"
                )
        own = [n for n in surrogate.task.forcing if n in ds.variables]
        for name in own:
            if layout.time not in ds[name].dims:
                raise InputError(
                    f"forcing '{name}' does not vary in time; expected one entry a time, or give it in "
                    "forcing=ds_ahead"
                )
        if own:
            self._sources.append(_Source(ds, own, layout, clock.times, clock))
            self.last = _last_state(ds, self._task.inputs, layout)
        if given is not None:
            there = [n for n in names if n in given.variables]
            self._sources.append(_source(given, there, ds, layout, self._task.inputs, clock))

    def there(self, origin: int, ahead: int) -> bool:
        """Whether all of it is known ``ahead`` frames after that at ``origin``, for every sample."""
        return all(self._place(name, origin, ahead) is not None for name in self._names)

    def at(self, sample: int, origin: int, ahead: int) -> dict[str, np.ndarray]:
        """Its arrays there."""
        found = {}
        for name in self._names:
            source, place = self._place(name, origin, ahead)
            array = source.array(name, sample)[place]
            found[name] = (
                array
                if (mask := self._masks.get(name)) is None
                else self._filled(name, array, mask)
            )
        return found

    def _filled(self, name: str, array: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The mean where there are no values, as in training."""
        mean = 0.0 if self._normalizer is None else float(self._normalizer.numbers(name)[0])
        return np.where(mask, array, np.asarray(mean, array.dtype))

    def lack(self, origin: int, ahead: Sequence[int]) -> str:
        """What is missing, in words."""
        first = next((n for n in ahead if not self.there(origin, n)), ahead[-1])
        missing = [n for n in self._names if self._place(n, origin, first) is None]
        until = self._clock.labels([origin, origin], [first, ahead[-1]])
        return (
            f"forcing '{', '.join(missing)}' is not known at {_word(until[0])}; expected it at each of "
            f"{len(ahead)} times ahead, up to {_word(until[1])}: forcing=ds_ahead, or fewer steps"
        )

    def _place(self, name: str, origin: int, ahead: int) -> tuple[_Source, int] | None:
        for source in self._sources:
            if name in source.names:
                place = source.find(origin, ahead)
                mask = self._masks.get(name)
                if place is not None and source.known(name, place, mask):
                    return source, place
        return None


class _Source:
    """Forcing of one dataset, whose times ascend."""

    def __init__(
        self, ds: xr.Dataset, names: Sequence[str], layout: Layout, times: Times, clock: Clock
    ) -> None:
        self.names = tuple(names)
        self._ds, self._layout, self._times, self._clock = ds, layout, times, clock
        self._arrays: dict[tuple[str, int], np.ndarray] = {}
        self._whole: dict[str, np.ndarray] = {}
        self._places: dict[tuple[int, int], int | None] = {}

    def array(self, name: str, sample: int) -> np.ndarray:
        """``(time, …)`` of one sample."""
        dim = self._layout.sample
        own = dim is not None and dim in self._ds[name].dims
        key = (name, sample if own else 0)
        if key not in self._arrays:
            one = self._ds.isel({dim: key[1]}) if own else self._ds
            self._arrays = {k: v for k, v in self._arrays.items() if k[1] == sample or k[0] != name}
            self._arrays[key] = array_of(one, name, self._layout)
        return self._arrays[key]

    def known(self, name: str, place: int, mask: np.ndarray | None = None) -> bool:
        """Whether there are numbers in all samples, where the mask of the training has some."""
        if name not in self._whole:
            values = self._ds[name]
            if mask is not None:
                space = [d for d in self._layout.space if d in values.dims]
                values = values.fillna(0.0).where(values.notnull() | self._outside(mask, space))
            others = [d for d in values.dims if d != self._layout.time]
            self._whole[name] = np.asarray(values.notnull().all(others).values)
        return bool(self._whole[name][place])

    def _outside(self, mask: np.ndarray, space: Sequence[str]) -> xr.DataArray:
        import xarray as xr

        return xr.DataArray(~mask, dims=space)

    def find(self, origin: int, ahead: int) -> int | None:
        """Place of the time that lies ``ahead``, within a hundredth of a step."""
        if (origin, ahead) not in self._places:
            self._places[origin, ahead] = self._search(origin, ahead)
        return self._places[origin, ahead]

    def _search(self, origin: int, ahead: int) -> int | None:
        [label] = self._clock.labels([origin], [ahead])
        [near] = self._clock.labels([origin], [ahead + 1])
        values, factor = self._times.values, self._factor()
        try:
            if self._times.calendar is None:
                off, step = np.abs(values * factor - label), abs(near - label)
            elif self._times.dates and values.dtype == object:
                off = np.array([abs((v - label).total_seconds()) for v in values])
                step = abs((near - label).total_seconds())
            else:
                kind = values.dtype.kind
                ticks, (at, then) = (
                    np.asarray(v).astype(f"{kind}8[us]").astype(np.int64)
                    for v in (values, [label, near])
                )
                off, step = np.abs(ticks - at), abs(int(then - at))
        except TypeError as error:
            raise InputError(
                f"forcing: its times cannot be compared with those of the dataset: {error}"
            ) from error
        place = int(np.argmin(off))
        return place if off[place] <= STEP_TOLERANCE * step else None

    def _factor(self) -> float:
        known = UNKNOWN not in (self._times.units, self._clock.times.units)
        found = ratio(self._times.units, self._clock.times.units) if known else 1.0
        if found is None:
            raise InputError(
                f"forcing: times are in {self._times.units}, those of the dataset in "
                f"{self._clock.times.units}; convert one of them"
            )
        return found


def _source(
    given: xr.Dataset,
    names: Sequence[str],
    ds: xr.Dataset,
    layout: Layout,
    inputs: Sequence[str],
    clock: Clock,
) -> _Source:
    """What is given besides, held against the dataset."""
    found = layout_of(given, names)
    if found.time is None or found.time not in given.coords:
        raise InputError("forcing: no coordinate of time; expected the times that are predicted")
    given, _ = ascending(in_order(given, found))
    times = Times.of(given, found)
    if (times.calendar is None) != (
        clock.times.calendar is None
    ) or times.dates != clock.times.dates:
        raise InputError(
            "forcing: dates in one dataset, numbers in the other; expected one kind in both"
        )
    samples = ds.sizes[layout.sample] if layout.sample else 1
    given = _by_label(given, found.sample, ds, layout.sample)
    if found.sample is not None and given.sizes[found.sample] != samples:
        raise InputError(
            f"forcing: {given.sizes[found.sample]} samples, the dataset has {samples}; expected as "
            "many, or none of its own"
        )
    spanning = [n for n in names if set(found.space) & set(given[n].dims)]
    if spanning:
        theirs, ours = domain_of(given, spanning), domain_of(ds, inputs)
        alike = theirs.kind == ours.kind and theirs.point_shape == ours.point_shape
        if alike and ours.kind == "grid":
            alike = box_difference(ours, theirs) is None
        if not alike:
            raise InputError(
                f"forcing '{spanning[0]}' lies on {theirs.point_shape} points, the fields on "
                f"{ours.point_shape}; expected one grid: interpolate, ds.interp"
            )
    return _Source(given, names, found, times, clock)


def _by_label(
    given: xr.Dataset, theirs: str | None, ds: xr.Dataset, ours: str | None
) -> xr.Dataset:
    """``given`` with its samples in the order of those of ``ds``, where both name theirs."""
    if theirs not in given.coords or ours not in ds.coords:
        return given
    have, want = given[theirs].values.tolist(), ds[ours].values.tolist()
    if have == want:
        return given
    lacking = next((label for label in want if label not in have), None)
    if lacking is not None or len(set(have)) < len(have):
        what = (
            f"no sample {lacking!r}" if lacking is not None else f"samples that share a '{theirs}'"
        )
        raise InputError(
            f"forcing: {what}, which its coordinate '{theirs}' is to tell; expected those of the "
            f"dataset: give it the same, or forcing.drop_vars('{theirs}') where the order is that of "
            "the dataset"
        )
    return given.isel({theirs: [have.index(label) for label in want]})


def _last_state(ds: xr.Dataset, inputs: Sequence[str], layout: Layout) -> int:
    """Place of the last time at which any sample has inputs."""
    there = np.zeros(ds.sizes[layout.time], bool)
    for name in inputs:
        if layout.time in ds[name].dims:
            others = [d for d in ds[name].dims if d != layout.time]
            there |= np.asarray(ds[name].notnull().any(others).values)
        else:
            there[:] = True
    return int(np.flatnonzero(there)[-1]) if there.any() else len(there) - 1


def _word(label: object) -> str:
    return f"{label:g}" if isinstance(label, float | int | np.number) else str(label)
