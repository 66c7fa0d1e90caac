"""Frames that a damaged spool has lost, computed again by the program that made them.

A checkpoint names the frames behind its buffer and windows; they lie in the spool alone. Where one is
damaged, its simulation is run once more, beside the stream and into a spool of its own, and what is
missing is taken from there. The ledger does not move: these frames have entered long ago.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
import threading
from collections.abc import Set
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.ensemble.identity import name_of
from sciml.ensemble.processes import end_session
from sciml.errors import ScimlError
from sciml.run.directory import RunDirectory
from sciml.samples import Frame, Simulation
from sciml.stream.events import Arrived, Closed, Opened, Quarantined
from sciml.study.schema import Study

if TYPE_CHECKING:
    from sciml.stream.server import Server

log = logging.getLogger("sciml.trainer")

WAIT = 0.2


def mend(
    server: Server,
    study: Study,
    run: RunDirectory,
    number: int,
    steps: Set[int],
    known: Frame | None,
    stop: threading.Event,
) -> None:
    """Put the frames ``steps`` of a simulation, and its description, back into the spool.

    Args:
        server: of the run; holds the spool.
        study, run: what runs, and where.
        number: of the simulation.
        steps: that are missing; none: only the description is.
        known: a frame of it that is sound, to be compared with.
        stop: when set, this returns at once.

    Raises:
        ScimlError: the program fails, gives other frames than it did, or is not deterministic.
    """
    log_file = run.logs / f"simulation-{number:05d}.again.log"
    with tempfile.TemporaryDirectory(prefix=".again-", dir=run.path) as folder:
        beside = _server(folder, study, run)
        try:
            with log_file.open("wb") as output:
                process = _start(study, run, number, folder, output)
            try:
                _take(beside, server, process, number, steps, known, stop)
            finally:
                end_session(process.pid)
                process.wait()
        finally:
            beside.stop()


def _server(folder: str, study: Study, run: RunDirectory) -> Server:
    from sciml.stream.server import Server

    stream = study.stream
    server = Server(
        folder,
        spool_limit=stream.spool_limit,
        queue_limit=stream.queue_limit,
        run=name_of(run),
    )
    server.start()
    return server


def _start(
    study: Study, run: RunDirectory, number: int, folder: str, output: Any
) -> subprocess.Popen[bytes]:
    from sciml.ensemble.job import as_started
    from sciml.run.simulations import jobs, kept_plan
    from sciml.solver.describe import describe

    [planned] = [p for p in kept_plan(study, run) if p.id == number]
    [job] = jobs(study, describe(study.solver.program), [planned], run)
    words, environ = as_started(job)
    return subprocess.Popen(
        words,
        env={**environ, "SCIML_ENDPOINT": folder, "SCIML_ATTEMPT": "1"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _take(
    beside: Server,
    server: Server,
    process: subprocess.Popen[bytes],
    number: int,
    steps: Set[int],
    known: Frame | None,
    stop: threading.Event,
) -> None:
    wanted = set(steps)
    compared = known is None
    simulation: Simulation | None = None
    while (wanted or not compared or simulation is None) and not stop.is_set():
        event = beside.events.get(timeout=WAIT)
        if event is None and process.poll() is None:
            if beside.wants_commit:
                beside.commit(())  # what came is dealt with: nobody will ask for it again
            continue
        match event:
            case Opened(simulation=simulation):
                if not simulation.deterministic:
                    raise _lost(number, wanted, "its program is not deterministic")
                server.adopt(simulation)
            case Arrived(frame=frame) if not compared and frame.step == known.step:
                compared = True
                if not _agree(frame, known):
                    raise _lost(number, wanted, "its program gives other fields now than it did")
            case Arrived(frame=frame) if frame.step in wanted:
                server.store(frame)
                wanted.discard(frame.step)
            case Quarantined(reason=reason):
                raise _lost(number, wanted, reason)
            case Closed():
                raise _lost(number, wanted, "its program does not send them any more")
            case None:
                why = f"its program ended with code {process.returncode}, see logs/"
                raise _lost(number, wanted, why)


def _agree(one: Frame, other: Frame) -> bool:
    return one.fields.keys() == other.fields.keys() and all(
        np.array_equal(values, other.fields[name]) for name, values in one.fields.items()
    )


def _lost(number: int, steps: Set[int], why: str) -> ScimlError:
    which = f"frames {sorted(steps)[:4]}" if steps else "the description"
    return ScimlError(
        f"the spool is damaged: {which} of simulation {number} are lost and cannot be computed again "
        f"({why}); the run cannot be resumed, begin a new one"
    )
