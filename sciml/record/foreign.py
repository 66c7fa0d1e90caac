"""Data that no recorder wrote, instead of a recording: anyone's netCDF file, or a folder."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np

from sciml.domain.layout import layout_of
from sciml.domain.opening import open_netcdf
from sciml.domain.time_units import UNKNOWN, ratio
from sciml.errors import DomainError, InputError
from sciml.record import index
from sciml.record.recording import open_recording
from sciml.record.trajectories import Order, Trajectories
from sciml.samples import Frame, Simulation, Task
from sciml.samples.dataset import levels_apart, simulations_of
from sciml.samples.masks import difference
from sciml.samples.splits import TEST, TRAIN, VALIDATION, Splits, roles_by_name, splits_of
from sciml.samples.step import Step
from sciml.samples.times import Times, in_order, require_times
from sciml.samples.warned import Finding, carried, gathered
from sciml.share import share_root

#: Relative difference of time steps above which files are refused: months differ by a tenth.
STEP_TOLERANCE = 0.2
#: What makes a folder a run; people may keep a study.yaml beside their data.
LINEAGE = "lineage.json"


def open_trajectories(path: str | Path, task: Task) -> Trajectories:
    """What a task can be trained on.

    Args:
        path: a recording, a run that recorded, a netCDF file, or a folder of netCDF files.
        task: names the fields and parameters that are read of foreign files.

    Raises:
        InputError: nothing of that kind there, a file that is missing, changed or unreadable,
            names that the data do not have.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path}: nothing there; expected a recording, a netCDF file or a folder{_recipe(path)}"
        )
    if path.name == index.VIRTUAL and (path.parent / index.INDEX).is_file():
        path = path.parent
    for folder in (path, path / "recording"):
        if (folder / index.INDEX).is_file():
            return open_recording(folder)
    if (path / LINEAGE).is_file():  # its predictions are no data
        raise InputError(
            f"{path} is a run that recorded nothing; expected one with record: true in its study, or "
            "data"
        )
    files = sorted(path.glob("*.nc")) if path.is_dir() else [path]
    if not files:
        raise InputError(
            f"{path} holds neither {index.INDEX} nor netCDF files (*.nc); a run records with "
            f"record: true{_recipe(path)}"
        )
    return Foreign(files, task)


def _recipe(path: Path) -> str:
    """A word on how to make a dataset of ours, where its name stands instead of a file."""
    if not (share_root() / "data" / path.name / "recipe.yaml").is_file():
        return ""
    return f"; `sciml generate {path.name} --out {path.name}.nc` makes one of that name"


@final
class Foreign(Trajectories):
    """Simulations out of netCDF files, held in memory, numbered as they come.

    Where files say a split (see :mod:`sciml.samples.splits`), it is the role of each simulation; where
    it changes along time, each stretch counts as a simulation. What is for testing keeps its number and
    is not read. Of several files that say none, their names may: ``train.nc``, ``test.nc``.

    Args:
        files: in order; each holds one simulation, or several along ``sample``.
        task: what to read of them.

    Raises:
        InputError: as :func:`open_trajectories`.

    Fails where the files do not fit into memory; convert them with a Recorder.
    """

    def __init__(self, files: Sequence[Path], task: Task) -> None:
        self._remarks: list[str] = []
        self._channels: dict[str, tuple[str, ...]] = {}
        self._held: dict[int, tuple[Simulation, dict[int, Frame]]] = {}
        self._units: dict[str, str] = {}
        self._roles: dict[int, str] = {}
        self._steps: dict[int, Step | None] = {}
        self._even = task.even
        self._warnings: list[Finding] = []
        agreement = _Agreement(task)
        named = roles_by_name(files)
        crc, number = 0, 0
        for file in files:
            try:
                ds = open_netcdf(file)
            except InputError:
                raise
            except (OSError, ValueError) as error:
                raise InputError(f"{file} cannot be read as netCDF: {error}") from error
            with ds, _naming(file):
                ds, own, meant = levels_apart(ds, task)
                agreement.require_levels(file, meant)
                self._channels = meant
                names = own.moving
                layout = layout_of(ds, names)
                for remark in require_times(task, ds, layout):
                    self._tell(f"{file.name}: {remark}")
                ds = in_order(ds, layout)
                splits = splits_of(ds, layout, names)
                if splits is None and file in named:
                    splits = Splits.whole(named[file], ds, layout)
                found = simulations_of(
                    ds,
                    own.parameters,
                    fields=names,
                    static=own.static,
                    without=None if splits is None else splits.but(TRAIN, VALIDATION),
                    tell=self._tell,
                )
                times = Times.of(ds, layout)
                factor = agreement.require(file, found, times)
                warned = carried(ds, [one.id for one, _ in found])
                self._units |= {n: str(ds[n].attrs.get("units", "1")) for n in task.parameters}
            crc = zlib.crc32(f"{file.name}:{index.checksum(file)}".encode(), crc)
            first = number
            alone = layout.sample is None
            self._warnings += [
                replace(f, simulation=first + max(f.simulation, 0))
                if alone or f.simulation >= 0
                else f
                for f in warned
            ]
            number += ds.sizes[layout.sample] if layout.sample else 1
            if splits is not None:
                tested = (splits.roles == TEST).all(axis=1)
                self._roles |= dict.fromkeys((first + np.flatnonzero(tested)).tolist(), TEST)
            pieces = [("", one) for one in found] if splits is None else splits.divided(found)
            for role, (one, frames) in pieces:
                # The further stretches of one along time come behind all that have a number.
                place = first + one.id
                if place in self._held:
                    place, number = number, number + 1
                simulation = replace(one, id=place)
                if factor != 1.0:
                    simulation = replace(simulation, time_units=agreement.units)
                if role:
                    self._roles[place] = role
                self._held[place] = (
                    simulation,
                    {f.step: replace(f, simulation=place, time=f.time * factor) for f in frames},
                )
                self._steps[place] = agreement.step(times)
        self._held = dict(sorted(self._held.items()))
        self._identity = f"{len(self._held)}:{crc:08x}"
        sizes = [len(frames) for _, frames in self._held.values()]
        self._starts = dict(zip(self._held, np.cumsum([0, *sizes]).tolist(), strict=False))

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._held)

    @property
    def roles(self) -> Mapping[int, str]:
        return self._roles

    @property
    def warnings(self) -> list[Finding]:
        return gathered(self._warnings)

    @property
    def units(self) -> Mapping[str, str]:
        return self._units

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def channels(self) -> Mapping[str, tuple[str, ...]]:
        return self._channels

    @property
    def remarks(self) -> Sequence[str]:
        return self._remarks

    def _tell(self, line: str) -> None:
        if line not in self._remarks:
            self._remarks.append(line)

    def simulation(self, number: int) -> Simulation:
        return self._held[number][0]

    def order(self, number: int) -> Order:
        steps = np.array(sorted(self._held[number][1]), dtype=np.int64)
        arrivals = self._starts[number] + np.arange(len(steps))
        frames = self._held[number][1]
        gaps = [frames[step].segment if self._even else 0 for step in steps.tolist()]
        return Order(steps, arrivals, np.array(gaps, np.int64))

    def step(self, number: int) -> Step | None:
        return self._steps[number]

    def frame(self, number: int, step: int) -> Frame:
        return self._held[number][1][step]


class _Agreement:
    """That several files measure alike: a task has one unit a field, one of time, and one time step.

    Attributes:
        units: of time, those of the first file that says them.

    Raises:
        InputError: a file that differs from the first that says it.
    """

    def __init__(self, task: Task) -> None:
        self._steps = task.even
        self._units: dict[str, tuple[str, str]] = {}
        self._step: tuple[Step, str] | None = None
        self._times: tuple[Times, str] | None = None
        self.units = UNKNOWN
        self._masks: tuple[Mapping[str, np.ndarray], str] | None = None
        self._levels: tuple[dict[str, tuple[str, ...]], str] | None = None

    def require_levels(self, file: Path, meant: dict[str, tuple[str, ...]]) -> None:
        """That names stand for the same levels in all files."""
        others, first = self._levels = self._levels or (meant, file.name)
        for name, fields in meant.items():
            if others[name] != fields:
                raise InputError(
                    f"'{name}' has the levels {', '.join(fields)}, in {first} "
                    f"{', '.join(others[name])}; expected the same in all: select or interpolate"
                )

    def require(
        self, file: Path, found: Sequence[tuple[Simulation, Sequence[Frame]]], times: Times
    ) -> float:
        """How many of the units of time of the first file are in one of this one's."""
        factor = self._factor(file, times)
        for simulation, _ in found:
            masks, first = self._masks = self._masks or (simulation.masks, file.name)
            if apart := difference(masks, simulation.masks, (*masks, *simulation.masks)):
                raise InputError(
                    f"{apart} in {first}; expected NaN at the same points in all: fill them, ds.fillna"
                )
            for field in simulation.fields:
                if field.units == "1":  # nothing was said, mostly
                    continue
                units, first = self._units.setdefault(field.name, (field.units, file.name))
                if units != field.units:
                    raise InputError(
                        f"'{field.name}' is in {field.units}, in {first} in {units}; convert one, or, "
                        "where both mean the same, set the attribute units alike"
                    )
        step = self.step(times)
        if self._steps and step is not None:
            usual, first = self._step = self._step or (step, file.name)
            known = UNKNOWN not in (step.units, usual.units)
            value = step.to(usual.units) if known else step.value
            if value is None or abs(value - usual.value) > STEP_TOLERANCE * abs(usual.value):
                raise InputError(
                    f"a time step of {step}, in {first} of {usual}; expected one in all: "
                    "take a part, or interpolate, ds.interp"
                )
        return factor

    def step(self, times: Times) -> Step | None:
        """The step of a file, in the units of all."""
        step = times.step
        if step is None or UNKNOWN in (step.units, self.units):
            return step
        value = step.to(self.units)
        return step if value is None else replace(step, value=value, units=self.units)

    def _factor(self, file: Path, times: Times) -> float:
        if times.name is None:
            return 1.0
        known, first = self._times = self._times or (times, file.name)
        if self.units == UNKNOWN:
            self.units = times.units
        if times.dates != known.dates:
            raise InputError(
                f"times are {'dates' if times.dates else 'numbers'}, in {first} "
                f"{'dates' if known.dates else 'numbers'}; expected one kind in all: convert one"
            )
        if UNKNOWN in (times.units, self.units):
            return 1.0
        factor = ratio(times.units, self.units)
        if factor is None:
            raise InputError(
                f"times are in {times.units}, in {first} in {self.units}; convert one of them"
            )
        return factor


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """What is wrong with a file bears its name."""
    try:
        yield
    except (InputError, DomainError) as error:
        raise InputError(f"{file.name}: {error}") from error
