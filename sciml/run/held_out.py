"""Simulations that training never sees: they enter neither the buffer nor the normalizer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml.samples import Frame, Simulation
from sciml.samples.program_warnings import Warned
from sciml.samples.splits import VALIDATION


class HeldOut:
    """Collects whole simulations for validation and keeps each as a netCDF file.

    Filled by the intake thread, read by the training thread.

    Args:
        folder: where a file a simulation is written once it is complete.
        units: of the parameters, for the files.
    """

    def __init__(self, folder: Path, units: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self.units = dict(units or {})
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Simulation, dict[int, Frame]]] = {}
        self._complete: dict[int, tuple[Simulation, list[Frame]]] = {}

    def open(self, simulation: Simulation) -> None:
        with self._lock:
            self._open.setdefault(simulation.id, (simulation, {}))

    def push(self, frame: Frame) -> None:
        with self._lock:
            self._open[frame.simulation][1][frame.step] = frame

    def came(self, simulation: int) -> tuple[Simulation, list[Frame]] | None:
        """What has come of a simulation that is not complete."""
        with self._lock:
            entry = self._open.get(simulation)
            return (entry[0], list(entry[1].values())) if entry else None

    def close(self, simulation: int, warned: Sequence[Warned] = ()) -> None:
        """The simulation is whole: keep it, and write it down with what its program warned of."""
        with self._lock:
            entry = self._open.get(simulation)
        if entry is None or not entry[1]:
            return
        trajectory = (entry[0], [entry[1][step] for step in sorted(entry[1])])
        self._write(*trajectory, warned)
        with self._lock:
            # Open until the file is there: a checkpoint meanwhile must count it as one of the two.
            del self._open[simulation]
            self._complete[simulation] = trajectory

    def drop(self, simulation: int) -> None:
        """The simulation is quarantined or given up."""
        with self._lock:
            self._open.pop(simulation, None)

    def trajectories(self) -> list[tuple[Simulation, list[Frame]]]:
        """The complete simulations so far, in order of their number."""
        with self._lock:
            return [self._complete[key] for key in sorted(self._complete)]

    def state_dict(self) -> dict[str, Any]:
        """Which simulations are complete, and lie in files; which are open, with their steps."""
        with self._lock:
            return {
                "complete": sorted(self._complete),
                "open": [[number, sorted(steps)] for number, (_, steps) in self._open.items()],
            }

    def restore(
        self,
        state: Mapping[str, Any],
        frames: Mapping[tuple[int, int], Frame],
        simulation: Callable[[int], Simulation | None],
    ) -> None:
        """Go on where :meth:`state_dict` was taken: files are read, open ones get their frames."""
        for number in state["complete"]:
            self._complete[number] = self._read(number)
        for number, steps in state["open"]:
            self._open[number] = (simulation(number), {s: frames[(number, s)] for s in steps})

    def pending(self) -> list[Frame]:
        """Frames of simulations that are not complete: only the spool has them."""
        with self._lock:
            return [frame for _, frames in self._open.values() for frame in frames.values()]

    def _path(self, number: int) -> Path:
        return self._folder / f"simulation-{number:05d}.nc"

    def _read(self, number: int) -> tuple[Simulation, list[Frame]]:
        from sciml.record.file import entry_of
        from sciml.record.recording import Recording

        recording = Recording(self._folder, {number: entry_of(self._path(number))})
        try:
            return recording.simulation(number), list(recording.frames(number))
        finally:
            recording.close()

    def _write(self, simulation: Simulation, frames: list[Frame], warned: Sequence[Warned]) -> None:
        from sciml.record.file import SimulationFile

        path, about = self._path(simulation.id), {"role": VALIDATION}
        file = SimulationFile(path, simulation, frames[0], units=self.units, about=about)
        for place, frame in enumerate(frames):
            file.add(place, frame, arrival=place)
        file.close(warned)
