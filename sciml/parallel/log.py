"""Log lines that say which rank speaks; ranks above 0 speak only of trouble."""

from __future__ import annotations

import logging
import sys
from typing import Any


def rank_logger(name: str, comm: Any, level: str = "warning") -> logging.Logger:
    """A logger to stderr with lines such as ``heat 0/4 INFO 12.3 s: step 100``.

    Args:
        name: of the program.
        comm: an mpi4py communicator; its rank and size stamp each line.
        level: of rank 0; other ranks say warnings and errors only.
    """
    logger = logging.getLogger(f"sciml.solver.{name}")
    logger.handlers.clear()
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Stamped(f"{name} {comm.rank}/{comm.size}"))
    logger.addHandler(handler)
    own = logging.getLevelNamesMapping()[level.upper()]
    logger.setLevel(own if comm.rank == 0 else max(own, logging.WARNING))
    return logger


class _Stamped(logging.Formatter):
    def __init__(self, stamp: str) -> None:
        super().__init__()
        self._stamp = stamp

    def format(self, record: logging.LogRecord) -> str:
        seconds = record.relativeCreated / 1000.0
        return f"{self._stamp} {record.levelname} {seconds:.1f} s: {record.getMessage()}"
