"""How a solver rank gets its client: by what the program says, else by its environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np

from sciml.domain import Domain, Field
from sciml.domain.block import Block
from sciml.errors import InputError
from sciml.samples import Simulation
from sciml.stream import environment
from sciml.stream.client import Client
from sciml.stream.dealer import Dealer
from sciml.stream.policy import SendPolicy


def connect(
    simulation: Simulation | None = None,
    block: Block | None = None,
    rank: int = 0,
    ranks: int = 1,
    *,
    endpoint: str | os.PathLike[str] | None = None,
    attempt: int | None = None,
    domain: Domain | None = None,
    fields: Iterable[Field | str] = (),
    parameters: Mapping[str, float] | None = None,
    static: Mapping[str, np.ndarray] | None = None,
    static_fields: Iterable[Field] = (),
    deterministic: bool = True,
    timeout: float = 60.0,
    patience: float = 600.0,
    shared_memory: bool = True,
    dtype: np.dtype | str | None = None,
    time_units: str = "1",
    thin: bool = True,
) -> Client:
    """Connect one rank to the trainer; every rank does this for itself.

    What the study says under ``solver.send`` holds from here on: see :meth:`Client.send`.

    Args:
        simulation: what is streamed; or give ``domain``, ``fields``, … and its number is taken from
            ``SCIML_SIMULATION``.
        block: the points this rank holds; ``None``: all of them (one rank only).
        rank, ranks: of how many; rank 0 must connect for the others to be answered.
        endpoint: endpoint file or run directory; default ``SCIML_ENDPOINT``.
        attempt: default ``SCIML_ATTEMPT``, else 1.
        domain, fields, parameters, static, static_fields, deterministic: see
            :class:`~sciml.samples.Simulation`; a field may be given by its name.
        timeout: seconds to wait for the first answer.
        patience: seconds without any sign of the trainer before giving up later on; it may be away
            for so long, and come back.
        shared_memory: let fields go through it if the trainer is on the same node; off: always
            through the socket.
        dtype: send fields as this, such as ``float32``, cast while they are copied; ``None``: as
            they are. What the study says comes first.
        time_units: of the times given to ``send``: ``"s"``, ``"h"``, ``"days since 2000-01-01"``;
            ``"1"``: numbers without units.
        thin: whether ``solver.send`` of the study is followed here; ``False``: the program reads
            ``SCIML_SEND`` by itself.

    Raises:
        InputError: neither a simulation nor a domain with fields; a dtype that is none; a
            ``solver.send`` that does not fit: an unknown field, points that ``coarsen`` does not
            divide, or none left to this rank.
        DomainError: names that no dataset can have: a field called ``x`` or ``time``, two of one name;
            a static field of another shape than its place has.
        StreamError: no endpoint, a key that is not let in, no answer in time, fenced, quarantined.
    """
    if simulation is None:
        known = tuple(f if isinstance(f, Field) else Field(f) for f in fields)
        if domain is None or not known:
            raise InputError("connect: expected simulation=, or domain= and fields=")
        simulation = Simulation(
            environment.simulation(),
            domain,
            known,
            parameters or {},
            static or {},
            deterministic,
            time_units,
            static_fields=tuple(static_fields),
        )
    attempt = environment.attempt() if attempt is None else attempt
    policy = environment.policy() if thin else SendPolicy()
    kind = _dtype(policy.dtype or dtype)
    numbers = (int(rank), int(ranks), int(attempt))
    path, run = (endpoint, "") if endpoint is not None else environment.endpoint()
    transport = Dealer(path, run)
    try:
        ways = (transport, timeout, patience, shared_memory, kind, policy)
        return Client(simulation, block, *numbers, *ways)
    except BaseException:
        transport.close()
        raise


def _dtype(given: np.dtype | str | None) -> np.dtype | None:
    try:
        dtype = None if given is None else np.dtype(given)
    except TypeError as error:
        raise InputError(f"connect: dtype={given!r}; expected float32 or float64") from error
    if dtype is not None and dtype.kind != "f":
        raise InputError(f"connect: dtype={given!r}; expected float32 or float64")
    return dtype
