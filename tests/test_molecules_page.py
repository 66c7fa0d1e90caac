"""The blocks of docs/molecules.md run, one after the other, as somebody would who copies them."""

import re
from pathlib import Path

import numpy as np
import pytest
from small_study import called

PAGE = (Path(__file__).parents[1] / "docs" / "molecules.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
[STUDY] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tblite")
    read = pytest.importorskip("ase.io").read
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "molecules.md", "exec"), names)
    said = capsys.readouterr().out
    assert re.search(r"mae_per_particle .* over the number of particles \[eV\]", said)
    assert re.search(r" mae .* component of the forces \[eV/Å\]", said)
    assert names["predicted"].sizes["time"] == 100
    assert (tmp_path / "predicted.xyz").read_text().count("energy=") == 100
    assert np.isfinite(names["forces"]).all() and names["doubt"].max() > 0
    assert names["stress"].shape == (6,) and np.isfinite(names["stress"]).all()
    alone = dict(zip(*names["bound"].normalizer.references.isolated.tolist(), strict=True))
    assert alone == pytest.approx({1: -10.707, 8: -102.522}, abs=1e-3)
    assert len(BLOCKS) == 6
    (tmp_path / "study.yaml").write_text(STUDY)
    [train] = re.findall(r"`sciml (train [^`]*)`", PAGE)
    short = [f"--set=training.phases.{k}.steps=3" for k in (0, 1)]
    done = called(*train.split(), *short)
    assert done.returncode == 0, done.stderr
    [predict] = re.findall(r"`sciml (predict [^`]*)`", PAGE)
    done = called(*predict.split())
    assert done.returncode == 0, done.stderr
    assert len(read("more.xyz", ":")) == 100
