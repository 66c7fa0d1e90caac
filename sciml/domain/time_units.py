"""Units of time: what they are called, and how many of one are in another."""

from __future__ import annotations

#: Nothing is said, or nothing is meant: a number without a unit.
UNKNOWN = "1"
#: Steps of the calendar, which have no fixed length.
MONTH = "month"

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SECONDS["week"] = 7 * 86400.0
_MONTHS = {MONTH: 1.0, "year": 12.0}
_NAMES = {
    "ns": ("nanosecond", "nanoseconds", "nsec"),
    "us": ("microsecond", "microseconds", "µs", "μs"),
    "ms": ("millisecond", "milliseconds", "msec"),
    "s": ("second", "seconds", "sec", "secs"),
    "min": ("minute", "minutes", "mins"),
    "h": ("hour", "hours", "hr", "hrs"),
    "d": ("day", "days"),
    "week": ("weeks",),
    MONTH: ("months", "mon", "mons"),
    "year": ("years", "yr", "yrs", "a"),
}
_SYMBOL = {name: symbol for symbol, names in _NAMES.items() for name in names}


def canonical(units: object) -> str:
    """The symbol of a unit of time: ``"h"`` for ``"hours"``, ``"1"`` where nothing is said.

    Units that are not known stay as they are, and so does all of ``"days since 2000-01-01"``. Symbols
    are what xarray leaves alone when it opens a file; words such as ``"hours"`` it decodes to durations.

    >>> canonical("hours"), canonical(""), canonical("orbits")
    ('h', '1', 'orbits')
    """
    text = " ".join(str("" if units is None else units).split())
    if text in ("", "1", "-", "none", "None", "dimensionless"):
        return UNKNOWN
    return _SYMBOL.get(
        text.lower(), text.lower() if text.lower() in (*_SECONDS, *_MONTHS) else text
    )


def of_step(units: object) -> str:
    """The unit that steps are counted in: that of ``"days since 2000-01-01"`` is ``"d"``."""
    return canonical(str(units or "").partition(" since ")[0])


def ratio(units: str, other: str) -> float | None:
    """How many of ``other`` are in one of ``units``, both canonical; ``None`` where none of them knows.

    >>> ratio("h", "min"), ratio("year", "month"), ratio("h", "month")
    (60.0, 12.0, None)
    """
    if units == other:
        return 1.0
    for table in (_SECONDS, _MONTHS):
        if units in table and other in table:
            return table[units] / table[other]
    return None


def in_seconds(units: str) -> float | None:
    """Seconds in one of ``units``; ``None`` for months, and for what is no unit of time."""
    return _SECONDS.get(units)
