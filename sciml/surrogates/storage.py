"""A surrogate on disk: its weights, and a card from which it is built again."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from torch import Tensor, nn

from sciml.domain.wire import domain_from_wire, domain_to_wire, fields_from_wire, fields_to_wire
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import own_model, registry, weights
from sciml.surrogates.normalizer import Normalizer

if TYPE_CHECKING:
    from sciml.surrogates.surrogate import Surrogate

WEIGHTS, CARD = "model.safetensors", "surrogate.json"
SCHEMA_VERSION = 1


def save(surrogate: Surrogate, directory: str | Path) -> None:
    """See :meth:`~sciml.surrogates.surrogate.Surrogate.save`."""
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; expected a directory, or a name that is free")
    directory.mkdir(parents=True, exist_ok=True)
    weights.write(surrogate, directory / WEIGHTS)
    model, averaged = weights.unwrapped(surrogate.model), surrogate.symmetrization
    domain = surrogate.built_on if surrogate.domain is None else surrogate.domain
    card = {
        "schema_version": SCHEMA_VERSION,
        "model": surrogate.config,
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "task": asdict(surrogate.task),
        "domain": None if domain is None else _bytes_to_text(domain_to_wire(domain)),
        "anywhere": surrogate.domain is None,
        "fields": fields_to_wire(surrogate.fields),
        "normalizer": surrogate.normalizer is not None,
        "increment": surrogate.increment,
        "dt": surrogate.dt,
        "symmetrize": None if averaged is None else asdict(averaged.symmetries),
    }
    (directory / CARD).write_text(json.dumps(card, indent=2, default=_plain) + "\n")


def load(
    kind: type[Surrogate], directory: str | Path, model: nn.Module | str | Path | None
) -> Surrogate:
    """See :meth:`~sciml.surrogates.surrogate.Surrogate.load`."""
    directory = Path(directory)
    card = _read(directory)
    task, wire = Task(**card["task"]), card["domain"]
    domain = None if wire is None else domain_from_wire(_text_to_bytes(wire))
    if isinstance(model, type):
        raise InputError(
            f"{directory}: model is the class {model.__name__}; expected an instance: "
            f"{model.__name__}(...)"
        )
    if not isinstance(model, nn.Module):
        name, options = _named(directory, card, model)
        model = registry.build(name, task, domain, **options)
    surrogate = kind(
        model,
        task,
        Normalizer(task) if card["normalizer"] else None,
        domain,
        increment=card["increment"],
        fields=fields_from_wire(card["fields"]),
        dt=card["dt"],
        config=card["model"],
        symmetrize=_symmetries(card.get("symmetrize"), task),
    )
    if card.get("anywhere"):
        surrogate.domain = None
    _fill(surrogate, directory / WEIGHTS, card["class"])
    return surrogate.eval()


def _symmetries(averaged: dict[str, Any] | None, task: Task) -> dict[str, Any] | None:
    """Of a card; before there were laws for all fields in it, what had none was a scalar."""
    if averaged is None or "scalars" in averaged:
        return averaged
    vectors = [name for vector in averaged["vectors"] for name in vector.values()]
    names = dict.fromkeys((*task.inputs, *task.targets, *task.static))
    given = {*vectors, *averaged["pseudoscalars"]}
    return {**averaged, "scalars": [name for name in names if name not in given]}


def _named(directory: Path, card: dict[str, Any], given: str | Path | None) -> tuple[str, dict]:
    """Name and options of the model of a card. A card does not make us run a file: the caller does."""
    if card["model"] is None:
        raise InputError(
            f"{directory}: the model {card['class']} is not registered; "
            "pass an instance: Surrogate.load(directory, model=...)"
        )
    options = dict(card["model"])
    name = options.pop("name")
    if own_model.is_file(name) and given is None:
        raise InputError(
            f"{directory}: the model is built by the file {name}, which would be run; to say that it "
            f"may be, pass it: load(directory, model='{name}')"
        )
    return name if given is None else str(given), options


def _read(directory: Path) -> dict[str, Any]:
    """The card of a directory, of a version that is known."""
    path = directory / CARD
    if not path.is_file():
        raise InputError(
            f"{directory}: no {CARD} there; expected a directory written by Surrogate.save"
        )
    try:
        card = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); save it again") from error
    if not isinstance(card, dict):
        raise InputError(f"{path} is no card of a surrogate; save it again")
    if card.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {card.get('schema_version')}; this version reads "
            f"{SCHEMA_VERSION}"
        )
    return card


def _fill(surrogate: Surrogate, path: Path, model: str) -> None:
    """Weights from a file, in the dtype that they have there."""
    try:
        state = weights.read(path)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}); save or train it again") from error
    _take_dtypes(surrogate.model, state)
    try:
        weights.fill(surrogate, state)
    except RuntimeError as error:
        raise InputError(f"{path}: weights do not fit the model {model}: {error}") from error


def _take_dtypes(model: nn.Module, state: dict[str, Any]) -> None:
    """Give parameters the dtypes that they have in a file; buffers may have some of their own."""
    # Of parameters alone, by the names that files have.
    mine = weights.state_of(model).items()
    held = {f"model.{name}": p for name, p in mine if isinstance(p, nn.Parameter)}
    found = {n: state[n].dtype for n in held if isinstance(state.get(n), Tensor)}
    real = {dtype for dtype in found.values() if dtype.is_floating_point}
    if len(real) == 1:
        [dtype] = real
        # As Module.to, which would make complex weights real.
        model._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)
    for name, dtype in found.items():
        if held[name].dtype != dtype and held[name].is_complex() == dtype.is_complex:
            held[name].data = held[name].data.to(dtype)


def _plain(value: Any) -> Any:
    """Options that were given as numbers and arrays of numpy."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise InputError(
        f"option of type {type(value).__name__} cannot be saved; expected plain numbers"
    )


def _bytes_to_text(value: Any) -> Any:
    """JSON has no bytes: ``{"base64": …}`` in their place."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {k: _bytes_to_text(v) for k, v in value.items()}
    return value


def _text_to_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            return base64.b64decode(value["base64"])
        return {k: _text_to_bytes(v) for k, v in value.items()}
    return value
