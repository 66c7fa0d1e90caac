"""A run streamed to a trainer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from sciml.domain import Block, Domain
from sciml.errors import InputError
from sciml.parallel import Gather
from sciml.samples import Simulation
from sciml.samples.warned import Warned, Warnings
from sciml.solver.policy import SendPolicy
from sciml.solver.program import Program


def wanted() -> bool:
    """Whether the environment names an endpoint."""
    return bool(os.environ.get("SCIML_ENDPOINT"))


def policy() -> SendPolicy:
    """The send policy of the environment (``SCIML_SEND``).

    Raises:
        InputError: it cannot be read.
    """
    return SendPolicy.read(os.environ.get("SCIML_SEND") or "{}")


class StreamSink:
    """Sends this rank's block of the chosen fields; every rank has a connection of its own.

    The environment says where to (``SCIML_ENDPOINT``), under which number (``SCIML_SIMULATION``)
    and in which attempt (``SCIML_ATTEMPT``, from 1).

    Args:
        program: what runs.
        given: its parameters and options.
        domain: of the program, before coarsening.
        block: what this rank holds.
        comm: an mpi4py communicator.
        state: the initial state; static fields are taken from it.
        policy: what is sent.
        warnings: of this rank, which go with it.

    Raises:
        InputError: the policy does not fit the program, or a variable is no number.
        StreamError: the trainer refuses.
    """

    def __init__(
        self,
        program: type[Program],
        given: SimpleNamespace,
        domain: Domain,
        block: Block,
        comm: Any,
        state: Mapping[str, np.ndarray],
        policy: SendPolicy,
        warnings: Warnings,
    ) -> None:
        from sciml.stream.client import connect

        self.every = policy.every
        self._policy = policy
        self._block = block
        self._chosen = policy.choose(program.fields)
        sent = policy.domain(domain)
        simulation = Simulation(
            id=_number("SCIML_SIMULATION", 0, 0),
            domain=sent,
            fields=self._chosen,
            parameters={p.name: getattr(given, p.name) for p in program.parameters},
            static=self._static(program, sent, comm, state),
            deterministic=program.deterministic,
            time_units="1" if program.steady else program.time_units,
        )
        self._client = connect(
            simulation=simulation,
            block=policy.block(block),
            rank=comm.rank,
            ranks=comm.size,
            attempt=_number("SCIML_ATTEMPT", 1, 1),
            dtype=policy.dtype,
        )
        self._client.warnings = warnings

    def take(self, step: int, time: float, state: Mapping[str, np.ndarray]) -> None:
        """Send one state; ``step`` counts those sent. Waits while the trainer is behind."""
        self._client.send(step, time, **self._policy.take(self._chosen, state, self._block))

    def close(self, warned: Sequence[Warned] = ()) -> None:
        """Wait until the trainer has all of it; each rank tells its own warnings."""
        self._client.close()

    def discard(self) -> None:
        """A run that failed goes without a word: the trainer waits for its next attempt."""
        self._client.abort()

    def _static(
        self, program: type[Program], sent: Domain, comm: Any, state: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Whole static fields on every rank: they travel with the first message of each."""
        if not program.static:
            return {}
        gather = Gather(comm, self._policy.block(self._block), sent.point_shape)
        blocks = self._policy.take(program.static, state, self._block)
        dtype = self._policy.dtype
        return {n: comm.bcast(gather(np.asarray(block, dtype))) for n, block in blocks.items()}


def _number(name: str, default: int, low: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < low:
        raise InputError(f"{name}={text!r}; expected a whole number ≥ {low}")
    return int(text)
