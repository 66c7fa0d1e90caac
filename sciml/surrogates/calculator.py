"""Energies of surrogates as a calculator of ASE, for dynamics, optimizers and others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from typing import Any, final

import numpy as np
import torch
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.data import chemical_symbols

from sciml.domain import Particles
from sciml.domain.extxyz import UNITS
from sciml.domain.names import LATTICE
from sciml.errors import DomainError, InputError
from sciml.samples import Frame, Sample, Simulation
from sciml.surrogates.batch import Batch, dtype_for, suited
from sciml.surrogates.collation import collate
from sciml.surrogates.potential_program import PotentialProgram
from sciml.surrogates.scope import Scope
from sciml.surrogates.surrogate import Surrogate

Member = Surrogate | PotentialProgram

#: By which names the charge of all atoms goes, or their spin; sums of less are rounded.
CHARGE, SPIN, ROUNDED = "charge", "multiplicity", 0.01
#: Names that say that a surrogate sees either.
SEES = {CHARGE, SPIN, "spin", "charges", "initial_charges", "initial_magmoms"}


@final
class EnergyCalculator(Calculator):
    """E, F = −∂E/∂x and σ = (∂E/∂ε) / V of one surrogate, or the means of several.

    Results: ``energy`` [eV], ``forces`` (atom, 3) [eV/Å], in cells ``stress`` (xx, yy, zz, yz, xz, xy)
    [eV/Å³]. Of a committee these are means, and ``energy_variance`` [eV²], ``forces_variance``
    (atom, 3) and ``stress_variance`` the variances among its members, divided by n − 1: where they are
    large, none was trained. Reference energies are added in float64; what the model adds to them is in
    the precision of its weights (some 1 meV of 3600 atoms in float32).

    Any periodicity, and cells that change; no stress where a cell lacks a vector. Neighbours are found
    anew each time: 0.1 ms of ethanol, 2.5 ms of 64 waters within 6 Å, so that lists with a skin would
    save nothing. Of a model that derives its forces itself there is no stress but the one that it gives.

    What members see besides positions and cell is taken from the atoms: of each atom from
    ``atoms.arrays``, one number of all from ``atoms.info``; ``charge`` and ``multiplicity`` else from
    the sums of initial charges and magnetic moments. Atoms with a charge or a spin that no member sees
    are warned of.

    Args:
        members: surrogates of a task with positions in, and an energy out, or programs of such.
        kwargs: of ASE's ``Calculator``.

    Raises:
        InputError: a surrogate of another task or in other units; in use: elements that it was not
            trained on; what it sees and the atoms do not have.
        DomainError: in use: atoms in one place.
    """

    implemented_properties = [
        *("energy", "free_energy", "forces", "stress"),
        *("energy_variance", "forces_variance", "stress_variance"),
    ]

    def __init__(self, members: Sequence[Member], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not members:
            raise InputError("calculator: no surrogates; expected one, or several as a committee")
        self.members = [_usable(member) for member in members]
        self._domain: Particles | None = None
        self._warned = False

    def calculate(
        self,
        atoms: Any = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        domain = self._domain_of(self.atoms)
        batches: dict[Any, Batch] = {}
        found = []
        for member in self.members:
            task, own = member.task, (type(member), dtype_for(member), _device(member))
            key = member.structures, task.inputs, task.static, task.parameters, own
            if key not in batches:
                batches[key] = _suited(member, _batch(member, self.atoms, domain))
            found.append(_derived(member, batches[key], whole=self.atoms.cell.rank == 3))
        self.results = {}
        for name in [n for n in found[0] if all(n in one for one in found)]:
            each = np.stack([one[name] for one in found])
            self.results[name] = _plain(each.mean(axis=0))
            if len(found) > 1:
                self.results[f"{name}_variance"] = _plain(each.var(axis=0, ddof=1))
        self.results["free_energy"] = self.results["energy"]
        if lacking := [name for name in properties if name not in self.results]:
            raise PropertyNotImplementedError(
                f"{', '.join(lacking)}; variances are of several surrogates, stress is of atoms in a "
                "cell, by models that give an energy alone"
            )

    def check_state(self, atoms: Any, tol: float = 1e-15) -> list[str]:
        """What has changed, whatever else members see of the atoms among it."""
        changes = super().check_state(atoms, tol)
        before = {} if self.atoms is None else {**self.atoms.info, **self.atoms.arrays}
        now = {**atoms.info, **atoms.arrays}
        seen = {name for member in self.members for name in _seen(member)}
        return changes + [
            name
            for name in sorted(seen - {*changes})
            if not np.array_equal(before.get(name), now.get(name))
        ]

    def _domain_of(self, atoms: Any) -> Particles:
        """The same one while it is the same, so that what is derived of it is kept."""
        periodic = tuple((atoms.pbc & atoms.cell.mask()).tolist())
        cell = atoms.cell.complete().array if any(periodic) else None
        domain = Particles(atoms.numbers, cell, periodic, "Å")
        if domain != self._domain:
            for member in self.members:
                _require_elements(member, domain)
            self._domain = domain
        if not self._warned and (unseen := _unseen(atoms, self.members)):
            self._warned = True
            warnings.warn(f"calculator: {unseen}", stacklevel=2)
        return self._domain


def _usable(surrogate: Member) -> Member:
    """The same weights, in use; what is derived of its energy is up to us."""
    potential, task = surrogate.potential, surrogate.task
    if potential is None or task.time or task.forcing:
        given = ", ".join((*task.inputs, *task.parameters)) or "nothing"
        raise InputError(
            f"calculator: a surrogate that gives {', '.join(task.targets)} of {given}; expected the "
            "energy of positions, lead: 0"
        )
    for name, wanted in ((potential.positions, "positions"), (potential.energy, "energy")):
        units = surrogate.setting.field(name).units
        if units not in (UNITS[wanted], "1", ""):
            raise InputError(
                f"calculator: '{name}' in {units}; ASE computes in {UNITS[wanted]}: convert the data, "
                "and train on them"
            )
    return surrogate if isinstance(surrogate, PotentialProgram) else copy(surrogate).eval()


def _require_elements(surrogate: Member, domain: Particles) -> None:
    """Raises :class:`InputError` for elements that were not there."""
    if not isinstance(surrogate.domain, Scope):
        return
    known = surrogate.domain.species
    if new := sorted({*domain.species.tolist()} - {*known}):
        raise InputError(
            f"calculator: atoms of {_symbols(new)}; the surrogate was trained on {_symbols(known)}: "
            "train on them too"
        )


def _symbols(numbers: Sequence[int]) -> str:
    known = len(chemical_symbols)
    return ", ".join(chemical_symbols[n] if 0 < n < known else str(n) for n in numbers)


def _seen(surrogate: Member) -> set[str]:
    """Names of what a surrogate sees besides positions and cell."""
    task = surrogate.task
    seen = {*task.inputs, *task.static, *task.parameters}
    return seen - {surrogate.potential.positions, LATTICE}


def _unseen(atoms: Any, members: Sequence[Member]) -> str:
    """Words on charge and spin of the atoms, where a member sees neither."""
    charge, spin = _of_all(atoms, CHARGE), _of_all(atoms, SPIN)
    found = [f"charge {charge:g}"] * (abs(charge) > ROUNDED)
    found += [f"spin multiplicity {spin:g}"] * (abs(spin - 1) > ROUNDED)
    if not found or all(SEES & _seen(member) for member in members):
        return ""
    return (
        f"atoms of {' and '.join(found)}, of which the surrogate sees nothing: energies and forces are "
        "those of atoms as it was trained on"
    )


def _of_all(atoms: Any, name: str) -> Any:
    """What is one for all atoms."""
    if name in atoms.info:
        return atoms.info[name]
    if name == CHARGE:
        return float(atoms.get_initial_charges().sum())
    if name == SPIN:
        return 1.0 + abs(float(atoms.get_initial_magnetic_moments().sum()))
    raise InputError(
        f"calculator: the surrogate sees '{name}', one for all atoms; expected it in atoms.info, "
        f"{', '.join(map(str, atoms.info)) or 'which is empty'}"
    )


def _of_each(atoms: Any, name: str) -> np.ndarray:
    """What each atom has."""
    if name not in atoms.arrays:
        raise InputError(
            f"calculator: the surrogate sees '{name}' of each atom; expected it among the arrays of "
            f"the atoms, {', '.join(atoms.arrays)}"
        )
    return atoms.arrays[name]


def _batch(surrogate: Member, atoms: Any, domain: Particles) -> Batch:
    task, fields = surrogate.task, {surrogate.potential.positions: atoms.positions}
    if LATTICE in task.inputs:
        fields[LATTICE] = atoms.cell.complete().array.ravel()
    for name in {*task.inputs} - {*fields}:
        whole = surrogate.setting.field(name).on == "global"
        value = _of_all(atoms, name) if whole else _of_each(atoms, name)
        fields[name] = np.asarray(value, float)
    static = {name: _of_each(atoms, name) for name in task.static}
    parameters = {name: float(_of_all(atoms, name)) for name in task.parameters}
    simulation = Simulation(0, domain, surrogate.fields, parameters, static)
    frame = Frame(0, 0, 0.0, fields)
    sample = Sample(simulation, 0, (frame,), (Frame(0, 0, 0.0, {}),))
    try:
        return collate([sample], task, surrogate.structures)
    except DomainError as error:  # here are neither simulations nor frames
        said = str(error).removeprefix("simulation 0, frame 0: ")
        raise DomainError(f"calculator: {said.removesuffix(': leave the frame out')}") from error


def _suited(member: Member, batch: Batch) -> Batch:
    """As its weights are; a program sees to that itself."""
    return batch if isinstance(member, PotentialProgram) else suited(batch, member, _device(member))


def _device(member: Member) -> torch.device:
    return next(member.parameters(), torch.empty(0)).device


def _derived(member: Member, batch: Batch, *, whole: bool) -> dict[str, np.ndarray]:
    """Energy, forces and, in a cell that is ``whole``, stress."""
    whole = whole and "cell" in batch.geometry
    if isinstance(member, PotentialProgram):
        known, outputs = member.potential, member(batch)
    else:
        bare = member.deriving(stress=whole)
        known = bare.potential
        with torch.no_grad():
            outputs = bare(batch)
    names = {
        "energy": known.energy,
        "forces": known.forces,
        "stress": known.stress if whole else "",
    }
    found = {n: outputs[own] for n, own in names.items() if own in outputs}
    return {
        n: (t[:, 0] if n == "forces" else t[0, 0]).cpu().numpy().astype(np.float64)
        for n, t in found.items()
    }


def _plain(values: np.ndarray) -> Any:
    return float(values) if values.ndim == 0 else values
