"""Writes simulations down as their frames arrive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sciml.errors import require_known
from sciml.record import index
from sciml.record.file import SimulationFile, entry_of, measured
from sciml.record.index import Entry, RecordingError
from sciml.samples import Frame, Simulation
from sciml.samples.program_warnings import Warned

log = logging.getLogger("sciml.record")


#: Of a simulation that was not run, or not to its end, before training was over.
NOT_ENDED = "it had not ended when the training was over"


@dataclass(slots=True)
class _Open:
    """A simulation that is being written."""

    simulation: Simulation
    file: SimulationFile | None = None
    # By step: place in the order of arrival, segment, attempt.
    steps: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    segment: int = 0
    bytes: int = 0


class Recorder:
    """Takes simulations and frames in order of arrival; leaves a netCDF file a simulation.

    A file gets its name when its simulation is whole; a kill leaves whole files, an index of them,
    and parts, which the next recorder in the folder removes. Memory does not grow with the length
    of simulations: see :class:`~sciml.record.file.SimulationFile`. Thread-safe.

    Args:
        folder: made if need be; a recording that is there is continued.
        about: by simulation, what the study knows of it: ``role``, ``seed``, ….
        units: of the parameters.
        fields: names of the fields to keep; all by default.
        keep: bytes of frames that :meth:`state_dict` may ask to be kept elsewhere; simulations
            beyond that do not survive a kill. ``None``: no limit.

    Raises:
        RecordingError: nothing can be written there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        about: Mapping[int, Mapping[str, Any]] | None = None,
        units: Mapping[str, str] | None = None,
        fields: Sequence[str] | None = None,
        keep: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self._about, self._units = dict(about or {}), dict(units or {})
        self._fields = None if fields is None else tuple(fields)
        self._lock = threading.RLock()
        self._open: dict[int, _Open] = {}
        self._keep = keep
        self._lost: set[int] = set()
        self._absent: dict[int, str] = {}
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for part in self.folder.glob("*.part"):
                part.unlink()
            self._whole = index.read(self.folder) if (self.folder / index.INDEX).exists() else {}
            self._adopt()
        self._arrived = 1 + max((entry.last for entry in self._whole.values()), default=-1)

    def open(self, simulation: Simulation, continues: bool = True) -> None:
        """A simulation, or another attempt of it, begins.

        Args:
            simulation: what it is.
            continues: whether windows may join what comes with what came before.

        Raises:
            InputError: a field to keep that it does not have.
        """
        with self._lock:
            if simulation.id in self._whole or simulation.id in self._lost:
                return
            state = self._open.get(simulation.id)
            if state is None:
                self._open[simulation.id] = _Open(self._chosen(simulation))
            elif not continues and state.steps:
                state.segment += 1

    def push(self, frame: Frame) -> None:
        """Write a frame; one that is written already changes nothing.

        Raises:
            RecordingError: it cannot be written.
        """
        with self._lock:
            state = self._open.get(frame.simulation)
            if state is None or frame.step in state.steps:
                return
            self._add(state, frame, (self._arrived, state.segment, frame.attempt))
            self._arrived += 1

    def close(self, simulation: int, warned: Sequence[Warned] = ()) -> None:
        """The simulation is whole: its file gets its name and its line in the index, both with what its
        program warned of."""
        with self._lock:
            state = self._open.pop(simulation, None)
            if state is None or state.file is None:
                return
            with _told(self.folder):
                state.file.close(warned)
                entry = self._entry(state).with_warnings(warned)
                index.append(self.folder, entry)
            self._whole[simulation] = entry

    def drop(self, simulation: int, reason: str = "") -> None:
        """The simulation is quarantined or given up: nothing of it stays but the ``reason``, in
        the index."""
        with self._lock:
            if reason:
                # The first one is the cause: who is quarantined is given up thereafter.
                self._absent.setdefault(simulation, reason)
            state = self._open.pop(simulation, None)
            if state is not None and state.file is not None:
                state.file.discard()

    def leave_out(self, simulation: int, reason: str) -> None:
        """Frames of it have gone by unrecorded: do not begin in its middle."""
        with self._lock:
            self.drop(simulation, reason)
            self._lost.add(simulation)

    def pending(self) -> list[tuple[int, int]]:
        """Keys of the frames of simulations that are not whole: after a kill, this recorder's
        successor must get them again."""
        with self._lock:
            return [(n, step) for n, state in self._open.items() for step in sorted(state.steps)]

    def state_dict(self) -> dict[str, Any]:
        """What of simulations that are not whole must outlive this process: numbers and lists."""
        with self._lock:
            left = self._keep
            state: dict[str, Any] = {"arrived": self._arrived, "open": [], "lost": []}
            # The smallest first: as many as possible survive.
            for number, entry in sorted(self._open.items(), key=lambda item: item[1].bytes):
                if left is not None and entry.bytes > left:
                    state["lost"].append(number)
                    continue
                left = None if left is None else left - entry.bytes
                steps = [[step, *at] for step, at in entry.steps.items()]
                state["open"].append([number, entry.segment, steps])
            state["lost"] += self._lost
            return state

    def load_state_dict(
        self,
        state: Mapping[str, Any],
        simulations: Mapping[int, Simulation],
        resolve: Callable[[tuple[int, int]], Frame],
    ) -> None:
        """Continue where :meth:`state_dict` was taken; what became whole since stays as it is.

        Args:
            state: from :meth:`state_dict`, perhaps through JSON or msgpack.
            simulations: by number, at least those that were open.
            resolve: gives the frame of a key ``(simulation, step)``; see :meth:`pending`.
        """
        with self._lock:
            self._arrived = max(self._arrived, state["arrived"])
            self._lost = set(state["lost"]) - set(self._whole)
            for number in self._lost:
                self._absent[number] = (
                    "it was too large to be kept over a restart; raise stream.spool_limit"
                )
            if self._lost:
                log.warning(
                    "not recorded, since they were too large to be kept over a restart: "
                    "simulations %s; raise stream.spool_limit",
                    sorted(self._lost),
                )
            for number, segment, steps in state["open"]:
                self.open(simulations[number])
                entry = self._open.get(number)
                if entry is None:
                    continue
                entry.segment = segment
                for step, *at in steps:
                    if step not in entry.steps:
                        self._add(entry, resolve((number, step)), tuple(at))

    @property
    def whole(self) -> tuple[int, ...]:
        """Numbers of the simulations written so far."""
        with self._lock:
            return tuple(self._whole)

    def finish(self) -> None:
        """Nothing more comes: drop what is not whole, name it in the index, write the virtual
        dataset if there is one."""
        from sciml.record import virtual

        with self._lock:
            left = sorted(self._open)
            for number in left:
                self.drop(number)
            if left:
                log.warning("not recorded, since they did not end: simulations %s", left)
            with _told(self.folder):
                self._name_absent()
                virtual.write(self.folder, dict(sorted(self._whole.items())))

    def _name_absent(self) -> None:
        """Say which simulations of the study are not there, and why."""
        known = index.absent(self.folder) if (self.folder / index.INDEX).exists() else {}
        for number in sorted({*self._about, *self._absent} - set(self._whole)):
            reason = self._absent.get(number) or known.get(number) or NOT_ENDED
            if known.get(number) != reason:
                index.append_absent(self.folder, number, reason)

    def _add(self, state: _Open, frame: Frame, at: tuple[int, int, int]) -> None:
        with _told(self.folder):
            if state.file is None:
                state.file = self._create(state, frame)
            state.file.add(frame.step, frame, at[0], at[1])
        state.steps[frame.step] = at
        state.bytes += frame.nbytes

    def _chosen(self, simulation: Simulation) -> Simulation:
        if self._fields is None:
            return simulation
        known = {f.name: f for f in simulation.fields}
        require_known("record.fields: no field", self._fields, known)
        return replace(simulation, fields=tuple(known[name] for name in self._fields))

    def _create(self, state: _Open, first: Frame) -> SimulationFile:
        number = state.simulation.id
        path, about = self.folder / f"simulation-{number:05d}.nc", self._about.get(number, {})
        return SimulationFile(path, state.simulation, first, units=self._units, about=about)

    def _entry(self, state: _Open) -> Entry:
        entry = replace(
            state.file.entry,
            attempts=sorted({attempt for _, _, attempt in state.steps.values()}),
            frames=len(state.steps),
            steps=max(state.steps) + 1,
            last=max(arrival for arrival, _, _ in state.steps.values()),
        )
        return measured(self.folder, entry)

    def _adopt(self) -> None:
        """Files that were whole when a kill came before their line in the index."""
        listed = {entry.file for entry in self._whole.values()}
        for path in sorted(self.folder.glob("simulation-*.nc")):
            if path.name not in listed:
                entry = entry_of(path)
                index.append(self.folder, entry)
                self._whole[entry.simulation] = entry


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """A failing disk as an error that says where."""
    try:
        yield
    except OSError as error:
        raise RecordingError(
            f"recording in {folder}: {error}; free space, or set record.enabled: false"
        ) from error
