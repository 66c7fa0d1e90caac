"""How long a peer may be silent, and when it is asked something."""

from __future__ import annotations

import time

#: Seconds between questions.
ASK_EVERY = 1.0


class Patience:
    """How long a peer has been silent, and when to ask it something.

    Args:
        limit: seconds of silence to bear.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._heard = self._asked = time.monotonic()

    def heard(self) -> None:
        self._heard = time.monotonic()

    @property
    def silence(self) -> float:
        return time.monotonic() - self._heard

    @property
    def exhausted(self) -> bool:
        return self.silence > self._limit

    def asks(self) -> bool:
        """Whether a question is due; it then counts as asked."""
        now = time.monotonic()
        due = now - max(self._asked, self._heard) >= ASK_EVERY
        if due:
            self._asked = now
        return due
