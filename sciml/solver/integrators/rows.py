"""What all one-step methods here have in common: rows of coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: A number, or an array over the entries of a diagonal operator; ``None`` stands for zero.
Coefficient = Any


@dataclass(frozen=True)
class Row:
    """One stage: U = factor · u + dt Σ_j weights[j] · N_j, made from the state u at the start of the
    step and the values N_j of the nonlinear part at the stages before.

    Args:
        factor: of the state.
        weights: one for each stage before; ``None`` where it is zero.
        time: c, the stage stands for time t + c dt.
    """

    factor: Coefficient
    weights: tuple[Coefficient, ...]
    time: float


class Method(Protocol):
    """A one-step method for du/dt = L u + N(t, u), L diagonal.

    Attributes:
        name: in the options of solver programs.
        order: of the error in dt.
        treats_linear: whether L enters the coefficients; an explicit method sees L u + N as one.
    """

    name: str
    order: int
    treats_linear: bool

    def rows(self, z: Any) -> tuple[Row, ...]:
        """Stages 1, 2, … and last the new state; stage 0 is the old state itself.

        Args:
            z: dt · L, a number or an array.
        """
        ...


def prune(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows without stages that nothing after them reads, as of stiffly accurate methods."""
    kept = list(rows)
    for stage in range(len(kept) - 1, 0, -1):
        # Stage number `stage` is kept[stage - 1]; the last row is the new state.
        if all(len(row.weights) <= stage or row.weights[stage] is None for row in kept):
            del kept[stage - 1]
            kept = [
                Row(row.factor, row.weights[:stage] + row.weights[stage + 1 :], row.time)
                for row in kept
            ]
    return tuple(kept)
