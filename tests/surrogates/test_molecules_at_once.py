"""Predictions of several molecules: in batches, as files, on the command line."""

from pathlib import Path

import numpy as np
import pair_energies
import pytest
import torch
import xarray as xr
from pair_energies import FIELDS, TASK, PairEnergy, surrogate
from typer.testing import CliRunner

import sciml
from sciml.cli import app
from sciml.domain import Particles
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.surrogates import Surrogate

ase = pytest.importorskip("ase")
from ase.build import molecule  # noqa: E402
from ase.calculators.singlepoint import SinglePointCalculator  # noqa: E402
from ase.io import read, write  # noqa: E402

NAMES = ("CH3CH2OH", "H2O", "CH4", "CO2")


class Counting(PairEnergy):
    """Keeps how many samples each batch had."""

    def forward(self, positions, *, ptr, **others):
        self.seen = [*getattr(self, "seen", []), len(ptr) - 1]
        return super().forward(positions, ptr=ptr, **others)


def counting():
    model = surrogate()
    torch.manual_seed(0)
    model.model = Counting().double()
    return model


def datasets(frames=(3, 1, 2, 1)):
    rng, found = np.random.default_rng(0), []
    for name, count in zip(NAMES, frames, strict=True):
        atoms = molecule(name)
        x = atoms.positions + 0.05 * rng.standard_normal((count, len(atoms), 3))
        where = Particles(atoms.numbers, units="Å")
        found.append(to_dataset(where, FIELDS[:1], {"positions": x}, np.arange(float(count))))
    return found


def test_molecules_share_batches_and_come_out_as_one_by_one():
    model, several = counting(), datasets()
    together = model.predict(several, batch_size=4)
    assert model.model.seen == [4, 3]
    for ds, found in zip(several, together, strict=True):
        alone = model.predict(ds)
        xr.testing.assert_allclose(found, alone, rtol=1e-12)
        assert {*found.data_vars} == {"positions", "energy", "forces"}
        xr.testing.assert_identical(found.positions, ds.positions)
        assert found.forces.dims == ("time", "particle", "space") and found.energy.units == "eV"


def test_periodic_ones_among_them_have_batches_of_their_own():
    model, several = counting(), datasets()
    cell = Particles(several[1].species.values, 5 * np.eye(3), (True, True, False), "Å")
    x = several[1].positions.values
    several[1] = to_dataset(cell, FIELDS[:1], {"positions": x}, [0.0])
    found = model.predict(several)
    assert model.model.seen == [3, 1, 3] and [ds.sizes["time"] for ds in found] == [3, 1, 2, 1]


def test_a_file_of_several_comes_back_as_a_file(tmp_path):
    frames = []
    for name in (*NAMES, NAMES[0]):
        atoms = molecule(name)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=atoms.positions)
        frames.append(atoms)
    write(tmp_path / "in.xyz", frames, format="extxyz")
    model = surrogate()
    predicted = model.predict(tmp_path / "in.xyz")
    assert len(predicted) == 5
    sciml.write_extxyz(tmp_path / "out.xyz", predicted)
    calculator = sciml.calculator(model)
    for known, found in zip(frames, read(tmp_path / "out.xyz", ":"), strict=True):
        assert found.symbols.get_chemical_formula() == known.symbols.get_chemical_formula()
        known.calc = calculator
        assert found.get_potential_energy() == pytest.approx(known.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(found.get_forces(), known.get_forces(), atol=1e-6)


def test_the_command_writes_files(tmp_path):
    path = Path(pair_energies.__file__)
    domain = Particles(np.array([1, 6, 8]), units="Å")
    built = Surrogate.build({"name": str(path)}, TASK, domain, fields=FIELDS)
    built.normalizer.fix()
    built.save(tmp_path / "model")
    write(tmp_path / "in.xyz", [molecule(n) for n in NAMES], format="extxyz")
    write(tmp_path / "one.xyz", molecule("H2O"), format="extxyz")

    def run(data, out):
        words = ["predict", tmp_path / "model", "--data", tmp_path / data, "--out", tmp_path / out]
        return CliRunner().invoke(app, [*map(str, words), "--model", str(path)])

    assert run("in.xyz", "out.xyz").exit_code == 0
    assert len(read(tmp_path / "out.xyz", ":")) == 4
    assert run("one.xyz", "out.nc").exit_code == 0
    assert run("one.xyz", "a/new/folder/out.xyz").exit_code == 0
    with xr.open_dataset(tmp_path / "out.nc") as ds:
        assert ds.forces.shape == (1, 3, 3)
    for data, out, line in (
        ("in.xyz", "out.xyz", "is there; expected the name of a new file"),
        ("in.xyz", "out.png", "expected a name that ends in .nc; of particles in .xyz"),
        ("in.xyz", "several.nc", "predictions of 4 molecules, which make no single dataset"),
    ):
        done = run(data, out)
        assert isinstance(done.exception, InputError) and line in str(done.exception)
    assert not (tmp_path / "several.nc").exists()


def test_one_that_does_not_fit_is_named():
    model, several = surrogate(), datasets()
    chlorine = Particles([1, 17], units="Å")
    several[2] = to_dataset(chlorine, FIELDS[:1], {"positions": np.eye(2, 3)[None]}, [0.0])
    with pytest.raises(
        InputError, match=r"dataset 2 of 4: .*species 17; the surrogate was trained on"
    ):
        model.predict(several)
    with pytest.raises(InputError, match="at or forcing of 4 datasets"):
        model.predict(several, at={"x": [0.0]})


def test_forces_that_are_missing_are_named(tmp_path):
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    write(tmp_path / "bare.xyz", [atoms, atoms], format="extxyz")
    with pytest.raises(InputError, match=r"bare\.xyz: .*'forces'.*known: .*energy"):
        sciml.fit(PairEnergy(), tmp_path / "bare.xyz", TASK, epochs=1, validation=0)
