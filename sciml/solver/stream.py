"""A run streamed to a trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from sciml.domain import Block, Domain
from sciml.parallel import Gather
from sciml.samples.program_warnings import Warned, Warnings
from sciml.solver.program import Program


class StreamSink:
    """Sends this rank's block of the fields; every rank has a connection of its own.

    The environment says where to (``SCIML_ENDPOINT``), under which number (``SCIML_SIMULATION``),
    in which attempt (``SCIML_ATTEMPT``, from 1) and how much of it (``SCIML_SEND``).

    Args:
        program: what runs.
        given: its parameters and options.
        domain: of the program.
        block: what this rank holds.
        comm: an mpi4py communicator.
        state: the initial state; static fields are taken from it.
        warnings: of this rank, which go with it.

    Raises:
        InputError: what is to be sent does not fit the program, or a variable is no number.
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
        warnings: Warnings,
    ) -> None:
        from sciml.stream.connection import connect

        # Whole static fields on every rank: they travel with the first message of each.
        gather = Gather(comm, block, domain.point_shape) if program.static else None
        self._client = connect(
            block=block,
            rank=comm.rank,
            ranks=comm.size,
            domain=domain,
            fields=program.fields,
            parameters={p.name: getattr(given, p.name) for p in program.parameters},
            static={
                f.name: gather.everywhere(state[f.name]) if f.on == "point" else state[f.name]
                for f in program.static
            },
            static_fields=program.static,
            deterministic=program.deterministic,
            time_units="1" if program.steady else program.time_units,
        )
        self._client.warnings = warnings
        self._names = [field.name for field in program.fields]
        self.every = self._client.every

    def take(self, step: int, time: float, state: Mapping[str, np.ndarray]) -> None:
        """Send one state; ``step`` counts those sent. Waits while the trainer is behind."""
        self._client.send(step * self.every, time, **{name: state[name] for name in self._names})

    def close(self, warned: Sequence[Warned] = ()) -> None:
        """Wait until the trainer has all of it; each rank tells its own warnings."""
        self._client.close()

    def discard(self) -> None:
        """A run that failed goes without a word: the trainer waits for its next attempt."""
        self._client.abort()
