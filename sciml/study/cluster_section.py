"""The sections ``stream`` and ``cluster`` of a study file: where trainer and solvers run."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sciml.errors import InputError
from sciml.study.section import Count, Positive, Seconds, Section, Size


class Stream(Section):
    """Where the trainer listens, and how much it holds. ``patience`` is how many seconds a run
    waits for room on a full disk before it ends with a checkpoint, to be resumed."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    encryption: bool = True
    spool_limit: Size = 2_000_000_000
    queue_limit: Size = 64_000_000
    patience: Seconds = 300.0

    @model_validator(mode="after")
    def _private(self) -> Stream:
        from sciml.stream.endpoint import check_host

        try:
            check_host(self.host, encryption=self.encryption)
        except InputError as error:
            raise ValueError(str(error).removeprefix("stream: ")) from error
        return self


_WALLTIME = re.compile(r"(?:(\d+)-(\d+)(?::(\d+))?(?::(\d+))?|(?:(\d+):)?(\d+):(\d+)|(\d+))")


def in_seconds(walltime: str) -> int:
    """A time limit as Slurm writes it: ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``,
    ``days-hours``, and so on.

    Raises:
        ValueError: anything else, or 0.
    """
    match = _WALLTIME.fullmatch(walltime.strip())
    numbers = [int(number or 0) for number in match.groups()] if match else [0] * 8
    days, hours, minutes, seconds, h, m, s, alone = numbers
    total = ((24 * days + hours + h) * 60 + minutes + m + alone) * 60 + seconds + s
    if total == 0:
        raise ValueError(
            f"got {walltime!r}; expected a time limit as Slurm writes it, such as 01:30:00, 90 "
            "(minutes) or 2-12 (days-hours)"
        )
    return total


def _walltime(value: str) -> str:
    in_seconds(value)
    return value


class Cluster(Section):
    """Where the solvers run: this machine, jobs of Slurm's, or a dask scheduler.

    ``simulation_timeout`` is in seconds, ``null`` for none; ``encryption`` is for ``address``;
    ``interface`` to ``prologue`` are for Slurm.
    """

    kind: Literal["local", "slurm", "address"] = "local"
    simulations_at_once: Positive = 1
    retries: Count = 2
    simulation_timeout: Seconds | None = None
    oversubscribe: bool = False
    address: str | None = None
    encryption: bool = True
    interface: str | None = None
    partition: Annotated[str, Field(pattern=r"^[\w.,:-]+$")] | None = None
    walltime: Annotated[str, AfterValidator(_walltime)] = "01:00:00"
    memory: Size = 4_000_000_000
    directives: list[Annotated[str, Field(pattern=r"^-[^\r\n]+$")]] = []
    prologue: list[Annotated[str, Field(pattern=r"^[^\r\n]+$")]] = []

    @property
    def seconds(self) -> int:
        """``walltime`` in seconds."""
        return in_seconds(self.walltime)

    @model_validator(mode="after")
    def _reachable(self) -> Cluster:
        if (self.kind == "address") != (self.address is not None):
            raise ValueError(
                f"kind '{self.kind}' with address {self.address!r}; expected an address such as "
                "tcp://head:8786 with kind 'address', and none with the others"
            )
        return self
