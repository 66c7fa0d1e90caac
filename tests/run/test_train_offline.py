"""`sciml train`: the same loop on data that are there, bitwise resumable."""

import json
import threading

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from safetensors.torch import load_file
from small_study import small_study
from typer.testing import CliRunner

import sciml
from sciml.cli import app
from sciml.domain import Field, Grid
from sciml.ensemble.stop import STOPPED
from sciml.errors import InputError
from sciml.record import Recorder, open_recording
from sciml.run.evaluation import evaluate
from sciml.run.offline.replay import stretched
from sciml.run.offline.training import resume_offline, split_of, train_offline
from sciml.run.outcome import Outcome
from sciml.samples import Frame, Simulation
from sciml.study import load_study
from sciml.surrogates import Surrogate
from sciml.training import Phase

GRID = Grid((16, 16), ((0.0, 1.0),) * 2, ("periodic",) * 2)
X = GRID.coordinates(0)
MODES = {"epochs": {}, "stream": {"stream": True}}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Five decaying waves, frames in turns; the one held out is a thousand times as large."""
    folder = tmp_path_factory.mktemp("recorded") / "recording"
    roles = {n: {"role": "validation" if n == 2 else "train", "seed": n} for n in range(5)}
    recorder = Recorder(folder, about=roles, units={"kappa": "m2 s-1"})
    simulations = [
        Simulation(n, GRID, (Field("u", "K"),), {"kappa": 0.1 + 0.02 * n}) for n in range(5)
    ]
    for sim in simulations:
        recorder.open(sim)
    for step in range(12):
        for sim in simulations:
            wave = np.cos(2 * np.pi * (X[:, None] + sim.id * X + 0.1 * sim.id))
            u = (1000.0 if sim.id == 2 else 1.0) * wave * np.exp(-sim.parameters["kappa"] * step)
            recorder.push(Frame(sim.id, step, 0.1 * step, {"u": u.astype(np.float32)}))
    for sim in simulations:
        recorder.close(sim.id)
    recorder.finish()
    return folder


@pytest.fixture
def study(write_study):
    def study(steps=20, every=500, **changes):
        sections = {
            "training": {
                "batch_size": 4,
                "phases": [{"lr": 5e-3, "schedule": "cosine", "steps": steps}],
                "checkpoint_every": every,
                "device": "cpu",
            },
            "task": {"inputs": ["u"], "parameters": ["kappa"], "increment": True},
            # Small enough that samples are displaced, drawn again, and waited for.
            "buffer": {"kind": "reservoir", "capacity": 16, "watermark": 8},
        }
        return load_study(write_study(**{**sections, **changes}))

    return study


def weights(run):
    return load_file(run.surrogate / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def stop_at(monkeypatch, step, act):
    """Do something in the middle of a training: ``act`` after ``step`` steps."""
    original = Outcome.on_step

    def on_step(self, done, history):
        original(self, done, history)
        if done.step == step:
            act()

    monkeypatch.setattr(Outcome, "on_step", on_step)


def test_from_python_as_from_the_command_line(recorded, study, tmp_path):
    import sciml

    run = sciml.train(study(20), recorded, tmp_path / "run", plain=True)
    same, _ = train_offline(study(20), recorded, tmp_path / "same", plain=True)
    assert run.summary["steps"] == 20
    assert run.summary["loss"] == sciml.open_run(same.path).summary["loss"]


@pytest.mark.parametrize("mode", MODES)
def test_leaves_what_a_run_leaves(recorded, study, tmp_path, mode):
    import sciml

    run, code = train_offline(study(60), recorded, tmp_path / "run", plain=True, **MODES[mode])
    assert code == 0
    loaded = sciml.open_run(run.path)
    assert loaded.summary["steps"] == 60 and loaded.summary["ended"] == "phases"
    assert loaded.summary["validation_simulations"] == 1
    assert loaded.status["state"] == "finished" and loaded.metrics[0]["step"] == 10
    assert loaded.study == study(60)
    roles = {entry["id"]: entry["role"] for entry in loaded.simulations}
    assert roles == {n: "validation" if n == 2 else "train" for n in range(5)}
    with loaded.predictions as ds:
        assert ds["u"].dims == ("sample", "time", "y", "x") and "arrival" not in ds.variables
        assert ds["kappa"].attrs["units"] == "m2 s-1" and list(ds["sample"]) == [2]
    assert [p.name for p in run.validation.iterdir()] == ["simulation-00002.nc"]
    assert list(run.checkpoints.glob("step-00000060/model.safetensors"))
    # Learned something: the last loss is well below the one that no change at all would give.
    assert loaded.summary["loss"] < 0.1
    # The held-out simulation, a thousand times as large, is not in the scaling.
    normalizer = loaded.surrogate().normalizer
    assert float(normalizer.std("u")) < 2.0 and bool(normalizer.fixed)


@pytest.mark.parametrize("mode", MODES)
def test_a_resumed_training_is_bitwise_that_of_one_piece(
    recorded, study, tmp_path, monkeypatch, mode
):
    whole, _ = train_offline(study(60), recorded, tmp_path / "whole", plain=True, **MODES[mode])
    stop = threading.Event()
    with monkeypatch.context() as patch:
        stop_at(patch, 30, stop.set)
        halves, code = train_offline(
            study(60), recorded, tmp_path / "halves", plain=True, stop=stop, **MODES[mode]
        )
    assert code == STOPPED and not halves.summary.exists()
    half = load_file(halves.checkpoints / "step-00000030" / "model.safetensors")
    _, code = resume_offline(halves.path, plain=True)
    assert code == 0
    assert same(weights(halves), weights(whole)) and not same(half, weights(whole))
    assert halves.metrics.read_text() == whole.metrics.read_text()
    figures = [json.loads(run.summary.read_text()) for run in (halves, whole)]
    for name in ("wait_seconds", "compute_seconds"):
        assert all(figure.pop(name) > 0 for figure in figures)
    assert figures[0] == figures[1]
    with pytest.raises(InputError, match="has finished"):
        resume_offline(halves)


@pytest.mark.parametrize("kind", ["fifo", "firo", "reservoir"])
def test_a_kill_between_checkpoints_rolls_back_and_changes_nothing(
    recorded, study, tmp_path, monkeypatch, kind
):
    buffer = {"kind": kind, "capacity": 16, "watermark": 6}
    sections = study(11, 3, buffer=buffer)

    def die():
        raise SystemExit("killed")

    whole, _ = train_offline(sections, recorded, tmp_path / "whole", plain=True, stream=True)
    with monkeypatch.context() as patch:
        stop_at(patch, 8, die)
        with pytest.raises(SystemExit):
            train_offline(sections, recorded, tmp_path / "died", plain=True, stream=True)
    died, _ = resume_offline(tmp_path / "died", plain=True)
    assert same(weights(died), weights(whole))
    assert died.metrics.read_text() == whole.metrics.read_text()


def test_each_sample_is_replayed_once_in_order_of_arrival(recorded, study, tmp_path):
    from sciml.buffer import make
    from sciml.training import ReplaySource

    recording, task = open_recording(recorded), study().task.build()
    source = ReplaySource(recording, (0, 1, 3, 4), task, make("fifo", 100), 4)
    keys = []
    while (batch := source.next_batch()) is not None:
        keys += batch.keys
    assert keys == [(n, step) for step in range(11) for n in (0, 1, 3, 4)]


def test_epochs_stretch_the_phases(recorded, study, tmp_path):
    run, _ = train_offline(study(20), recorded, tmp_path / "run", plain=True, epochs=3)
    assert json.loads(run.summary.read_text())["steps"] == 3 * 11
    phases = [Phase(steps=10), Phase(optimizer="lbfgs", steps=5), Phase(steps=30)]
    assert [p.steps for p in stretched(phases, 80)] == [20, 5, 60]


@pytest.mark.parametrize("mode", MODES)
def test_options_of_the_loop_are_taken_and_resumed(recorded, study, tmp_path, monkeypatch, mode):
    training = {
        **study(9, 500).training.model_dump(exclude_defaults=True),
        "ema": 0.5,
        "noise": 0.05,
        "augment": "translations",
        "accumulate": 2,
        "pushforward": 1,
    }
    task = {"inputs": ["u"], "parameters": ["kappa"], "increment": True, "unroll": 2}
    given = study(training=training, task=task)
    plain, _ = train_offline(
        study(9, task=task), recorded, tmp_path / "plain", plain=True, **MODES[mode]
    )
    whole, _ = train_offline(given, recorded, tmp_path / "whole", plain=True, **MODES[mode])
    stop = threading.Event()
    with monkeypatch.context() as patch:
        stop_at(patch, 4, stop.set)
        train_offline(given, recorded, tmp_path / "half", plain=True, stop=stop, **MODES[mode])
    half, code = resume_offline(tmp_path / "half", plain=True)
    assert code == 0 and same(weights(half), weights(whole))
    assert not same(weights(whole), weights(plain))


def test_a_symmetrized_model_is_averaged_where_it_is_used(recorded, study, tmp_path):
    """The same weights, other predictions, which a surrogate that is loaded gives as well."""
    model = study(6).model.surrogate
    runs = []
    for symmetrize in (None, "flips"):
        given = study(6, model={**model, "symmetrize": symmetrize})
        run, _ = train_offline(given, recorded, tmp_path / str(symmetrize), plain=True)
        runs.append(run)
    assert same(weights(runs[0]), weights(runs[1]))
    rolled = [xr.open_dataset(run.predictions)["u"].values for run in runs]
    assert not np.array_equal(*rolled)
    assert sciml.load(runs[1].path).symmetrization.symmetries.symmetries == ("flips",)


def test_resume_notices_that_the_data_are_others(recorded, study, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(recorded, tmp_path / "data")
    stop = threading.Event()
    stop_at(monkeypatch, 5, stop.set)
    train_offline(study(10), tmp_path / "data", tmp_path / "run", plain=True, stop=stop)
    lines = (tmp_path / "data" / "index.jsonl").read_text().splitlines()
    (tmp_path / "data" / "index.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="is not what"):
        resume_offline(tmp_path / "run")
    with pytest.raises(InputError, match=r"holds no replay\.json"):
        (tmp_path / "run" / "replay.json").unlink()
        resume_offline(tmp_path / "run")


def test_anyones_netcdf_is_split_with_the_seed(recorded, study, tmp_path):
    with xr.open_dataset(recorded / "recording.nc") as ds:
        ds = ds.drop_vars(["arrival", "segment", "role", "seed"]).load()
    ds.to_netcdf(tmp_path / "any.nc", engine="h5netcdf")
    run, code = train_offline(study(5), tmp_path / "any.nc", tmp_path / "run", plain=True)
    plan = json.loads(run.simulations.read_text())
    assert code == 0 and [e["role"] for e in plan].count("validation") == 1


@pytest.mark.parametrize("command_", [["train"], ["train", "--stream"]])
def test_a_missing_file_is_named_by_the_command(recorded, command, write_study, tmp_path, command_):
    """And not read as zeros, which is what HDF5 itself would do."""
    import shutil

    shutil.copytree(recorded, tmp_path / "data")
    (tmp_path / "data" / "simulation-00003.nc").unlink()
    out = tmp_path / "out"
    process = command(*command_, write_study(), "--from", tmp_path / "data", "--out", out)
    assert process.returncode == 2 and "Traceback" not in process.stderr
    assert "simulation-00003.nc is missing; put it back" in process.stderr
    assert not out.exists()


def test_a_coordinate_split_says_what_each_sample_is_for(recorded, study, tmp_path):
    """The splits of a generated dataset: those for testing are not looked at."""
    with xr.open_dataset(recorded / "recording.nc") as ds:
        ds = ds.drop_vars(["arrival", "segment", "role", "seed"]).load()
    n = ds.sizes["sample"]
    splits = ["train"] * (n - 2) + ["validation", "test"]
    ds.assign_coords(split=("sample", splits)).to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    run, code = train_offline(study(5), tmp_path / "f.nc", tmp_path / "run", plain=True)
    plan = json.loads(run.simulations.read_text())
    assert code == 0 and [e["role"] for e in plan] == splits
    assert [p.stem[-1] for p in run.validation.glob("*.nc")] == [str(n - 2)]


def test_data_that_do_not_fit_are_refused_before_a_run_is_made(recorded, study, tmp_path):
    with xr.open_dataset(recorded / "recording.nc") as ds:
        ds = ds.drop_vars(["arrival", "segment", "role", "seed"]).load()
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    ds.isel(x=slice(8)).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    out = tmp_path / "run"
    with pytest.raises(InputError, match=r"b\.nc: has 16 × 8 points, a\.nc 16 × 16"):
        train_offline(study(), tmp_path, out)
    (tmp_path / "b.nc").unlink()
    ds.rename(u="v").to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"c\.nc: dataset has no variable 'u'"):
        train_offline(study(), tmp_path, out)
    with pytest.raises(
        InputError, match=r"`sciml generate heat_online --out heat_online\.nc` makes one"
    ):
        train_offline(study(), tmp_path / "heat_online", out)
    assert not out.exists()


def test_a_surrogate_is_evaluated_on_what_it_was_trained_for(recorded, study, tmp_path):
    with xr.open_dataset(recorded / "recording.nc") as ds:
        ds = ds.drop_vars(["arrival", "segment", "role", "seed"]).load()
    run, _ = train_offline(study(2), recorded, tmp_path / "run", plain=True)
    for name, changed in (("other", ds.rename(u="v")), ("good", ds.assign(noise=ds.u * np.nan))):
        changed.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"other\.nc: dataset has no variable 'u'"):
        evaluate(run.path, [tmp_path / "other.nc"])
    assert evaluate(run.path, [tmp_path / "good.nc"])["simulations"] == 5
    for names, count in ((["train"] * 3 + ["test"] * 2, 2), (["train"] * 4 + ["validation"], 1)):
        path = tmp_path / f"{count}.nc"
        ds.assign_coords(split=("sample", names)).to_netcdf(path, engine="h5netcdf")
        assert evaluate(run.path, [path])["simulations"] == count


def test_nothing_left_to_train_on(recorded, study):
    class Held:
        roles, ids = {0: "validation"}, (0,)

    with pytest.raises(InputError, match="none for training"):
        split_of(Held(), study())


def test_record_in_the_study_file(write_study):
    assert load_study(write_study()).record.enabled is False
    assert load_study(write_study(record=True)).record.enabled is True
    chosen = load_study(write_study(record={"enabled": True, "fields": ["u"]})).record
    assert chosen.fields == ["u"]
    for bad, said in (
        ({"enable": True}, "did you mean 'enabled'"),
        ("yes", "record: got 'yes'"),
        ({"enabled": True, "fields": []}, "record.fields"),
    ):
        with pytest.raises(InputError, match=said):
            load_study(write_study(record=bad))


def test_the_command_line_of_train(recorded, write_study, tmp_path):
    runner, study, out = CliRunner(), str(write_study()), str(tmp_path / "run")

    def train(*arguments):
        return runner.invoke(app, ["train", *map(str, arguments)])

    steps = ("--set", "training.phases=[{steps: 5}]", "--plain")
    done = train(study, "--from", recorded, "--stream", "--out", out, *steps)
    assert done.exit_code == 0 and (tmp_path / "run" / "predictions.nc").is_file()
    lease = (tmp_path / "run/pids/supervisor.json").read_bytes()
    for arguments, said in (
        ((study,), "expected a study and --from DATA, or --resume RUN"),
        ((study, "--from", tmp_path / "none"), "nothing there"),
        ((study, "--from", recorded, "--stream", "--epochs", 2), "give one of them"),
        (
            (study, "--from", recorded, "--epochs", 0, "--out", tmp_path / "no"),
            "expected 1 or more",
        ),
        (("--resume", out, "--stream"), "expected neither"),
        (("--resume", out), "has finished"),
        ((study, "--from", recorded, "--out", out), "exists"),
    ):
        failed = train(*arguments)
        assert isinstance(failed.exception, InputError) and said in str(failed.exception)
    assert not (tmp_path / "no").exists()
    assert (tmp_path / "run/pids/supervisor.json").read_bytes() == lease


@pytest.mark.parametrize(("factor", "words"), [(1e30, "left out"), (1e6, "scaled by the others")])
def test_a_recorded_simulation_that_diverged_is_named_and_spoils_nothing(
    tmp_path, capsys, factor, words
):
    x = np.arange(16) / 16
    waves = np.sin(
        2 * np.pi * (x + 0.1 * np.arange(8)[:, None, None] + 0.05 * np.arange(6)[:, None])
    )
    waves[3, 3:] *= factor
    ds = xr.Dataset({"u": (("sample", "time", "x"), waves)}, {"x": x, "time": 0.1 * np.arange(6)})
    ds.to_netcdf(tmp_path / "waves.nc")
    study = small_study(
        task={"inputs": ["u"]}, validation={"simulations": 2, "every": 50, "rollout": 2}
    )
    study["training"]["phases"][0]["steps"] = 4
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    run, code = train_offline(
        load_study(tmp_path / "study.yaml"), tmp_path / "waves.nc", tmp_path / "run", plain=True
    )
    assert code == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "far outside" in line]
    assert len(said) == 1 and f"simulation 3 is far outside, and {words}: 'u' reaches" in said[0]
    surrogate = Surrogate.load(run.surrogate)
    assert float(surrogate.normalizer.std("u")) == pytest.approx(0.7, rel=0.1)
    assert json.loads(run.replay.read_text())["far"][0][0] == 3
