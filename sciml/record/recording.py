"""A recording opened for reading: nothing is read before it is asked for."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import h5py
import numpy as np

from sciml.domain import Domain
from sciml.domain.inference import domain_of
from sciml.domain.names import TIME
from sciml.domain.time_units import UNKNOWN
from sciml.domain.wire import fields_from_wire
from sciml.errors import InputError
from sciml.record import index, virtual
from sciml.record.file import ARRIVAL, SEGMENT
from sciml.record.index import Entry
from sciml.record.trajectories import Order, Trajectories
from sciml.report import card
from sciml.samples import Frame, Simulation
from sciml.samples.program_warnings import Finding, findings
from sciml.samples.recent import Recent
from sciml.samples.step import Step, step_between

if TYPE_CHECKING:
    import xarray as xr

#: Files that are open at once; a system allows a process some thousand.
FILES_OPEN = 16
#: Simulations whose descriptions are in memory; others are read again.
SIMULATIONS_HELD = 256
#: Bytes of frames kept in memory for the next epoch; beyond, those used longest ago are read again.
CACHE = 1 << 30


def open_recording(folder: str | Path, *, thorough: bool = False, cache: int = CACHE) -> Recording:
    """Open a recording; its files are compared with the index first.

    Args:
        folder: that :class:`~sciml.record.Recorder` wrote, or a run directory that holds one.
        thorough: checksums of all files, not only of those whose size or time differs.
        cache: bytes of frames kept in memory once they are read.

    Raises:
        InputError: no recording there; a file that is missing or was changed, by name.
    """
    folder = Path(folder)
    if not (folder / index.INDEX).is_file() and (folder / "recording" / index.INDEX).is_file():
        folder = folder / "recording"
    entries = index.read(folder)
    index.check(folder, entries, thorough=thorough)
    return Recording(folder, entries, cache, index.absent(folder))


@final
class Recording(Trajectories):
    """Simulations on disk; see :func:`open_recording`.

    >>> recording = open_recording("runs/quickstart/recording")      # doctest: +SKIP
    >>> recording.dataset["u"].sel(sample=3).plot(col="time")        # doctest: +SKIP
    >>> for simulation, frames in recording: ...                     # doctest: +SKIP
    """

    def __init__(
        self,
        folder: Path,
        entries: Mapping[int, Entry],
        cache: int = CACHE,
        absent: Mapping[int, str] | None = None,
    ) -> None:
        self.folder = folder
        self.simulations = tuple(entries.values())
        self._entries, self._absent = dict(entries), dict(absent or {})
        self._lock = threading.RLock()
        self._files: Recent[h5py.File] = Recent(FILES_OPEN, lambda file: file.close())
        self._known: Recent[Simulation] = Recent(SIMULATIONS_HELD)
        self._frames: Recent[Frame] = Recent(cache, size=lambda frame: frame.nbytes)
        self._domains: dict[str, Domain] = {}
        self._elsewhere: tempfile.TemporaryDirectory[str] | None = None

    def __repr__(self) -> str:
        return card.text(*self._card())

    def _repr_html_(self) -> str:
        return card.html(*self._card())

    def _card(self) -> tuple[str, card.Rows]:
        entries = self.simulations
        roles = Counter(entry.role for entry in entries if entry.role is not None)
        counts = ", ".join(f"{n} for {role}" for role, n in sorted(roles.items(), key=str))
        gone = f"; {len(self._absent)} absent" if self._absent else ""
        rows = [("simulations", f"{len(entries)}{f': {counts}' if counts else ''}{gone}")]
        if entries:
            first, frames = entries[0], sorted({entry.frames for entry in entries})
            known = fields_from_wire([*first.fields, *first.static_fields])
            names = dict.fromkeys(name for entry in entries for name in entry.parameters)
            spans = {}
            for name in names:
                values = [e.parameters[name] for e in entries if name in e.parameters]
                spans[name] = (min(values), max(values))
            domains = {entry.domain for entry in entries}
            place = card.place(self.simulation(first.simulation).domain)
            step = self.step(first.simulation)
            several = f"{len(domains)} domains, one of them: " if len(domains) > 1 else ""
            rows += [
                ("fields", card.fields(known)),
                ("frames", " to ".join(str(n) for n in dict.fromkeys((frames[0], frames[-1])))),
                ("domain", several + place),
                ("dt", "" if step is None else str(step)),
                ("parameters", card.ranges(spans, self.units)),
                ("bytes", f"{sum(entry.bytes for entry in entries) / 1e6:.1f} MB"),
            ]
        return "Recording", [*rows, ("lies in", str(self.folder))]

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._entries)

    @property
    def roles(self) -> Mapping[int, str]:
        return {n: e.role for n, e in self._entries.items() if e.role is not None}

    @property
    def units(self) -> Mapping[str, str]:
        return {n: u for entry in self.simulations for n, u in entry.units.items()}

    @property
    def identity(self) -> str:
        return virtual.digest(self._entries)

    @property
    def absent(self) -> Mapping[int, str]:
        """Simulations of the study that are not here, by number, and why."""
        return dict(self._absent)

    @property
    def warnings(self) -> list[Finding]:
        return findings({n: entry.warned for n, entry in self._entries.items()})

    def about(self, number: int) -> Mapping[str, Any]:
        return self._entries[number].about

    def open_dataset(self, **options: Any) -> xr.Dataset:
        """All simulations as one dataset ``(sample, time, …)``; for varying domains see
        :meth:`open_simulation`.

        Args:
            options: of ``xr.open_dataset``, such as ``chunks={"sample": 1}`` for dask.

        Raises:
            InputError: the simulations make no single dataset; says why.
        """
        import xarray as xr

        reason = virtual.obstacle(self.folder, self._entries)
        if reason is not None:
            raise InputError(
                f"recording {self.folder} makes no single dataset: {reason}; iterate over it, or "
                "open one simulation with recording.open_simulation(number)"
            )
        path: Path | None = self.folder / index.VIRTUAL
        if not virtual.current(self.folder, self._entries):
            try:
                virtual.write(self.folder, self._entries)
            except PermissionError:
                self._elsewhere = tempfile.TemporaryDirectory(prefix="recording-")
                path = Path(self._elsewhere.name) / index.VIRTUAL
                virtual.write(self.folder, self._entries, path)
        return xr.open_dataset(path, **{"engine": "h5netcdf", **options})

    @property
    def dataset(self) -> xr.Dataset:
        """:meth:`open_dataset` without options: values are read when they are used."""
        return self.open_dataset()

    def open_simulation(self, number: int, **options: Any) -> xr.Dataset:
        """One simulation as a dataset ``(time, …)``."""
        import xarray as xr

        return xr.open_dataset(self._path(number), **{"engine": "h5netcdf", **options})

    def simulation(self, number: int) -> Simulation:
        with self._lock:
            return self._known.get(number, lambda: self._read_simulation(number))

    def order(self, number: int) -> Order:
        with self._lock:
            file = self._file(number)
            arrivals, segments = file[ARRIVAL][:], file[SEGMENT][:]
        there = np.flatnonzero(arrivals >= 0)
        return Order(there, arrivals[there], segments[there].astype(np.int64))

    def step(self, number: int) -> Step | None:
        with self._lock:
            file = self._file(number)
            times, there = file[TIME][:], file[ARRIVAL][:] >= 0
            units = _units_of(file)[0]
        return step_between(np.flatnonzero(there), times[there], units)

    def frame(self, number: int, step: int) -> Frame:
        with self._lock:
            return self._frames.get((number, step), lambda: self._read_frame(number, step))

    def frames(self, number: int) -> Iterator[Frame]:
        # Past the cache: whoever walks through a recording once needs no frame again.
        for step in self.order(number).steps:
            with self._lock:
                yield self._read_frame(number, int(step))

    def close(self) -> None:
        """Close the files; frames that were handed out stay valid."""
        with self._lock:
            self._files.clear()
            self._frames.clear()
        if self._elsewhere is not None:
            self._elsewhere.cleanup()

    def _read_frame(self, number: int, step: int) -> Frame:
        file = self._file(number)
        fields = {}
        for name in (f["name"] for f in self._entries[number].fields):
            array = np.asarray(file[name][step])
            array.flags.writeable = False
            fields[name] = array
        return Frame(number, step, float(file[TIME][step]), fields)

    def _read_simulation(self, number: int) -> Simulation:
        entry, file = self._entry(number), self._file(number)
        static = {}
        for name in entry.static:
            static[name] = file[name][...]
            static[name].flags.writeable = False
        if entry.domain not in self._domains:
            with self.open_simulation(number) as ds:
                self._domains[entry.domain] = domain_of(ds, [f["name"] for f in entry.fields])
        return Simulation(
            number,
            self._domains[entry.domain],
            fields_from_wire(list(entry.fields)),
            dict(entry.parameters),
            static,
            entry.deterministic,
            *_units_of(file),
            static_fields=fields_from_wire(list(entry.static_fields)),
        )

    def _entry(self, number: int) -> Entry:
        if number not in self._entries:
            raise InputError(f"recording {self.folder} holds no simulation {number}")
        return self._entries[number]

    def _path(self, number: int) -> Path:
        return self.folder / self._entry(number).file

    def _file(self, number: int) -> h5py.File:
        return self._files.get(number, lambda: h5py.File(self._path(number), "r"))


def _units_of(file: h5py.File) -> tuple[str, str]:
    """Units and calendar of the times."""
    attrs = file[TIME].attrs
    return str(attrs.get("units", UNKNOWN)), str(attrs.get("calendar", ""))
