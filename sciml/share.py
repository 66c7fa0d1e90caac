"""Finds what rides along with the library: ``solvers/``, ``data/``, ``workflows/``."""

from __future__ import annotations

import os
from pathlib import Path

from sciml.errors import InputError, nearest


def share_root() -> Path:
    """The folder that holds ``solvers``, ``data`` and ``workflows``.

    A wheel carries them in ``sciml/_share``; in a checkout they lie beside the package.
    """
    package = Path(__file__).resolve().parent
    inside = package / "_share"
    return inside if inside.is_dir() else package.parent


def find(path: str | os.PathLike[str]) -> Path:
    """Absolute path of what is in the working directory, or in the share.

    Args:
        path: e.g. ``solvers/heat.py``; an absolute path is taken as it is.

    Raises:
        InputError: it is in neither place; names both and the nearest existing name.
    """
    wanted = Path(path).expanduser()
    places = [Path.cwd(), share_root()]
    for place in places:
        candidate = place / wanted  # an absolute path stays what it is
        if candidate.exists():
            return candidate.resolve()
    if wanted.is_absolute():
        raise InputError(f"no file '{wanted}'; {_existing(wanted)}")
    if aliases := _named(wanted.name):
        raise InputError(f"no '{wanted}'; did you mean '{aliases[0]}'?")
    looked = " nor in ".join(dict.fromkeys(str(place) for place in places))
    raise InputError(f"no '{wanted}' in {looked}; {_existing(*(p / wanted for p in places))}")


def _named(name: str) -> list[Path]:
    """Programs and studies of the share that go by a bare name."""
    root = share_root()
    there = [Path("solvers") / f"{name}.py", Path("workflows") / name / "study.yaml"]
    return [path for path in there if (root / path).is_file()]


def _existing(*candidates: Path) -> str:
    """What is there instead, in the folders where the candidates would lie."""
    suffix = candidates[0].suffix
    names: set[str] = set()
    for folder in dict.fromkeys(candidate.parent for candidate in candidates):
        if folder.is_dir():
            names |= {
                entry.name
                for entry in folder.iterdir()
                if not entry.name.startswith(("_", ".")) and entry.suffix == suffix
            }
    if not names:
        return "its folder holds nothing of that kind"
    return nearest(candidates[0].name, names)
