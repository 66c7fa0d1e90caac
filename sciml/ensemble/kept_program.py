"""The solver program that a run began with: its checksum, and whether it is another now."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from sciml.ensemble.folders import JobFolders, reading
from sciml.installation import version
from sciml.share import share_root

SCHEMA_VERSION = 1


def program_changed(run: JobFolders, program: Path) -> str | None:
    """What is another about a solver program than when the run began; ``None``: nothing."""
    kept = read_kept(run)["solver"]
    if kept is None or kept["sha256"] == sha256(program):
        return None
    if kept["version"] is not None and kept["version"] != version():
        return (
            f"{program} is that of sciml {version()}, the run began with that of {kept['version']}, and "
            "frames of two programs do not mix"
        )
    return (
        f"{program} was changed since the run began (SHA-256 {sha256(program)[:8]}…, was "
        f"{kept['sha256'][:8]}…), and frames of two programs do not mix"
    )


def noted(program: Path) -> dict[str, Any]:
    ours = share_root() in program.resolve().parents
    return {
        "path": str(program),
        "sha256": sha256(program),
        "version": version() if ours else None,
    }


def read_kept(run: JobFolders) -> dict[str, Any]:
    """What was kept.

    Raises:
        InputError: it is not there, or cannot be read.
    """
    with reading(run.kept, SCHEMA_VERSION, "put it back as it was") as content:
        model, solver = content["model"], content["solver"]
        texts = []
        for kept in (model, *content.get("conditions", {}).values()):
            if kept is not None:
                texts += [kept[key] for key in ("name", "path", "sha256")]
                texts += [text for entry in kept["beside"].items() for text in entry]
        texts += [] if solver is None else [solver["path"], solver["sha256"]]
        if not all(isinstance(text, str) for text in texts) or (solver and "version" not in solver):
            raise TypeError("an entry is no text")
    return content


def sha256(path: Path) -> str:
    """Of a file; nothing of one that is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
