"""Errors that a user can act on: each message says what came, what was expected, what to do."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

#: What a system says when nothing more can be written: full disk, quota, limit on file sizes.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: As libraries in Rust say it, whose errors bear no number.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


class ScimlError(Exception):
    """Base of every error raised on purpose; the command line prints it as one line, exit code 2."""


class InputError(ScimlError, ValueError):
    """A value, file or option from the user cannot be used as it is."""


class DomainError(ScimlError, ValueError):
    """A field does not fit the domain it is said to live on."""


class StreamError(ScimlError, RuntimeError):
    """The trainer refused a stream, or it broke in a way that does not mend."""


class DivergedError(ScimlError, ArithmeticError):
    """A computed state is not finite any more."""


class SolverWarning(UserWarning):
    """A solver program warned: its data are worth less than they look."""


def no_room(error: BaseException | None) -> bool:
    """Whether an error, or its cause, says that a disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        if any(int(number) in _NO_ROOM for number in _OS_ERROR.findall(str(error))):
            return True
        error = error.__cause__
    return False


def nearest(name: str, known: Iterable[str]) -> str:
    """End of an error message: the closest known name, and the whole list if it is short.

    >>> nearest("kapa", ["kappa", "steps"])
    "did you mean 'kappa'? known: kappa, steps"
    """
    names = sorted(known)
    lower = {known.lower(): known for known in reversed(names)}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f"did you mean '{lower[close[0]]}'? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"


def require_known(what: str, given: str | Iterable[str], known: Iterable[str]) -> None:
    """Raises :class:`InputError` for the first name that is not known, with the nearest one.

    Args:
        what: the message up to the name, ``unknown loss``.
        given: a name, or several.
        known: those that there are.
    """
    known = [*known]
    alone = isinstance(given, str) or not isinstance(given, Iterable)
    for name in [given] if alone else given:
        if name not in known:
            raise InputError(f"{what} '{name}'; {nearest(str(name), known)}")
