"""Asked to stop: Ctrl-C, and the signals of a batch system."""

from __future__ import annotations

import signal
import threading

#: Exit codes: interrupted by Ctrl-C; ended by a batch system ("run me again").
INTERRUPTED, STOPPED = 130, 75
_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopRequested(Exception):
    """An orderly end was asked for."""


class StopRequest:
    """Notes SIGINT, SIGTERM and SIGUSR1 while entered, so that an end can be orderly.

    A second one raises KeyboardInterrupt at once. Outside of the main thread, as in a notebook's
    worker, signals are left alone.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: dict[int, object] = {}

    def __bool__(self) -> bool:
        """Whether it was asked for."""
        return self._number is not None

    def check(self) -> None:
        """Raise :class:`StopRequested` if it was asked for."""
        if self:
            raise StopRequested

    @property
    def code(self) -> int:
        """Exit code that says how it was asked for."""
        return INTERRUPTED if self._number == signal.SIGINT else STOPPED

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._asked) for number in _CAUGHT}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: object) -> None:
        if self._number is not None:
            raise KeyboardInterrupt
        self._number = number
