"""The study of ethanol: parts of its data, and results that are lines and kept."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("e3nn", reason="needs the extra 'particles'")
pytest.importorskip("ase", reason="needs the extra 'particles'")


@pytest.fixture
def runner(workflow):
    return workflow("molecules")


@pytest.fixture
def folder(runner, tmp_path):
    """Files of the names of ethanol's, of nine atoms on springs."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    rng = np.random.default_rng(0)
    rest = 1.3 * np.stack(np.meshgrid(*[range(3)] * 2, [0.0], indexing="ij"), -1).reshape(-1, 3)
    for name in (runner.TRAIN, runner.TEST):
        frames = []
        for _ in range(12):
            away = rng.normal(0, 0.1, (9, 3))
            atoms = Atoms("C2OH6", rest + away)
            energy = -4000.0 + 5.0 * (away**2).sum()
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=-10.0 * away)
            frames.append(atoms)
        write(tmp_path / name, frames)
    return tmp_path


def test_fewer_configurations_are_among_more(runner, folder):
    from ase.io import read

    few, many = (
        [
            a.get_potential_energy()
            for a in read(runner.part(folder / runner.TRAIN, n, 3, folder), ":")
        ]
        for n in (4, 9)
    )
    assert len(few) == 4 and len(many) == 9 and many[:4] == few and len({*many}) == 9


def test_results_are_lines_that_are_not_computed_again(runner, folder, monkeypatch, capsys):
    out = folder / "results.jsonl"
    words = [
        "run.py",
        "--data",
        folder,
        "--out",
        out,
        "--runs",
        folder / "runs",
        "--length",
        "tiny",
    ]
    words += ["--model", "mace-xs", "ponita-s", "--samples", "5"]
    monkeypatch.setattr(sys, "argv", [*map(str, words)])
    runner.main()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(x["model"], x["samples"]) for x in lines] == [("mace-xs", 5), ("ponita-s", 5)]
    assert all(0 < x["forces"] < 3000 and 0 < x["energy"] < 5000 for x in lines)
    monkeypatch.setattr(runner, "measure", None)
    runner.main()
    assert out.read_text().count("\n") == 2
    assert "mace-xs" in capsys.readouterr().out
    assert {x.name for x in (folder / "runs").iterdir()} == {
        "mace-xs-5-0-tiny", "ponita-s-5-0-tiny",
    }  # fmt: skip


def test_the_folder_is_asked_for(runner, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--data", "nowhere"])
    with pytest.raises(SystemExit):
        runner.main()
    assert "expected the folder of ethanol_train.xyz" in capsys.readouterr().err
