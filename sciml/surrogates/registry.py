"""Models by name, built from the keys of a study file."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module

from torch import nn

from sciml.errors import InputError, ScimlError, nearest
from sciml.surrogates import own_model
from sciml.surrogates.option_types import fits, wanted_types, words
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import traits_of

#: Each module has ``build(setting, *, key=default, …) -> nn.Module``; its keywords are the keys that
#: a study file may set. Where it chooses a value for ``None``, the :class:`Traits` of the module that
#: it returns say which.
MODELS: dict[str, str] = {
    "cnn": "sciml.surrogates.grid.cnn",
    "deeponet": "sciml.surrogates.deeponet.deeponet",
    "egnn": "sciml.surrogates.particles.egnn",
    "fa_gnn": "sciml.surrogates.particles.fa_gnn",
    "fno": "sciml.surrogates.grid.fno",
    "frame_averaging": "sciml.surrogates.particles.frame_averaging",
    "gcn": "sciml.surrogates.graph.gcn",
    "grand": "sciml.surrogates.graph.grand",
    "gread": "sciml.surrogates.graph.gread",
    "lpinn": "sciml.surrogates.pinn.lpinn",
    "mace": "sciml.surrogates.particles.mace.mace",
    "mesh_transformer": "sciml.surrogates.mesh.mesh_transformer",
    "meshgraphnet": "sciml.surrogates.mesh.meshgraphnet",
    "mgno": "sciml.surrogates.grid.mgno",
    "mionet": "sciml.surrogates.deeponet.mionet",
    "mlp": "sciml.surrogates.mlp",
    "mppde": "sciml.surrogates.mesh.mppde",
    "mpnn": "sciml.surrogates.particles.mpnn",
    "pinn": "sciml.surrogates.pinn.pinn",
    "pod_deeponet": "sciml.surrogates.deeponet.pod",
    "ponita": "sciml.surrogates.particles.ponita",
    "sheaf_diffusion": "sciml.surrogates.graph.sheaf",
    "sheaf_nn": "sciml.surrogates.graph.sheaf_nn",
    "tfno": "sciml.surrogates.grid.tfno",
    "transolver": "sciml.surrogates.mesh.transolver",
    "unet": "sciml.surrogates.grid.unet",
    "uno": "sciml.surrogates.grid.uno",
    "vit": "sciml.surrogates.grid.vit",
}

#: Models that are one operator at every resolution: trained on one grid, they predict on finer and
#: coarser ones of the same box. A module says so itself in its :class:`Traits`.
ANY_RESOLUTION = ("fno", "tfno", "uno")


#: Options that count layers, one built after the other: of many millions there would be no end.
_LAYERS, MOST_LAYERS = re.compile(r"layers|depth|levels|blocks"), 1000

#: A reference in a docstring, and the last part of what it names.
_ROLE = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")


def names() -> list[str]:
    """Names of all models, those that installed packages declare among them."""
    return sorted({*MODELS, *own_model.declared()})


def builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds the model called ``name``: one of :data:`MODELS`, one that an
    installed package declares, or the path of a Python file with ``build``."""
    if name in MODELS:
        return import_module(MODELS[name]).build
    if own_model.is_file(name):
        return own_model.from_file(name)
    if name in own_model.declared():
        return own_model.from_package(name)
    raise InputError(
        f"unknown model '{name}'; {nearest(name, names())}; or the path of your own, my_net.py"
    )


def options(name: str) -> dict[str, object]:
    """Keys that the model called ``name`` takes, with their defaults."""
    _, *parameters = inspect.signature(builder(name)).parameters.values()
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {p.name: p.default for p in parameters if p.kind in named}


def resolved(name: str, given: Mapping[str, object], model: nn.Module) -> dict[str, object]:
    """Every option that ``model``, built by ``name`` with those given, has: defaults written out, and
    what was chosen for ``None``. Built with them it is the same, whatever the defaults are by then.

    Defaults that are no plain data (functions, classes) are left out: the file that has them is known
    by its checksum.
    """
    chosen = traits_of(model).chosen if name in MODELS else {}
    found = {**options(name), **given}
    found |= {key: value for key, value in chosen.items() if found.get(key) is None}
    return {key: value for key, value in found.items() if key in given or _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def described(name: str) -> dict[str, dict[str, object]]:
    """Options of a model by name: the ``type`` in words, and the ``default``.

    Raises:
        InputError: as :func:`builder`.
    """
    wanted = wanted_types(builder(name))
    return {
        key: {"type": words(wanted[key]) if key in wanted else "anything", "default": default}
        for key, default in options(name).items()
    }


def page(name: str) -> str:
    """What the model called ``name`` says of itself: its equation, shapes, arguments, source."""
    build = builder(name)
    for value in vars(inspect.getmodule(build)).values():
        if inspect.isclass(value) and value.__name__.lower() == name.replace("_", ""):
            build = value
    text = inspect.getdoc(build) or ""
    keys = inspect.getdoc(builder(name)) or ""
    if build is not builder(name) and "Args:" in keys:
        # A class says what it is made of, its builder what keys mean.
        text += "\n\nKeys:" + keys.partition("Args:")[2].partition("\n\n")[0]
    return _ROLE.sub(r"\1", text)


def check(name: str, config: dict[str, object]) -> None:
    """Refuse keys that the model does not have, and values of another type.

    Raises:
        InputError: unknown model or key, with the nearest one; a value that cannot be, with what was
            expected.
    """
    known, wanted = options(name), wanted_types(builder(name))
    for key, value in config.items():
        if key not in known:
            # ``symmetrize`` is none of the model's, yet stands beside them for every one on a grid.
            near = nearest(key, [*known, "name", "symmetrize"])
            raise InputError(f"model '{name}' has no option '{key}'; {near}")
        if isinstance(value, int) and value > MOST_LAYERS and _LAYERS.search(key):
            raise InputError(
                f"model '{name}': {key}={value}; expected {MOST_LAYERS} at most (default {known[key]!r})"
            )
        if key in wanted and not fits(value, wanted[key]):
            raise InputError(
                f"model '{name}': {key}={value!r}; expected {words(wanted[key])} "
                f"(default {known[key]!r})"
            )


def build(name: str, setting: Setting, **config: object) -> nn.Module:
    """Build a model with plain-tensor ``forward``.

    Args:
        name: as in :func:`builder`.
        setting: gives the numbers of channels, dimension, shape and boundaries.
        config: options of the model.

    Raises:
        InputError: unknown model or option, values from which nothing can be built, a domain that the
            model cannot work on, weights that memory has no room for.
    """
    check(name, config)
    try:
        model = builder(name)(setting, **config)
    except ScimlError:
        raise
    except _REASONS as error:
        if isinstance(error, RuntimeError) and "meta" in str(error).lower():
            raise  # a model that looks at its values, built without any: see sciml.run.feasibility
        given = ", ".join(f"{key}={value!r}" for key, value in config.items())
        raise InputError(
            f"model '{name}' with {given or 'its defaults'} cannot be built: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"model '{name}': build returned {type(model).__name__}; expected a torch.nn.Module"
        )
    return model


#: What layers raise at sizes that cannot be: negative, not divisible, larger than the memory.
_REASONS = (TypeError, ValueError, AssertionError, ArithmeticError, RuntimeError, MemoryError)
