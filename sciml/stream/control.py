"""The supervisor's line to the trainer: one question, one answer."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from sciml.errors import StreamError
from sciml.stream import message as m
from sciml.stream.dealer import Dealer
from sciml.stream.patience import Patience


def check_control(message: Mapping[str, Any]) -> None:
    """Refuse what a supervisor does not say.

    Raises:
        Malformed: an entry of another type.
    """

    def numbers(value: Any) -> bool:
        return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)

    def reasons(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(pair, list)
            and len(pair) == 2
            and numbers(pair[:1])
            and isinstance(pair[1], str)
            for pair in value
        )

    checks = {
        "total": lambda value: numbers([value]),
        "finished": numbers,
        "given_up": reasons,
        "done": lambda value: isinstance(value, bool),
    }
    for key, value in message.items():
        if key in checks and not checks[key](value):
            raise m.Malformed(f"control: {key} = {value!r:.60}; no supervisor says that")


class ControlClient:
    """Sends the trainer what the launcher knows, and gets its status; used from one thread.

    Args:
        endpoint: the endpoint file or its run directory.

    Raises:
        StreamError: no endpoint file, or one that others can read.
    """

    def __init__(self, endpoint: str | os.PathLike[str]) -> None:
        self._dealer = Dealer(endpoint)
        self._number = 0

    def exchange(self, message: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
        """Send ``message``, return the trainer's last status. Idempotent: asked again if need be.

        Args:
            message: plain values; the trainer sees it as a ``Control`` event when it has changed.
            timeout: seconds.

        Raises:
            StreamError: no answer in time, or refused.
        """
        self._number += 1
        run = self._dealer.endpoint.run
        question = m.envelope(m.CONTROL, run=run, number=self._number, message=message)
        self._dealer.reconnect()
        self._dealer.send([question])
        deadline = time.monotonic() + timeout
        patience = Patience(timeout)
        while (left := deadline - time.monotonic()) > 0:
            parts = self._dealer.receive(min(left, 0.25))
            if parts is None:
                if patience.asks() and self._dealer.reconnect():
                    self._dealer.send([question])
                continue
            answer = m.decode_envelope(parts[0])
            if answer["kind"] == m.REFUSED:
                raise StreamError(f"the trainer refused: {m.text(answer, 'reason', 4096)}")
            if answer["kind"] == m.CONTROL and answer.get("number") == self._number:
                return answer.get("status") or {}
        trouble = self._dealer.trouble()
        raise StreamError(
            f"no answer from the trainer at {self._dealer.endpoint.address} within {timeout:g} s"
            + (f": {trouble}" if trouble else "")
        )

    def close(self) -> None:
        self._dealer.close()
