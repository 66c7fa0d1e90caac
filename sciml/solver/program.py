"""The contract of a solver program."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar, final

import numpy as np

from sciml.domain import Block, Domain, Field
from sciml.domain.names import require_names
from sciml.domain.wire import KINDS, fields_to_wire
from sciml.errors import InputError
from sciml.samples.program_warnings import Warned, Warnings
from sciml.solver.declaration import EVERY, SAMPLED, UNIVERSAL, Option, Parameter, require_flags


class Program(ABC):
    """A solver on any number of MPI ranks, each with a block of every field.

    A program is one final class and a main::

        class Heat(Program): ...

        if __name__ == "__main__":
            main(Heat)

    What runs, in this order: ``__init__`` and :meth:`domain`, without MPI and alike on every rank;
    :meth:`start`; then :meth:`state` and :meth:`step` in turn. The first line of its docstring is
    the summary that ``--describe`` gives.

    Attributes:
        name: of the program, in files and error messages.
        equation: in Unicode.
        kind: of the domain: ``"grid"``, ``"mesh"``, ``"particles"`` or ``"graph"``.
        fields: what :meth:`state` gives, in order.
        parameters: physical numbers, flags of the command line.
        options: settings of the run, flags too; ``seed``, ``steps``, ``out``, ``every`` and ``log``
            are there for every program. One that has an ``every`` of its own writes all states.
        common: options that a family of programs shares, such as all spectral ones.
        static: fields of :meth:`state` that do not change in time.
        steady: whether states are solutions of their own instead of a march in time: each :meth:`step`
            draws a new sample (:func:`sciml.solver.sample_seed`) and solves for it, and the time that
            it returns is the sample's number. A run of ``steps`` n gives n + 1 samples; a task on
            them has ``lead: 0``.
        time_units: of the time that :meth:`step` returns, ``"1"`` if non-dimensional; a sample's number
            has none.
        order_space: order of the error in the spacing, or ``"spectral"``: faster than any power;
            ``None`` where there is no space.
        order_time: order of the error in the time step, by name of the scheme.
        deterministic: whether the same flags on the same number of ranks give the same bits.
    """

    name: ClassVar[str]
    equation: ClassVar[str]
    kind: ClassVar[str] = "grid"
    fields: ClassVar[tuple[Field, ...]]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    options: ClassVar[tuple[Option, ...]] = ()
    common: ClassVar[tuple[Option, ...]] = ()
    static: ClassVar[tuple[Field, ...]] = ()
    steady: ClassVar[bool] = False
    time_units: ClassVar[str] = "s"
    order_space: ClassVar[int | str | None]
    order_time: ClassVar[Mapping[str, int]]
    deterministic: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, given: SimpleNamespace) -> None:
        """Take what was asked for; no MPI yet.

        Args:
            given: every parameter and option by name, each checked against its own range.

        Raises:
            InputError: values that do not go together, such as a time step beyond the stable one.
        """

    @abstractmethod
    def domain(self) -> Domain:
        """Where the fields live, all ranks together; another one for other values if it must be."""

    @abstractmethod
    def start(self, comm: Any) -> Block:
        """Allocate and set the initial state; returns the block that this rank holds.

        Grids are cut by :class:`sciml.parallel.Decomposition`, all else by :class:`sciml.parallel.Rows`.

        Args:
            comm: an mpi4py communicator.
        """

    @abstractmethod
    def state(self) -> Mapping[str, np.ndarray]:
        """This rank's block of every field on points, ``block.shape`` and the components. Fields on
        cells or edges and global ones are whole, on every rank. Views will do, sinks copy."""

    @abstractmethod
    def step(self, n: int) -> float:
        """Advance from state ``n`` to ``n + 1``; returns the physical time of the latter."""

    @final
    def warn(self, kind: str, message: str, value: float | None = None) -> None:
        """Say that the data are worth less than they look; the run goes on.

        Warnings of one kind are counted; the largest one goes with the data, into file and stream. Of
        what all ranks know, one of them warns.

        Args:
            kind: what they have in common, such as ``under-resolved``.
            message: what is wrong by how much, and the remedy; one line.
            value: how bad it is, the larger the worse.
        """
        if self.warnings.add(Warned.made(message, value, self.warned_at, kind)):
            logging.getLogger(f"sciml.solver.{self.name}").warning("%s", message)

    @cached_property
    def warnings(self) -> Warnings:
        """What this rank has warned of."""
        return Warnings()

    #: Step that is being taken, for warnings; the main counts it.
    warned_at: int = 0


def options_of(program: type[Program]) -> tuple[Option, ...]:
    """Its options: its own, those of its family, and those of every program."""
    own = (*program.options, *program.common)
    taken = any(flag.name == EVERY.name for flag in (*own, *program.parameters))
    universal = [option for option in UNIVERSAL if not (option is EVERY and taken)]
    return (*own, *(SAMPLED.get(o, o) if program.steady else o for o in universal))


def flags_of(program: type[Program]) -> tuple[Parameter | Option, ...]:
    """All that the program can be asked for.

    Raises:
        InputError: it is not whole, it lives on an unknown kind of domain, or a name is there twice.
        DomainError: a name that no dataset can have: :func:`sciml.domain.names.require_names`.
    """
    _require_whole(program)
    flags = (*program.parameters, *options_of(program))
    require_flags(flags)
    fields, static = ([f.name for f in some] for some in (program.fields, program.static))
    if program.kind not in KINDS:
        raise InputError(
            f"class {program.__name__}: kind = {program.kind!r}; expected one of {', '.join(KINDS)}"
        )
    require_names(fields, static, [p.name for p in program.parameters], program.kind)
    return flags


def _require_whole(program: type[Program]) -> None:
    """Raises :class:`InputError` where a program does not state or do all that one must."""
    stated = ("name", "equation", "fields", "order_space", "order_time")
    lacks = [f"{name} = ..." for name in stated if not hasattr(program, name)]
    lacks += [f"{name}()" for name in sorted(program.__abstractmethods__)]
    if lacks:
        raise InputError(f"class {program.__name__} lacks {', '.join(lacks)}; see docs/solvers.md")


def schema(program: type[Program]) -> dict[str, Any]:
    """What ``--describe`` prints; plain JSON types."""
    flags_of(program)
    return {
        "schema_version": 1,
        "name": program.name,
        "equation": program.equation,
        "summary": (program.__doc__ or "").strip().partition("\n")[0],
        "domain": program.kind,
        "fields": fields_to_wire(program.fields),
        "static": fields_to_wire(program.static),
        "parameters": [asdict(parameter) for parameter in program.parameters],
        "options": [{**asdict(o), "type": o.type} for o in options_of(program)],
        "order": {"space": program.order_space, "time": dict(program.order_time)},
        "steady": program.steady,
        "deterministic": program.deterministic,
    }
