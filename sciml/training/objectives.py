"""Objectives by name, built from the keys of a study file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sciml.errors import InputError, nearest, require_known
from sciml.surrogates.kits import kit_of
from sciml.surrogates.setting import Setting
from sciml.training.classification import Classification
from sciml.training.energy_forces import EnergyForces
from sciml.training.equation_residual import EquationResidual
from sciml.training.objective import Objective, Supervised

#: What ``kind`` names; keywords are the other keys.
OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "supervised": Supervised,
    "energy_forces": EnergyForces,
    "classification": Classification,
    "residual": EquationResidual,
}


def objective_of(
    given: str | Mapping[str, Any] | Objective | None, setting: Setting, **usual: Any
) -> Objective:
    """An objective by its name, by its keys, or as it is.

    Args:
        given: ``"supervised"``, ``{"kind": "supervised", "loss": "mse"}``, or an objective; ``None``:
            what the kind of domain brings along, see :mod:`sciml.surrogates.kits`.
        setting: fields and domains that it is for.
        usual: options of ``supervised`` that are taken where ``given`` does not say them; where there
            are any, that is what ``None`` stands for.

    Raises:
        InputError: unknown names or options, with the nearest; fields that the task does not have.
    """
    if given is None:
        given = "supervised" if usual else kit_of(setting).objective(setting)
    objective = given if callable(given) else _built(given, usual)
    if hasattr(objective, "require"):
        objective.require(setting)
    return objective


def _built(given: str | Mapping[str, Any], usual: Mapping[str, Any]) -> Objective:
    options = {"kind": given} if isinstance(given, str) else dict(given)
    name = options.pop("kind", None)
    if name not in OBJECTIVES:
        what = f"unknown objective {name!r}" if name else "an objective without a kind"
        raise InputError(f"{what}; {nearest(str(name or ''), OBJECTIVES)}")
    known = inspect.signature(OBJECTIVES[name]).parameters
    require_known(f"objective '{name}' has no option", options, known)
    if lacking := [n for n, p in known.items() if p.default is p.empty and n not in options]:
        raise InputError(f"objective '{name}' without {', '.join(lacking)}; expected a value")
    return OBJECTIVES[name](**{**(usual if name == "supervised" else {}), **options})
