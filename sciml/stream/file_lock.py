"""A lock between processes that goes with whoever holds it, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

#: What a file system without locks between processes says.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def take_lock(path: Path) -> tuple[int, bool]:
    """Lock a file, which is made if need be: its descriptor, to be closed, and whether it is locked;
    it is not where the file system has no locks.

    Raises:
        BlockingIOError: another process has it.
    """
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return held, False
        os.close(held)
        if error.errno == errno.EACCES:  # what some network file systems say
            raise BlockingIOError(*error.args) from error
        raise
    return held, True
