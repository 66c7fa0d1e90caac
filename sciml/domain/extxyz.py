"""Atoms in files of the extended XYZ format, read by ASE."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.domain.field import Field
from sciml.domain.names import TAKEN_ON
from sciml.domain.particles import Particles

if TYPE_CHECKING:
    import xarray as xr

#: Units of what ASE gives a meaning.
UNITS = {
    **dict.fromkeys(("energy", "free_energy", "energies"), "eV"),
    "positions": "Å",
    "forces": "eV/Å",
    "stress": "eV/Å3",
    "dipole": "e Å",
    "charges": "e",
}
#: What ASE gives of each atom. A shape does not tell: three atoms have a dipole, six a stress.
OF_ATOMS = ("forces", "energies", "stresses", "charges", "magmoms")
#: Places of a symmetric tensor's six numbers: xx, yy, zz, yz, xz, xy.
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def opened(path: Path) -> list[xr.Dataset]:
    """Each run of configurations of the same atoms and cell, over ``time``.

    Positions, and whatever all configurations of a run have: of each atom, or one a configuration. Times
    are ``time`` of the comment lines, or counted.
    """
    from ase.io import iread

    return [_run(list(run)) for _, run in groupby(iread(path, ":", format="extxyz"), _who)]


def _who(atoms: Any) -> tuple[Any, ...]:
    return atoms.numbers.tobytes(), atoms.cell.array.tobytes(), atoms.pbc.tobytes()


def _run(frames: Sequence[Any]) -> xr.Dataset:
    from sciml.domain.dataset import to_dataset

    first, each = frames[0], [_values(atoms) for atoms in frames]
    # A slab may have no vector along which it does not repeat.
    periodic = tuple((first.pbc & first.cell.mask()).tolist())
    whole = first.cell.rank == 3 or any(periodic)
    domain = Particles(first.numbers, first.cell.complete().array if whole else None, periodic, "Å")
    of_atoms = {*first.arrays, *OF_ATOMS}
    fields, values = [], {}
    for name, array in each[0].items():
        shapes = {one[name].shape for one in each if name in one}
        if name in TAKEN_ON["particles"] or len(shapes) > 1 or any(name not in one for one in each):
            continue
        on = "point" if name in of_atoms else "global"
        trailing = array.shape[1:] if on == "point" else array.shape
        if len(trailing) < 2:
            fields.append(Field(name, UNITS.get(name, "1"), on=on, components=sum(trailing)))
            values[name] = np.stack([one[name] for one in each])
    known = all("time" in atoms.info for atoms in frames)
    times = [atoms.info["time"] for atoms in frames] if known else np.arange(float(len(frames)))
    return to_dataset(domain, fields, values, times)


def _values(atoms: Any) -> dict[str, np.ndarray]:
    """Numbers of each atom, and of the configuration."""
    found = {n: a for n, a in atoms.arrays.items() if n != "numbers"}
    found |= {n: v for n, v in atoms.info.items() if n != "time"}
    found |= {} if atoms.calc is None else atoms.calc.results
    arrays = {name: np.asarray(value) for name, value in found.items()}
    if arrays.get("stress", np.empty(0)).shape == (3, 3):
        arrays["stress"] = arrays["stress"][VOIGT]
    return {name: array for name, array in arrays.items() if array.dtype.kind in "fiu"}
