"""Surrogates as a calculator of ASE: derivatives, committees, dynamics, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import pair_energies
import pytest
import torch
from pair_energies import FIELDS, TASK, PairEnergy, surrogate
from torch import nn

import sciml
from sciml.domain import Field, Particles
from sciml.errors import DomainError, InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Setting, Surrogate, Traits

ase = pytest.importorskip("ase")
from ase.build import molecule  # noqa: E402


def crystal(pbc=(True, True, True)):
    """Skew, and narrower than twice the cutoff."""
    cell = np.array([[3.5, 0.2, 0], [0.4, 4.0, 0], [0.1, 0.3, 5.0]])
    atoms = ase.Atoms(
        "CHO", [[0.1, 0.2, 0.3], [1.6, 1.9, 0.4], [0.7, 2.2, 3.1]], cell=cell, pbc=pbc
    )
    atoms.calc = sciml.calculator(surrogate())
    return atoms


def slope(atoms, change, h=1e-5):
    """Of the energy, by central differences."""
    energies = []
    for sign in (1.0, -1.0):
        moved = atoms.copy()
        moved.calc = atoms.calc
        change(moved, sign * h)
        energies.append(moved.get_potential_energy())
    return (energies[0] - energies[1]) / (2 * h)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_forces_are_the_slope_of_the_energy(pbc):
    atoms = crystal(pbc)
    forces = atoms.get_forces()
    for atom, axis in ((0, 0), (1, 2), (2, 1)):

        def move(moved, by, at=(atom, axis)):
            moved.positions[at] += by

        assert slope(atoms, move) == pytest.approx(-forces[atom, axis], abs=1e-8)
    assert np.abs(forces).max() > 0.01


def test_stress_is_the_slope_by_strain():
    atoms = crystal()
    stress, volume = atoms.get_stress(), atoms.get_volume()
    for place, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):

        def stretch(moved, by, at=(i, j)):
            strain = np.eye(3)
            strain[at] += 0.5 * by
            strain[at[::-1]] += 0.5 * by
            moved.set_cell(moved.cell.array @ strain, scale_atoms=True)

        assert slope(atoms, stretch) / volume == pytest.approx(stress[place], abs=1e-9), (i, j)
    assert np.abs(stress).max() > 1e-4


def test_who_repeats_and_how_often_does_not_matter():
    atoms = crystal()
    twice = atoms.repeat((2, 1, 1))
    twice.calc = atoms.calc
    assert twice.get_potential_energy() == pytest.approx(
        2 * atoms.get_potential_energy(), abs=1e-10
    )
    np.testing.assert_allclose(twice.get_forces()[:3], atoms.get_forces(), atol=1e-10)
    np.testing.assert_allclose(twice.get_stress(), atoms.get_stress(), atol=1e-10)
    moved = atoms.copy()
    moved.calc = atoms.calc
    moved.positions[1] += 3 * moved.cell[0] - moved.cell[2]
    assert moved.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-10)


def test_it_gives_what_predict_gives():
    atoms = molecule("CH3CH2OH")
    model = surrogate()
    atoms.calc = sciml.calculator(model)
    ds = sciml.domain.dataset.to_dataset(
        Particles(atoms.numbers, units="Å"), FIELDS[:1], {"positions": atoms.positions[None]}, [0.0]
    )
    found = model.predict(ds)
    assert atoms.get_potential_energy() == pytest.approx(float(found.energy[0]), abs=1e-10)
    np.testing.assert_allclose(atoms.get_forces(), found.forces[0], atol=1e-10)


def test_a_committee_has_a_mean_and_a_variance():
    members = [surrogate(seed) for seed in range(3)]
    atoms = crystal()
    each = []
    for member in members:
        atoms.calc = sciml.calculator(member)
        each.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    atoms.calc = calculator = sciml.calculator(members)
    for name, values in zip(("energy", "forces", "stress"), zip(*each, strict=True), strict=True):
        found = calculator.get_property(name, atoms)
        np.testing.assert_allclose(found, np.mean(values, axis=0), atol=1e-12)
        variance = calculator.get_property(f"{name}_variance", atoms)
        np.testing.assert_allclose(variance, np.var(values, axis=0, ddof=1), atol=1e-12)
    with pytest.raises(
        ase.calculators.calculator.PropertyNotImplementedError, match="variances are of"
    ):
        sciml.calculator(members[0]).get_property("energy_variance", atoms)


def test_members_of_other_precision_see_their_own_numbers():
    members = [surrogate(0, dtype=torch.float32), surrogate(1)]
    atoms, each = crystal(), []
    for member in members:
        atoms.calc = sciml.calculator(member)
        each.append((atoms.get_potential_energy(), atoms.get_forces()))
    atoms.calc = sciml.calculator(members)
    (one, two), forces = zip(*each, strict=True)
    assert atoms.get_potential_energy() == pytest.approx((one + two) / 2, rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), np.mean(forces, axis=0), rtol=1e-10, atol=1e-13)


def test_stress_is_of_cells_that_have_a_volume():
    """A slab may have no third vector; a molecule has no cell, also where stress was learned."""
    task = Task(("positions",), ("energy", "forces", "stress"), lead=0)
    fields = (*FIELDS, Field("stress", "eV/Å3", on="global", components=6))
    domain = Particles(np.array([1, 6, 8]), units="Å")
    learned = Surrogate(PairEnergy(), task, None, domain, fields=fields).double()
    atoms = crystal(pbc=(True, True, False))
    atoms.calc = sciml.calculator(learned)
    assert atoms.get_stress().shape == (6,)
    for pbc in ((True, True, False), False):
        atoms.cell[2], atoms.pbc = 0.0, pbc
        atoms.calc = sciml.calculator(learned)
        assert np.isfinite(atoms.get_potential_energy()) and "stress" not in atoms.calc.results
        with pytest.raises(
            ase.calculators.calculator.PropertyNotImplementedError, match="atoms in a cell"
        ):
            atoms.get_stress()


def test_float64_is_kept_where_weights_are_float32():
    """Energies of 1e4 eV would be rounded to 1 meV."""
    model = surrogate(dtype=torch.float32)
    model.normalizer = Normalizer.of(Setting(TASK, model.domain, FIELDS))
    references = model.normalizer.references
    references.known = torch.tensor([[1.0, 6.0, 8.0], [-13.0, -1e4, -2e3]], dtype=torch.float64)
    atoms = molecule("CH3CH2OH")
    atoms.calc = sciml.calculator(model)
    base = -6 * 13.0 - 2e4 - 2e3
    left = atoms.get_potential_energy() - base
    model.normalizer.references.known[1] = 0.0
    atoms.calc = sciml.calculator(model)
    assert left == pytest.approx(atoms.get_potential_energy(), abs=1e-6) and abs(left) > 1e-3


@pytest.mark.parametrize("dynamics", ["verlet", "langevin", "rest", "box"])
def test_dynamics_and_optimizers_of_ase(dynamics):
    from ase import units
    from ase.filters import FrechetCellFilter
    from ase.md.langevin import Langevin
    from ase.md.verlet import VelocityVerlet
    from ase.optimize import BFGS

    atoms = crystal()
    rng = np.random.default_rng(0)
    atoms.set_momenta(rng.standard_normal((3, 3)))
    if dynamics == "verlet":
        before = atoms.get_total_energy()
        VelocityVerlet(atoms, 0.25 * units.fs).run(40)
        assert atoms.get_total_energy() == pytest.approx(before, abs=1e-4)
    elif dynamics == "langevin":
        Langevin(atoms, units.fs, temperature_K=300, friction=0.01, rng=rng, fixcm=False).run(5)
        assert np.isfinite(atoms.positions).all()
    else:
        before = atoms.get_potential_energy()
        BFGS(atoms if dynamics == "rest" else FrechetCellFilter(atoms), logfile=None).run(steps=6)
        assert atoms.get_potential_energy() < before
    assert np.abs(atoms.get_velocities()).max() > 0


def test_saved_surrogates_make_a_committee(tmp_path):
    path = Path(pair_energies.__file__)
    for seed in range(2):
        torch.manual_seed(seed)
        built = Surrogate.build(
            {"name": str(path)}, TASK, Particles(np.array([1, 6, 8]), units="Å"), fields=FIELDS
        )
        built.normalizer.fix()
        built.save(tmp_path / str(seed))
    models = [Surrogate.load(tmp_path / str(seed), str(path)) for seed in range(2)]
    atoms = molecule("H2O")
    atoms.calc = sciml.calculator(models)
    assert atoms.calc.get_property("energy_variance", atoms) > 0


class Springs(torch.nn.Module):
    """Derives its forces itself, from charges that it sees."""

    traits = Traits(differentiates=True)

    def forward(self, positions, *, ptr, owner, charge, **_):
        positions = positions.requires_grad_()
        each = charge * (positions**2).sum(1)
        energy = each.new_zeros(len(ptr) - 1).index_add(0, owner, each)
        (pull,) = torch.autograd.grad(energy.sum(), positions)
        return {"energy": energy, "forces": -pull}


def test_forces_that_a_model_gives_and_static_fields():
    task = Task(("positions",), ("energy", "forces"), static=("charge",), lead=0)
    model = Surrogate(Springs(), task, None, None, fields=(*FIELDS, Field("charge")))
    model.potential = surrogate().potential
    atoms = ase.Atoms("H2", [[1.0, 0, 0], [0, 2.0, 0]])
    atoms.calc = sciml.calculator(model)
    with pytest.raises(
        InputError, match="sees 'charge' of each atom; expected it among the arrays"
    ):
        atoms.get_forces()
    atoms.set_array("charge", np.array([1.0, 2.0]))
    assert atoms.get_potential_energy() == pytest.approx(9.0)
    np.testing.assert_allclose(atoms.get_forces(), [[-2, 0, 0], [0, -8, 0]], atol=1e-6)


def test_arrays_that_change_are_seen():
    """ASE itself looks at those alone that it knows."""

    class Charged(nn.Module):
        def forward(self, positions, *, load, ptr, owner, **_):
            energy = positions.new_zeros(len(ptr) - 1)
            return {"energy": energy.index_add(0, owner, load * positions.square().sum(dim=1))}

    domain, task = (
        Particles(np.array([1, 8]), units="Å"),
        Task(("positions",), ("energy", "forces"), static=("load",), lead=0),
    )
    atoms = molecule("H2O")
    atoms.set_array("load", np.ones(3))
    atoms.calc = sciml.calculator(Surrogate(Charged(), task, None, domain, fields=FIELDS).double())
    before = atoms.get_potential_energy()
    atoms.arrays["load"] *= 2
    assert atoms.get_potential_energy() == pytest.approx(2 * before) and before > 0.1


class Ion(nn.Module):
    """E = q Σ x² + a, of a charge and a number of all atoms."""

    def forward(self, positions, charge, *, parameters, ptr, owner, **_):
        sums = positions.new_zeros(len(ptr) - 1).index_add(0, owner, positions.square().sum(dim=1))
        return {"energy": charge.reshape(-1) * sums + parameters[:, 0]}


def ion():
    task = Task(("positions", "charge"), ("energy", "forces"), parameters=("multiplicity",), lead=0)
    fields = (*FIELDS, Field("charge", "e", on="global"))
    domain = Particles(np.array([1, 8]), units="Å")
    return Surrogate(Ion(), task, None, domain, fields=fields).double()


@pytest.mark.filterwarnings("error")
def test_charge_and_spin_that_a_surrogate_sees_are_those_of_the_atoms():
    atoms = molecule("H2O")
    atoms.calc = sciml.calculator(ion())
    each = np.square(atoms.positions).sum()
    assert atoms.get_potential_energy() == pytest.approx(1.0)
    atoms.set_initial_charges([1.0, 1.0, 0.0])
    atoms.set_initial_magnetic_moments([0.0, 0.0, -1.0])
    assert atoms.get_potential_energy() == pytest.approx(2 * each + 2.0, rel=1e-5)
    atoms.info |= {"charge": -1, "multiplicity": 3}  # what is said of all goes before sums
    assert atoms.get_potential_energy() == pytest.approx(3.0 - each, rel=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), 2 * atoms.positions, rtol=1e-5)
    other = ion()
    other.task = Task(("positions", "charge"), ("energy",), parameters=("field",), lead=0)
    atoms.calc = sciml.calculator(other)
    with pytest.raises(
        InputError, match=r"sees 'field', one for all atoms; .*\.info, charge, multi"
    ):
        atoms.get_potential_energy()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"charge": 1}, "atoms of charge 1, of which the surrogate sees nothing"),
        ({"multiplicity": 2}, "atoms of spin multiplicity 2, of which"),
        ({"charges": [0.6, 0.0, 0.4]}, "atoms of charge 1, of which"),
        ({"magmoms": [0.0, 1.0, 1.0]}, "spin multiplicity 3"),
        ({"charges": [-0.8, 0.4, 0.4]}, ""),
    ],
)
def test_charge_and_spin_that_nobody_sees_are_warned_of_once(said, words, recwarn):
    atoms = molecule("H2O")
    arrays = {key: said.pop(key, np.zeros(3)) for key in ("charges", "magmoms")}
    atoms.set_initial_charges(arrays["charges"])
    atoms.set_initial_magnetic_moments(arrays["magmoms"])
    atoms.info |= said
    atoms.calc = sciml.calculator([surrogate(0), surrogate(1)])
    for _ in range(2):
        atoms.get_forces()
        atoms.positions[0] += 0.01
    found = [str(one.message) for one in recwarn]
    assert len(found) == bool(words) and all(words in line for line in found)


def test_another_calculator_adds_what_data_lack():
    """Such as dispersion."""
    from ase.calculators.lj import LennardJones
    from ase.calculators.mixing import SumCalculator

    atoms, found = crystal(), []
    pair = LennardJones(sigma=1.5, epsilon=0.01, rc=4.0)
    for calculator in (atoms.calc, pair, SumCalculator([atoms.calc, pair])):
        atoms.calc = calculator
        found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    for one, other, both in zip(*found, strict=True):
        np.testing.assert_allclose(one + other, both, atol=1e-12)
        assert np.abs(other).max() > 1e-4


def test_elements_that_were_not_there_are_named():
    atoms = molecule("CH3Cl")
    atoms.calc = sciml.calculator(surrogate())
    with pytest.raises(InputError, match="atoms of Cl; the surrogate was trained on H, C, O"):
        atoms.get_potential_energy()


def test_atoms_that_cannot_be_there_are_refused():
    atoms = ase.Atoms("CHO", [[0, 0, 0], [0, 0, 0], [1, 0, 0]])
    atoms.calc = sciml.calculator(surrogate())
    with pytest.raises(
        DomainError,
        match=r"^calculator: particles 0 and 1 are 0 apart; expected none nearer than 0\.001$",
    ):
        atoms.get_forces()
    atoms.positions[:] = np.nan
    with pytest.raises(DomainError, match=r"particle 0 is at .*nan"):
        atoms.get_forces()
    with pytest.raises(ase.calculators.calculator.PropertyNotImplementedError):
        crystal((False, False, False)).get_stress()


def test_surrogates_of_other_things_are_refused():
    moving = Surrogate(PairEnergy(), Task(("positions",), ("positions",)), fields=FIELDS)
    with pytest.raises(InputError, match="gives positions of positions; expected the energy of"):
        sciml.calculator(moving)
    other = surrogate()
    other.setting = Setting(
        TASK, other.domain, (FIELDS[0], Field("energy", "kcal/mol", on="global"), FIELDS[2])
    )
    with pytest.raises(InputError, match="'energy' in kcal/mol; ASE computes in eV"):
        sciml.calculator(other)
    with pytest.raises(InputError, match="no surrogates"):
        sciml.calculator([])
    with pytest.raises(InputError, match="holds no surrogate"):
        sciml.calculator("nowhere")


def test_without_ase_a_line_says_so(monkeypatch):
    monkeypatch.delitem(sys.modules, "sciml.surrogates.calculator", raising=False)
    monkeypatch.setitem(sys.modules, "ase.calculators.calculator", None)
    with pytest.raises(InputError, match=r"ase is not there; .*\[particles\]"):
        sciml.calculator(surrogate())
