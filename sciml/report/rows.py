"""Files of rows, a line of JSON each: of a training's metrics, of a study's results.

A study whose results are such a file need not compute again what is there:

    >>> if not chosen(rows_of(results), model="fno", seed=0):       # doctest: +SKIP
    ...     append(results, {"model": "fno", "seed": 0, "error": train(...)})
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def rows_of(path: Path) -> list[dict[str, Any]]:
    """All rows of a file; ``[]`` where there is none. A line that is not whole, of a process that
    writes it or was killed, is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row at once; where the disk is full, none of it stays."""
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        torn = file.read(1) not in (b"", b"\n")
        line = b"\n" * torn + json.dumps(row).encode() + b"\n"
        try:
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(size)
            raise


def chosen(rows: Iterable[Mapping[str, Any]], **wanted: Any) -> list[Mapping[str, Any]]:
    """Rows that have the wanted values."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def mean_and_std(rows: Sequence[Mapping[str, Any]], key: str = "error", form: str = ".1e") -> str:
    """Over seeds, with their number where it is not three."""
    values = np.array([row[key] for row in rows if key in row])
    if not len(values):
        return "–"
    spread = f" ± {values.std(ddof=1):{form}}" if len(values) > 1 else ""
    few = "" if len(values) == 3 else f" (seeds: {len(values)})"
    return f"{values.mean():{form}}{spread}{few}"
