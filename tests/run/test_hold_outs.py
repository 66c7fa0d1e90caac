"""What is held out stays held out: a poisoned simulation for testing or validation changes no weight,
bit for bit, by any way into a training.

Long, since every way in is held to the same law, by the same poisons.
"""

import json
import threading
from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from small_study import small_study

import sciml
from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.record import Recorder, open_recording
from sciml.run.evaluation import evaluate
from sciml.run.offline.training import resume_offline, train_offline
from sciml.run.outcome import Outcome
from sciml.samples import Frame, Simulation, Task
from sciml.samples.dataset import samples_of
from sciml.samples.splits import role_of
from sciml.study import load_study

N, TIMES = 16, 6
ROLES = ["train", "test", "train", "validation", "train", "test", "train"]
X = np.arange(N) / N
FNO = {"name": "fno", "modes": 3, "hidden_channels": 4, "n_layers": 1}
POD = {"name": "pod_deeponet", "basis": 3, "branch": [8]}
GIVEN = {"targets": ["u"], "parameters": ["speed"], "epochs": 2, "batch_size": 4, "device": "cpu"}


def waves(poison=None, roles=ROLES, split=True):
    """A wave a sample, each with a speed of its own; what is held out may be poisoned."""
    speed = 0.5 + 0.1 * np.arange(len(roles))
    time = 0.1 * np.arange(TIMES)
    u = np.sin(2 * np.pi * (X - speed[:, None, None] * time[:, None])).astype(np.float32)
    for place, role in enumerate(roles):
        if poison and role != "train":
            # What is for testing is not read at all: there it may even be no number.
            u[place] *= np.float32(1e9 if poison == "huge" or role == "validation" else np.nan)
            speed[place] = 1e9
    return xr.Dataset(
        {"u": (("sample", "time", "x"), u, {"units": "m"})},
        {
            "time": time,
            "x": ("x", X, {"boundary": "periodic", "extent": [0.0, 1.0]}),
            "speed": ("sample", speed),
            **({"split": ("sample", roles)} if split else {}),
        },
    )


def recorded(folder, poison):
    grid = Grid((N,), ((0.0, 1.0),), ("periodic",))
    recorder = Recorder(folder, about={n: {"role": role} for n, role in enumerate(ROLES)})
    ds = waves(poison and "huge")
    for n in range(len(ROLES)):
        recorder.open(Simulation(n, grid, (Field("u", "m"),), {"speed": float(ds.speed[n])}))
    for step in range(TIMES):
        for n in range(len(ROLES)):
            recorder.push(Frame(n, step, 0.1 * step, {"u": ds.u.values[n, step]}))
    for n in range(len(ROLES)):
        recorder.close(n)
    recorder.finish()
    return folder


def written(folder, poison):
    waves(poison).to_netcdf(folder / "waves.nc", engine="h5netcdf")
    return folder / "waves.nc"


def a_file_a_role(folder, poison, say):
    """A folder of files, each of one role, which it says by an attribute, or by its name."""
    folder = folder / "files"
    folder.mkdir()
    ds = waves(poison)
    for role in ("test", "train", "validation"):
        part = ds.isel(sample=ds.split == role).drop_vars("split")
        if say == "attribute":
            part.attrs["split"] = role
        part.to_netcdf(folder / (f"waves_{role}.nc" if say == "name" else f"{role[1:]}.nc"))
    return folder


def study(**changes):
    sections = {
        "name": "waves",
        "task": {"inputs": ["u"], "parameters": ["speed"], "increment": True},
        "model": FNO,
        "training": {"batch_size": 4, "phases": [{"steps": 6}], "device": "cpu"},
        "buffer": {"kind": "reservoir", "capacity": 8, "watermark": 4},
        "validation": {"simulations": 1, "every": 2},
    }
    return {**sections, **changes}


def offline(folder, data, model=FNO, **mode):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study(model=model)))
    run, code = train_offline(
        load_study(path, solver=False), data, folder / "run", plain=True, **mode
    )
    assert code == 0
    return sciml.open_run(run.path).surrogate()


def resumed(folder, poison):
    """Stopped in its middle, and gone on with."""
    stop, original = threading.Event(), Outcome.on_step

    def on_step(self, done, history):
        original(self, done, history)
        if done.step == 3:
            stop.set()

    path, data = folder / "study.yaml", written(folder, poison)
    path.write_text(yaml.safe_dump(study()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outcome, "on_step", on_step)
        train_offline(load_study(path, solver=False), data, folder / "run", plain=True, stop=stop)
    assert not (folder / "run" / "summary.json").exists()
    run, _ = resume_offline(folder / "run", plain=True)
    return sciml.open_run(run.path).surrogate()


def fitted(ds, model=FNO, **given):
    torch.manual_seed(0)
    return sciml.fit(model, ds, **{**GIVEN, **given})


class Halting(torch.nn.Module):
    """Two channels to one; it raises in the forward pass of a number."""

    def __init__(self, at=None):
        super().__init__()
        self.layer = torch.nn.Conv1d(2, 1, 3, padding=1)
        self.at, self.calls = at, 0

    def forward(self, x):
        self.calls += self.training
        if self.calls == self.at:
            raise RuntimeError("out of memory")
        return self.layer(x)


def fit_resumed(folder, poison):
    """Ended by an error, and gone on with."""
    given = {"directory": folder / "fit", "checkpoint_every": 2, "validate_every": 1}
    with pytest.raises(RuntimeError, match="out of memory"):
        fitted(waves(poison), Halting(7), **given)
    return fitted(waves(poison), Halting(), resume=True, **given)


def over_time(folder, poison):
    return fitted(divided_in_time(poison))


def file_over_time(folder, poison):
    divided_in_time(poison).to_netcdf(folder / "waves.nc", engine="h5netcdf")
    return offline(folder, folder / "waves.nc")


def divided_in_time(poison):
    """Trained on the beginning of each sample, validated on its middle, tested on its end."""
    ds = waves(split=False).assign_coords(split=("time", ["train"] * 3 + ["valid"] * 2 + ["test"]))
    if poison:
        ds.u[:, 3:] *= np.float32(1e9)
        ds.u[:, 5] *= np.float32(np.nan)
    return ds


def of_windows(folder, poison):
    """A loop of one's own."""
    task = Task(("u",), ("u",), parameters=("speed",))
    return [s.targets[0].fields["u"] for s in samples_of(waves(poison), task)]


WAYS = {
    "fit a dataset": lambda folder, poison: fitted(waves(poison)),
    "fit a file": lambda folder, poison: fitted(written(folder, poison)),
    "fit, a POD basis": lambda folder, poison: fitted(waves(poison), POD),
    "fit, a split without validation": lambda folder, poison: fitted(
        waves(poison, ["train", "test", "train", "train"])
    ),
    "fit, over time": over_time,
    "fit, resumed": fit_resumed,
    "fit, without validation": lambda folder, poison: fitted(waves(poison), validation=0),
    "fit, a recording's dataset": lambda folder, poison: fitted(
        open_recording(recorded(folder / "r", poison)).dataset.load()
    ),
    "samples_of": of_windows,
    "train, a file": lambda folder, poison: offline(folder, written(folder, poison)),
    "train, a file, POD": lambda folder, poison: offline(folder, written(folder, poison), POD),
    "train --stream, a file": lambda folder, poison: offline(
        folder, written(folder, poison), stream=True
    ),
    "train, over time": file_over_time,
    "train, files that say it": lambda folder, poison: offline(
        folder, a_file_a_role(folder, poison, "attribute")
    ),
    "train, files called so": lambda folder, poison: offline(
        folder, a_file_a_role(folder, poison, "name")
    ),
    "train, a recording": lambda folder, poison: offline(folder, recorded(folder / "r", poison)),
    "train --stream, a recording": lambda folder, poison: offline(
        folder, recorded(folder / "r", poison), stream=True
    ),
    "train, resumed": resumed,
}


#: Ways that are tried with either poison by default.
BOTH = ("fit a dataset", "train, a file", "fit, a split without validation")


def state(trained):
    """Weights, scaling and all, as arrays."""
    if isinstance(trained, list):
        return dict(enumerate(trained))
    return {name: tensor.numpy() for name, tensor in trained.state_dict().items()}


@pytest.fixture(scope="module")
def clean_by(tmp_path_factory):
    """``clean_by(way)``: what comes out where nothing is poisoned."""
    return cache(lambda way: state(WAYS[way](tmp_path_factory.mktemp("clean"), None)))


@pytest.mark.parametrize(
    ("way", "poison"),
    # A recording tells training and validation apart, and keeps no NaN. Elsewhere NaN is as well huge in
    # what is for validation.
    [
        pytest.param(w, p, marks=pytest.mark.slow if slow else ())
        for w in WAYS
        for p in ("huge", "NaN")
        if p == "huge" or "recording" not in w
        for slow in [p == "huge" and "recording" not in w and w not in BOTH]
    ],
)
def test_poison_in_what_is_held_out_changes_no_weight(tmp_path, clean_by, way, poison):
    clean, poisoned = clean_by(way), state(WAYS[way](tmp_path, poison))
    assert clean.keys() == poisoned.keys() and clean
    for name, values in clean.items():
        assert values.tobytes() == poisoned[name].tobytes(), name


PROGRAM = """
import argparse, json, os
import numpy as np
from sciml.domain import Field, Grid
from sciml.stream.client import connect

parser = argparse.ArgumentParser()
parser.add_argument("--describe", action="store_true")
parser.add_argument("--speed", type=float, default=0.5)
given = parser.parse_args()
if given.describe:
    print(json.dumps({"schema_version": 1, "name": "waves", "deterministic": True,
        "fields": [{"name": "u", "units": "m", "long_name": "u"}], "options": [],
        "parameters": [{"name": "speed", "units": "1", "low": 0.1, "high": 2.0, "default": 0.5}]}))
    raise SystemExit
x = np.arange(16) / 16
grid = Grid((16,), ((0.0, 1.0),), ("periodic",))
with connect(domain=grid, fields=[Field("u", "m")], parameters={"speed": given.speed}) as client:
    scale = SCALES.get(int(os.environ["SCIML_SIMULATION"]), 1.0)
    for step in range(6):
        u = scale * np.sin(2 * np.pi * (x - 0.1 * step * given.speed))
        client.send(step, 0.1 * step, u=u.astype("f4"))
"""


@pytest.mark.slow
def test_poison_in_what_is_held_out_online_changes_no_weight(tmp_path):
    """The whole of what is to be learned is there before the first step, which makes it repeatable."""
    from sciml.study.designs import plan

    found = []
    for name, scale in (("clean", 1.0), ("poisoned", 1e12)):
        path = tmp_path / f"{name}.yaml"
        program = tmp_path / f"{name}.py"
        sections = study(
            solver={"program": str(program)},
            parameters={"simulations": 4, "seed": False, "ranges": {"speed": [0.2, 1.0]}},
            buffer={"kind": "fifo", "capacity": 64, "watermark": 15},
            cluster={"simulations_at_once": 1},
        )
        sections["training"] = {"batch_size": 4, "phases": [{"lr": 1e-3}], "device": "cpu"}
        path.write_text(yaml.safe_dump(small_study(**sections)))
        program.write_text(PROGRAM.replace("SCALES", "{}"))
        held = [p.id for p in plan(load_study(path)) if p.role == "validation"]
        program.write_text(PROGRAM.replace("SCALES", repr(dict.fromkeys(held, scale))))
        run = sciml.run(path, tmp_path / name, plain=True)
        assert run.summary["validation_simulations"] == len(held) == 1
        [file] = run.directory.validation.glob("*.nc")
        with xr.open_dataset(file) as ds:
            assert (abs(ds.u).max() > 1e9) == (scale > 1)
        found.append(state(run.surrogate()))
    for name, values in found[0].items():
        assert values.tobytes() == found[1][name].tobytes(), name


SPELLINGS = {
    "other words": lambda ds: ds.assign_coords(
        split=(
            "sample",
            [{"train": "Training", "test": " TEST ", "validation": "val"}[r] for r in ROLES],
        )
    ),
    "bytes": lambda ds: ds.assign_coords(split=("sample", np.array(ROLES, "S"))),
    "objects": lambda ds: ds.assign_coords(split=("sample", np.array(ROLES, object))),
    "upper case": lambda ds: ds.assign_coords(Split=ds.split.str.upper()).drop_vars("split"),
    "a variable": lambda ds: ds.reset_coords("split"),
    "another dimension": lambda ds: ds.rename(sample="member"),
    "the role of a recording": lambda ds: ds.rename(split="role"),
    "words of another name": lambda ds: ds.rename(split="fold"),
    "names of the samples": lambda ds: ds.assign_coords(sample=ROLES).drop_vars("split"),
    "masks": lambda ds: ds.assign_coords(
        is_test=ds.split == "test", val_mask=ds.split == "validation"
    ).drop_vars("split"),
    "numbers with a meaning": lambda ds: ds.assign_coords(
        split=(
            "sample",
            [["train", "validation", "test"].index(role) for role in ROLES],
            {"flag_values": [0, 1, 2], "flag_meanings": "train validation test"},
        )
    ),
    "each time": lambda ds: ds.assign_coords(
        split=ds.split.broadcast_like(ds.u.isel(x=0, drop=True))
    ),
    "times first": lambda ds: ds.transpose("time", "x", "sample").assign_coords(
        split=ds.split.broadcast_like(ds.u.isel(x=0, drop=True)).transpose("time", "sample")
    ),
    "other order": lambda ds: ds.isel(sample=slice(None, None, -1)).isel(
        sample=slice(None, None, -1)
    ),
    "merged": lambda ds: xr.concat(
        [ds.isel(sample=[0, 1, 2]), ds.isel(sample=[3, 4, 5, 6])], "sample"
    ),
    "stacked": lambda ds: ds.expand_dims("start").stack(run=("start", "sample")),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_split_is_understood_however_it_is_said(spelling, clean_by, caplog):
    said = state(fitted(SPELLINGS[spelling](waves("NaN"))))
    for name, values in clean_by("fit a dataset").items():
        assert values.tobytes() == said[name].tobytes(), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda ds: ds.assign_coords(split=("sample", ["a", *ROLES[1:]])),
            "says 'a'; expected train",
        ),
        (lambda ds: ds.assign_coords(split=("sample", range(7))), "says 0, 1, 2; expected train"),
        (
            lambda ds: ds.assign_coords(split=("sample", ["", *ROLES[1:]])),
            "says ''; expected train",
        ),
        (
            lambda ds: ds.drop_vars("split").assign_attrs(split="80/20"),
            "attribute 'split' says '80/20'",
        ),
        (lambda ds: ds.assign_coords(split=("x", ["train"] * N)), "lies along 'x'; expected along"),
        (
            lambda ds: ds.assign_coords(split=("n", ROLES)),
            "lies along 'n'; expected along 'sample'",
        ),
        (
            lambda ds: ds.isel(sample=ds.split == "test"),
            "says test of all there is, none for training",
        ),
        (lambda ds: ds.isel(sample=1), "says test of all there is"),
        (lambda ds: ds.isel(sample=[1, 3]), "says validation and test of all there is"),
    ],
)
@pytest.mark.parametrize("way", ["fit", "train"])
def test_a_split_that_is_not_understood_is_refused_and_not_ignored(tmp_path, way, change, words):
    ds = change(waves())
    with pytest.raises(InputError) as caught:
        if way == "fit":
            fitted(ds)
        else:
            ds.to_netcdf(tmp_path / "waves.nc", engine="h5netcdf")
            offline(tmp_path, tmp_path / "waves.nc")
    said = str(caught.value).replace("the split of the data", "it")
    assert words in said and "\n" not in said
    assert not (tmp_path / "run").exists()


def test_a_field_called_split_is_a_field():
    ds = waves(split=False).rename(u="split")
    assert fitted(ds, targets=["split"]).history.samples
    more = waves(split=False).assign(split=lambda d: 2 * d.u)
    assert fitted(more).history.validations


def test_the_log_says_what_is_held_out_and_why(tmp_path, caplog, capsys):
    with caplog.at_level("INFO", logger="sciml.fit"):
        fitted(waves())
        fitted(waves(split=False))
    assert (
        "20 samples of 4 simulations, 1 held out by coordinate 'split', 2 for testing not read"
        in (caplog.text)
    )
    assert "30 samples of 6 simulations, 1 held out, " in caplog.text
    offline(tmp_path, written(tmp_path, None))
    assert (
        "4 simulations for training, 1 held out, as the data say; 2 for testing are left alone"
        in capsys.readouterr().err
    )
    plan = json.loads((tmp_path / "run" / "simulations.json").read_text())
    assert {e["id"]: e["role"] for e in plan} == dict(enumerate(ROLES))


def test_what_is_evaluated_is_what_is_for_testing(tmp_path, caplog):
    fitted(waves()).save(tmp_path / "saved")
    file = tmp_path / "waves.nc"
    found, said = [], []
    for ds in (
        waves(),
        waves().isel(sample=waves().split == "test"),
        waves().isel(sample=[1, 5]).drop_vars("split"),
        waves("huge", ["train"] * 7).isel(sample=[1, 5]),
    ):
        file.unlink(missing_ok=True)
        ds.to_netcdf(file, engine="h5netcdf")
        found.append(evaluate(tmp_path / "saved", [file]))
        said.append(found[-1].pop("split"))
        assert found[-1] == found[0] and found[-1]["simulations"] == 2
    assert said[:3] == [
        "what is for testing, by coordinate 'split'",
        "what is for testing, by coordinate 'split'",
        "all of it: no split says what was trained on",
    ]
    assert said[3].startswith("what is for training")
    assert "all of it is for training" in caplog.text


def test_pieces_of_one_simulation_on_both_sides_are_told(caplog, capsys, tmp_path):
    """Windows cut beforehand: those held out share frames with those that are trained on."""
    ds = waves(split=False).isel(sample=[0], drop=True).drop_vars("speed")
    pieces = [ds.isel(time=slice(i, i + 3)).assign_coords(time=[0.0, 0.1, 0.2]) for i in range(4)]
    sciml.fit(FNO, xr.concat(pieces, "sample"), targets=["u"], epochs=1, device="cpu")
    assert "1 of 1 held-out simulations hold frames that are trained on" in caplog.text
    caplog.clear()
    # The same start with another speed is another simulation.
    sciml.fit(FNO, waves(split=False), targets=["u"], epochs=1, device="cpu")
    assert "hold frames" not in caplog.text
    several = xr.concat([one.assign_coords(speed=1.0) for one in pieces], "sample")
    several.to_netcdf(tmp_path / "waves.nc", engine="h5netcdf")
    offline(tmp_path, tmp_path / "waves.nc")
    assert "warning: 1 of 1 held-out simulations hold frames" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["Train", b"train ", np.str_("TRAINING"), np.bytes_(b"train")])
def test_words_for_training(value):
    assert role_of(value) == "train" and role_of("trained") is None
