"""A run keeps what it ran: its own copy of the model's file is used, whatever became of the file."""

import json
import os
import shutil
import sys
import threading

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from safetensors.torch import load_file

import sciml
from sciml.ensemble.job import Job, run_job
from sciml.errors import InputError
from sciml.run import kept_files
from sciml.run.directory import RunDirectory
from sciml.run.evaluation import evaluate
from sciml.run.offline.training import resume_offline, train_offline
from sciml.share import share_root
from sciml.study import load_study

NET = """
from beside_it import act
from parts.deep import WIDTH
from torch import nn

open("ran", "a").write("x")


def build(setting, *, width=WIDTH):
    given, wanted = setting.channels
    return nn.Sequential(
        nn.Conv1d(given, width, 3, padding=1), act(), nn.Conv1d(width, wanted, 1)
    )
"""
STUDY = {
    "name": "s",
    "task": {"inputs": ["u"]},
    "model": {"name": "net.py"},
    "training": {"checkpoint_every": 10, "device": "cpu", "phases": [{"lr": 1e-2, "steps": 30}]},
    "validation": {"simulations": 2, "every": 10},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Data, a study, and a model in three files."""
    monkeypatch.chdir(tmp_path)
    x, t = np.arange(16) / 16, np.arange(8) * 0.1
    u = np.sin(2 * np.pi * (x - t[:, None]) + np.linspace(0, 5, 6)[:, None, None])
    ds = xr.Dataset({"u": (("sample", "time", "x"), u.astype("f4"))}, {"time": t, "x": x})
    ds.to_netcdf("d.nc", engine="h5netcdf")
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "beside_it.py").write_text("from torch import nn\nact = nn.GELU\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "deep.py").write_text("WIDTH = 5\n")
    (tmp_path / "unrelated.py").write_text("")
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def trained(out="r", **kwargs):
    run, _ = train_offline(load_study("s.yaml", solver=False), "d.nc", out, plain=True, **kwargs)
    return run


def edit():
    """What shapes do not show: another activation, in a file beside that of the model, and in it."""
    with open("beside_it.py", "a") as file:
        file.write("act = nn.Tanh\n")
    with open("net.py", "a") as file:
        file.write("open('edited', 'w').close()\n")


def ran():
    return os.path.exists("edited"), len(open("ran").read())


@pytest.mark.parametrize(
    "change", [edit, lambda: [os.remove(n) for n in ("net.py", "beside_it.py")]]
)
def test_a_run_uses_its_copy_and_says_that_the_file_is_another(folder, change, caplog):
    run = trained()
    kept = sorted(str(p.relative_to(run.files)) for p in run.files.rglob("*.py"))
    assert kept == ["beside_it.py", "net.py", "parts/deep.py"]
    before = evaluate(run.path)
    assert not caplog.records
    ds = xr.open_dataset("d.nc")
    whole = sciml.open_run("r").surrogate().predict(ds)
    assert whole.identical(sciml.load(run.surrogate, model="net.py").predict(ds))
    change()
    assert evaluate(run.path) == before
    [record] = caplog.records
    assert "net.py" in record.getMessage() and "the run's own copy is used" in record.getMessage()
    assert sciml.open_run("r").surrogate().predict(ds).identical(whole)
    assert not os.path.exists("edited")


def test_a_file_that_is_named_is_run_and_its_difference_told(folder, caplog):
    run = trained()
    edit()
    other = evaluate(run.path, model="net.py")
    assert os.path.exists("edited") and other != evaluate(run.path)
    assert "net.py, beside_it.py is not what it was when the surrogate was saved" in caplog.text


def test_a_resumed_run_goes_on_with_its_copy(folder, monkeypatch):
    from sciml.run.outcome import Outcome

    whole = trained("whole")
    stop, on_step = threading.Event(), Outcome.on_step

    def interrupt(outcome, step, history):
        on_step(outcome, step, history)
        if step.step == 13:
            stop.set()

    with monkeypatch.context() as patch:
        patch.setattr(Outcome, "on_step", interrupt)
        run = trained("parts_", stop=stop)
    assert not run.summary.exists()
    edit()
    resume_offline(run, plain=True)
    one, other = (load_file(r.surrogate / "model.safetensors") for r in (whole, run))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not os.path.exists("edited")


@pytest.fixture
def sent(folder, monkeypatch):
    """A run that somebody else made: on this machine there is another key."""
    run = trained()
    shutil.copytree(run.path, folder / "sent")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "another"))
    return RunDirectory(folder / "sent")


def test_a_run_that_was_sent_runs_no_file(sent, folder):
    assert evaluate(sent.path), "the files are here as they were"
    edit()
    before = ran()
    for use in (evaluate, lambda path: sciml.open_run(path).surrogate()):
        with pytest.raises(InputError, match=r"made by somebody else.*--model FILE") as caught:
            use(sent.path)
        assert "\n" not in str(caught.value)
    assert ran() == before
    assert evaluate(sent.path, model=sent.files / "net.py"), "unless it is named"


def test_nothing_is_run_that_the_run_did_not_keep(folder):
    run = trained()
    edit()
    # Found before the installed one, were it run from there; and not among what was kept.
    (run.files / "unrelated.py").write_text("open('edited', 'w').close()\n")
    (run.files / "sciml.py").write_text("open('edited', 'w').close()\n")
    sciml.open_run("r").surrogate()
    with (run.files / "beside_it.py").open("a") as file:
        file.write("open('edited', 'w').close()\n")
    with pytest.raises(InputError, match=r"beside_it\.py is not what the run kept"):
        sciml.open_run("r").surrogate()
    content = json.loads(run.kept.read_text())
    content["model"]["beside"]["beside_it.py"] = kept_files.sha256(run.files / "beside_it.py")
    run.kept.write_text(json.dumps(content))
    with pytest.raises(InputError, match="made by somebody else"):
        sciml.open_run("r").surrogate()
    content["model"]["beside"]["../net.py"] = kept_files.sha256(folder / "net.py")
    run.kept.write_text(json.dumps(content))
    with pytest.raises(InputError, match="lies outside of the run"):
        sciml.open_run("r").surrogate()
    assert not os.path.exists("edited")


def test_what_was_kept_and_cannot_be_read_is_one_line(folder):
    run = trained()
    for text in ("", "[]", "{}", '{"schema_version": 1, "model": 3, "solver": null}'):
        run.kept.write_text(text)
        with pytest.raises(InputError, match=r"files\.json cannot be read"):
            sciml.open_run("r").surrogate()


def test_a_run_without_its_copy_runs_a_file_that_is_named(folder):
    run = trained()
    shutil.rmtree(run.files)
    run.kept.unlink()
    with pytest.raises(InputError, match=r"files\.json cannot be read"):
        evaluate(run.path)
    assert evaluate(run.path, model="net.py") == evaluate(run.path, model=folder / "net.py")


def test_models_of_ours_leave_no_copy(folder):
    (folder / "s.yaml").write_text(
        yaml.safe_dump({**STUDY, "model": {"name": "mlp", "hidden": [4]}})
    )
    run = trained()
    assert json.loads(run.kept.read_text())["model"] is None and not run.files.exists()
    assert sciml.open_run("r").surrogate().config["name"] == "mlp"


def test_two_models_may_import_files_of_one_name(folder):
    """Of two folders, each with a ``beside_it.py``."""
    first = sciml.fit("net.py", "d.nc", epochs=1)
    (folder / "b").mkdir()
    for name in ("net.py", "parts"):
        (shutil.copytree if name == "parts" else shutil.copy)(name, folder / "b" / name)
    (folder / "b" / "beside_it.py").write_text("from torch import nn\nact = nn.Tanh\n")
    second = sciml.fit("b/net.py", "d.nc", epochs=1)
    assert [type(s.model[1]).__name__ for s in (first, second)] == ["GELU", "Tanh"]


def test_a_program_that_was_changed_runs_no_job_of_the_run(tmp_path, write_study):
    program = tmp_path / "solver.sh"
    program.write_text("true\n")
    run = RunDirectory.create(tmp_path / "r")
    kept_files.keep(run, load_study(write_study()), program)
    command = [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w').close()"]
    job = Job(3, command, dict(os.environ), str(run.path), program=str(program))
    assert run_job(job)["code"] == 0
    (tmp_path / "ran").unlink()
    program.write_text("false\n")
    outcome = run_job(job)
    assert outcome["code"] == 2, "it is not tried again"
    assert "solver.sh was changed since the run began" in outcome["stderr"]
    assert not (tmp_path / "ran").exists()
    with pytest.raises(InputError, match=r"do not mix: put it back.*--force"):
        kept_files.require_program(run, program)
    kept_files.require_program(run, program, force=True)
    assert run_job(job)["code"] == 0 and (tmp_path / "ran").exists()


def test_a_program_of_ours_is_of_one_version(tmp_path, write_study, monkeypatch):
    program = share_root() / "solvers" / "heat.py"
    run = RunDirectory.create(tmp_path / "r")
    kept_files.keep(run, load_study(write_study()), program)
    kept_files.require_program(run, program)
    content = json.loads(run.kept.read_text())
    content["solver"] |= {"sha256": "0" * 64, "version": "0.0.1"}
    run.kept.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"the run began with that of 0\.0\.1"):
        kept_files.require_program(run, program)


def test_without_a_home_runs_are_known_by_their_files(folder, monkeypatch):
    (folder / "no_folder").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "no_folder"))
    run = trained()
    assert json.loads(run.kept.read_text())["mark"] is None
    assert evaluate(run.path)
    edit()
    with pytest.raises(InputError, match="made by somebody else or elsewhere"):
        evaluate(run.path)
