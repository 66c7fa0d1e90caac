"""Whether lengths, energies and forces of atoms look like Å and eV: files of others rarely say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np

from sciml.domain import Particles
from sciml.samples.frame import Frame, Simulation

#: Nearest atoms over the sum of their covalent radii: 1 for bonds, and up to 1.5 for loose ones; 1.9 in
#: Bohr, 0.1 in nm.
BONDED = (0.5, 1.6)
#: Root mean square of forces [eV/Å] above which atoms are not at any temperature of chemistry: 1 at
#: 500 K; 23 in kcal/mol/Å, 51 where only energies were converted from Hartree/Bohr.
STRONG = 10.0
#: Å that an atom moves between two frames between which the energy is nearly straight, how many such
#: pairs tell, and by how much energy and forces may then differ.
STEP, PAIRS, APART = 0.2, 5, 0.3
#: What would make forces by positions as many times the change of energies, and how near that must be.
UNITS = {
    "energies are in Hartree": 27.2114,
    "energies are in kcal/mol": 0.0433641,
    "energies are in kJ/mol": 0.0103643,
    "forces are in units of energy by Bohr": 0.529177,
    "positions are in Bohr": 1.889726,
}
NEAR = 0.15
#: Frames of a file that are looked at.
LOOKED = 200


def doubts(trajectories: Iterable[tuple[Simulation, Mapping[int, Frame]]]) -> list[str]:
    """Lines on what does not look like Å, eV and eV/Å, of data in Å; nothing of other data."""
    ratios: list[float] = []
    squares: list[float] = []
    worked: list[tuple[float, float]] = []
    looked = 0
    for simulation, frames in trajectories:
        domain = simulation.domain
        if looked >= LOOKED or not isinstance(domain, Particles) or domain.units != "Å":
            continue
        each = [frame.fields for frame in list(frames.values())[: LOOKED - looked]]
        looked += len(each)
        if any("positions" not in fields for fields in each):
            continue
        ratios += [r for fields in each if (r := _bond(domain, fields["positions"])) is not None]
        if all("forces" in fields for fields in each):
            squares += [float((np.asarray(fields["forces"]) ** 2).mean()) for fields in each]
            worked += _worked(each)
    return [*_of_lengths(ratios), *_of_forces(squares), *_of_energies(worked)]


def _bond(domain: Particles, x: np.ndarray) -> float | None:
    """Median of nearest distances over bond lengths; of open molecules alone."""
    try:
        from ase.data import covalent_radii
    except ImportError:
        return None
    if (
        any(domain.periodic)
        or not 1 < domain.size < 1000
        or domain.species.max() >= len(covalent_radii)
    ):
        return None
    radii = covalent_radii[domain.species]
    apart = np.linalg.norm(x[:, None] - x[None], axis=-1) / (radii[:, None] + radii)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def _worked(each: list[Mapping[str, np.ndarray]]) -> Iterator[tuple[float, float]]:
    """Change of the energy, and what forces say of it, between frames that are near each other."""
    for one, two in pairwise(each):
        if "energy" not in one or "energy" not in two:
            return
        moved = np.asarray(two["positions"]) - np.asarray(one["positions"])
        if 0 < np.abs(moved).max() < STEP:
            pull = 0.5 * (np.asarray(one["forces"]) + np.asarray(two["forces"]))
            yield float(two["energy"] - one["energy"]), -float((pull * moved).sum())


def _of_lengths(ratios: list[float]) -> Iterator[str]:
    if not ratios or BONDED[0] < (found := float(np.median(ratios))) < BONDED[1]:
        return
    guess = " (as in Bohr)" if 1.7 < found < 2.1 else " (as in nm)" if 0.05 < found < 0.2 else ""
    yield (
        f"nearest atoms are {found:.2g} bond lengths apart{guess}; expected positions in Å: convert "
        "them, or go on if nothing is bound"
    )


def _of_forces(squares: list[float]) -> Iterator[str]:
    if squares and (found := float(np.sqrt(np.mean(squares)))) > STRONG:
        yield (
            f"forces of {found:.3g} (root mean square) are too strong for eV/Å, of which molecules have "
            "1 or so; 1 eV/Å is 23.06 kcal/mol/Å: convert energies and forces"
        )


def _of_energies(worked: list[tuple[float, float]]) -> Iterator[str]:
    if len(worked) < PAIRS:
        return
    change, work = np.array(worked).T
    if not change.any() or not work.any() or abs(np.corrcoef(change, work)[0, 1]) < 0.9:
        return
    factor = float((work * work).sum() / (work * change).sum())
    if abs(factor - 1.0) > APART:
        near = next((name for name, unit in UNITS.items() if abs(factor / unit - 1.0) < NEAR), "")
        how = f", as where {near}" if near else ""
        yield (
            f"forces say {factor:.3g} times what energies change by{how}; expected eV and eV/Å, forces "
            "the negative gradient: convert them"
        )
