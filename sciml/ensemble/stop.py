"""Asked to stop: Ctrl-C, and the signals of a batch system."""

from __future__ import annotations

import signal
import sys
import threading

#: Exit codes: interrupted by Ctrl-C; ended by a batch system ("run me again").
INTERRUPTED, STOPPED = 130, 75
_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopRequested(KeyboardInterrupt):
    """An orderly end was asked for; ``code`` is the exit code that says how."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class BeforeStart:
    """Handles signals while there is nothing yet that would have to be ended in order: raises.

    What a handler raises is lost where Python cannot raise it, as in what an import calls back. So it is
    remembered, for the first :class:`StopRequest` after that.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        for number in _CAUGHT:
            signal.signal(number, self)

    def __call__(self, number: int, frame: object) -> None:
        self.number = number
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        print("told to end before it had begun: run it again", file=sys.stderr)
        sys.exit(STOPPED)


class StopRequest:
    """Notes SIGINT, SIGTERM and SIGUSR1 while entered, so that an end can be orderly.

    A second one raises KeyboardInterrupt at once. Outside of the main thread, as in a notebook's
    worker, signals are left alone.

    Args:
        event: set when an end is asked for, if there is one.
    """

    def __init__(self, event: threading.Event | None = None) -> None:
        self._number: int | None = None
        self._event = event or threading.Event()
        self._before: dict[int, object] = {}

    def __bool__(self) -> bool:
        """Whether it was asked for."""
        return self._number is not None

    def check(self) -> None:
        """Raise :class:`StopRequested` if it was asked for."""
        if self:
            raise StopRequested(self.code)

    @property
    def code(self) -> int:
        """Exit code that says how it was asked for."""
        return INTERRUPTED if self._number == signal.SIGINT else STOPPED

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._caught) for number in _CAUGHT}
            for handler in self._before.values():
                if isinstance(handler, BeforeStart) and handler.number is not None:
                    self.ask(handler.number)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ask(self, number: int) -> None:
        """As if a signal of that number had come."""
        self._number = number
        self._event.set()

    def _caught(self, number: int, frame: object) -> None:
        if self:
            raise KeyboardInterrupt
        self.ask(number)
