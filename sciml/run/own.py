"""Which runs are one's own: marked with a key that lies with the user and not with the run.

A run directory holds Python files that are run when it is opened. One that somebody sent must not make
ours run theirs, so what a run keeps bears a mark, an HMAC-SHA256 with a key that this user made once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any


def mark(content: Any) -> str | None:
    """The mark of plain data; ``None`` where no key can be kept: no home, or one that is read only."""
    key = _key(make=True)
    return None if key is None else _signed(key, content)


def is_own(content: Any, found: str | None) -> bool:
    """Whether this user, or who shares this home, marked the content."""
    key = _key(make=False)
    if key is None or not isinstance(found, str):
        return False
    return hmac.compare_digest(_signed(key, content).encode(), found.encode())


def _signed(key: bytes, content: Any) -> str:
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
