"""What came of a run, against its plan: a ledger that knows what arrived misses what never did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sciml.stream.intervals import Intervals
from sciml.study.schema import Study

#: Simulations that must have given the same number of frames, and be most, before others are held to it.
SIBLINGS = 3


def announced(study: Study, program: Mapping[str, Any]) -> int | None:
    """Frames that a simulation sends when it goes to its end: steps // every + 1.

    ``None`` for programs without our main, which would print an ``order``: what ``steps`` are to them is
    their affair.

    Args:
        study: whose options and ``solver.send`` hold.
        program: its schema, as it printed it.
    """
    defaults = {entry["name"]: entry["default"] for entry in program.get("options", ())}
    if "order" not in program or "steps" not in defaults:
        return None
    steps = study.solver.options.get("steps", defaults["steps"])
    return int(steps) // study.solver.send.every + 1


@dataclass(frozen=True)
class Account:
    """Which simulations have an outcome, and which of them gave fewer frames than they should.

    Args:
        roles: of all that are planned, by number.
        announced: frames of each, from :func:`announced`.
        closed: all that closed.
        delivered: those of them by the number of their frames, as far as that is known.
        unclosed: frames of those whose program ended well without closing the stream, by number.
        given_up, quarantined: those that the study goes on without.
        over: whether training has had all its steps, and needs no more simulations.
    """

    roles: Mapping[int, str]
    announced: int | None
    closed: Intervals
    delivered: Mapping[int, Intervals]
    unclosed: Mapping[int, int] = field(default_factory=dict)
    given_up: Set[int] = frozenset()
    quarantined: Set[int] = frozenset()
    over: bool = False

    @cached_property
    def full(self) -> int | None:
        """Frames that a simulation should give: as announced, or else as more than half of them did;
        ``None`` where neither is known."""
        if self.announced is not None:
            return self.announced
        counts = Counter({n: len(these) - self._bad(these) for n, these in self.delivered.items()})
        frames, times = max(counts.items(), key=lambda item: item[1], default=(0, 0))
        return frames if times >= SIBLINGS and times > counts.total() / 2 else None

    @cached_property
    def short(self) -> dict[int, int]:
        """Frames of those that ended well with fewer than :attr:`full`, by number."""
        if self.full is None:
            return {}
        frames = {n: came for n, came in self.unclosed.items() if came < self.full}
        for came, these in self.delivered.items():
            if came < self.full:
                frames |= dict.fromkeys(these, came)
        return {n: frames[n] for n in sorted({*frames} - self._gone)}

    @property
    def missing(self) -> int:
        """Frames that the :attr:`short` ones did not give."""
        return sum(self.full - came for came in self.short.values())

    @property
    def expected(self) -> int | None:
        """Frames of all simulations that are of use; ``None`` where that is not known."""
        if self.full is None:
            return None
        return self.full * (len(self.roles) - len(self._gone) - len(self.skipped))

    @cached_property
    def finished(self) -> set[int]:
        return {*self.unclosed, *self.closed} - self._gone

    @cached_property
    def skipped(self) -> set[int]:
        """Not needed any more when training was over."""
        if not self.over:
            return set()
        train = {number for number, role in self.roles.items() if role == "train"}
        return train - self.finished - self._gone

    @cached_property
    def lacking(self) -> list[int]:
        """Planned, and without any outcome."""
        return sorted({*self.roles} - self.finished - self.skipped - self._gone)

    def line(self, simulation: int) -> str:
        """One that is :attr:`short`, in words."""
        whose = "others sent" if self.announced is None else "its options announce"
        return (
            f"simulation {simulation} ended well with {self.short[simulation]} frames; {whose} "
            f"{self.full}"
        )

    def to_json(self) -> dict[str, Any]:
        """For the summary: simulations by outcome, those without one, and those that are short."""
        return {
            "planned": len(self.roles),
            "with_outcome": len(self.roles) - len(self.lacking),
            "finished": len(self.finished),
            "given_up": len(self.given_up - self.quarantined),
            "quarantined": len(self.quarantined),
            "skipped": len(self.skipped),
            "lacking": self.lacking,
            "short": {str(number): came for number, came in self.short.items()},
        }

    @cached_property
    def _gone(self) -> Set[int]:
        return self.given_up | self.quarantined

    def _bad(self, numbers: Intervals) -> int:
        return sum(number in numbers for number in self._gone)
