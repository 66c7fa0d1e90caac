"""What a solver is told by who started it: variables that lead it to the trainer, read here alone."""

from __future__ import annotations

import os

from sciml.errors import InputError, StreamError
from sciml.stream.policy import SendPolicy

#: Endpoint file of the run, or its directory.
ENDPOINT = "SCIML_ENDPOINT"
#: UUID of the run that started a solver: in the folder of its endpoint there may be another by now.
RUN = "SCIML_RUN"
#: Number of the simulation, from 0.
SIMULATION = "SCIML_SIMULATION"
#: Count of the attempts to run it, from 1.
ATTEMPT = "SCIML_ATTEMPT"
#: What of it is sent, as JSON.
SEND = "SCIML_SEND"
#: All of them: what a caller streams to is no affair of a program that it runs by itself.
VARIABLES = (ENDPOINT, RUN, SIMULATION, ATTEMPT, SEND)


def wanted() -> bool:
    """Whether it is said where to stream to."""
    return bool(os.environ.get(ENDPOINT))


def endpoint() -> tuple[str, str]:
    """Where to stream to, and the UUID of the run it is meant for; empty if nobody said which.

    Raises:
        StreamError: nobody said where to.
    """
    path = os.environ.get(ENDPOINT)
    if not path:
        raise StreamError(
            "no endpoint: `sciml run STUDY` starts a program and says where it streams to; by hand, "
            f"give endpoint=, or set {ENDPOINT} to the endpoint.json of a run"
        )
    return path, os.environ.get(RUN, "")


def simulation() -> int:
    """Number of the simulation, 0 by default; raises :class:`InputError` if it is none."""
    return _number(SIMULATION, 0)


def attempt() -> int:
    """Which attempt to run it this is, 1 by default; raises :class:`InputError` if it is no number."""
    return _number(ATTEMPT, 1)


def policy() -> SendPolicy:
    """What the study that started this process sends of it; without a study, all of it.

    Raises:
        InputError: it cannot be read.
    """
    return SendPolicy.read(os.environ.get(SEND) or "{}")


def _number(variable: str, low: int) -> int:
    text = os.environ.get(variable, str(low))
    if not text.isdecimal() or int(text) < low:
        raise InputError(f"{variable}={text!r}; expected a whole number ≥ {low}")
    return int(text)
