"""Structures of atoms to begin with: by the names that ASE has for small molecules, or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sciml.errors import InputError, nearest

#: Å between two atoms below which lengths are not in Å, or the structure is none.
NEAR = 0.3


def structures(named: str) -> list[Any]:
    """Atoms of ASE, by names of its G2 set with commas between them, or each frame of an .xyz file.

    >>> [atoms.get_chemical_formula() for atoms in structures("CH3CH2OH, H2O")]
    ['C2H6O', 'H2O']

    Raises:
        InputError: ASE is not there; an unknown name, the file cannot be read, atoms in one place.
    """
    try:
        from ase.build import molecule
        from ase.collections import g2
        from ase.io import read
    except ImportError as error:
        raise InputError(
            "ase is not there; install it with pip install 'sciml-surrogates[particles]'"
        ) from error
    if named.lower().endswith((".xyz", ".extxyz")):
        if not Path(named).is_file():
            raise InputError(f"molecules: {named}: no such file")
        try:
            found = read(named, ":", format="extxyz")
        except Exception as error:  # of many kinds, and none of them ours
            said = " ".join(str(error).split())
            raise InputError(f"molecules: {named}: ase cannot read it: {said}") from error
    else:
        names = [name.strip() for name in named.split(",")]
        if unknown := [name for name in names if name not in g2.names]:
            near = nearest(unknown[0], g2.names).split("known:")[0]
            raise InputError(
                f"molecules: '{unknown[0]}'; {near}expected names of ASE's G2 set, such as CH3CH2OH, "
                "C6H6 and H2O, or an extended XYZ file"
            )
        found = [molecule(name) for name in names]
    for number, atoms in enumerate(found):
        _require_apart(atoms, f"structure {number} of {named}")
    return found


def _require_apart(atoms: Any, what: str) -> None:
    if not len(atoms) or not np.isfinite(atoms.positions).all():
        raise InputError(f"molecules: {what} has no atoms, or positions that are not finite")
    apart = atoms.get_all_distances(mic=True) + np.diag(np.full(len(atoms), np.inf))
    if apart.min() < NEAR:
        i, j = sorted(divmod(int(apart.argmin()), len(atoms)))
        raise InputError(
            f"molecules: {what}: atoms {i} and {j} are {apart.min():.3g} Å apart; expected {NEAR} Å at "
            "least: is it in Å?"
        )
