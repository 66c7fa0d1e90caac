"""Everything a run needs to go on, in one directory a step; written aside and renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sciml.errors import InputError, ScimlError
from sciml.record.index import checksum
from sciml.surrogates import weights
from sciml.surrogates.packed_state import pack, unpack

WEIGHTS, TENSORS, PLAIN = "model.safetensors", "training.safetensors", "training.msgpack"
MANIFEST = "manifest.json"
#: Of what lies in a checkpoint: 1 knew neither what is held back nor domains that vary.
SCHEMA_VERSION = 2


class CheckpointError(ScimlError, RuntimeError):
    """A checkpoint could not be written or read; the ones before it are untouched."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that was read.

    Args:
        path: its directory; also what ``Surrogate.load`` takes.
        step: optimizer steps done.
        state: what was saved beside the weights; see :func:`sciml.training.loop.train`.
    """

    path: Path
    step: int
    state: dict[str, Any]

    def load_weights(self, model: nn.Module) -> None:
        """Put the weights into ``model``."""
        try:
            weights.fill(model, weights.read(self.path / WEIGHTS))
        except RuntimeError as error:
            raise InputError(f"{self.path}: weights do not fit the model: {error}") from error


class Checkpoints:
    """The checkpoints ``step-00000500`` … of a run.

    Each appears whole or not at all: files are written into a hidden directory, synced, listed with
    their sizes and checksums in a manifest, and the directory is renamed. Whatever goes wrong
    before the rename, a full disk too, leaves those before it as they were.

    Args:
        directory: made if it is not there.
        keep: how many of the last ones stay; the best one stays besides.
    """

    def __init__(self, directory: str | Path, keep: int = 3) -> None:
        self.directory = Path(directory)
        self.keep = max(1, keep)

    def save(
        self, step: int, model: nn.Module, state: Mapping[str, Any], metric: float | None = None
    ) -> Path:
        """Write the checkpoint of ``step``; older ones go, except the last few and the best.

        Args:
            step: optimizer steps done.
            model: a surrogate, or any module.
            state: plain data and tensors, nested.
            metric: how good it is, smaller is better.

        Raises:
            CheckpointError: it could not be written.
        """
        final = self.directory / f"step-{step:08d}"
        aside = self.directory / f".{final.name}.{os.getpid()}"
        try:
            self._clear_leftovers()
            aside.mkdir(parents=True)
            _write(aside, model, state)
            _seal(aside, step, metric)
            if final.exists():
                shutil.rmtree(final)
            aside.rename(final)
            _sync(self.directory)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise CheckpointError(
                f"checkpoint of step {step} not written to {self.directory}: {error}; "
                "free space or give another directory; earlier checkpoints are intact"
            ) from error
        if hasattr(model, "saved_in"):
            model.saved_in = str(final)
        self._prune()
        return final

    def steps(self) -> list[int]:
        """Steps of all checkpoints, intact or not, oldest first."""
        names = (p.name.removeprefix("step-") for p in self.directory.glob("step-*") if p.is_dir())
        return sorted(int(name) for name in names if name.isdecimal())

    def path(self, step: int) -> Path:
        return self.directory / f"step-{step:08d}"

    def newest(self) -> Checkpoint | None:
        """The newest intact checkpoint, ``None`` if there is none."""
        path = self.newest_path()
        return None if path is None else read(path)

    def newest_path(self) -> Path | None:
        """Where the newest intact checkpoint lies."""
        return next((p for p in map(self.path, reversed(self.steps())) if intact(p)), None)

    def best(self) -> Path | None:
        """The intact checkpoint with the smallest metric; the newest if none has one, or none is finite:
        a rollout that blows up ends in NaN, beside which nothing is smaller."""
        found = [p for p in map(self.path, self.steps()) if intact(p)]
        metrics = {p: _manifest(p)["metric"] for p in found}
        rated = [p for p, m in metrics.items() if m is not None and isfinite(m)]
        if rated:
            return min(rated, key=metrics.__getitem__)
        return found[-1] if found else None

    def _prune(self) -> None:
        best = self.best()
        for step in self.steps()[: -self.keep]:
            if self.path(step) != best:
                shutil.rmtree(self.path(step), ignore_errors=True)

    def _clear_leftovers(self) -> None:
        for left in self.directory.glob(".step-*"):
            shutil.rmtree(left, ignore_errors=True)


def intact(path: Path) -> bool:
    """Whether every file of a checkpoint has the size and the checksum of its manifest."""
    try:
        files = _manifest(path)["files"]
        return all(
            (path / name).stat().st_size == size and checksum(path / name) == crc
            for name, (size, crc) in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read(path: str | Path) -> Checkpoint:
    """The checkpoint in a directory.

    Raises:
        CheckpointError: it is damaged, not there, or of another version.
    """
    path = Path(path)
    if not intact(path):
        raise CheckpointError(f"{path}: no intact checkpoint; take another one")
    if (version := _manifest(path)["schema_version"]) != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} is a checkpoint of version {version}, this sciml goes on from version "
            f"{SCHEMA_VERSION}: go on with the one that wrote it, or begin anew (its surrogate can be "
            "loaded all the same)"
        )
    # Cloned: tensors of a mapped file lie at any address, and sums over badly aligned memory are
    # taken in another order, which would end bitwise equality after a resume.
    tensors = {name: t.clone() for name, t in load_file(path / TENSORS).items()}
    state = unpack((path / PLAIN).read_bytes(), tensors)
    return Checkpoint(path, _manifest(path)["step"], state)


def _write(directory: Path, model: nn.Module, state: Mapping[str, Any]) -> None:
    if hasattr(model, "save"):
        model.save(directory)
    else:
        weights.write(model, directory / WEIGHTS)
    plain, tensors = pack(dict(state))
    (directory / PLAIN).write_bytes(plain)
    save_file({n: t.contiguous() for n, t in tensors.items()}, directory / TENSORS)


def _seal(directory: Path, step: int, metric: float | None) -> None:
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "metric": metric,
        "files": {str(p.relative_to(directory)): [p.stat().st_size, checksum(p)] for p in files},
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    for path in (*files, directory / MANIFEST, directory):
        _sync(path)


def _manifest(path: Path) -> dict[str, Any]:
    return json.loads((path / MANIFEST).read_text())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
