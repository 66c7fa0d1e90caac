"""Structures of atoms to begin with: by the names that ASE has for small molecules, or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sciml.errors import InputError, nearest

#: Å between two atoms below which lengths are not in Å, or the structure is none.
NEAR = 0.3
#: By how much charges of atoms may be off the one of the molecule.
WHOLE = 0.01


def structures(named: str) -> list[Any]:
    """Atoms of ASE, by names of its G2 set with commas between them, or each frame of an .xyz file.

    >>> [atoms.get_chemical_formula() for atoms in structures("CH3CH2OH, H2O")]
    ['C2H6O', 'H2O']

    ``charge`` and ``multiplicity`` of a comment line, 2 S + 1, become sums of ``initial_charges`` and of
    magnetic moments.

    Raises:
        InputError: ASE is not there; an unknown name, the file cannot be read, atoms in one place,
            charges that contradict each other.
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
        what = f"structure {number} of {named}"
        _require_apart(atoms, what)
        _charge(atoms, what)
    return found


def _charge(atoms: Any, what: str) -> None:
    """Charge and spin of the comment line become those of atoms, whose sums programs take."""
    charges, spins = atoms.get_initial_charges(), atoms.get_initial_magnetic_moments()
    for name, each, total in (
        ("charge", charges, atoms.info.get("charge")),
        ("multiplicity", spins, atoms.info.get("multiplicity")),
    ):
        if total is None:
            continue
        if not np.isscalar(total) or isinstance(total, str) or total != int(total):
            raise InputError(f"molecules: {what}: {name}={total}; expected a whole number")
        wanted = total - (name == "multiplicity")
        if not each.any():
            each[0] = wanted
        elif abs(each.sum() - wanted) > WHOLE:
            raise InputError(
                f"molecules: {what}: {name}={total}, and its atoms add up to {each.sum():g}; expected "
                f"{wanted:g}: drop one of them"
            )
    atoms.set_initial_charges(charges)
    atoms.set_initial_magnetic_moments(spins)


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
