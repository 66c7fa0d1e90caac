"""Simulations that are asked for while others run: jobs by a launcher, frames by the stream."""

import tempfile
from pathlib import Path

import numpy as np

from sciml.domain.dataset import to_dataset
from sciml.ensemble.cluster import close_cluster, local_cluster
from sciml.ensemble.folders import JobFolders
from sciml.ensemble.job import Job
from sciml.ensemble.launcher import Launcher
from sciml.solver.mpirun import executable
from sciml.solver.program_description import describe
from sciml.stream.events import Arrived, Closed, Opened, Quarantined
from sciml.stream.server import Server

#: Seconds that one look at launcher and stream waits.
LOOK = 0.1


class Sampler:
    """A solver program on MPI ranks, whose simulations are submitted one by one.

    What streams is kept here, in memory; a simulation comes out whole, as a dataset.

    Args:
        program: of the solver.
        ranks: a simulation.
        at_once: simulations side by side.
    """

    def __init__(self, program, ranks=1, at_once=1):
        self.description, self.ranks, self.at_once = describe(program), ranks, at_once
        self._simulations, self._frames, self._ended = {}, {}, []

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="sciml-")
        root = Path(self._folder.name)
        self.run = JobFolders(root)
        for folder in (self.run.pids, self.run.logs):
            folder.mkdir()
        self.server = Server(root / "stream")
        self.server.start()
        self._cluster = local_cluster(self.at_once)
        self.launcher = Launcher(self._cluster, self.run, [], at_once=self.at_once, retries=1)
        self.launcher.growing = True  # more may be submitted at any time
        return self

    def __exit__(self, *error):
        self.launcher.close()
        close_cluster(self._cluster)
        self.server.stop()
        self._folder.cleanup()

    def submit(self, number, **given):
        """Have a simulation run: its number, parameters and options of the program."""
        self.launcher.submit(
            Job(
                number,
                [
                    *executable(self.description.path, self.ranks),
                    *self.description.arguments(given),
                ],
                {
                    "OMP_NUM_THREADS": "1",
                    "SCIML_ENDPOINT": str(self.server.endpoint),
                    "SCIML_SIMULATION": str(number),
                },
                str(self.run.path),
                ranks=self.ranks,
                local=True,
            )
        )

    def poll(self):
        """Datasets by number of the simulations that have ended since; ``None`` of those that failed."""
        for failure in self.launcher.poll():
            print(failure.line(), flush=True)
            self._ended.append((failure.simulation, None))
        self.launcher.require_hope()
        while (event := self.server.events.get(timeout=LOOK)) is not None:
            match event:
                case Opened(simulation):
                    self._simulations[simulation.id] = simulation
                    self._frames.setdefault(simulation.id, {})
                case Arrived(frame):
                    self._frames[frame.simulation][frame.step] = frame
                case Quarantined(number, reason):
                    print(f"simulation {number}: {reason}", flush=True)
                    self._ended.append((number, None))
                case Closed(number, abandoned) if not abandoned:
                    self._ended.append((number, self._dataset(number)))
        ended, self._ended = dict(self._ended), []
        return ended

    def all_of(self, given):
        """Submit simulations by number and wait for all of them."""
        for number, options in given.items():
            self.submit(number, **options)
        found = {}
        while {*given} - {*found}:
            found |= self.poll()
        return found

    def _dataset(self, number):
        simulation = self._simulations.pop(number)
        frames = [frame for _, frame in sorted(self._frames.pop(number).items())]
        values = {f.name: np.stack([x.fields[f.name] for x in frames]) for f in simulation.fields}
        return to_dataset(
            simulation.domain, simulation.fields, values, [frame.time for frame in frames],
            parameters=simulation.parameters,
        )  # fmt: skip
