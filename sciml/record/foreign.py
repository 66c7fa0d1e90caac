"""Data that no recorder wrote, instead of a recording: files of others, or xarray datasets."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from sciml.domain import Domain, Particles
from sciml.domain.files import files_of
from sciml.domain.layout import Layout, layout_of
from sciml.errors import InputError
from sciml.record import index
from sciml.record.agreement import Agreement
from sciml.record.parts import DataPart, naming, parts_of
from sciml.record.recording import open_recording
from sciml.record.trajectories import Order, Trajectories
from sciml.samples import Frame, Simulation, Task, atomic_units
from sciml.samples.dataset import levels_apart, simulations_of
from sciml.samples.lattice_images import require_lattice
from sciml.samples.program_warnings import Finding, carried, gathered
from sciml.samples.splits import TEST, TRAIN, VALIDATION, DatasetSplit, roles_by_name, splits_of
from sciml.samples.step import Step
from sciml.samples.times import Times, in_order, require_times
from sciml.share import share_root

if TYPE_CHECKING:
    import xarray as xr

#: What makes a folder a run; people may keep a study.yaml beside their data.
LINEAGE = "lineage.json"
#: Endings of files that hold one state.
OF_VTK = (".vtu", ".vtk")
#: Bytes of fields above which they stay in their files, and frames are read when they are drawn.
HELD = 2 * 2**30


def open_trajectories(path: Any, task: Task, group: str | None = None) -> Trajectories:
    """What a task can be trained on.

    Args:
        path: a recording, a run that recorded, a file of others, a folder of them, a pattern or a list:
            see :func:`sciml.domain.files.files_of`.
        task: names the fields and parameters that are read of foreign files.
        group: of foreign files, in which the variables are.

    Raises:
        InputError: nothing of that kind there, a file that is missing, changed or unreadable,
            names that the data do not have, cells of particles that the task does not see.
    """
    found = recorded(path)
    if found is None:
        return Foreign(parts_of(path, group), task)
    for simulation in map(found.simulation, found.ids[:1]):
        if isinstance(simulation.domain, Particles):
            require_lattice(task, [field.name for field in simulation.fields], str(path))
    return found


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
        agreement = Agreement(task)
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
        longest = max((len(f) for _, f in self._held.values()), default=0)
        self._hint = joined_by(parts, layout.time) if len(parts) > 1 and longest == 1 else ""
        self._held = dict(sorted(self._held.items()))
        self._doubts += atomic_units.doubts(self._held.values())
        self._doubts += _of_later_frames(task, (s.domain for s, _ in self._held.values()))
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
    def hint(self) -> str:
        return self._hint

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


def joined_by(parts: Sequence[DataPart], time: str | None = None) -> str:
    """How files of a frame each become one simulation."""
    said = "; files that are pieces of one simulation "
    if all(part.path is not None and part.path.suffix.lower() in OF_VTK for part in parts):
        return f"{said}are named, with their times, by a collection of ParaView (.pvd): give that"
    along = f"combine='nested', concat_dim='{time or 'time'}'"
    return f"{said}are joined by xr.open_mfdataset(paths, {along})"


def _of_later_frames(task: Task, domains: Iterable[Domain]) -> list[str]:
    """A line where energy and forces are to follow from the positions of frames before."""
    ahead = sorted({"energy", "forces"} & set(task.targets) - set(task.inputs))
    moving = set(task.targets) & set(task.inputs)
    if not task.lead or not ahead or moving or not any(isinstance(d, Particles) for d in domains):
        return []
    return [
        f"{' and '.join(ahead)} are those of a later frame than the positions (lead={task.lead}); "
        "lead=0 in the task: of the same frame, as a potential has them"
    ]
