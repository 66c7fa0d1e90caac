"""Molecules by GFN2-xTB: energies and forces are tblite's, samples have their temperature."""

import subprocess
import sys

import numpy as np
import pytest
from programs import made, march, started

from sciml.errors import InputError
from sciml.share import find
from sciml.solver.mpirun import environment

pytest.importorskip("ase")
tblite = pytest.importorskip("tblite.interface")

QUICK = {"members": 2, "warm_up": 3, "stride": 2, "steps": 3, "every": 1}


def single_point(numbers, positions):
    """Energy [eV] and forces [eV/Å] by tblite itself."""
    from ase.units import Bohr, Hartree

    calculator = tblite.Calculator("GFN2-xTB", numbers, positions / Bohr)
    calculator.set("verbosity", 0)
    calculator.set("accuracy", 0.01)
    found = calculator.singlepoint()
    return found["energy"] * Hartree, -found["gradient"] * Hartree / Bohr


@pytest.mark.parametrize("sampling", ["langevin", "normal-modes"])
def test_energies_and_forces_are_those_of_tblite(sampling):
    run = march("xtb", molecules="H2O", sampling=sampling, **QUICK)
    numbers, apart = run.program.domain().species, []
    for x, forces, energy in zip(*(run.fields[n] for n in ("positions", "forces", "energy")),
                                 strict=True):  # fmt: skip
        known, pulls = single_point(numbers, x)
        assert energy == pytest.approx(known, abs=2e-6)
        np.testing.assert_allclose(forces, pulls, atol=2e-4)
        apart.append(x)
    assert np.abs(np.diff(apart, axis=0)).max(axis=(1, 2)).min() > 1e-3, "each state is another one"


def test_forces_are_the_slope_of_the_energy():
    run = started("xtb", molecules="CH3OH", accuracy=0.01, **QUICK)
    x, forces, h = run.state()["positions"], run.state()["forces"], 1e-3
    for atom, axis in ((0, 0), (3, 1), (5, 2)):
        energies = []
        for sign in (1.0, -1.0):
            away = x.copy()
            away[atom, axis] += sign * h
            energies.append(single_point(run.domain().species, away)[0])
        slope = (energies[0] - energies[1]) / (2.0 * h)
        assert slope == pytest.approx(-forces[atom, axis], abs=1e-4)


def test_molecules_side_by_side_add_up():
    alone = [started("xtb", molecules=name, sampling="normal-modes", members=1, warm_up=0)
             for name in ("H2O", "N2")]  # fmt: skip
    both = started("xtb", molecules="H2O, N2", sampling="normal-modes", members=1, warm_up=0)
    energies = [float(run.samples[0][2]) for run in alone]
    assert float(both.state()["energy"]) == pytest.approx(sum(energies), abs=1e-2)
    assert both.domain().species.tolist() == [8, 1, 1, 7, 7]
    assert both.state()["positions"][3:, 0].min() > 20
    second = started("xtb", molecules="H2O, N2", which=1.9, **QUICK)
    assert second.domain().species.tolist() == [7, 7]


def test_molecules_of_a_file_do_not_lie_on_each_other(tmp_path):
    """Wherever each has been, and however small it is."""
    from ase.build import molecule
    from ase.io import write

    frames = [molecule(name) for name in ("H2O", "CH4", "H")]
    frames[1].positions += [-30.0, 0.0, 0.0]
    write(tmp_path / "far.xyz", frames, format="extxyz")
    run = started("xtb", molecules=tmp_path / "far.xyz", members=1, warm_up=0)
    x = run.state()["positions"]
    apart = [np.linalg.norm(x[a, None] - x[b], axis=-1).min()
             for a, b in ((slice(3), slice(3, 8)), (slice(3, 8), slice(8, 9)))]  # fmt: skip
    assert min(apart) > 29 and not run.warnings.all()


def test_charge_and_spin_are_those_of_the_comment_line(tmp_path):
    head = "5\nProperties=species:S:1:pos:R:3{}"
    path, said = tmp_path / "ion.xyz", " charge=1 multiplicity=1\n"
    atoms = "N 0 0 0\nH .6 .6 .6\nH -.6 -.6 .6\nH -.6 .6 -.6\nH .6 -.6 -.6\n"
    path.write_text(head.format(said) + atoms)
    run = started("xtb", molecules=path, members=1, warm_up=0)
    assert float(run.state()["energy"]) == pytest.approx(-122.3044, abs=1e-3)  # 4.6 eV above NH4
    path.write_text(head.format(":initial_charges:R:1" + said) + atoms.replace("\n", " 0.1\n"))
    with pytest.raises(InputError, match=r"charge=1, and its atoms add up to 0.5; expected 1"):
        made("xtb", molecules=path)
    path.write_text("1\nProperties=species:S:1:pos:R:3 multiplicity=3\nO 0 0 0\n")
    triplet = started("xtb", molecules=path, members=1, warm_up=0).state()["energy"]
    path.write_text("1\nProperties=species:S:1:pos:R:3:initial_magmoms:R:1\nO 0 0 0 2\n")
    assert triplet == started("xtb", molecules=path, members=1, warm_up=0).state()["energy"]


def test_a_file_says_where_to_start(tmp_path):
    from ase.build import molecule
    from ase.io import write

    water = molecule("H2O")
    longer = water.copy()
    longer.positions[1] *= 1.1
    write(tmp_path / "starts.xyz", [water, longer], format="extxyz")
    flags = {"molecules": tmp_path / "starts.xyz", "members": 1, "warm_up": 0}
    for which, atoms in enumerate((water, longer)):
        run = started("xtb", **flags, which=which)
        np.testing.assert_allclose(run.state()["positions"], atoms.positions, atol=1e-7)


def test_frequencies_of_water_are_those_of_ase(tmp_path):
    from ase.build import molecule
    from ase.units import _e, _hbar, invcm, second
    from ase.vibrations import Vibrations
    from tblite.ase import TBLite

    run = started("xtb", molecules="H2O", sampling="normal-modes", members=1, accuracy=0.01)
    bath, atoms = run.baths[0], molecule("H2O")
    atoms.positions[:] = bath.rest
    atoms.calc = TBLite(method="GFN2-xTB", accuracy=0.01, verbosity=0)
    known = Vibrations(atoms, name=str(tmp_path / "vib"), delta=5e-3)
    known.run()
    expected = known.get_energies().real[-3:] / invcm
    # ħω in eV of √(eV / Å² u): one of ASE's units of time.
    ours = _hbar / _e * second * bath.frequencies / invcm
    np.testing.assert_allclose(ours, expected, rtol=1e-3)
    assert 1400 < ours[0] < 1700 < 3500 < ours[1] < ours[2] < 3900, ours


@pytest.mark.slow
def test_langevin_dynamics_have_the_temperature():
    from ase.units import kB

    run = started("xtb", molecules="H2O", members=8, friction=0.1, temperature=500, warm_up=400)
    masses, found = run.structures[0].get_masses()[:, None], []
    for _ in range(60):
        run.sample(20)
        found += [float((masses * b.v**2).sum()) / (9 * kB) for b in run.baths.values()]
    assert np.mean(found) == pytest.approx(500, rel=0.08)


def test_a_rank_loads_no_torch():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import xtb; from sciml.solver.flags import parse;"
        "from types import SimpleNamespace as N; run = xtb.XTB(parse(xtb.XTB, ['--molecules', 'H2']));"
        "run.start(N(rank=0, size=1)); run.step(0);"
        "print({'torch', 'xarray', 'pydantic', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    folder = str(find("solvers/xtb.py").parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True,
                          env=environment(), timeout=300, check=True)  # fmt: skip
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("package", ["ase.build", "tblite.ase"])
def test_a_package_that_is_missing_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package.split('.')[0]} is not there; .*\[particles\]"):
        made("xtb")


CASES = (
    ("CH3CHOH", "'CH3CHOH'; did you mean 'CH3CH2OH'.* extended XYZ file"),
    ("none.xyz", "none.xyz: no such file"),
)


@pytest.mark.parametrize(("name", "line"), CASES)
def test_unknown_molecules_are_one_line(name, line):
    with pytest.raises(InputError, match=line) as caught:
        made("xtb", molecules=name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_structures_that_are_none_are_refused(tmp_path):
    path = tmp_path / "bad.xyz"
    path.write_text("2\nProperties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 0.074\n")
    with pytest.raises(InputError, match=r"atoms 0 and 1 are 0.074 Å apart; .*is it in Å\?"):
        made("xtb", molecules=path)
    path.write_text("1\nProperties=species:S:1:pos:R:3\nH 0 0 nan\n")
    with pytest.raises(InputError, match="not finite"):
        made("xtb", molecules=path)
    path.write_text("no atoms")
    with pytest.raises(InputError, match="ase cannot read it"):
        made("xtb", molecules=path)
    path.write_text("2\nProperties=species:S:1:pos:R:3\nU 0 0 0\nF 0 0 2\n")
    with pytest.raises(InputError, match="gives no energy of FU"):
        started("xtb", molecules=path)


def test_modes_of_crystals_are_refused(tmp_path):
    path = tmp_path / "chain.xyz"
    path.write_text(
        '2\nLattice="2.2 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 pbc="T F F"\n'
        "H 0 0 0\nF 1 0 0\n"
    )
    assert made("xtb", molecules=path).particles.periodic == (True, False, False)
    with pytest.raises(InputError, match=r"normal-modes of atoms that repeat.*langevin"):
        made("xtb", molecules=path, sampling="normal-modes")


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="which=3: H2O, N2 holds 2"):
        made("xtb", molecules="H2O, N2", which=3)
    from types import SimpleNamespace

    with pytest.raises(InputError, match="3 ranks for 2 molecules; give --members 3"):
        made("xtb", molecules="H2O", members=2).start(SimpleNamespace(rank=0, size=3))


def test_a_molecule_that_breaks_is_warned_of():
    run = started("xtb", molecules="H2", members=1, warm_up=0)
    run.samples[0][0][1, 2] += 9.0
    run.state()
    assert "lower --temperature" in run.warnings.all()[0].message


def test_elements_of_all_molecules_are_told_ahead():
    domain = made("xtb", molecules="CH4, H2O", which=1).domain()
    assert sorted({*domain.species.tolist()}) == [1, 8] and domain.expected == (1, 6, 8)
