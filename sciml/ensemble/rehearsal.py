"""One simulation into a sink in memory: what a program does before it is asked for thousands.

The sink is a server of the stream like the trainer's. Whatever streams can be rehearsed, of anyone's.
"""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

from sciml.ensemble.processes import code_within, end_session, start_session
from sciml.errors import ScimlError
from sciml.samples import Frame, Simulation
from sciml.samples.program_warnings import Warned
from sciml.solver.last_words import last_words, reason
from sciml.solver.mpirun import command, environment, executable, own_folders
from sciml.solver.program_description import Description
from sciml.stream.events import Arrived, Closed, Opened, Quarantined
from sciml.stream.server import Server

# What the sink warns of is in the rehearsal.
logging.getLogger("sciml.stream").addHandler(logging.NullHandler())

#: Seconds that one wait for an event lasts; the end of the program is noticed so late.
WAIT = 0.2
#: Bytes that wait on disk and in memory.
SPOOL, QUEUE = 128 << 20, 64 << 20
#: Seconds from the goodbye of all ranks to the end of the program.
FAREWELL = 30.0


class TakesLong(ScimlError):
    """A program takes longer than it may, or waits for room on the disk."""


@dataclass(slots=True)
class Rehearsal:
    """What came of one run of a program.

    Args:
        name: of the program.
        simulation: what it said of itself, as sent; ``None``: no rank, or not all of them, connected.
        frames: number of states that came.
        first, last: the two ends of them.
        began, ended: seconds from the start of the program to its first and last frame.
        times: of the frames.
        closed: seconds until all ranks had said that they are done; 0: they did not.
        quarantined: why its data were refused.
        code: exit code; ``None`` where it was ended here, since enough had come.
        said: what it said last.
        warnings: of the program.
    """

    name: str
    simulation: Simulation | None = None
    frames: int = 0
    first: Frame | None = None
    last: Frame | None = None
    began: float = 0.0
    ended: float = 0.0
    times: list[float] = field(default_factory=list)
    closed: float = 0.0
    quarantined: str = ""
    code: int | None = None
    said: str = ""
    warnings: list[Warned] = field(default_factory=list)

    @property
    def step_seconds(self) -> float:
        """From one frame to the next."""
        return (self.ended - self.began) / max(self.frames - 1, 1)

    @property
    def whole(self) -> bool:
        """Whether it went to its end, and all that it gave has come."""
        return bool(self.closed) and not self.quarantined and not self.code

    def require(self) -> None:
        """That it gave frames and ended well, as far as it was waited for.

        Raises:
            ScimlError: it did not; with what it said last.
        """
        if self.quarantined:
            raise ScimlError(f"{self.name} sent what cannot be used: {self.quarantined}")
        if self.code:
            why = reason(self.said) or "it said nothing"
            raise ScimlError(f"{self.name} ended with code {self.code}: {why}")
        if not self.frames:
            raise ScimlError(
                f"{self.name} ended with exit code 0 and had sent nothing: {self.said or 'nor said'}; "
                "expected connect(), send() for each state, close()"
            )


def disagreements(
    description: Description,
    simulation: Simulation,
    given: Mapping[str, Any],
    fields: Sequence[str] | None = None,
) -> tuple[list[str], list[str]]:
    """Where a program does something else than its ``--describe`` says.

    Args:
        description: what it says.
        simulation: what it sent.
        given: parameters and options that it was given.
        fields: that were asked for; by default all.

    Returns:
        Lines of what makes its data useless: names, values of parameters; and lines of the rest.
    """
    graver, lesser = [], []
    kind = simulation.domain.kind
    if description.domain not in ("", kind):
        graver.append(f"domain: --describe says {description.domain}, connect() gives {kind}")
    said = {f.name: f for f in description.fields if fields is None or f.name in fields}
    sent = {f.name: f for f in simulation.fields}
    if list(said) != list(sent):
        graver.append(f"fields: --describe names {_list(said)}, connect() {_list(sent)}")
    for name in said.keys() & sent.keys():
        for what in ("units", "on", "components"):
            one, other = getattr(said[name], what), getattr(sent[name], what)
            if one != other:
                lesser.append(
                    f"field '{name}': {what} {one!r} in --describe, {other!r} in connect()"
                )
    described = {f.name: f for f in description.static}
    if missing := [name for name in described if name not in simulation.static]:
        graver.append(f"static fields: --describe names {_list(missing)}, connect() does not")
    for name in simulation.static.keys() - described.keys():
        lesser.append(f"static field '{name}' of connect() is missing in --describe")
    for other in simulation.static_fields:
        one = described.get(other.name, other)
        if (one.on, one.components) != (other.on, other.components):
            lesser.append(
                f"static field '{one.name}': on {one.on}, {one.components} components in --describe, on "
                f"{other.on}, {other.components} in connect(): say so by static_fields=[Field(...)]"
            )
    for parameter in description.parameters:
        wanted = float(given.get(parameter.name, parameter.default))
        if parameter.name not in simulation.parameters:
            graver.append(
                f"parameter '{parameter.name}' of --describe is missing in connect(parameters=...)"
            )
        elif not isclose(wanted, simulation.parameters[parameter.name], rel_tol=1e-5):
            graver.append(
                f"parameter '{parameter.name}': --{parameter.name} {wanted:g} was given, connect() says "
                f"{simulation.parameters[parameter.name]:g}"
            )
    names = {parameter.name for parameter in description.parameters}
    for name in simulation.parameters.keys() - names:
        lesser.append(f"parameter '{name}' of connect() is missing in --describe")
    if "deterministic" in description.schema:
        one, other = description.deterministic, simulation.deterministic
        if one != other:
            lesser.append(f"deterministic: {one} in --describe, {other} in connect()")
    return graver, lesser


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def rehearse(
    description: Description,
    given: Mapping[str, Any],
    *,
    ranks: int = 1,
    send: Mapping[str, Any] | None = None,
    frames: int | None = None,
    timeout: float = 600.0,
    look: Callable[[Frame], None] = lambda frame: None,
) -> Rehearsal:
    """Run a program into a sink.

    Args:
        description: of the program.
        given: parameters and options by name.
        ranks: one runs without mpirun.
        send: what the study says under ``solver.send``.
        frames: end it after so many; ``None``: to its end.
        timeout: seconds that it may take.
        look: is shown every frame.

    Raises:
        InputError: parameters or options that the program does not take.
        TakesLong: it does, or does not end after its goodbye.
    """
    arguments = description.arguments(given)
    program = description.path
    words = [*executable(program), *arguments] if ranks == 1 else command(program, ranks, arguments)
    with (
        own_folders("sciml-", ranks) as folders,
        tempfile.TemporaryDirectory(prefix="sciml-") as folder,
    ):
        server = Server(folder, encryption=False, spool_limit=SPOOL, queue_limit=QUEUE)
        server.start()
        # A run for the caller does not go to a trainer that the caller happens to stream to.
        outer = {k: v for k, v in environment().items() if not k.startswith("SCIML_")}
        variables = {
            "SCIML_ENDPOINT": str(server.endpoint),
            "SCIML_SIMULATION": "0",
            "SCIML_ATTEMPT": "1",
            "SCIML_SEND": json.dumps(dict(send or {})),
        }
        log = Path(folder) / "log"
        try:
            with log.open("wb") as output:
                process = start_session(words, {**outer, **folders, **variables}, output)
            rehearsal = Rehearsal(description.name)
            try:
                _listen(server, process, rehearsal, frames, timeout, look)
            finally:
                end_session(process.pid, grace=1.0)
                process.wait()
        finally:
            server.stop()
        rehearsal.said = last_words(log.read_text(errors="replace"), lines=8)
        rehearsal.warnings = server.ledger.warnings().get(0, [])
    return rehearsal


def _listen(
    server: Server,
    process: subprocess.Popen[bytes],
    rehearsal: Rehearsal,
    frames: int | None,
    timeout: float,
    look: Callable[[Frame], None],
) -> None:
    """Take what comes until the program has ended, or enough of it is there."""
    began, deadline = time.monotonic(), time.monotonic() + timeout
    while True:
        over = process.poll() is not None
        # Goodbyes come last: only the end of the process is waited for then.
        event = server.events.get(timeout=0.0 if rehearsal.closed else WAIT)
        now = time.monotonic()
        match event:
            case Opened(simulation=simulation):
                rehearsal.simulation = simulation
            case Arrived(frame=frame):
                if not rehearsal.frames:
                    rehearsal.first, rehearsal.began = frame, now - began
                rehearsal.last, rehearsal.ended = frame, now - began
                rehearsal.frames += 1
                rehearsal.times.append(frame.time)
                look(frame)
                if server.wants_commit:
                    server.commit(())  # what came is dealt with: nobody will ask for it again
            case Quarantined(reason=reason):
                rehearsal.quarantined = reason
                deadline = min(deadline, now + FAREWELL)
            case Closed():
                rehearsal.closed = now - began
                deadline = min(deadline, now + FAREWELL)
            case None if over:
                rehearsal.code = process.returncode
                return
            case None if rehearsal.closed:
                code_within(process, WAIT)
        if rehearsal.frames and rehearsal.frames == frames:
            return
        if problem := server.status()["problem"]:
            raise TakesLong(f"{rehearsal.name} waits: {problem}")
        if now > deadline and not over:
            if rehearsal.quarantined:
                return
            if rehearsal.closed:
                raise TakesLong(
                    f"{rehearsal.name} still ran {FAREWELL:g} s after all its ranks had called close()"
                )
            raise TakesLong(f"{rehearsal.name} took longer than {timeout:g} s")
