"""Parts whose domains differ, which make no single file: a recording of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sciml.datasets.plan import PlannedRun
from sciml.errors import InputError, ScimlError
from sciml.record.file import entry_in
from sciml.record.recorder import Recorder
from sciml.record.recording import Recording
from sciml.samples import Simulation


def share_domain(parts: Sequence[Path]) -> bool:
    """Whether all parts live on one domain.

    Raises:
        InputError: they live on several grids.
    """
    entries = [entry_in(path) for path in parts]
    other = next((e for e in entries if e.domain != entries[0].domain), None)
    if other is None:
        return True
    if simulation_in(parts[0]).domain.kind == "grid":
        raise InputError(
            f"simulation {other.simulation} lives on another grid than the first; a dataset has one "
            "grid and one sequence of times: vary neither shape, length nor time step"
        )
    return False


def simulation_in(part: Path) -> Simulation:
    """Domain, fields and parameters of a part."""
    entry = entry_in(part)
    recording = Recording(part.parent, {entry.simulation: entry})
    try:
        return recording.simulation(entry.simulation)
    finally:
        recording.close()


def record(
    planned: Sequence[PlannedRun],
    runs: Sequence[PlannedRun],
    parts: Sequence[Path],
    out: Path,
    missing: Mapping[int, str],
    tell: Callable[[int], None] = lambda done: None,
) -> None:
    """Make the parts a recording, aside, and give it its name.

    Args:
        planned: all runs of the recipe, which the recording accounts for.
        runs: those whose parts are there, in order.
        parts: their files, which have the form of a recording's.
        out: folder of the recording.
        missing: why runs are not there, by number.
        tell: called with the number of parts that are in.

    Raises:
        InputError: something of that name came into being meanwhile.
        ScimlError: the disk is full, for example.
    """
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir()
        for done, part in enumerate(parts):
            # The parts stay where they are until all is done; some file systems know no links.
            try:
                os.link(part, aside / part.name)
            except OSError:
                shutil.copy2(part, aside / part.name)
            tell(done + 1)
        recorder = Recorder(aside, about={run.id: {"role": run.split} for run in planned})
        for number, reason in missing.items():
            recorder.drop(number, reason)
        recorder.finish()
        if out.exists():
            raise InputError(f"--out {out} appeared meanwhile; nothing was replaced")
        os.rename(aside, out)
    except OSError as error:
        raise ScimlError(f"--out {out} cannot be written: {error}; the parts are kept") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
