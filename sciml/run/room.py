"""A full disk: how long a run waits for room, and what it says when it ends for want of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Free bytes below which a failure of anything is put down to the disk.
NEXT_TO_NOTHING = 1 << 20


class RoomWatch:
    """Follows what the trainer says about the spool and its checkpoints.

    A spool that cannot be written holds the solvers up, a checkpoint that cannot be written leaves
    the spool full: both mend themselves when somebody frees room, so the run waits, but not for
    ever, since nodes that wait cost what nodes that compute do.

    Args:
        folder: of the run.
        patience: seconds without progress after which waiting is over.
    """

    def __init__(self, folder: Path, patience: float) -> None:
        self._folder, self._patience = folder, patience
        self._spool = self._checkpoint = ""
        self._mark: tuple[int, ...] = ()
        self._since = time.monotonic()

    def take_in(self, reply: Mapping[str, Any]) -> list[str]:
        """Take in a snapshot of the trainer; returns warnings that are new."""
        warnings = []
        spool = (reply.get("stream") or {}).get("problem") or ""
        if spool and not self._spool:
            warnings.append(f"the stream stands still: {spool}")
        checkpoint = reply.get("checkpoint_problem") or ""
        if checkpoint and checkpoint != self._checkpoint:
            warnings.append(f"{checkpoint}; training goes on, the next one is tried")
        self._spool, self._checkpoint = spool, checkpoint
        # With a spool that stands still a reservoir trains on for ever, on what it has.
        received = int((reply.get("frames") or {}).get("received", 0))
        mark = (received,) if spool else (received, int(reply.get("step") or 0))
        if mark != self._mark or not (spool or checkpoint):
            self._mark, self._since = mark, time.monotonic()
        return warnings

    @property
    def spent(self) -> bool:
        """Whether waiting is over."""
        trouble = self._spool or self._checkpoint
        return bool(trouble) and time.monotonic() - self._since > self._patience

    @property
    def full(self) -> bool:
        """Whether what fails now fails for want of room."""
        return bool(self._spool) or self.free < NEXT_TO_NOTHING

    @property
    def free(self) -> int:
        """Bytes left to this user on the disk of the run."""
        return shutil.disk_usage(self._folder).free

    def farewell(self, why: str = "") -> str:
        """Why the run ends, and what to do."""
        why = why or self._spool or self._checkpoint
        return (
            f"no room in {self._folder} ({self.free / 1e6:.0f} MB free on its disk): {why}; free "
            f"some, then go on with: sciml resume {self._folder}"
        )
