"""How many bytes each rank may have under way: memory stays bounded, solvers slow down."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from sciml.stream.assembler import Partial
from sciml.stream.session import OpenStream, Session

#: Bytes under way that keep a connection busy; more would only fill the solver's memory.
COMFORT = 16 << 20
#: Bytes that a rank may have under way however many there are: less, and each step waits for an answer.
LEAST = 64 << 10
#: Bytes beyond its credit after which a client is broken rather than early.
TOLERANCE = 64 << 20


class Credit:
    """Gives bytes back to ranks as frames move on, while there is room.

    A block's bytes come back when its frame is complete, so that no rank runs further ahead of the
    others than its window. Frames that wait for the trainer plus all windows bound the memory: about
    twice ``limit``.

    Args:
        limit: bytes of frames that may wait for the trainer.
        full: whether nothing more should come in for now.
    """

    def __init__(self, limit: int, full: Callable[[], bool]) -> None:
        self._limit = limit
        self._full = full
        self.active = 0
        self.withheld: set[Session] = set()
        #: Sessions that an acknowledgement is due to.
        self.touched: set[Session] = set()

    def window(self, stream: OpenStream) -> int:
        """Bytes that a rank of ``stream`` may have under way."""
        share = self._limit // max(1, self.active)
        step = 8 * len(stream.simulation.fields) * prod(stream.simulation.domain.point_shape)
        return max(LEAST, min(share, max(COMFORT, 4 * (step // stream.ranks))))

    def give_back(self, session: Session, hello: int, nbytes: int) -> None:
        if session.hello != hello:
            return  # sent before the session began to count anew
        if self._full():
            session.withheld += nbytes
            self.withheld.add(session)
        else:
            session.returned += nbytes
            self.touched.add(session)

    def settle(self, partial: Partial) -> None:
        """The frame of ``partial`` is complete."""
        for session, hello, nbytes in partial.charges:
            self.give_back(session, hello, nbytes)

    def release(self) -> None:
        """There may be room again."""
        if self.withheld and not self._full():
            for session in self.withheld:
                session.returned += session.withheld
                session.withheld = 0
            self.touched |= self.withheld
            self.withheld.clear()

    def grant(self, session: Session, window: int) -> int:
        """Bytes that the session may have sent since its hello; falls when the window shrinks."""
        credit = session.returned + window
        session.granted = max(session.granted, credit)
        return credit

    def forget(self, session: Session) -> None:
        self.withheld.discard(session)
        self.touched.discard(session)
