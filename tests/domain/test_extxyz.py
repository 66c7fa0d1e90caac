"""Extended XYZ in and out: what ASE reads of it is what was there."""

import sys

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.domain import Field, Grid, Particles
from sciml.domain.dataset import to_dataset
from sciml.domain.files import several
from sciml.errors import InputError

ase = pytest.importorskip("ase")
from ase.calculators.singlepoint import SinglePointCalculator  # noqa: E402
from ase.io import read, write  # noqa: E402


def frames(pbc=(True, True, False), count=4):
    """Of two compositions, in cells that change."""
    rng, found = np.random.default_rng(0), []
    for k in range(count):
        n = 3 if k < 2 else 4
        cell = np.diag([4.0, 5.0, 6.0]) + 0.1 * rng.standard_normal((3, 3))
        atoms = ase.Atoms(
            "CHOH"[:n], 3 * rng.random((n, 3)), cell=cell if any(pbc) else None, pbc=pbc
        )
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=-4209.1234567 - k,
            forces=rng.standard_normal((n, 3)),
            stress=rng.random(6),
        )
        atoms.info["time"], atoms.info["weight"] = 0.5 * k, 1.0 + k
        atoms.set_array("near", rng.random(n))
        found.append(atoms)
    return found


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, False, False)])
def test_what_was_read_is_written(tmp_path, pbc):
    first, second = tmp_path / "first.xyz", tmp_path / "second.extxyz"
    write(first, frames(pbc), format="extxyz")
    sciml.write_extxyz(second, several(first))
    for known, found in zip(read(first, ":"), read(second, ":"), strict=True):
        assert found.symbols.get_chemical_formula() == known.symbols.get_chemical_formula()
        assert found.pbc.tolist() == known.pbc.tolist() == list(pbc)
        np.testing.assert_allclose(found.cell.array, known.cell.array, atol=1e-12)
        np.testing.assert_allclose(found.positions, known.positions, atol=1e-8)
        assert {*found.calc.results} == {"energy", "forces", "stress"}
        for name, value in known.calc.results.items():
            np.testing.assert_allclose(found.calc.results[name], value, atol=1e-8)
        assert found.info == known.info
        np.testing.assert_allclose(found.arrays["near"], known.arrays["near"], atol=1e-8)


def test_a_cell_that_changes_along_a_run(tmp_path):
    fields = [
        Field("positions", "Å", components=3),
        Field("lattice", "Å", on="global", components=9),
    ]
    box = Particles([1, 1], 3 * np.eye(3), (True,) * 3, "Å")
    cells = np.stack([side * np.eye(3).ravel() for side in (3.0, 3.1, 3.2)])
    ds = to_dataset(box, fields, {"positions": np.zeros((3, 2, 3)), "lattice": cells}, [0.0, 1, 2])
    path = tmp_path / "run.xyz"
    sciml.write_extxyz(path, ds)
    np.testing.assert_allclose([a.cell[0, 0] for a in read(path, ":")], [3.0, 3.1, 3.2])


def test_a_run_of_a_solver_that_some_members_end_early(tmp_path):
    fields = [Field("positions", "Å", components=3), Field("energy", "eV", on="global")]
    x = np.zeros((2, 3, 2, 3))
    x[1, 2:] = np.nan
    energy = np.arange(6.0).reshape(2, 3)
    water = Particles([1, 8], units="Å")
    ds = to_dataset(water, fields, {"positions": x, "energy": energy}, [0.0, 1, 2])
    sciml.write_extxyz(tmp_path / "run.xyz", ds)
    assert [a.get_potential_energy() for a in read(tmp_path / "run.xyz", ":")] == [0, 1, 2, 3, 4]


def test_what_cannot_be_written_is_one_line(tmp_path):
    path = tmp_path / "new.xyz"
    water = Particles([1, 8], units="Å")
    energy = [Field("energy", "eV", on="global")]
    bare = to_dataset(water, energy, {"energy": np.zeros(1)}, [0.0])
    with pytest.raises(
        InputError, match="no 'positions' among energy; expected particles: add those"
    ):
        sciml.write_extxyz(path, bare)
    far = to_dataset(
        water, [Field("positions", "bohr", components=3)], {"positions": np.zeros((1, 2, 3))}, [0.0]
    )
    with pytest.raises(InputError, match="positions in bohr; expected Å"):
        sciml.write_extxyz(path, far)
    fields = [Field("positions", "Å", components=3), Field("energy", "kcal/mol", on="global")]
    other = to_dataset(
        water, fields, {"positions": np.zeros((1, 2, 3)), "energy": np.zeros(1)}, [0.0]
    )
    with pytest.raises(InputError, match="energy in kcal/mol; expected eV: convert"):
        sciml.write_extxyz(path, other)
    line = to_dataset(
        Grid((4,), ((0.0, 1.0),), ("open",)),
        [Field("positions")],
        {"positions": np.zeros((1, 4))},
        [0.0],
    )
    with pytest.raises(InputError, match="on a grid; expected particles"):
        sciml.write_extxyz(path, line)
    for thing in (None, "water.xyz", np.zeros(3), {"a": bare}, [object()]):
        with pytest.raises(InputError, match=r"got a \w+; expected a dataset of xarray: such as"):
            sciml.write_extxyz(path, thing)
    with pytest.raises(InputError, match=r"got a DataArray; .* becomes one by array.to_dataset"):
        sciml.write_extxyz(path, bare["energy"])
    with pytest.raises(InputError, match=r"ends in \.xyz or \.extxyz"):
        sciml.write_extxyz(tmp_path / "new.nc", bare)
    with pytest.raises(InputError, match="no configurations"):
        sciml.write_extxyz(path, [])
    path.write_text("mine")
    with pytest.raises(InputError, match="is there; expected the name of a new file"):
        sciml.write_extxyz(path, bare)
    assert path.read_text() == "mine" and isinstance(bare, xr.Dataset)


def test_without_ase_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ase.io", None)
    with pytest.raises(InputError, match=r"ase is not there; .*\[particles\]"):
        sciml.write_extxyz(tmp_path / "new.xyz", [])


@pytest.mark.parametrize(
    ("without", "line"),
    [
        (
            [1],
            r"x.xyz, 0: no 'forces' in frame 1 of the file \(CHO\); expected it in all: add it, or",
        ),
        (
            [2, 3],
            r"x.xyz, 1: no 'forces' in frames 2 to 3 of the file \(CH2O\); expected it in all",
        ),
    ],
)
def test_frames_without_forces_are_named(tmp_path, without, line):
    several_frames = frames((False, False, False))
    for k in without:
        del several_frames[k].calc.results["forces"]
    write(tmp_path / "x.xyz", several_frames, format="extxyz")
    task = {"inputs": ["positions"], "targets": ["energy", "forces"], "lead": 0}
    with pytest.raises(InputError, match=line) as caught:
        sciml.fit("egnn", tmp_path / "x.xyz", task, progress=False)
    assert "\n" not in str(caught.value)
    # Whoever does not want them goes on.
    sciml.fit(
        {"name": "egnn", "hidden": 4, "layers": 1}, tmp_path / "x.xyz",
        {**task, "targets": ["energy"]}, epochs=1, validation=0.0, progress=False,
    )  # fmt: skip


def test_what_is_no_element_is_named(tmp_path):
    (tmp_path / "x.xyz").write_text("1\nProperties=species:S:1:pos:R:3\nXx 0 0 0\n")
    with pytest.raises(InputError, match=r"x.xyz: no element 'Xx'; expected symbols such as H"):
        several(tmp_path / "x.xyz")
