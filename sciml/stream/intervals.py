"""Sets of mostly consecutive whole numbers ≥ 0, such as the steps of a simulation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from sciml.errors import StreamError

#: Ranges that a peer may send: a gap takes two steps, so that no true one has more.
LIMIT = 1_000_000


class Intervals:
    """A set of whole numbers held as disjoint half-open ranges ``[start, stop)``, in order.

    Adding in order costs O(1), anywhere else O(ranges); memory grows with the number of gaps, not
    of members.

    Args:
        ranges: ``(start, stop)`` pairs, in any order; they may overlap.

    >>> s = Intervals([(0, 3)]); s.add(3); s.add(7); s.ranges()
    [(0, 4), (7, 8)]
    """

    __slots__ = ("_length", "_starts", "_stops")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._length = 0
        for start, stop in ranges:
            self.add_range(start, stop)

    @classmethod
    def from_wire(cls, ranges: object) -> Intervals:
        """The set sent by an untrusted peer.

        Raises:
            StreamError: anything but at most :data:`LIMIT` pairs of whole numbers with start < stop.
        """
        if not isinstance(ranges, list) or len(ranges) > LIMIT:
            raise StreamError(f"intervals: expected a list of at most {LIMIT} pairs")
        for pair in ranges:
            fits = isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)
            if not fits or not 0 <= pair[0] < pair[1] < 2**53:
                raise StreamError(f"intervals: got {pair!r:.80}; expected [start, stop]")
        return cls((start, stop) for start, stop in ranges)

    def add(self, number: int) -> None:
        if self._stops and self._stops[-1] == number:
            self._stops[-1] += 1
            self._length += 1
        elif not self._stops or self._stops[-1] < number:
            self._starts.append(number)
            self._stops.append(number + 1)
            self._length += 1
        elif number < self._starts[-1]:
            self.add_range(number, number + 1)

    def add_range(self, start: int, stop: int) -> None:
        if start >= stop:
            return
        # Ranges that overlap or touch [start, stop) melt into one.
        first = bisect_right(self._stops, start - 1)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        removed = sum(self._stops[i] - self._starts[i] for i in range(first, last))
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]
        self._length += stop - start - removed

    def update(self, other: Intervals) -> None:
        for start, stop in other.ranges():
            self.add_range(start, stop)

    def copy(self) -> Intervals:
        twin = Intervals()
        twin._starts, twin._stops = self._starts.copy(), self._stops.copy()
        twin._length = self._length
        return twin

    def without(self, number: int) -> Intervals:
        """A copy that lacks ``number``."""
        twin = Intervals()
        for start, stop in self.ranges():
            twin.add_range(start, min(stop, max(start, number)))
            twin.add_range(max(start, min(stop, number + 1)), stop)
        return twin

    def minus(self, other: Intervals) -> Intervals:
        """Members that ``other`` lacks."""
        rest = Intervals()
        holes: Sequence[tuple[int, int]] = other.ranges()
        for start, stop in self.ranges():
            at = start
            for low, high in holes[max(0, bisect_right(other._stops, start)) :]:
                if low >= stop:
                    break
                rest.add_range(at, min(low, stop))
                at = max(at, high)
            rest.add_range(at, stop)
        return rest

    def leading(self) -> int:
        """How many of 0, 1, 2, … are there before the first gap."""
        return self._stops[0] if self._starts and self._starts[0] == 0 else 0

    def ranges(self) -> list[tuple[int, int]]:
        return list(zip(self._starts, self._stops, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._stops[at]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        for start, stop in self.ranges():
            yield from range(start, stop)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self.ranges() == other.ranges()

    __hash__ = None

    def __repr__(self) -> str:
        return f"Intervals({self.ranges()})"
