"""Faults put into the product on purpose: what protects a run, taken away one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from system import here

from sciml.ensemble import job, leader
from sciml.stream.ledger import Ledger
from sciml.stream.registry import Registry
from sciml.stream.spool import Spool

Patch = Callable[[Any, str, Any], None]


def fence_removed(patch: Patch) -> None:
    """Attempts that a newer one has taken the place of go on delivering."""
    patch(Registry, "_check_fence", lambda self, stream, attempt: None)


def lock_removed(patch: Patch) -> None:
    """Whoever asks for the lock of a run has it."""

    def take(path: Any) -> tuple[int, bool]:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600), True

    patch(leader, "take_lock", take)


def lease_not_looked_at(patch: Patch) -> None:
    """Nobody waits until a leader elsewhere is gone."""
    patch(leader.Leader, "_await_lapse", lambda self, *, locks: None)


def loss_not_noticed(patch: Patch) -> None:
    """A leader that another has taken over from goes on."""

    def keep(self: leader.Leader) -> None:
        while not self._done.wait(self._beat):
            pass

    patch(leader.Leader, "_keep", keep)
    patch(leader.Leader, "overtaken", lambda self: False)


def stop_marks_ignored(patch: Patch) -> None:
    """A job that is not to start any more starts."""
    patch(job, "_stopped", lambda job: False)


def acknowledged_before_written(patch: Patch) -> None:
    """What was acknowledged last is not in the spool after a kill."""
    real = Spool.append_all

    def append_all(self: Spool, records: Any) -> list[int]:
        orders = real(self, records)
        world = here()
        if world is None:
            return orders
        process = world.current.process
        place = self._places[orders[-1]]

        def lose() -> None:
            if process.code == -9 and last[0] is place:
                os.pwrite(place.segment.fd, bytes(place.size), place.offset)

        last = process.__dict__.setdefault("last", [None])
        last[0] = place
        process.at_end.append(lose)
        return orders

    patch(Spool, "append_all", append_all)


def entered_not_in_the_checkpoint(patch: Patch) -> None:
    """A checkpoint does not say which frames of open simulations are part of it."""
    real = Ledger.state_dict
    patch(Ledger, "state_dict", lambda self: {**real(self), "open": {}})


FAULTS = (
    fence_removed,
    lock_removed,
    lease_not_looked_at,
    loss_not_noticed,
    stop_marks_ignored,
    acknowledged_before_written,
    entered_not_in_the_checkpoint,
)
