"""The way of a client's messages to the trainer and back, whatever carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sciml.stream.endpoint import Endpoint


class StreamTransport(Protocol):
    """Carries messages between one client and the trainer; used from one thread.

    What it guarantees: a message arrives whole or not at all, its parts as they were; those that
    arrive are in the order in which they were sent. It does not say what arrived. When the connection
    breaks, or the trainer moves, any that were under way may be lost and none comes twice: the client
    keeps what is not acknowledged and sends it again after its next hello. Who is let in is the
    transport's to know.
    """

    #: Whom it leads to: the run, its address in words, the largest part of a message in bytes.
    endpoint: Endpoint

    def send(self, parts: Sequence[Any]) -> None:
        """Hand over a message, without waiting: it is queued while there is no connection.

        Args:
            parts: bytes-like objects. They are not copied, so they must not change afterwards.

        Raises:
            StreamError: it could not be queued.
        """
        ...

    def receive(self, timeout: float) -> list[bytes] | None:
        """The oldest message that has come, ``None`` if none does within ``timeout`` seconds."""
        ...

    def reconnect(self) -> bool:
        """Look where the trainer is; whether it has moved: the client then says hello anew.

        Raises:
            StreamError: another run is there.
        """
        ...

    def trouble(self) -> str:
        """What the connection suffers from since the last call, in words; empty if nothing."""
        ...

    def close(self) -> None:
        """Let go of it; what is still under way may be lost. Again: nothing happens."""
        ...
