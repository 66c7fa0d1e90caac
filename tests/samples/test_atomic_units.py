"""Files whose numbers do not look like Å and eV are warned of, others are not."""

import re

import numpy as np
import pytest
from pair_energies import PairEnergy

import sciml
from sciml.record import open_trajectories
from sciml.samples import Task

ase = pytest.importorskip("ase")
from ase.build import molecule  # noqa: E402
from ase.calculators.emt import EMT  # noqa: E402
from ase.calculators.singlepoint import SinglePointCalculator  # noqa: E402
from ase.io import write  # noqa: E402

TASK = Task(("positions",), ("energy", "forces"), lead=0)


def said(tmp_path, length=1.0, energy=1.0, force=1.0, name="CH3CH2OH", far=0.02, task=TASK):
    """Doubts of a file of a molecule that jitters, in other units."""
    atoms, rng, frames = molecule(name), np.random.default_rng(0), []
    start = atoms.positions.copy()
    for _ in range(12):
        atoms.positions[:] = start + far * rng.standard_normal(start.shape)
        atoms.calc = EMT()
        found = {
            "energy": energy * atoms.get_potential_energy(),
            "forces": force * atoms.get_forces(),
        }
        one = ase.Atoms(atoms.numbers, length * atoms.positions)
        one.calc = SinglePointCalculator(one, **found)
        frames.append(one)
    path = tmp_path / "data.xyz"
    write(path, frames, format="extxyz")
    return open_trajectories(path, task).doubts


def test_angstroms_and_electronvolts_are_fine(tmp_path):
    assert said(tmp_path) == []
    assert said(tmp_path, name="H2O", far=0.05) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"length": 1.8897}, r"nearest atoms are 1\.\d+ bond lengths apart \(as in Bohr\); expected"),
        ({"length": 0.1}, r"nearest atoms are 0\.\d+ bond lengths apart \(as in nm\)"),
        ({"energy": 1 / 27.2114}, "forces say 2[67].* times .* as where energies are in Hartree"),
        ({"energy": 23.06, "force": 23.06}, "are too strong for eV/Å, .* 23.06 kcal/mol/Å"),
        ({"energy": 1 / 27.2114, "force": 1 / 51.4221}, "forces are in units of energy by Bohr"),
        ({"force": -1.0}, "forces say -.* forces the negative gradient"),
    ],
)  # fmt: skip
def test_other_units_are_doubted(tmp_path, changed, line):
    found = said(tmp_path, **changed)
    assert any(re.search(line, one) for one in found), found
    assert all("\n" not in one and len(one) < 220 for one in found)


def test_doubts_are_told_in_a_training(tmp_path, caplog):
    said(tmp_path, length=1.8897)
    sciml.fit(PairEnergy(cutoff=6.0), tmp_path / "data.xyz", TASK, epochs=1, validation=0)
    assert any("as in Bohr" in line and "WARNING" in line for line in caplog.text.splitlines())


def test_energies_of_later_frames_are_doubted(tmp_path):
    [line] = said(tmp_path, task=Task(("positions",), ("energy", "forces")))
    assert line.startswith(
        "energy and forces are those of a later frame than the positions (lead=1)"
    )
    assert said(tmp_path, task=Task(("positions",), ("positions", "energy"))) == []
