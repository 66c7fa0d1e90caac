"""A small study from end to end, as a user runs it."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from killing import PATIENCE
from small_study import called, one_line, small_study

import sciml
from sciml.record import open_recording
from sciml.run.offline.training import train_offline
from sciml.study import load_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run that recorded, and what the command returned; looked at by all
    tests of this file: those of others would have it made once more, by the other worker."""
    folder = tmp_path_factory.mktemp("study")
    # Each sample is drawn once: a trainer that waits for the solver does not learn the same again.
    study = small_study(record=True, buffer={"kind": "fifo", "capacity": 64, "watermark": 8})
    study["training"]["phases"][0]["steps"] = 100_000  # the stream ends before
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    process = called("run", folder / "study.yaml", "--out", folder / "run")
    log = folder / "run/logs/trainer.log"
    assert process.returncode == 0, process.stderr + (log.read_text() if log.exists() else "")
    return folder / "run", process


def test_every_frame_is_accounted_for_once(finished, command):
    run, _ = finished
    state = json.loads(command("status", run, "--json").stdout)
    # 5 training and 1 held-out simulation, 44 steps sent every fourth, and the initial state.
    frames = state["frames"]
    assert frames["expected"] == frames["produced"] == frames["received"] == 72
    assert frames["lost"] == frames["missing"] == frames["doubled"] == frames["held"] == 0
    assert state["samples"]["entered"] == 5 * 11
    assert state["samples"]["rolled_back"] == 0
    assert state["simulations"]["done"] == state["simulations"]["total"] == 6
    assert state["state"] == "finished"


def test_plain_lines_without_a_terminal(finished):
    _, process = finished
    lines = process.stderr.splitlines()
    assert any("simulations" in line and "buffer" in line and "step" in line for line in lines)
    assert "\x1b" not in process.stderr
    assert "relative L2" in process.stdout


def test_predictions_open_with_plain_xarray(finished):
    run, _ = finished
    with xr.open_dataset(run / "predictions.nc") as ds:
        assert ds["u"].dims == ("sample", "time", "y", "x")
        assert ds["u"].attrs["units"] == ds["u_true"].attrs["units"] == "K"
        assert ds["x"].attrs["axis"] == "X"
        planned = json.loads((run / "simulations.json").read_text())
        held = [p for p in planned if p["role"] == "validation"]
        assert ds["sample"].values.tolist() == [p["id"] for p in held]
        assert np.atleast_1d(ds["kappa"]).tolist() == [p["parameters"]["kappa"] for p in held]
        whole = ds["u"].values
    with xr.open_dataset(run / "predictions.nc", chunks={"time": 2}) as ds:
        assert (ds["u"].compute().values == whole).all()


def test_the_page_on_analysis_is_true(finished, tmp_path, monkeypatch):
    """Its blocks one after the other, as in a notebook."""
    page = (Path(__file__).parents[2] / "docs/analysis.md").read_text()
    (tmp_path / "runs").mkdir()
    for name in ("quickstart", "wider"):
        (tmp_path / "runs" / name).symlink_to(finished[0])
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        exec(compile(code, "analysis.md", "exec"), names)
    ds, error = names["ds"], names["error"]
    assert error.dims == ("run", "sample", "time") and float(error.isel(time=0).max()) < 1e-6
    assert float(error.isel(time=-1).min()) > 0 and names["useful"].dims == ("time",)
    assert len(names["hard"]) == ds.sizes["sample"]
    assert names["kept"].dims == ("time", "wave")
    np.testing.assert_allclose(names["kept"].isel(time=0), 1.0, rtol=1e-3)
    assert names["learned"].index[-1] == names["run"].summary["steps"]
    assert names["slower"].sizes == {"sample": 3} and names["fan"].sizes["time"] == 5
    assert names["spread"].dims == ("time",)
    assert float(xr.corr(names["left"], names["frames"].kappa, "sample")) < -0.5


def test_every_figure_is_explained(finished):
    """Each key of the files of a run is on the page on analysis."""
    run, _ = finished
    page = (Path(__file__).parents[2] / "docs/analysis.md").read_text()
    explained = {word.rpartition(".")[2] for word in re.findall(r"`([a-z_.]+)`", page)}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    files = [json.loads((run / name).read_text()) for name in ("summary.json", "status.json")]

    def keys(entry):
        for key, value in entry.items():
            yield key
            if isinstance(value, dict) and key not in ("vrmse_fields", "u"):
                yield from keys(value)

    found = {key for entry in (*lines, *files) for key in keys(entry)} - {"u"}
    assert found - explained == set()
    assert {"norm_left", "repeats", "lr", "skipped"} <= found


NOTEBOOK = Path(__file__).parents[2] / "workflows/quickstart/analysis.ipynb"


CHECK = "assert vrmse.dims == ('sample', 'time') and float(vrmse.max()) > 0\n"
CHECK += "print(frames.u.chunks is not None, rate.sizes['sample'], len(run.plot()))"


@pytest.fixture
def beside_a_run(finished, tmp_path):
    """A folder where ``runs/quickstart`` is the run."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/quickstart").symlink_to(finished[0])
    return tmp_path


def test_the_cells_of_the_notebook_run(beside_a_run, monkeypatch, capsys):
    """One after the other in this process, which has imported all: a kernel takes seconds."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    monkeypatch.chdir(beside_a_run)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names, drawn = {}, 0
    with plt.rc_context():
        for code in (*codes, CHECK):
            exec(compile(code.replace("%matplotlib inline", ""), NOTEBOOK.name, "exec"), names)
            drawn += bool(plt.get_fignums())
            plt.close("all")
    assert drawn >= 5  # one draws outside of pyplot
    assert capsys.readouterr().out.splitlines()[-1] == "True 12 3"


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel(beside_a_run):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECK))
    resources = {"metadata": {"path": str(beside_a_run)}}
    client(notebook, timeout=PATIENCE, resources=resources).execute()
    assert notebook.cells[-1].outputs[-1].text == "True 12 3\n"
    figures = [
        o for c in notebook.cells for o in c.get("outputs", ()) if "image/png" in o.get("data", {})
    ]
    assert len(figures) == 6


def test_the_notebook_is_stored_small_and_clean():
    stored = json.loads(NOTEBOOK.read_text())
    assert NOTEBOOK.stat().st_size < 400_000
    assert set(stored["metadata"]) == {"kernelspec", "language_info"}
    for cell in stored["cells"]:
        assert cell["metadata"] == {} and cell.get("execution_count") is None
        for output in cell.get("outputs", ()):
            assert output["output_type"] != "error" and output.get("name") != "stderr"
            assert output.get("execution_count") is None and not output.get("metadata")
    shown = [
        o for c in stored["cells"] for o in c.get("outputs", ()) if "image/png" in o.get("data", {})
    ]
    assert len(shown) == 6


def test_held_out_simulations_are_whole_and_were_not_trained_on(finished):
    run, _ = finished
    files = list((run / "validation").glob("*.nc"))
    planned = json.loads((run / "simulations.json").read_text())
    held = [p["id"] for p in planned if p["role"] == "validation"]
    assert [int(f.stem.split("-")[1]) for f in files] == held
    with xr.open_dataset(files[0]) as ds:
        assert ds.sizes["time"] == 12


def test_the_surrogate_loads_and_speaks_xarray(finished):
    run, _ = finished
    surrogate = sciml.load(run)
    with xr.open_dataset(next((run / "validation").glob("*.nc"))) as ds:
        truth = ds.load()
    predicted = surrogate.predict(truth)
    assert predicted["u"].sizes["time"] == truth.sizes["time"]
    assert predicted["u"].attrs["units"] == "K"
    rolled = surrogate.rollout(truth.isel(time=slice(0, 1)), 3)
    assert set(rolled["u"].dims) >= {"time", "y", "x"}


def test_what_a_run_recorded_is_trained_on(finished, tmp_path):
    run, _ = finished
    recording = open_recording(run)
    planned = json.loads((run / "simulations.json").read_text())
    assert {n: r for n, r in recording.roles.items() if r == "validation"}
    for entry in planned:
        if entry["id"] in recording.ids:
            parameters = recording.simulation(entry["id"]).parameters
            assert parameters["kappa"] == pytest.approx(entry["parameters"]["kappa"])
            assert len(list(recording.frames(entry["id"]))) == 12
    for held in (run / "validation").glob("*.nc"):
        number = int(held.stem.split("-")[1])
        with xr.open_dataset(held) as ds, recording.open_simulation(number) as mine:
            np.testing.assert_array_equal(ds["u"].values, mine["u"].values)
    study = load_study(run / "study.yaml", ["training.phases.0.steps=20"])
    _, code = train_offline(study, run, tmp_path / "replay", plain=True)
    assert code == 0 and (tmp_path / "replay" / "surrogate" / "model.safetensors").is_file()


def test_everything_that_a_run_leaves_has_the_unit_of_the_program(finished):
    run, _ = finished
    files = ["recording/recording.nc", "recording/simulation-00000.nc", "predictions.nc"]
    files += [f.relative_to(run) for f in (run / "validation").glob("*.nc")]
    for file in files:
        with xr.open_dataset(run / file) as ds:
            assert ds.time.attrs["units"] == "s", file
    surrogate = sciml.load(run / "surrogate")
    assert surrogate.step.units == "s" and surrogate.dt == pytest.approx(8e-3)


def test_open_run_gives_study_metrics_summary(finished):
    run = sciml.open_run(finished[0])
    assert run.history.step.values[-1] == run.summary["steps"] and (run.history.loss > 0).all()
    assert float(run.history.vrmse.sel(field="u")[-1]) == run.summary["vrmse"]
    assert "finished" in repr(run) and "kappa 0.0" in repr(run) and "PosixPath" not in repr(run)
    assert run.study.training.batch_size == 4
    # 55 samples in batches of 4 are 13 steps and a rest.
    assert run.summary["ended"] == "source"
    assert [m["step"] for m in run.metrics][-1] == run.summary["steps"] >= 13
    assert run.summary["validation_simulations"] == 1
    assert {"one_step", "persistence", "rollout"} <= set(run.summary)


def test_evaluate_agrees_with_the_summary(finished, command):
    run, _ = finished
    figures = json.loads(command("evaluate", run, "--json").stdout)
    summary = json.loads((run / "summary.json").read_text())
    assert figures["one_step"] == pytest.approx(summary["one_step"], rel=1e-4)


def test_nothing_is_left_behind(finished):
    run, _ = finished
    assert not list((run / "spool").glob("*.part"))
    for line in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.split(
        "\n"
    ):
        assert str(run) not in line


def test_a_second_run_into_the_same_directory_is_refused(finished, command, write_study):
    assert "exists" in one_line(command("run", write_study(), "--out", finished[0]))


def test_dry_run_prints_the_cost_and_makes_nothing(command, write_study, tmp_path):
    process = command("run", write_study(), "--dry-run", "--out", tmp_path / "out")
    assert process.returncode == 0, process.stderr
    assert "6, of which 1 held out" in process.stdout
    assert "12 a simulation" in process.stdout
    assert "1.02 kB a frame" in process.stdout
    assert not (tmp_path / "out").exists()


def test_list_and_describe(command):
    listed = command("list").stdout
    assert "solvers/heat.py" in listed and "fno" in listed and "quickstart" in listed
    described = command("describe", "solvers/heat.py").stdout
    assert "kappa" in described and "m2 s-1" in described
    schema = json.loads(command("describe", "solvers/heat.py", "--json").stdout)
    assert schema["name"] == "heat"
    model = command("describe", "mgno").stdout
    assert "arXiv 2310.19809" in model and 'restriction              default "f"' in model
    options = json.loads(command("describe", "mgno", "--json").stdout)["options"]
    assert options["width"]["default"] == 24 and "whole number" in options["width"]["type"]
    assert "\nequations\n" in listed and "  burgers\n" in listed
    equation = command("describe", "burgers").stdout
    assert "ν ∂²u/∂x²" in equation and "parameters: nu" in equation and "amplitude=1.0" in equation
    known = json.loads(command("describe", "heat", "--json").stdout)
    assert known["constants"] == ["kappa"] and known["solutions"]["wave"]["periodic"]
    study = command("describe", "workflows/quickstart/study.yaml")
    assert study.returncode == 2 and "study.yaml --dry-run says" in " ".join(study.stderr.split())


def test_a_step_too_short_to_measure_does_not_take_no_time():
    from sciml.run.dryrun import Estimate

    few = {"simulations": 1, "validation": 0, "frames": 2, "frame_bytes": 8, "seconds": 1.0}
    for seconds, said in ((0.0, "too short to be measured"), (2e-5, "0.02 ms a step on one rank")):
        rows = dict(Estimate(**few, step_seconds=seconds, memory=1, rank_memory=1).rows())
        assert said in rows["simulation time"]
