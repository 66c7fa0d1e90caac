"""Which run a directory is: a copy of a run is another run.

The spool, the weights and the account of a copy are its own. What would lead it to the processes of the
run that it was copied from is not: address, keys, and the numbers of processes.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

from sciml.ensemble.folders import JobFolders, read_json, write_json, written_aside
from sciml.errors import InputError
from sciml.stream.endpoint import ENDPOINT, SERVER_KEY


def identify(run: JobFolders) -> str:
    """The UUID of a run, made for a new one; one that was copied gets one of its own, and with it no
    way to the processes of the run that it was copied from. Call as its leader.

    A file keeps its number where it is moved, and gets another where it is copied.

    Raises:
        InputError: ``run.json`` cannot be read.
    """
    known = _read(run)
    if known:
        if known["inode"] == run.identity.stat().st_ino:
            return known["run"]
        for name in (ENDPOINT, SERVER_KEY):
            (run.path / name).unlink(missing_ok=True)
        for record in run.pids.glob("*.json"):
            if record != run.supervisor:
                content = read_json(record)
                write_json(record, {**content, "session": None, "began": None})
    return _write(run)


def name_of(run: JobFolders) -> str:
    """The UUID of a run, as its leader wrote it; empty where none did.

    Raises:
        InputError: ``run.json`` cannot be read.
    """
    return _read(run).get("run", "")


def _read(run: JobFolders) -> dict[str, Any]:
    if not run.identity.exists():
        return {}
    try:
        content = read_json(run.identity)
        return {"run": str(content["run"]), "inode": int(content["inode"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{run.identity} cannot be read ({error}); where this is no copy of another run, remove it"
        ) from error


def _write(run: JobFolders) -> str:
    """A file that is renamed keeps its number."""
    name = str(uuid.uuid4())
    with written_aside(run.identity) as file:
        json.dump({"run": name, "inode": os.fstat(file.fileno()).st_ino}, file)
    return name
