"""Energies of single atoms: by element, or from a file that has a structure of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

from sciml.domain.files import several
from sciml.domain.inference import domain_of
from sciml.errors import InputError, nearest

#: Name of the energy in a file.
ENERGY = "energy"
#: Part of an energy by which it may differ where an element is there twice.
ALIKE = 1e-9


def isolated_energies(given: Mapping[Any, Any] | str | PathLike[str]) -> dict[int, float]:
    """Energies by atomic number.

    >>> isolated_energies({"H": -13.568, 8: -2035.571})
    {1: -13.568, 8: -2035.571}

    Args:
        given: by symbol or atomic number; or an extended XYZ file of single atoms with energies.

    Raises:
        InputError: no element, no energy, a structure of several atoms, two energies of one element.
    """
    named = isinstance(given, Mapping)
    if not named and not isinstance(given, str | PathLike):
        raise InputError(
            f"references: {given!r:.60}; expected energies by element, such as {{H: -13.6}}, or the "
            "path of an .xyz file of single atoms"
        )
    found: dict[int, float] = {}
    for element, energy in given.items() if named else _read(Path(given)):
        number = _number(element)
        if isinstance(energy, bool) or not isinstance(energy, int | float) or not isfinite(energy):
            raise InputError(f"references: {element} has {energy!r:.40}; expected an energy")
        if abs(found.get(number, energy) - energy) > ALIKE * abs(energy):
            raise InputError(
                f"references: {element} twice, with {found[number]:g} and {energy:g}; keep one"
            )
        found[number] = float(energy)
    return found


def _read(path: Path) -> Iterator[tuple[int, float]]:
    datasets = several(path) if path.is_file() else None
    if datasets is None:
        what = "an .xyz file of single atoms" if path.exists() else "a file that is there"
        raise InputError(f"references: {path}; expected {what}, or energies by element")
    for place, ds in enumerate(datasets):
        species = domain_of(ds).species.tolist()
        if len(species) != 1:
            raise InputError(
                f"references: {path}: structure {place} has {len(species)} atoms; expected single "
                "atoms, one of each element"
            )
        if ENERGY not in ds:
            raise InputError(f"references: {path}: structure {place} has no '{ENERGY}'; add it")
        for energy in ds[ENERGY].values.ravel().tolist():
            yield species[0], energy


def _number(element: Any) -> int:
    if isinstance(element, int) and not isinstance(element, bool):
        return element
    text = str(element).strip()
    if text.isdecimal():
        return int(text)
    try:
        from ase.data import atomic_numbers
    except ImportError as error:
        raise InputError(
            f"references: {text}: symbols of elements are known to ase, which is not there; install "
            "it with pip install 'sciml-surrogates[particles]', or give atomic numbers"
        ) from error
    if text not in atomic_numbers:
        near = nearest(text, atomic_numbers).split("known:")[0]
        raise InputError(
            f"references: no element '{text}'; {near}expected symbols such as H, or atomic numbers"
        )
    return int(atomic_numbers[text])
