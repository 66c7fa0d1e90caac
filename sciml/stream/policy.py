"""Which of its states a run sends, and how much of each: the study's choice, not the program's.

A client applies it to whatever program it is in, so that a program of anyone's obeys the study.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sciml.domain import Block, Domain, Field, Grid
from sciml.errors import InputError, require_known
from sciml.samples import Simulation

_DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """What of a run is sent.

    Args:
        every: steps from one sent state to the next; state 0 is always sent.
        fields: names of the fields sent; ``None`` for all.
        coarsen: every so many points along each axis are kept, those whose global index it divides,
            so that any number of ranks sends the same.
        dtype: ``float32``, ``float64``, or ``None`` to send fields as they are, as numbers one a frame
            are in any case.

    Raises:
        InputError: a value outside of these.
    """

    every: int = 1
    fields: tuple[str, ...] | None = None
    coarsen: int = 1
    dtype: str | None = None

    def __post_init__(self) -> None:
        for name in ("every", "coarsen"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"send: {name}={value!r}; expected a whole number ≥ 1")
        if self.fields is not None:
            if isinstance(self.fields, str) or not self.fields:
                raise InputError(f"send: fields={self.fields!r}; expected a list of names, or null")
            object.__setattr__(self, "fields", tuple(self.fields))
        if self.dtype not in (None, *_DTYPES):
            raise InputError(
                f"send: dtype={self.dtype!r}; expected {', '.join(_DTYPES)}, or null to keep it"
            )

    @classmethod
    def read(cls, text: str) -> SendPolicy:
        """The policy in a JSON object, such as ``{"every": 2, "dtype": "float32"}``.

        Raises:
            InputError: no JSON object, or an unknown key.
        """
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"SCIML_SEND is no JSON: {error}; expected an object") from error
        if not isinstance(given, dict):
            raise InputError(f"SCIML_SEND={text!r}; expected a JSON object")
        require_known("send: unknown key", given, [field.name for field in fields(cls)])
        return cls(**given)

    def choose(self, declared: Sequence[Field]) -> tuple[Field, ...]:
        """The fields sent, in the order of ``declared``.

        Raises:
            InputError: a name that is not declared.
        """
        require_known("send: no field", self.fields or (), [field.name for field in declared])
        return tuple(f for f in declared if self.fields is None or f.name in self.fields)

    def domain(self, domain: Domain) -> Domain:
        """Where the sent fields live.

        An axis whose last point is dropped ends at the last one kept, and nothing is known there:
        its boundary becomes ``open``.

        Raises:
            InputError: the domain is no grid and ``coarsen > 1``; a periodic axis that ``coarsen``
                does not divide; fewer than 2 points left.
        """
        c = self.coarsen
        if c == 1:
            return domain
        if not isinstance(domain, Grid):
            raise InputError(
                f"send: coarsen={c} on a {domain.kind}; expected 1, only grids coarsen"
            )
        shape, extent, boundary = [], [], []
        for n, (low, _), kind, h in zip(
            domain.shape, domain.extent, domain.boundary, domain.spacing, strict=True
        ):
            if kind == "periodic" and n % c:
                raise InputError(f"send: coarsen={c} does not divide a periodic axis of {n} points")
            kept = -(-n // c)
            if kept < 2:
                raise InputError(f"send: coarsen={c} leaves one of {n} points; expected 2 or more")
            shape.append(kept)
            extent.append((low, low + h * c * (kept if kind == "periodic" else kept - 1)))
            boundary.append(kind if kind == "periodic" or (n - 1) % c == 0 else "open")
        return replace(domain, shape=tuple(shape), extent=tuple(extent), boundary=tuple(boundary))

    def block(self, block: Block) -> Block:
        """The part of the sent field that comes from ``block``.

        Raises:
            InputError: no point of it is kept.
        """
        c = self.coarsen
        start = [-(-o // c) for o in block.offset]
        stop = [-(-s // c) for s in block.stop]
        if any(a >= b for a, b in zip(start, stop, strict=True)):
            raise InputError(
                f"send: coarsen={c} leaves no point of a block of {block.shape} points; use fewer "
                "ranks, or coarsen less"
            )
        return Block(tuple(start), tuple(b - a for a, b in zip(start, stop, strict=True)))

    def simulation(self, whole: Simulation) -> Simulation:
        """What is sent of a simulation: chosen fields on the coarsened domain, static fields too.

        Raises:
            InputError: as :meth:`choose` and :meth:`domain`.
        """
        keep = (slice(None, None, self.coarsen),) * len(whole.domain.point_shape)
        on = {field.name: field.on for field in whole.static_fields}
        static = {
            name: np.asarray(array)[keep if on[name] == "point" else ()]
            for name, array in whole.static.items()
        }
        if self.dtype is not None:
            static = {n: self.cast(on[n], array) for n, array in static.items()}
        return replace(
            whole,
            domain=self.domain(whole.domain),
            fields=self.choose(whole.fields),
            static=static,
        )

    def cast(self, on: str, values: np.ndarray) -> np.ndarray:
        """Real numbers in the ``dtype``, but for those that are one a frame: they weigh nothing, and an
        energy of −4209 eV in float32 has lost 0.1 meV.

        Args:
            on: where the field lies.
            values: of it.
        """
        if self.dtype is None or on == "global" or values.dtype.kind != "f":
            return values
        return values.astype(self.dtype)

    def take(
        self, declared: Sequence[Field], given: Mapping[str, Any], block: Block
    ) -> dict[str, Any]:
        """The points that are sent of the fields given, as views; their dtype is as it was, for whoever
        copies them casts. Names that nobody declared stay, for whoever sends them to refuse.

        Args:
            declared: all fields of the program.
            given: a block of each, by name.
            block: where that lies.

        Raises:
            InputError: a field whose points are not those of the block, of which none can be chosen.
        """
        kept = {field.name for field in self.choose(declared)}
        dropped = {field.name for field in declared} - kept
        taken = {name: array for name, array in given.items() if name not in dropped}
        if self.coarsen == 1:
            return taken
        points = tuple(slice(-o % self.coarsen, None, self.coarsen) for o in block.offset)
        for field in declared:
            if field.name in taken and field.on == "point":
                array, expected = np.asarray(taken[field.name]), block.shape + field.trailing
                if array.shape != expected:
                    raise InputError(
                        f"send: field '{field.name}' has shape {array.shape}; expected {expected}, "
                        "that of the block"
                    )
                taken[field.name] = array[points]
        return taken
