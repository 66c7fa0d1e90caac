"""The blocks of docs/molecules.md run, one after the other, as somebody would who copies them."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from small_study import called

PAGE = (Path(__file__).parents[1] / "docs" / "molecules.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
[STUDY] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Where the blocks ran, with the names that they made."""
    pytest.importorskip("tblite")
    pytest.importorskip("ase")
    folder, names = tmp_path_factory.mktemp("page"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            for block in BLOCKS[:-1]:
                exec(compile(block, "molecules.md", "exec"), names)
    return folder, names, said.getvalue()


def test_the_page_runs(ran):
    folder, names, said = ran
    assert len(BLOCKS) == 6
    assert re.search(r"mae_per_particle .* over the number of particles \[meV\]", said)
    assert re.search(r" mae .* component of the forces \[meV/Å\]", said)
    assert names["predicted"].sizes["time"] == 50
    assert (folder / "predicted.xyz").read_text().count("energy=") == 50
    assert np.isfinite(names["forces"]).all() and names["doubt"].max() > 0
    assert names["stress"].shape == (6,) and np.isfinite(names["stress"]).all()
    alone = dict(zip(*names["bound"].normalizer.references.isolated.tolist(), strict=True))
    assert alone == pytest.approx({1: -10.707, 8: -102.522}, abs=1e-3)


@pytest.mark.slow
def test_its_program_and_its_commands_run(ran, monkeypatch):
    folder, names, _ = ran
    monkeypatch.chdir(folder)
    exec(compile(BLOCKS[-1], "molecules.md", "exec"), names)
    assert (folder / "water.pt2").exists()
    (folder / "study.yaml").write_text(STUDY)
    [train] = re.findall(r"`sciml (train [^`]*)`", PAGE)
    short = [f"--set=training.phases.{k}.steps=3" for k in (0, 1)]
    done = called(*train.split(), *short)
    assert done.returncode == 0, done.stderr
    [predict] = re.findall(r"`sciml (predict [^`]*)`", PAGE)
    done = called(*predict.split())
    assert done.returncode == 0, done.stderr
    assert (folder / "more.xyz").read_text().count("energy=") == 50
