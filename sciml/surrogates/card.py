"""The card of a saved surrogate, ``surrogate.json``: what it says, and how it is held against that.

A card names every option of its model as it was, defaults written out, so that a default that is
changed later changes nothing that is saved. Each of its keys has a digest: what is edited by hand, or
damaged, is told by name and not taken for what was saved.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from sciml.domain import Field
from sciml.errors import InputError, nearest
from sciml.installation import version
from sciml.samples import Task
from sciml.samples.step import Step
from sciml.surrogates.symmetry.symmetries import Symmetries

log = logging.getLogger("sciml.surrogates")

#: Of what a card says; cards of another one are refused.
SCHEMA_VERSION = 2
#: Packages whose versions are written down, and whether predictions depend on them: of those, another
#: major version is told of.
PACKAGES = {"torch": True, "neuraloperator": True, "numpy": True, "xarray": False}
#: Keys that tell when and by what; predictions do not depend on them.
CIRCUMSTANCES = ("schema_version", "created", "versions", "digests")


class SourceFile(BaseModel):
    """The Python file that built the model, and those beside it that it imports: their SHA-256."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    sha256: str
    beside: dict[str, str]


class Card(BaseModel):
    """What ``surrogate.json`` holds.

    Args:
        created: when, in UTC.
        versions: of Python, of this package and of those that it computes with.
        model: name and options as they were given; ``None`` for a module that is not built by name.
        options: all options, defaults and what was chosen for ``None`` written out.
        source: of a model built by a file.
        class_: of the module.
        dtype: of its weights, those of several together.
        weights: their number.
        checksum: SHA-256 of the file of weights.
        task, domain, fields_, normalizer, increment, step, anywhere, symmetrize: see
            :class:`~sciml.surrogates.surrogate.Surrogate`.
        seen: all domains of the training, where these are more than the model was built for.
        masks: by field that has one, its shape and its bits, zlib in base64.
        digests: of each other key that has a value; ``null`` is as if the key were not there.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    schema_version: Literal[2]
    created: str
    versions: dict[str, str]
    model: dict[str, Any] | None
    options: dict[str, Any] | None
    source: SourceFile | None
    class_: str
    dtype: str
    weights: int
    checksum: str
    task: Task
    domain: dict[str, Any] | None
    fields_: list[Field]
    normalizer: bool
    increment: bool
    step: Step | None = None
    anywhere: bool
    symmetrize: Symmetries | None = None
    seen: dict[str, Any] | None = None
    masks: dict[str, dict[str, Any]] | None = None
    digests: dict[str, str]


#: Names in the file that Python, or pydantic, has for itself.
_SPELLED = {"class": "class_", "fields": "fields_"}


def circumstances() -> dict[str, Any]:
    """Version of the schema, time, and versions of all that computes."""
    versions = {"python": platform.python_version(), "sciml": version()}
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions | {name: _version(name) for name in PACKAGES},
    }


def sealed(card: Mapping[str, Any]) -> str:
    """A card as the text of its file, with a digest of each key.

    Raises:
        InputError: an option that is no plain data.
    """
    plain = json.loads(_dumped(dict(card)))
    return json.dumps({**plain, "digests": _digests(plain)}, indent=2) + "\n"


def require_plain(options: Mapping[str, Any] | None) -> None:
    """Refuse options of a model that a card cannot hold."""
    for key, value in (options or {}).items():
        try:
            _dumped({key: value})
        except InputError as error:
            raise InputError(f"model: option {key}: {error}") from error


def read_card(path: Path) -> Card:
    """The card in a file, held against its schema and its digests."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}); save it again") from error
    if not isinstance(plain, dict):
        raise InputError(f"{path} is no card of a surrogate; save it again")
    schema = plain.get("schema_version")
    if type(schema) is not int or schema != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version {schema!r}; this version reads {SCHEMA_VERSION}")
    spelled = {
        _SPELLED.get(k, k if k not in _SPELLED.values() else f"{k} "): v for k, v in plain.items()
    }
    try:
        card = Card.model_validate_json(json.dumps(spelled))
    except ValidationError as error:
        raise InputError(f"{path}: {_complaint(error)}; save the surrogate again") from error
    _require_unchanged(path, plain)
    _compare_versions(path, card.versions)
    return card


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def dtype_of(parameters: Mapping[str, torch.Tensor]) -> str:
    """Dtypes of weights in words."""
    return ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in parameters.values()}))


def _require_unchanged(path: Path, plain: dict[str, Any]) -> None:
    written, found = plain["digests"], _digests(plain)
    for key in {**found, **written}:
        if written.get(key) != found.get(key):
            raise InputError(
                f"{path}: '{key}' is not what was saved (by its digest); to change it, load the "
                "surrogate as it was, change it in Python, and save it again"
            )


def _digests(plain: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
        for key, value in plain.items()
        if key not in CIRCUMSTANCES and value is not None
    }


def _compare_versions(path: Path, saved: Mapping[str, str]) -> None:
    """One line where a major version differs; smaller steps and older ones say nothing."""
    here = {name: _version(name) for name, matters in PACKAGES.items() if matters}
    here["sciml"] = version()
    differ = [
        f"{name} {saved[name]} (here {now})"
        for name, now in here.items()
        if name in saved and _major(saved[name]) != _major(now)
    ]
    if differ:
        log.warning("%s was saved with %s: predictions may differ", path, ", ".join(differ))


def _major(version: str) -> str:
    return version.partition(".")[0]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _complaint(error: ValidationError) -> str:
    """One line for the first error; an unknown key before all, since a misspelled one is missing too."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    loc = ["class" if p == "class_" else "fields" if p == "fields_" else p for p in first["loc"]]
    key = ".".join(map(str, loc)).strip()
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = [{v: k for k, v in _SPELLED.items()}.get(n, n) for n in Card.model_fields]
        return f"unknown key '{key}'" + (f"; {nearest(key, known)}" if len(loc) == 1 else "")
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    said = " ".join(first["msg"].removeprefix("Value error, ").split())
    shown = repr(first["input"])
    return f"key '{key}': got {shown[:57] + '…' if len(shown) > 58 else shown}; {said}"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot be saved ({error}); expected plain data") from error


def _plain(value: Any) -> Any:
    """Options that were given as numbers and arrays of numpy."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise InputError(
        f"option of type {type(value).__name__} cannot be saved; expected plain numbers"
    )
