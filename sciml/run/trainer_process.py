"""The process of the trainer, as whoever leads a run starts it: for a run, or before there is one.

Importing torch takes longer than asking a program what it is. So a trainer is started first, imports
while the study is held against its program, and then tries the model, which it will train: nobody else
has to import torch for that. Until it is told its run it has neither files nor children, and it ends
when the other end of its socket is closed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any

from sciml.domain import Domain, Field
from sciml.domain.wire import domain_from_wire, domain_to_wire, fields_from_wire, fields_to_wire
from sciml.ensemble.folders import write_json
from sciml.ensemble.identity import name_of
from sciml.ensemble.processes import end_session, here, start_session, start_time
from sciml.errors import InputError, ScimlError
from sciml.run.directory import RunDirectory
from sciml.stream.message import decode, encode
from sciml.study.schema import Study

#: Bytes of the length that goes before each message.
LENGTH = 8
#: Largest message, bytes: a mesh of hundreds of millions of nodes.
LIMIT = 1 << 34
#: Seconds for a checkpoint, where a run ends before its supervisor has taken the trainer over.
GRACE = 10.0


def start_trainer(study: Study, run: RunDirectory, leader: str) -> subprocess.Popen[bytes]:
    """Start the next life of the trainer of a run.

    Args:
        study: says how many threads it has.
        run: its directory.
        leader: token of who leads the run.
    """
    with (run.logs / "trainer.log").open("ab") as log:
        run.last_words.unlink(missing_ok=True)  # those of the life before
        trainer = _started(study, str(run.path), stdout=log)
    _record(trainer, run, leader)
    return trainer


class EarlyTrainer:
    """A trainer that imports torch while its study is still looked at; a context, which ends it.

    Args:
        study: what it is to train.
    """

    def __init__(self, study: Study) -> None:
        ours, its = socket.socketpair()
        with its:
            # What it says before it has a log goes to the terminal.
            self.process = _started(
                study, "--early", str(its.fileno()), stdout=2, pass_fds=(its.fileno(),)
            )
        self._channel = Channel(ours)
        self._begun = False
        self._send(study=study.model_dump())

    def __enter__(self) -> EarlyTrainer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it, where it has not ended by itself."""
        self._channel.close()
        if self.process.poll() is None:
            end_session(self.process.pid, grace=GRACE if self._begun else 0.0)
        self.process.wait()

    def try_model(self, domain: Domain | None, fields: Sequence[Field]) -> None:
        """Have it hold model and training against a domain; :meth:`require` has the answer.

        Args:
            domain: where the fields live; ``None``: that is not known.
            fields: of the program, static ones among them.
        """
        wire = None if domain is None else domain_to_wire(domain)
        self._send(domain=wire, fields=fields_to_wire(tuple(fields)))

    def require(self) -> None:
        """Wait for its answer.

        Raises:
            InputError: a model or a device that cannot be: see :mod:`sciml.run.feasibility`.
            ScimlError: it has died of it.
        """
        answer = self._channel.receive()
        if answer is None:
            code = self.process.wait()
            raise ScimlError(
                f"the trainer ended with code {code} while it tried the model; what it said is above"
            )
        if answer["refused"]:
            raise InputError(answer["refused"])

    def begin(self, run: RunDirectory, leader: str) -> subprocess.Popen[bytes]:
        """Let it train a run; from here on it is as :func:`start_trainer` gives it."""
        run.last_words.unlink(missing_ok=True)
        self._begun = True
        _record(self.process, run, leader)
        self._send(run=str(run.path))
        return self.process

    def _send(self, **message: Any) -> None:
        try:
            self._channel.send(message)
        except OSError:
            return  # it has died: whoever waits for it sees that


class Channel:
    """Messages over a socket between a trainer and who has started it, in turn."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._file = end.makefile("rb")

    def send(self, message: dict[str, Any]) -> None:
        """Raises OSError where nobody reads any more."""
        body = encode(message)
        self._end.sendall(len(body).to_bytes(LENGTH, "big") + body)

    def receive(self) -> dict[str, Any] | None:
        """The next message; ``None`` where there comes no more."""
        try:
            head = self._file.read(LENGTH)
            body = self._file.read(int.from_bytes(head, "big")) if len(head) == LENGTH else b""
        except ConnectionError:  # the other side was killed with something unread
            return None
        return decode(body, LIMIT) if body else None

    def close(self) -> None:
        self._file.close()
        self._end.close()


def told_domain(message: dict[str, Any]) -> tuple[Domain | None, tuple[Field, ...]]:
    """What :meth:`EarlyTrainer.try_model` has sent."""
    wire = message["domain"]
    domain = None if wire is None else domain_from_wire(wire)
    return domain, fields_from_wire(message["fields"])


def _started(
    study: Study, *words: str, stdout: IO[bytes] | int, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    threads = str(study.training.threads)
    return start_session(
        [sys.executable, "-m", "sciml.run.online.trainer", *words],
        {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        stdout,
        pass_fds=pass_fds,
    )


def _record(trainer: subprocess.Popen[bytes], run: RunDirectory, leader: str) -> None:
    """By which it is found again, should its leader die."""
    began = start_time(trainer.pid)
    record = {"session": trainer.pid, "began": began, **here(), "run": name_of(run)}
    write_json(run.pids / "trainer.json", {**record, "leader": leader})
