"""Energies of isolated atoms as references: in `fit`, in a study, and what cannot be."""

import logging

import numpy as np
import pytest

import sciml
from sciml.domain import Field, Particles
from sciml.domain.dataset import to_dataset
from sciml.domain.isolated_atoms import isolated_energies
from sciml.errors import InputError
from sciml.study.schema import dump_study, load_study

TASK = {"inputs": ["positions"], "targets": ["energy", "forces"], "lead": 0}
ALONE = {1: -13.6, 8: -2041.0}
EGNN = {"name": "egnn", "hidden": 4, "layers": 1, "cutoff": 3.0}


def springs(species, frames=8, each=-4.0):
    """Of all pairs, of length 1 Å; an atom is bound by 4 eV."""
    rng, n = np.random.default_rng(len(species)), len(species)
    x = 0.4 * rng.standard_normal((frames, n, 3)) + 1.2 * np.arange(n)[:, None] * np.eye(3)[0]
    gap = x[:, :, None] - x[:, None]
    r = np.linalg.norm(gap, axis=-1) + np.eye(n)
    energy = 0.25 * ((r - 1) ** 2 * (1 - np.eye(n))).sum((1, 2))
    forces = -((r - 1) / r * (1 - np.eye(n)))[..., None] * gap
    fields = [
        Field("positions", "Å", components=3), Field("energy", "eV", on="global"),
        Field("forces", "eV/Å", components=3),
    ]  # fmt: skip
    values = {
        "positions": x,
        "energy": energy + sum(ALONE[s] + each for s in species),
        "forces": forces.sum(2),
    }
    return to_dataset(Particles(species, units="Å"), fields, values, np.arange(float(frames)))


def atoms_file(path, *lines):
    path.write_text(
        "".join(f"1\nProperties=species:S:1:pos:R:3 energy={e}\n{s} 0 0 0\n" for s, e in lines)
    )
    return path


def fitted(data, **given):
    return sciml.fit(EGNN, data, TASK, epochs=1, validation=0.0, progress=False, **given)


@pytest.mark.parametrize("how", ["symbols", "numbers", "file"])
def test_fit_takes_them_off_with_what_atoms_have_in_common(how, tmp_path):
    given = {
        "symbols": {"H": -13.6, "O": -2041.0},
        "numbers": ALONE,
        "file": atoms_file(tmp_path / "atoms.xyz", ("H", -13.6), ("O", -2041.0)),
    }[how]
    water = springs([8, 1, 1])
    made = fitted(water, references=given)
    known = dict(zip(*made.normalizer.references.known.tolist(), strict=True))
    left = float(water.energy.mean()) / 3 - (sum(ALONE.values()) + ALONE[1]) / 3
    assert known == pytest.approx({kind: e + left for kind, e in ALONE.items()})
    assert -4.0 < left < -3.0
    # Least squares do not tell the elements of one molecule apart.
    known = dict(zip(*fitted(water).normalizer.references.known.tolist(), strict=True))
    assert abs(known[8] - ALONE[8]) > 1000


def test_what_looks_wrong_is_warned_of(caplog):
    caplog.set_level(logging.WARNING)
    fitted(springs([8, 1, 1]), references={"H": -13.6})
    assert "references: none is given of species 8, which the data have" in caplog.text
    caplog.clear()
    fitted(springs([8, 1, 1]), references={"H": -0.5, "O": -75.0})
    assert "an atom away from those of isolated atoms; are they of one method, and in" in (
        caplog.text
    )
    caplog.clear()
    fitted(springs([8, 1, 1]), references=ALONE)
    assert "references" not in caplog.text


BAD = (
    ({"Hy": -1.0}, r"no element 'Hy'; did you mean 'Y'\? expected symbols such as H, or atomic"),
    ({"H": "much"}, "H has 'much'; expected an energy"),
    ({"H": float("nan")}, "H has nan; expected an energy"),
    ({"H": -13.6, 1: -13.5}, "1 twice, with -13.6 and -13.5; keep one"),
    (3.0, "references: 3.0; expected energies by element"),
    ("none.xyz", "none.xyz; expected a file that is there, or energies by element"),
)


@pytest.mark.parametrize(("given", "line"), BAD)
def test_what_cannot_be_is_one_line(given, line):
    with pytest.raises(InputError, match=line) as caught:
        isolated_energies(given)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_a_file_of_molecules_is_refused_and_one_without_energies(tmp_path):
    sciml.write_extxyz(tmp_path / "water.xyz", springs([8, 1, 1]))
    with pytest.raises(InputError, match="structure 0 has 3 atoms; expected single atoms"):
        isolated_energies(tmp_path / "water.xyz")
    path = tmp_path / "bare.xyz"
    path.write_text("1\nProperties=species:S:1:pos:R:3\nH 0 0 0\n")
    with pytest.raises(InputError, match="structure 0 has no 'energy'"):
        isolated_energies(path)
    with pytest.raises(InputError, match=r"1 twice, with -13\.6 and -13\.7"):
        isolated_energies(atoms_file(tmp_path / "two.xyz", ("H", -13.6), ("H", -13.7)))
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match=r"expected an \.xyz file of single atoms"):
        isolated_energies(tmp_path / "a.txt")
    with pytest.raises(InputError, match="of a task without one energy of particles"):
        sciml.fit(
            EGNN, springs([8, 1, 1]), inputs=["positions"], targets=["positions"], references=ALONE,
            progress=False,
        )  # fmt: skip


def test_a_study_names_a_file_beside_it_and_keeps_the_numbers(tmp_path, monkeypatch):
    folder = tmp_path / "studies"
    folder.mkdir()
    atoms_file(folder / "atoms.xyz", ("H", -13.6), ("O", -2041.0))
    text = "task: {inputs: [positions], targets: [energy, forces], lead: 0}\nmodel: egnn\n"
    path = folder / "study.yaml"
    path.write_text(text + "training: {references: atoms.xyz}\n")
    study = load_study(path, solver=False)
    assert study.training.references == ALONE
    (folder / "again.yaml").write_text(dump_study(study))
    assert load_study(folder / "again.yaml", solver=False).training.references == ALONE
    path.write_text(text + "training: {references: {H: -13.6, Ox: -2041.0}}\n")
    with pytest.raises(InputError, match=r"study.yaml: training.references: no element 'Ox'"):
        load_study(path, solver=False)


def test_sciml_train_uses_those_of_the_study(tmp_path):
    water = springs([8, 1, 1])
    water.to_netcdf(tmp_path / "water.nc", engine="h5netcdf")
    (tmp_path / "study.yaml").write_text(
        "task: {inputs: [positions], targets: [energy, forces], lead: 0}\n"
        "model: {name: egnn, hidden: 4, layers: 1, cutoff: 3.0}\n"
        "training: {references: {H: -13.6, O: -2041.0}, batch_size: 2, phases: [{steps: 2}]}\n"
    )
    run = sciml.train(tmp_path / "study.yaml", tmp_path / "water.nc", tmp_path / "run", plain=True)
    known = dict(zip(*run.surrogate().normalizer.references.known.tolist(), strict=True))
    assert known[8] - known[1] == pytest.approx(ALONE[8] - ALONE[1])
