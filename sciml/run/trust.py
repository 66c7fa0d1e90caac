"""Whose run a folder is: to resume one runs the programs that it names.

What a run is trained by, and what it kept of it, bears a mark, so that a folder that somebody sent, or
that somebody else could write to, does not have its programs run by us. The mark is an HMAC-SHA256 with
a key that this user made once; it lies with the user and not with the run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from sciml.ensemble.folders import read_json
from sciml.errors import InputError
from sciml.run.directory import RunDirectory

log = logging.getLogger("sciml.run")


def signed(run: RunDirectory, study: dict[str, Any]) -> str | None:
    """The mark of what a run would have run: its study, and the files that it kept."""
    return mark(_marked(run, study))


def require_trust(run: RunDirectory, study: dict[str, Any], given: str | None) -> None:
    """That a folder may have the programs run that it names.

    Args:
        run: the folder.
        study: in force there.
        given: the mark that came with it; none where it was made without a home:
            then the owner is warned.

    Raises:
        InputError: it is somebody else's, others may write to it, or it was made elsewhere.
    """
    runs = " and ".join(_programs(study))
    remedy = f"to go on runs {runs}: look at it, and say that it may be run, with --trust"
    paths = [p for p in (run.path, run.lineage, run.study, run.kept) if p.exists()]
    states = [path.stat() for path in paths]
    for path, state in zip(paths, states, strict=True):
        if state.st_uid != os.geteuid():
            raise InputError(f"{path} belongs to {_name(state.st_uid)}, and {remedy}")
    if is_own(_marked(run, study), given):
        return
    for path, state in zip(paths, states, strict=True):
        if stat.S_IMODE(state.st_mode) & 0o022:
            raise InputError(
                f"others may write to {path} (mode {stat.S_IMODE(state.st_mode):o}), it bears no mark "
                f"of yours, and {remedy}"
            )
    if given is not None:
        raise InputError(
            f"{run.path} was made by somebody else or elsewhere, or was changed since, and {remedy}"
        )
    log.warning("warning: %s bears no mark of yours; it runs %s", run.path, runs)


def _marked(run: RunDirectory, study: dict[str, Any]) -> list[Any]:
    kept = read_json(run.kept) if run.kept.is_file() else None
    return [study, kept]


def _programs(study: dict[str, Any]) -> list[str]:
    """What a study has run that somebody may have written."""
    names = [(study.get("solver") or {}).get("program"), (study.get("model") or {}).get("name")]
    objectives = ((study.get("training") or {}).get("objectives") or {}).values()
    held = [(one.get("solution") or {}).get("file") for one in objectives]
    names += [file for file in held if str(file).endswith(".py")]
    names_of_files = [
        str(name) for name in names if name and ("/" in str(name) or str(name).endswith(".py"))
    ]
    return names_of_files or ["what its study names"]


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def mark(content: Any) -> str | None:
    """The mark of plain data; ``None`` where no key can be kept: no home, or one that is read only."""
    key = _key(make=True)
    return None if key is None else _hmac(key, content)


def is_own(content: Any, given: str | None) -> bool:
    """Whether this user, or who shares this home, marked the content."""
    key = _key(make=False)
    if key is None or not isinstance(given, str):
        return False
    return hmac.compare_digest(_hmac(key, content).encode(), given.encode())


def _hmac(key: bytes, content: Any) -> str:
    return hmac.new(key, json.dumps(content, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes | None:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = Path(state).expanduser() / "sciml" / "key"
    try:
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            aside = path.with_name(f".key.{os.getpid()}")
            aside.touch(mode=0o600)
            aside.write_bytes(os.urandom(32))
            try:
                os.link(aside, path)  # whoever is first: a key that is used is never replaced
            finally:
                aside.unlink()
        key = path.read_bytes()
    except (OSError, RuntimeError):  # a home that is not there is a RuntimeError
        return path.read_bytes() if path.is_file() else None
    return key if len(key) == 32 else None
