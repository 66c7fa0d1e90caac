"""Particles that are put back into their periodic cell: where they went on to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from sciml.domain import Particles
from sciml.domain.names import LATTICE
from sciml.errors import InputError
from sciml.samples.frame import Simulation
from sciml.samples.sample import Sample
from sciml.samples.task import Task

#: Part of a cell by which rounding may put a particle out of it.
ROUNDING = 1e-6


def require_lattice(task: Task, fields: Iterable[str], what: str) -> None:
    """Refuse a task that does not see the cells that particles have in each frame.

    Raises:
        InputError: they are among the fields, and not among the inputs.
    """
    if LATTICE in fields and LATTICE not in task.inputs:
        raise InputError(
            f"{what}: frames have cells of their own, '{LATTICE}', which the task does not see; "
            "expected it among the inputs"
        )


def repeated_positions(simulation: Simulation, names: Sequence[str]) -> str:
    """Which of these fields says where particles of a periodic cell are: ``positions``, or the first
    vector; ``""``: none."""
    domain = simulation.domain
    if not isinstance(domain, Particles) or not any(domain.periodic):
        return ""
    d = len(domain.periodic)
    known = {f.name for f in simulation.fields if f.on == "point" and f.components == d}
    vectors = [name for name in names if name in known]
    return "positions" if "positions" in vectors else next(iter(vectors), "")


def shifts_on(
    sample: Sample, windows: Float[np.ndarray, "particle frame d"]
) -> Float[np.ndarray, "particle frame d"]:
    """Lattice vectors to be added to positions of a sample, so that nothing jumps from frame to frame.

    Particles that lie in one and the same cell in two frames, and have moved by more than half of it,
    were put back: they went through a wall. The last input stays. Where they lie farther apart than a
    cell they were not put back, and nothing is added.

    Args:
        sample: of particles in a periodic cell.
        windows: their positions in its frames, or the first of these.

    When it fails: where a particle moves by more than half a cell between two frames.
    """
    domain, frames = sample.simulation.domain, sample.frames[: windows.shape[1]]
    if LATTICE in frames[0].fields:
        cells = [
            np.asarray(f.fields[LATTICE], np.float64).reshape(domain.cell.shape) for f in frames
        ]
    else:
        cells = [domain.cell] * len(frames)
    x = np.asarray(windows, np.float64)
    parts = [x[:, k] @ np.linalg.pinv(cell) for k, cell in enumerate(cells)]
    found, now = np.zeros_like(x), max(len(sample.inputs) - 1, 0)
    for way in (range(now + 1, len(cells)), range(now - 1, -1, -1)):
        images = np.zeros(x[:, 0].shape)
        for k in way:
            before = parts[k - 1 if k > now else k + 1]
            both = np.concatenate([before, parts[k]])
            back = np.asarray(domain.periodic) & (np.ptp(both, axis=0) <= 1 + ROUNDING)
            images = images - np.where(back, np.round(parts[k] - before), 0.0)
            found[:, k] = images @ cells[k]
    return found
