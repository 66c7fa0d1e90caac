"""Warnings of programs reach a person: by simulate, generate and run, and by the data that they gave."""

import json
import warnings

import pytest
import xarray as xr
import yaml
from small_study import called as command
from small_study import small_study

import sciml
from sciml.errors import SolverWarning
from sciml.record import open_recording
from sciml.run.evaluation import evaluate
from sciml.run.offline.training import train_offline
from sciml.study import load_study

THIN = {"shape": [64], "initial": "sine", "dt": 1e-3, "steps": 300}
#: 64 points resolve the first, and not the second.
WELL, BADLY = 2e-2, 1e-4
TEXT = "under-resolved: the highest eighth of the modes holds "
MLP = {"name": "mlp", "hidden": [4]}


def share(text):
    """The tail that a message states, as a part of one."""
    return float(text.split("modes holds ")[1].split(" %")[0]) / 100


def test_simulate_warns_of_the_largest_tail():
    given = {**THIN, "every": 50}
    with pytest.warns(SolverWarning, match=TEXT) as caught:
        ds = sciml.simulate("solvers/burgers.py", nu=BADLY, **given)
    assert len(caught) == 1 and caught[0].filename == __file__
    [entry] = json.loads(ds.attrs["warnings"])
    assert entry["kind"] == "under-resolved" and entry["count"] > 1
    # Where it is first seen, it is far less.
    with pytest.warns(SolverWarning):
        early = sciml.simulate("solvers/burgers.py", nu=BADLY, **{**given, "steps": 150})
    [first] = json.loads(early.attrs["warnings"])
    assert entry["value"] > 100 * first["value"] > 0
    assert share(str(caught[0].message)) == pytest.approx(entry["value"], rel=0.06)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = sciml.simulate("solvers/burgers.py", nu=WELL, **given)
    assert "warnings" not in ds.attrs


@pytest.mark.parametrize("ranks", [2])
def test_the_log_of_a_program_ends_with_the_largest(tmp_path, ranks):
    """One rank speaks for all, and the file says it once."""
    import subprocess

    from sciml.share import find
    from sciml.solver.mpirun import command as words
    from sciml.solver.mpirun import environment

    out = tmp_path / "wave.nc"
    flags = f"--shape 64 64 --dt 2e-3 --initial mode --mode 0 8 --steps 2 --out {out}".split()
    done = subprocess.run(
        words(find("solvers/wave.py"), ranks, flags),
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    assert done.stderr.count("8 points across the shortest wave") == 1
    with xr.open_dataset(out) as ds:
        [entry] = json.loads(ds.attrs["warnings"])
    assert (entry["kind"], entry["count"], entry["step"]) == ("few points a wave", 1, 0)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A dataset of which two samples of four are under-resolved, and what was said as it was made."""
    folder = tmp_path_factory.mktemp("thin")
    recipe = {
        "name": "thin",
        "title": "fronts",
        "references": "none",
        "license": "BSD-3-Clause",
        "solver": {"program": "solvers/burgers.py", "options": THIN, "send": {"every": 50}},
        "parameters": {
            "points": {"well": {"nu": WELL}, "badly": {"nu": BADLY}},
            "seed": False,
        },
        "splits": {"train": 2, "validation": 0, "test": 0},
        "keep": "all",
        "sizes": {"small": {}, "full": {}},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = command("generate", folder / "recipe.yaml", "--out", folder / "thin.nc", "--plain")
    assert done.returncode == 0, done.stderr
    return folder / "thin.nc", done.stderr


def test_generate_says_which_samples(generated):
    path, said = generated
    assert f"warning: 1 of 2 samples warned: {TEXT}" in said and "1 warned" in said
    with xr.open_dataset(path) as ds:
        warned = dict(zip(ds.nu.values, ds.warned.values, strict=True))
        assert warned == {WELL: "", BADLY: "under-resolved"} and "warned" in ds.u.coords
        [entry] = json.loads(ds.attrs["warnings"])
        assert entry["simulations"] == 1 and ds.nu.values[entry["simulation"]] == BADLY
        assert entry["value"] > 1e-2


def test_whoever_trains_on_it_is_told_once(generated, tmp_path, caplog, capsys):
    path, _ = generated
    given = {"epochs": 1, "device": "cpu", "validation": 0}
    with xr.open_dataset(path) as ds:
        ds.load()
    surrogate = sciml.fit(MLP, ds, **given)
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    [line] = [t for t in told if "under-resolved" in t]
    assert line.startswith("the solver of these data: 1 simulation warned: under-resolved")
    caplog.clear()
    sciml.fit(MLP, ds.isel(sample=ds.warned == ""), **given)
    assert "under-resolved" not in caplog.text
    surrogate.save(tmp_path / "saved")
    evaluate(tmp_path / "saved", [path])
    assert caplog.text.count("the solver of these data") == 1
    study = tmp_path / "study.yaml"
    sections = {
        "name": "thin",
        "task": {"inputs": ["u"]},
        "model": MLP,
        "training": {"batch_size": 4, "phases": [{"steps": 2}], "device": "cpu"},
        "validation": {"simulations": 0},
    }
    study.write_text(yaml.safe_dump(sections))
    run, _ = train_offline(load_study(study, solver=False), path, tmp_path / "run", plain=True)
    assert capsys.readouterr().err.count("warning: the solver of these data: 1 simulation") == 1
    summary = json.loads(run.summary.read_text())
    assert summary["warnings"][0]["kind"] == "under-resolved"
    assert json.loads(run.status.read_text())["warnings"] == summary["warnings"]


def test_a_run_says_it_at_its_end_and_keeps_it(tmp_path):
    study = small_study(
        solver={"program": "solvers/burgers.py", "options": THIN, "send": {"every": 50}},
        parameters={"simulations": 2, "ranges": {"nu": [BADLY, 1.1 * BADLY]}},
        task={"inputs": ["u"], "parameters": ["nu"]},
        model=MLP,
        buffer={"kind": "fifo", "capacity": 16, "watermark": 4},
        # The stream ends before: all of it is recorded.
        training={"batch_size": 4, "phases": [{"lr": 1e-3, "steps": 100_000}], "device": "cpu"},
        record=True,
    )
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    out = tmp_path / "run"
    done = command("run", tmp_path / "study.yaml", "--out", out, "--plain")
    assert done.returncode == 0, done.stderr
    # One line as it comes, one at the end; the others are in files.
    [first] = [line for line in done.stderr.splitlines() if " warns: " in line]
    assert first.startswith("warning: simulation ") and TEXT in first
    [last] = [line for line in done.stderr.splitlines() if " warned: " in line]
    assert last.startswith(f"warning: 3 of 3 simulations warned: {TEXT}")
    assert last.endswith("step 300)") or "step 250)" in last
    run = sciml.open_run(out)
    [found] = run.summary["warnings"]
    assert (found["simulations"], run.summary["warned"]) == (3, 3)
    assert run.status["warnings"] == [found]
    assert set(run.warnings) == {0, 1, 2}
    worst = max(entries[0]["value"] for entries in run.warnings.values())
    assert found["value"] == worst == run.warnings[found["simulation"]][0]["value"]
    assert f"3 of 3 simulations warned: {TEXT}" in command("status", out).stdout
    recording = open_recording(out)
    assert [f.to_json() for f in recording.warnings] == [found]
    assert list(recording.dataset.warned.values) == ["under-resolved"] * 3
    with recording.open_simulation(1) as ds:
        assert json.loads(ds.attrs["warnings"]) == run.warnings[1]
    [held] = run.directory.validation.glob("*.nc")
    with xr.open_dataset(held) as ds:
        assert "under-resolved" in ds.attrs["warnings"]
    given = ["--from", out, "--out", tmp_path / "again", "--set", "training.phases.0.steps=4"]
    again = command("train", tmp_path / "study.yaml", *given)
    assert again.stderr.count("warning: the solver of these data: 3 simulations warned") == 1
