"""Trained surrogates as a calculator of ASE."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError
from sciml.run.results import Run, load

if TYPE_CHECKING:
    from sciml.surrogates import Surrogate
    from sciml.surrogates.calculator import EnergyCalculator
    from sciml.surrogates.potential_program import PotentialProgram


def calculator(
    surrogate: Surrogate | Run | str | PathLike[str] | Sequence[Any], **kwargs: Any
) -> EnergyCalculator:
    """Energies and forces of a surrogate, or of a committee, for ASE.

    >>> atoms.calc = sciml.calculator("runs/ethanol")                          # doctest: +SKIP
    >>> atoms.calc = sciml.calculator(["runs/a", "runs/b", "runs/c"])          # doctest: +SKIP
    >>> atoms.calc = sciml.calculator("ethanol.pt2")                           # doctest: +SKIP

    Args:
        surrogate: a surrogate, a run, the folder of either, a program that it was exported to, compiled
            or not, or several as a committee.
        kwargs: of ASE's ``Calculator``.

    Raises:
        InputError: ASE is not there; no surrogate; as
            :class:`~sciml.surrogates.calculator.EnergyCalculator`.
    """
    try:
        from sciml.surrogates.calculator import EnergyCalculator
    except ImportError as error:
        if (error.name or "").split(".")[0] != "ase":
            raise
        raise InputError(
            "calculator: ase is not there; install it with pip install 'sciml-surrogates[particles]'"
        ) from error
    several = surrogate if isinstance(surrogate, list | tuple) else [surrogate]
    return EnergyCalculator([_loaded(one) for one in several], **kwargs)


def _loaded(one: Any) -> Surrogate | PotentialProgram:
    from sciml.surrogates.potential_program import PotentialProgram

    if isinstance(one, Run):
        return one.surrogate()
    if not isinstance(one, str | PathLike):
        return one
    return PotentialProgram.load(one) if Path(one).is_file() else load(one)
