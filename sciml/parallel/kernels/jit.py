"""Compiled once on a machine, by one process, and loaded by all others."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

import numba


def compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function as machine code for arguments of this ``signature``, and no others.

    The code is kept beside the source, or, where that is read-only, in the user's cache folder (or
    ``NUMBA_CACHE_DIR``), and made anew when the source file or the processor changes; where no
    folder can be written it is made in each process. Ranks that start together wait for the first
    one to compile. Arithmetic is that of the source, in its order: no fused or reordered operations,
    so that numpy gives the same bits.

    Args:
        signature: in numba's notation, ``void(f8[:, ::1], i8)``. One alone: numba's cache would mix
            up two of them if they were first compiled at the same time.

    When it fails: a function called by the kernel must be in the same file, for changes in others
    are not noticed.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options = {"error_model": "numpy", "nogil": True}
        try:
            kernel = numba.njit(cache=True, **options)(function)
            with _one_at_a_time(kernel.stats.cache_path):
                kernel.compile(signature)
        except (RuntimeError, OSError) as error:
            # No folder to keep it in (numba says so in words alone), or the disk is full.
            if isinstance(error, RuntimeError) and "cannot cache" not in str(error):
                raise
            kernel = numba.njit(**options)(function)
            kernel.compile(signature)
        kernel.disable_compile()
        return kernel

    return decorate


@contextlib.contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """Hold a lock on the cache folder. A file system without locks is gone on with: what two
    processes write is the same, and numba renames whole files into place."""
    descriptor = None
    try:
        with contextlib.suppress(OSError):
            path = os.path.join(folder, ".sciml-compiling")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function for kernels of the same file to call; it is compiled into each of them."""
    return numba.njit(error_model="numpy", nogil=True)(function)
