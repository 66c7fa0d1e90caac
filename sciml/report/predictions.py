"""Predictions beside the truth as a run leaves them, and how far apart they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.files import open_file
from sciml.domain.layout import layout_of, meaning_of
from sciml.domain.names import TRUTH
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.domain.layout import Layout

#: As :mod:`sciml.training.predictions` writes it.
ABOUT = "prediction"
#: Of a field, relative to its size: one that varies by less is constant, in float32.
ROUNDING = 1.2e-7


@dataclass(frozen=True, slots=True)
class About:
    """What predictions are.

    Args:
        kind: ``rollout``, from the first frame on, which is the solver's; or ``map``, each frame by
            itself.
        targets: names of what was predicted.
        inputs: of what it was predicted from, where that is something else.
        weighting: of points in errors.
    """

    kind: str
    targets: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    weighting: str | None = None

    @classmethod
    def of(cls, ds: xr.Dataset) -> About:
        """As the file says it; of files of before, by the names in it."""
        names = [str(name) for name in ds.data_vars]
        paired = tuple(name for name in names if f"{name}{TRUTH}" in names)
        said = json.loads(ds.attrs.get(ABOUT, "{}"))
        targets = tuple(name for name in said.get("targets", paired) if name in paired)
        given = (*said.get("inputs", ()), *said.get("static", ()))
        inputs = tuple(
            next(n for n in (f"{name}{TRUTH}", name) if n in names)
            for name in given
            if name not in targets and (name in names or f"{name}{TRUTH}" in names)
        )
        return cls(said.get("kind", "rollout"), targets, inputs, said.get("weighting"))


@dataclass(frozen=True, slots=True)
class Errors:
    """Of one simulation, or one frame of a map: the error of each target at each time.

    Args:
        number: of the simulation.
        frame: place in time of a map; ``None`` of a rollout.
        vrmse: by target ``(time,)``; √(⟨(û − u)²⟩ / ⟨(u − ū)²⟩) over the points, as everywhere; NaN
            where a field is constant.
        still: the same for the first frame instead of the prediction; of a rollout.
    """

    number: int
    frame: int | None
    vrmse: Mapping[str, np.ndarray]
    still: Mapping[str, np.ndarray]

    @property
    def score(self) -> float:
        """Mean over targets and times; infinite where an output is not finite."""
        first = 0 if self.frame is not None else 1
        values = np.concatenate([v[first:] for v in self.vrmse.values()])
        if np.isinf(values).any():
            return np.inf
        return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


class Predictions:
    """Files of predictions in a folder, read a simulation at a time.

    Args:
        folder: with ``predictions.nc``, or ``predictions-00003.nc`` and so on.

    Raises:
        InputError: there are none.
    """

    def __init__(self, folder: Path) -> None:
        whole = folder / "predictions.nc"
        self.files = [whole] if whole.exists() else sorted(folder.glob("predictions-*.nc"))
        if not self.files:
            raise InputError(f"{folder} has no predictions (predictions.nc)")
        with self._open(self.files[0]) as ds:
            self.about = About.of(ds)
            sample = self.layout(ds).sample
            #: Names of what differs from one simulation to the next.
            self.varying = {
                str(n) for n, array in ds.coords.items() if sample is None or sample in array.dims
            }
        if not self.about.targets:
            raise InputError(f"{self.files[0]} holds no pairs <field> and <field>{TRUTH}")

    def __iter__(self) -> Iterator[tuple[int, xr.Dataset]]:
        """Number and frames of each simulation."""
        for file in self.files:
            with self._open(file) as ds:
                sample = self.layout(ds).sample
                count = ds.sizes[sample] if sample else 1
                for place in range(count):
                    one = ds.isel({sample: place}) if sample else ds
                    yield self._number(one, file, sample, place), one.load()

    def simulation(self, number: int) -> xr.Dataset:
        return next(ds for one, ds in self if one == number)

    def layout(self, ds: xr.Dataset) -> Layout:
        return layout_of(ds, [f"{name}{TRUTH}" for name in self.about.targets])

    def errors(self) -> list[Errors]:
        """Of each simulation, or each frame of a map."""
        errors = []
        for number, ds in self:
            layout = self.layout(ds)
            vrmse, still = {}, {}
            for name in self.about.targets:
                truth, guess = ds[f"{name}{TRUTH}"], ds[name]
                vrmse[name] = _vrmse(guess, truth, ds, layout, self.about.weighting)
                if self.about.kind == "rollout":
                    first = truth.isel({layout.time: 0})
                    still[name] = _vrmse(first, truth, ds, layout, self.about.weighting)
            if self.about.kind == "rollout":
                errors.append(Errors(number, None, vrmse, still))
                continue
            for frame in range(len(next(iter(vrmse.values())))):
                one = {name: values[frame : frame + 1] for name, values in vrmse.items()}
                errors.append(Errors(number, frame, one, {}))
        return errors

    @staticmethod
    def _open(file: Path) -> xr.Dataset:
        return open_file(file, decode=False, engine="h5netcdf", decode_timedelta=False)

    @staticmethod
    def _number(one: xr.Dataset, file: Path, sample: str | None, place: int) -> int:
        if sample is None:
            number = file.stem.rpartition("-")[2]
            return int(number) if number.isdigit() else int(one.attrs.get("simulation", 0))
        return (
            int(one[sample]) if sample in one.coords and one[sample].dtype.kind in "iu" else place
        )


def _vrmse(
    guess: xr.DataArray, truth: xr.DataArray, ds: xr.Dataset, layout: Layout, weighting: str | None
) -> np.ndarray:
    """``(time,)``, or ``(1,)`` where there is none."""
    guess, truth = guess.astype(np.float64), truth.astype(np.float64)
    over = [dim for dim in truth.dims if dim != layout.time]
    weights = _weights(ds, layout) if weighting == "latitude" else None

    def mean(array: xr.DataArray, dims: list[Any]) -> xr.DataArray:
        return array.mean(dims) if weights is None else array.weighted(weights).mean(dims)

    points = [dim for dim in over if dim not in layout.components]
    components = [dim for dim in over if dim in layout.components]
    if not points and layout.time in truth.dims:  # one number a frame varies over the frames alone
        variance = (truth - truth.mean(layout.time)) ** 2
        variance = variance.mean(layout.time) + 0.0 * truth
    else:
        variance = mean((truth - mean(truth, points)) ** 2, points)
    size = mean(truth**2, points)
    with np.errstate(over="ignore", invalid="ignore"):
        square = mean((guess - truth) ** 2, points)
        broken = (~np.isfinite(guess) & np.isfinite(truth)).any(over)
        square, variance, size = (a.sum(components) for a in (square, variance, size))
        constant = ~(variance > ROUNDING**2 * size)
        vrmse = np.sqrt(square / variance.where(~constant))
    return np.atleast_1d(vrmse.where(~broken, np.inf).where(~constant).values)


def _weights(ds: xr.Dataset, layout: Layout) -> xr.DataArray | None:
    """cos φ of the latitudes."""
    for dim in layout.space:
        if meaning_of(ds, dim).endswith("latitude"):
            return np.cos(np.deg2rad(ds[dim].astype(np.float64))).clip(min=0.0)
    return None
