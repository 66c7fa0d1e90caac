"""Models by name, built from the keys of a study file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module

from torch import nn

from sciml.domain import Domain
from sciml.errors import InputError, nearest
from sciml.samples import Task

#: Each module has ``build(task, domain, *, key=default, …) -> nn.Module``; its keywords are the
#: keys that a study file may set.
MODELS: dict[str, str] = {
    "cnn": "sciml.surrogates.grid.cnn",
    "deeponet": "sciml.surrogates.deeponet.deeponet",
    "fno": "sciml.surrogates.grid.fno",
    "mionet": "sciml.surrogates.deeponet.mionet",
    "mgno": "sciml.surrogates.grid.mgno",
    "mlp": "sciml.surrogates.mlp",
    "pod_deeponet": "sciml.surrogates.deeponet.pod",
    "tfno": "sciml.surrogates.grid.tfno",
    "unet": "sciml.surrogates.grid.unet",
    "uno": "sciml.surrogates.grid.uno",
    "vit": "sciml.surrogates.grid.vit",
}

#: Models that are one operator at every resolution: trained on one grid, they predict on finer and
#: coarser ones of the same box. A module says so itself by ``any_resolution``.
ANY_RESOLUTION = ("fno", "tfno", "uno")


def names() -> list[str]:
    """Names of all models."""
    return sorted(MODELS)


def builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds the model called ``name``.

    Raises:
        InputError: unknown name; the nearest one and the list are given.
    """
    if name not in MODELS:
        raise InputError(f"unknown model '{name}'; {nearest(name, MODELS)}")
    return import_module(MODELS[name]).build


def options(name: str) -> dict[str, object]:
    """Keys that the model called ``name`` takes, with their defaults."""
    parameters = inspect.signature(builder(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def check(name: str, config: dict[str, object]) -> None:
    """Refuse keys that the model does not have.

    Raises:
        InputError: unknown model or key, with the nearest one.
    """
    known = options(name)
    for key in config:
        if key not in known:
            near = nearest(key, [*known, "symmetrize"])  # which every model on a grid takes
            raise InputError(f"model '{name}' has no option '{key}'; {near}")


def build(name: str, task: Task, domain: Domain | None, **config: object) -> nn.Module:
    """Build a model with plain-tensor ``forward``.

    Args:
        name: one of :data:`MODELS`.
        task: gives the numbers of channels.
        domain: gives dimension, shape and boundaries.
        config: options of the model.

    Raises:
        InputError: unknown model or option, or a domain that the model cannot work on.
    """
    check(name, config)
    return builder(name)(task, domain, **config)
