"""The blocks of docs/molecules.md run, one after the other."""

import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (DOCS / "molecules.md").read_text(), re.M | re.S)
[PAIRS] = [b for b in re.findall(r"^```python\n(.*?)^```$", (DOCS / "families.md").read_text(),
                                 re.M | re.S) if "class Pairs" in b]  # fmt: skip


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tblite")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.py").write_text(PAIRS)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "molecules.md", "exec"), names)
    said = capsys.readouterr().out
    assert re.search(r"mae_per_particle .* over the number of particles \[eV\]", said)
    assert re.search(r" mae .* component of the forces \[eV/Å\]", said)
    assert names["predicted"].sizes["time"] == 100
    assert (tmp_path / "predicted.xyz").read_text().count("energy=") == 100
    assert np.isfinite(names["forces"]).all() and names["doubt"].max() > 0
    alone = dict(zip(*names["bound"].normalizer.references.isolated.tolist(), strict=True))
    assert alone == pytest.approx({1: -10.707, 8: -102.522}, abs=1e-3)
    assert len(BLOCKS) == 5
