"""A surrogate on disk: its weights, and a card from which it is built again."""

from __future__ import annotations

import base64
import logging
import os
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from sciml.domain import Grid
from sciml.domain.wire import fields_to_wire
from sciml.errors import InputError, ScimlError
from sciml.samples.masks import Mask
from sciml.surrogates import own_model, registry, weights
from sciml.surrogates.card import (
    Card,
    checksum,
    circumstances,
    dtype_of,
    read_card,
    sealed,
)
from sciml.surrogates.normalizer import Normalizer
from sciml.surrogates.scope import Scope, scope_from_wire, scope_to_wire
from sciml.surrogates.setting import Setting

if TYPE_CHECKING:
    from sciml.surrogates.physical_model import PhysicalModel

M = TypeVar("M", bound="PhysicalModel")

log = logging.getLogger("sciml.surrogates")

WEIGHTS, CARD = "model.safetensors", "surrogate.json"


def save(surrogate: PhysicalModel, directory: str | Path) -> None:
    """See :meth:`~sciml.surrogates.surrogate.Surrogate.save`."""
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; expected a directory, or a name that is free")
    surrogate.require_savable()
    directory.mkdir(parents=True, exist_ok=True)
    # Aside and renamed: a kill leaves what was there, or a card that says that its weights are others.
    files = {name: directory / f".{name}.{os.getpid()}" for name in (WEIGHTS, CARD)}
    try:
        weights.write(surrogate, files[WEIGHTS])
        files[CARD].write_text(sealed(_card(surrogate, files[WEIGHTS])), encoding="utf-8")
        for name, aside in files.items():
            os.replace(aside, directory / name)
    finally:
        for aside in files.values():
            aside.unlink(missing_ok=True)


def _card(surrogate: PhysicalModel, file: Path) -> dict[str, Any]:
    model, averaged = weights.unwrapped(surrogate.model), surrogate.symmetrization
    built, seen = surrogate.setting.scope, surrogate.domain
    held = dict(model.named_parameters())
    return {
        **circumstances(),
        "model": surrogate.config,
        "options": surrogate.options,
        "source": surrogate.source,
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "dtype": dtype_of(held),
        "weights": sum(p.numel() for p in held.values()),
        "checksum": checksum(file),
        "task": asdict(surrogate.task),
        "domain": None if built is None else scope_to_wire(built),
        "seen": None if seen is None or seen == built else scope_to_wire(seen),
        "anywhere": surrogate.domain is None,
        "fields": fields_to_wire(surrogate.fields),
        "normalizer": surrogate.normalizer is not None,
        "increment": surrogate.increment,
        "step": None if surrogate.step is None else asdict(surrogate.step),
        "masks": _packed(surrogate.masks),
        "symmetrize": None if averaged is None else asdict(averaged.symmetries),
    }


def load(kind: type[M], directory: str | Path, model: nn.Module | str | Path | None) -> M:
    """See :meth:`~sciml.surrogates.surrogate.Surrogate.load`."""
    directory = Path(directory)
    if not (directory / CARD).is_file():
        raise InputError(
            f"{directory}: no {CARD} there; expected a directory written by Surrogate.save"
        )
    card = read_card(directory / CARD)
    if isinstance(model, type):
        raise InputError(
            f"{directory}: model is the class {model.__name__}; expected an instance: "
            f"{model.__name__}(...)"
        )
    scope = _scope(directory / CARD, card.domain)
    state = _state(directory / WEIGHTS, card)
    built = not isinstance(model, nn.Module)
    config, options, source = card.model, card.options, None
    if built:
        name, given = _named(directory, card, model)
        try:
            model = registry.build(name, Setting(card.task, scope, card.fields_), **given)
        except ScimlError as error:
            raise InputError(f"{directory / CARD}: {' '.join(str(error).split())}") from error
        options = registry.resolved(name, given, model) if options is None else options
        source = own_model.source_of(name) if own_model.is_file(name) else None
        _compare_source(directory, card, name, source)
    elif (found := type(weights.unwrapped(model)).__qualname__) != card.class_.rpartition(".")[2]:
        log.warning(
            "%s was saved from a %s; the model given is a %s", directory, card.class_, found
        )
    try:
        surrogate = kind(
            model,
            card.task,
            Normalizer.of(Setting(card.task, scope, card.fields_)) if card.normalizer else None,
            scope,
            increment=card.increment,
            fields=card.fields_,
            dt=card.step,
            masks=_unpacked(directory / CARD, card, scope),
            config=config,
            symmetrize=card.symmetrize,
            options=options,
            source=source,
        )
    except ScimlError as error:
        raise InputError(f"{directory / CARD}: {error}") from error
    if card.anywhere:
        surrogate.domain = None
    elif card.seen is not None:
        surrogate.domain = _scope(directory / CARD, card.seen)
    _fill(surrogate, directory / WEIGHTS, state, card)
    return surrogate.eval()


def _named(directory: Path, card: Card, given: str | Path | None) -> tuple[str, dict[str, Any]]:
    """Name and options of the model of a card. A card does not make us run a file: the caller does."""
    if card.model is None:
        raise InputError(
            f"{directory}: the model {card.class_} is not registered; "
            "pass an instance: Surrogate.load(directory, model=...)"
        )
    options = dict(card.model)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise InputError(
            f"{directory / CARD}: key 'model.name': got {name!r}; expected the name of a model; save "
            "the surrogate again"
        )
    if own_model.is_file(name) and given is None:
        raise InputError(
            f"{directory}: the model is built by the file {name}, which would be run; to say that it "
            f"may be, pass it: load(directory, model='{name}')"
        )
    return name if given is None else str(given), dict(card.options or options)


def _compare_source(directory: Path, card: Card, name: str, source: dict[str, Any] | None) -> None:
    """Say where the file that builds a model is not the one that built it."""
    saved = card.source
    if saved is None or source is None:
        return
    changed = [] if saved.sha256 == source["sha256"] else [name]
    changed += [
        other for other, sha in saved.beside.items() if source["beside"].get(other, sha) != sha
    ]
    if changed:
        log.warning(
            "%s: %s is not what it was when the surrogate was saved (by its SHA-256): predictions may "
            "differ",
            directory,
            ", ".join(changed),
        )


def _scope(path: Path, said: dict[str, Any] | None) -> Grid | Scope | None:
    try:
        return None if said is None else scope_from_wire(said)
    except (ScimlError, ValueError, TypeError, ArithmeticError) as error:
        raise InputError(f"{path}: key 'domain': {error}; save the surrogate again") from error


def _packed(masks: Mask) -> dict[str, Any] | None:
    """Masks as text: a bit a point, compressed."""
    found = {
        name: {
            "shape": list(mask.shape),
            "bits": base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode(),
        }
        for name, mask in masks.items()
    }
    return found or None


def _unpacked(path: Path, card: Card, scope: Grid | Scope | None) -> dict[str, np.ndarray]:
    found = {}
    for name, packed in (card.masks or {}).items():
        try:
            shape = tuple(packed["shape"])
            if isinstance(scope, Grid) and shape != scope.shape:
                raise ValueError(f"{shape} on a grid of {scope.shape}")
            size = int(np.prod(shape))
            # No more than the points take, whatever the text claims.
            limit = (size + 7) // 8
            bits = zlib.decompressobj().decompress(base64.b64decode(packed["bits"]), limit)
            row = np.unpackbits(np.frombuffer(bits, np.uint8), count=size)
            found[name] = row.reshape(shape).astype(bool)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise InputError(f"{path}: key 'masks.{name}': {error}; save it again") from error
    return found


def _state(path: Path, card: Card) -> dict[str, Any]:
    """What the file of weights holds, if the card was written with it."""
    try:
        if card.checksum != checksum(path):
            raise InputError(
                f"{path} is damaged, or holds other weights than those that {CARD} beside it was "
                "written with (by their checksum); put two files of one save together, or save it again"
            )
        return weights.read(path)
    except InputError:
        raise
    except Exception as error:
        # Whatever the libraries below say of bytes that are no file of weights.
        said = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read ({said}); save or train it again") from error


def _fill(surrogate: PhysicalModel, path: Path, state: dict[str, Any], card: Card) -> None:
    """Weights from a file, in the dtype that they have there."""
    _take_dtypes(surrogate.model, state)
    try:
        weights.fill(surrogate, state)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: weights do not fit the model {card.class_}: {said}") from error
    scaled = (
        [] if surrogate.normalizer is None else surrogate.normalizer.named_buffers("normalizer")
    )
    for name, held in (*surrogate.named_parameters(), *scaled):
        if torch.isnan(held).any():
            raise InputError(
                f"{path}: '{name}' holds NaN: the training that it is of has diverged; take an earlier "
                "checkpoint, or train again with a lower learning rate"
            )


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
