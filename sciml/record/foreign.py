"""Data that no recorder wrote, instead of a recording: files of others, or xarray datasets."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from sciml.domain import Domain
from sciml.domain.files import files_of, open_file, reason, several
from sciml.domain.grid import box_difference
from sciml.domain.layout import Layout, layout_of
from sciml.domain.time_units import UNKNOWN, ratio
from sciml.errors import DomainError, InputError
from sciml.record import index
from sciml.record.recording import open_recording
from sciml.record.trajectories import Order, Trajectories
from sciml.samples import Frame, Simulation, Task
from sciml.samples.dataset import levels_apart, simulations_of
from sciml.samples.masks import difference
from sciml.samples.program_warnings import Finding, carried, gathered
from sciml.samples.splits import TEST, TRAIN, VALIDATION, DatasetSplit, roles_by_name, splits_of
from sciml.samples.step import Step
from sciml.samples.times import Times, in_order, require_times
from sciml.share import share_root

if TYPE_CHECKING:
    import xarray as xr

#: Relative difference of time steps above which files are refused: months differ by a tenth.
STEP_TOLERANCE = 0.2
#: What makes a folder a run; people may keep a study.yaml beside their data.
LINEAGE = "lineage.json"
#: Bytes of fields above which they stay in their files, and frames are read when they are drawn.
HELD = 2 * 2**30
#: Bytes of a file above which its end and its size stand for all of it in a checksum.
SUMMED = 2**28


def open_trajectories(path: Any, task: Task, group: str | None = None) -> Trajectories:
    """What a task can be trained on.

    Args:
        path: a recording, a run that recorded, a file of others, a folder of them, a pattern or a list:
            see :func:`sciml.domain.files.files_of`.
        task: names the fields and parameters that are read of foreign files.
        group: of foreign files, in which the variables are.

    Raises:
        InputError: nothing of that kind there, a file that is missing, changed or unreadable,
            names that the data do not have.
    """
    found = recorded(path)
    return Foreign(parts_of(path, group), task) if found is None else found


def recorded(path: Any) -> Trajectories | None:
    """The recording that a path stands for; ``None`` where it is one of data of others.

    Raises:
        InputError: a run that recorded nothing; nothing there.
    """
    if not isinstance(path, str | Path):
        return None
    path = Path(path)
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
    if (share_root() / "data" / path.name / "recipe.yaml").is_file() and not path.is_file():
        try:
            files_of(path)
        except InputError as error:
            raise InputError(
                f"{error}; `sciml generate {path.name} --out {path.name}.nc` makes one of that name"
            ) from error
    return None


@dataclass(frozen=True, slots=True)
class DataPart:
    """One file, or one dataset that is open.

    Args:
        name: for messages; ``""`` where there is nothing to tell it from.
        path: of the file.
        data: the dataset; of a file, one simulation of several that it holds.
        group: of the file.
    """

    name: str
    path: Path | None = None
    data: xr.Dataset | None = None
    group: str | None = None

    def open(self) -> xr.Dataset:
        """The dataset, read when asked for, and not kept by xarray."""
        if self.path is None or self.data is not None:
            return self.data
        return open_file(self.path, self.group, cache=False)

    @contextmanager
    def opened(self) -> Iterator[xr.Dataset]:
        """The dataset, closed afterwards where it is a file."""
        ds = self.open()
        try:
            yield ds
        finally:
            if self.path is not None:
                ds.close()

    def checksum(self) -> Any:
        """Of the file, or of all files of a store; 0 of a dataset."""
        if self.path is None:
            return 0
        if self.path.is_file():
            return _sum(self.path)
        found = 0
        for file in sorted(f for f in self.path.rglob("*") if f.is_file()):
            found = zlib.crc32(f"{file.name}:{_sum(file)}".encode(), found)
        return found


def _sum(file: Path) -> Any:
    about = file.stat()
    return index.checksum(file) if about.st_size < SUMMED else (about.st_size, about.st_mtime_ns)


def parts_of(data: Any, group: str | None = None) -> list[DataPart]:
    """The files and datasets that are given: one of them, or a list."""
    if hasattr(data, "data_vars") and hasattr(data, "children"):  # a tree of groups
        raise InputError(
            f"data of type {type(data).__name__}, a tree of groups; expected one of them: "
            "tree['group'].to_dataset(), or a path with group="
        )
    if hasattr(data, "data_vars"):
        if group is not None:
            raise InputError(f"group='{group}' of a dataset that is open; expected a path")
        return [DataPart("", data=data)]
    if hasattr(data, "to_dataset"):
        return [DataPart("", data=data.to_dataset(name=data.name or "u"))]
    if isinstance(data, Sequence) and any(hasattr(one, "to_array") for one in data):
        if not all(hasattr(one, "data_vars") for one in data):
            raise InputError("data: datasets and others in one list; expected one kind")
        return [DataPart(f"dataset {n}", data=one) for n, one in enumerate(data)]
    files = files_of(data)
    parents = {file.parent for file in files}
    found = []
    for file in files:
        name = file.name if len(parents) == 1 else f"{file.parent.name}/{file.name}"
        simulations = several(file)
        if simulations is None:
            found.append(DataPart(name, file, None, group))
        for number, ds in enumerate(simulations or ()):
            found.append(DataPart(f"{name}, {number}" if len(simulations) > 1 else name, file, ds))
    return found


@final
class Foreign(Trajectories):
    """Simulations of files of others, numbered as they come.

    Where files say a split (see :mod:`sciml.samples.splits`), it is the role of each simulation; where
    it changes along time, each stretch counts as a simulation. What is for testing keeps its number and
    is not read. Of several files that say none, their names may: ``train.nc``, ``test.nc``.

    All is looked at once, a simulation at a time. Fields of less than :data:`HELD` bytes stay in
    memory; else a frame is read when it is drawn, and files stay open.

    Args:
        parts: in order; each holds one simulation, or several along ``sample``.
        task: what to read of them.

    Attributes:
        first: the first dataset, with levels as the task says; its times, dimensions and units.
        split: in words, what says the split; ``""``: nothing does.

    Raises:
        InputError: as :func:`open_trajectories`.
    """

    def __init__(self, parts: Sequence[DataPart], task: Task) -> None:
        self._parts = list(parts)
        self._remarks: list[str] = []
        self._doubts: list[str] = []
        self._channels: dict[str, tuple[str, ...]] = {}
        self._held: dict[int, tuple[Simulation, dict[int, Frame]]] = {}
        self._units: dict[str, str] = {}
        self._roles: dict[int, str] = {}
        self._steps: dict[int, Step | None] = {}
        self._even = task.even
        self._warnings: list[Finding] = []
        self._scalars: dict[str, tuple[float, float]] = {}
        self.first: xr.Dataset | None = None
        self.split = ""
        self.untouched = 0
        agreement = _Agreement(task)
        named = roles_by_name([part.path for part in parts if part.path is not None])
        number = 0
        in_memory = HELD
        for part in parts:
            ds = part.open()
            with naming(part):
                ds, own, meant = levels_apart(ds, task)
                agreement.require_levels(part.name, meant)
                self._channels = meant
                names = own.moving
                layout = layout_of(ds, names)
                for remark in require_times(task, ds, layout):
                    self._say(f"{part.name}: {remark}" if part.name else remark)
                ds = in_order(ds, layout)
                splits = splits_of(ds, layout, names)
                if splits is None and part.path in named:
                    role = named[part.path]
                    splits = DatasetSplit.whole(role, ds, layout, f"names such as {part.name}")
                if splits is not None:
                    self.split = self.split or splits.source
                size = sum(ds[n].nbytes for n in (*names, *own.static) if n in ds.variables)
                in_memory -= size
                found = simulations_of(
                    ds,
                    own.parameters,
                    fields=names,
                    static=own.static,
                    without=None if splits is None else splits.but(TRAIN, VALIDATION),
                    say=self._say,
                    warn=partial(self._warn, part.name),
                    on_demand=in_memory < 0 and part.path is not None,
                )
                times = Times.of(ds, layout)
                factor = agreement.require(part.name, found, times)
                warned = carried(ds, [one.id for one, _ in found])
                self._look_at_scalars(ds, layout)
                self._units |= {n: str(ds[n].attrs.get("units", "1")) for n in own.parameters}
            if self.first is None:
                self.first = ds
            if part.path is not None and in_memory >= 0:
                ds.close()
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
                self.untouched += int(tested.sum())
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
        #: What else may be the matter where simulations are too short, in words that go on.
        self.hint = ""
        if len(parts) > 1 and max((len(f) for _, f in self._held.values()), default=0) == 1:
            along = layout.time or "time"
            self.hint = (
                "; files that are pieces of one simulation are joined by "
                f"xr.open_mfdataset(paths, combine='nested', concat_dim='{along}')"
            )
        self._held = dict(sorted(self._held.items()))
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

    @cached_property
    def identity(self) -> str:
        crc = 0
        for part in self._parts:
            crc = zlib.crc32(f"{part.name}:{part.checksum()}".encode(), crc)
        return f"{len(self._held)}:{crc:08x}"

    @property
    def channels(self) -> Mapping[str, tuple[str, ...]]:
        return self._channels

    @property
    def remarks(self) -> Sequence[str]:
        return self._remarks

    @property
    def doubts(self) -> Sequence[str]:
        return self._doubts

    def varying(self, task: Task) -> str:
        """Numbers that differ from simulation to simulation and are not in the task, in words."""
        known = {*task.parameters, *task.forcing, *task.moving, *task.static}
        return ", ".join(n for n, (a, b) in self._scalars.items() if a != b and n not in known)

    def _look_at_scalars(self, ds: xr.Dataset, layout: Layout) -> None:
        for name, array in ds.variables.items():
            if name in ds.dims or not set(array.dims) <= {layout.sample}:
                continue
            if array.dtype.kind not in "fiu" or not array.size:
                continue
            values = array.values
            if np.isfinite(values).all():
                low, high = self._scalars.get(str(name), (np.inf, -np.inf))
                self._scalars[str(name)] = min(low, values.min()), max(high, values.max())

    def _warn(self, name: str, line: str) -> None:
        self._doubts.append(f"{name}: {line}" if name else line)

    def _say(self, line: str) -> None:
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
        self._domain: tuple[Domain, str] | None = None

    def require_levels(self, name: str, meant: dict[str, tuple[str, ...]]) -> None:
        """That names stand for the same levels in all files."""
        others, first = self._levels = self._levels or (meant, name)
        for variable, fields in meant.items():
            if others[variable] != fields:
                raise InputError(
                    f"'{variable}' has the levels {', '.join(fields)}, in {first} "
                    f"{', '.join(others[variable])}; expected the same in all: select or interpolate"
                )

    def require(
        self, name: str, found: Sequence[tuple[Simulation, Sequence[Frame]]], times: Times
    ) -> float:
        """How many of the units of time of the first file are in one of this one's."""
        factor = self._factor(name, times)
        for simulation, _ in found:
            self._require_domain(name, simulation.domain)
            masks, first = self._masks = self._masks or (simulation.masks, name)
            if apart := difference(masks, simulation.masks, (*masks, *simulation.masks)):
                raise InputError(
                    f"{apart} in {first}; expected NaN at the same points in all: fill them, ds.fillna"
                )
            for field in simulation.fields:
                if field.units == "1":  # nothing was said, mostly
                    continue
                units, first = self._units.setdefault(field.name, (field.units, name))
                if units != field.units:
                    raise InputError(
                        f"'{field.name}' is in {field.units}, in {first} in {units}; convert one, or, "
                        "where both mean the same, set the attribute units alike"
                    )
        step = self.step(times)
        if self._steps and step is not None:
            usual, first = self._step = self._step or (step, name)
            known = UNKNOWN not in (step.units, usual.units)
            value = step.to(usual.units) if known else step.value
            if value is None or abs(value - usual.value) > STEP_TOLERANCE * abs(usual.value):
                raise InputError(
                    f"a time step of {step}, in {first} of {usual}; expected one in all: "
                    "take a part, or interpolate, ds.interp"
                )
        return factor

    def _require_domain(self, name: str, domain: Domain) -> None:
        """That grids of several files are one: models learn on one."""
        first, other = self._domain = self._domain or (domain, name)
        if domain.kind != first.kind:
            raise InputError(
                f"is on a {domain.kind}, {other} on a {first.kind}; expected one kind in all: leave one "
                "of them out"
            )
        if domain.kind != "grid":
            return
        if domain.shape != first.shape:
            raise InputError(
                f"has {' × '.join(map(str, domain.shape))} points, {other} "
                f"{' × '.join(map(str, first.shape))}; expected one grid in all: leave one of them out, "
                "or interpolate, ds.interp"
            )
        if (axis := box_difference(first, domain)) is not None:
            (a, b), (c, d) = first.extent[axis], domain.extent[axis]
            raise InputError(
                f"spans [{c:g}, {d:g}] along {domain.dims[axis]}, {other} [{a:g}, {b:g}]; expected one "
                "box in all: leave one of them out, or scale coordinates and equation to one length, "
                "which is then a parameter"
            )

    def step(self, times: Times) -> Step | None:
        """The step of a file, in the units of all."""
        step = times.step
        if step is None or UNKNOWN in (step.units, self.units):
            return step
        value = step.to(self.units)
        return step if value is None else replace(step, value=value, units=self.units)

    def _factor(self, name: str, times: Times) -> float:
        if times.name is None:
            return 1.0
        known, first = self._times = self._times or (times, name)
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
def naming(part: DataPart) -> Iterator[None]:
    """What is wrong with a file bears its name."""
    try:
        yield
    except (InputError, DomainError) as error:
        if not part.name:
            raise
        raise InputError(f"{part.name}: {error}") from error
    except (OSError, RuntimeError) as error:  # as HDF5 says that a chunk cannot be read
        if part.path is None:
            raise
        raise InputError(f"{part.path}: {reason(part.path, error)}") from error
