"""Waiting for what must come: far longer than it takes, since others may have the cores."""

import time

#: Seconds after which what has not come counts as never coming; below the time that a test has.
PATIENCE = 100.0


def wait_until(true, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def standing(number, still=0.3):
    """What ``number()`` is when it has not changed for ``still`` seconds."""
    seen, since = number(), time.monotonic()
    while time.monotonic() - since < still:
        time.sleep(0.01)
        if (now := number()) != seen:
            seen, since = now, time.monotonic()
    return seen
