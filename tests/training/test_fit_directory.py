"""``fit(directory=...)``: checkpoints on the way, one training a folder, bitwise resumable."""

import fcntl
import os
import shutil
import signal

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.errors import InputError
from sciml.training import TrainingError, fit
from sciml.training.checkpoint import Checkpoints, read
from sciml.training.history import History


def waves(amplitude=1.0):
    x, t = np.arange(16) / 16, np.arange(9) * 0.1
    u = amplitude * np.sin(2 * np.pi * (x - t[:, None]) + np.arange(8)[:, None, None])
    return xr.Dataset({"u": (("sample", "time", "x"), u.astype("f4"))}, {"time": t, "x": x})


class Net(nn.Module):
    """Has dropout, so that it depends on the state of the generator; raises in call ``at``."""

    def __init__(self, at=0, error=None, width=4):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, width, 3, padding=1), nn.Dropout(0.2), nn.Conv1d(width, 1, 1)
        )
        self.calls, self.at, self.error = 0, at, error

    def forward(self, x):
        self.calls += self.training
        if self.training and self.calls == self.at:
            if self.error is None:
                return self.layers(x) * float("nan")
            if self.error is KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT)
            else:
                raise self.error
        return self.layers(x)


EVERY = {"checkpoint_every": 10, "validate_every": 10, "epochs": 8, "batch_size": 16}
OPTIONS = {
    "plain": {},
    "ema and noise": {"ema": 0.9, "noise": 0.1},
    "two phases": {
        "epochs": None,
        "phases": [{"steps": 25, "lr": 1e-2}, {"optimizer": "lbfgs", "lr": 1.0, "steps": 6}],
    },
}


def made(**kwargs):
    torch.manual_seed(1)
    return Net(**kwargs)


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def told(history):
    steps = [(s.step, s.phase, s.loss, s.losses, s.lr, s.samples) for s in history.steps]
    return steps, history.validations, history.ended, history.samples


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_an_interrupted_fit_goes_on_bitwise(tmp_path, options, caplog):
    given = {**EVERY, **options}
    whole = fit(made(), waves(), directory=tmp_path / "whole", **given)
    kept = Checkpoints(tmp_path / "whole").steps()
    assert kept[-1] == len(whole.history.steps) and 2 <= len(kept) <= 3
    seen = [found["step"] for found in whole.history.validations]
    assert seen[:2] == [10, 20] and "rollout" not in whole.history.validations[0]
    assert "rollout" in whole.history.validations[-1]
    folder = tmp_path / "parts"
    error = RuntimeError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        fit(made(at=17, error=error), waves(), directory=folder, **given)
    assert Checkpoints(folder).steps() == [10]
    [note] = caught.value.__notes__
    assert "fit ended in step 17" in note and "step-00000010" in note and "resume=True" in note
    assert note in caplog.text
    with pytest.raises(KeyboardInterrupt) as stopped:
        fit(made(at=13, error=KeyboardInterrupt), waves(), directory=folder, resume=True, **given)
    assert Checkpoints(folder).steps()[-1] == 23, "after the step in which Ctrl-C came"
    assert "interrupted after step 23" in stopped.value.__notes__[0]
    torch.manual_seed(99)  # weights and generators come from the checkpoint
    resumed = fit(Net(), waves(), directory=folder, resume=True, **given)
    assert same(resumed, whole)
    steps, validations, *rest = told(whole.history)
    again, checked, *others = told(resumed.history)
    assert again == steps and others == rest
    assert [v for v in checked if v["step"] != 23] == validations
    assert same(sciml.load(folder, model=Net()), whole)
    finished = fit(Net(), waves(), directory=folder, resume=True, **given)
    assert same(finished, whole) and told(finished.history)[0] == steps


def test_where_steps_are_long_time_decides(tmp_path, monkeypatch):
    monkeypatch.setattr("sciml.training.fit_directory.MOST_SECONDS", 0.0)
    with pytest.raises(RuntimeError):
        fit(made(at=4, error=RuntimeError()), waves(), directory=tmp_path)
    assert Checkpoints(tmp_path).steps() == [2, 3]


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    class Twice(Net):
        def forward(self, x):
            if self.training and self.calls == 14:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().forward(x)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(Twice(), waves(), directory=tmp_path, **EVERY)
    assert Checkpoints(tmp_path).steps() == [10]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_nan_leaves_what_was_before_and_does_not_say_resume(tmp_path):
    with pytest.raises(TrainingError) as caught:
        fit(made(at=15), waves(), directory=tmp_path, **EVERY)
    [note] = caught.value.__notes__
    assert "lower the learning rate" in note and "resume=True" not in note
    assert all(p.isfinite().all() for p in sciml.load(tmp_path, model=Net()).parameters())


def test_one_that_ends_before_its_first_checkpoint_says_so(tmp_path):
    with pytest.raises(KeyError) as caught:
        fit(made(at=5, error=KeyError("x")), waves(), directory=tmp_path, **EVERY)
    assert "no checkpoint yet, since one is written every 10 steps" in caught.value.__notes__[0]
    # Nothing is there that could be lost, or gone on with.
    for resume in (False, True):
        shutil.rmtree(tmp_path)
        assert fit(made(), waves(), directory=tmp_path, resume=resume, epochs=1).history.steps


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "a"
    surrogate = fit(made(), waves(), directory=folder, **EVERY)
    return surrogate, folder


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": waves(1.01)}, r"data\.training: \w{8}… → \w{8}…; data\.held_out"),
        ({"model": Net(width=5)}, r"model\.layers: "),
        ({"model": nn.Conv1d(1, 1, 1)}, r"model\.class: Net → Conv1d"),
        ({"model": "mlp"}, r"model\.class: Net → MLP"),
        ({"epochs": 9}, r"phases\.0\.epochs: 8 → 9"),
        ({"epochs": None, "phases": {"steps": 3}}, r"phases\.0\.lr: 0\.002 → 0\.001.*more"),
        ({"batch_size": 8}, "batch_size: 16 → 8"),
        ({"loss": "mse"}, "loss: relative_l2 → mse"),
        ({"seed": 5}, "seed: 0 → 5"),
        ({"ema": 0.99}, r"options\.ema"),
        ({"increment": False}, "increment: true → false"),
    ],
)
def test_another_training_is_refused_by_what_differs(trained, changed, said):
    _, folder = trained
    before = sorted((p.name, p.stat().st_mtime_ns) for p in folder.rglob("*"))
    given = {"model": Net(), "data": waves(), **EVERY, "directory": folder, **changed}
    with pytest.raises(InputError, match=said) as caught:
        fit(**given, resume=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="holds the checkpoints of another fit; give resume=True"):
        fit(**given)
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in folder.rglob("*"))


def test_a_second_fit_takes_the_place_of_the_first_where_it_is_told_to(trained, tmp_path):
    _, folder = trained
    copy = shutil.copytree(folder, tmp_path / "b")
    (copy / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match="no variable 'v'"):
        fit(made(), waves(), targets=["v"], directory=copy, overwrite=True)
    assert Checkpoints(copy).steps() == Checkpoints(folder).steps(), "nothing is lost by bad input"
    shorter = fit(made(), waves(), directory=copy, overwrite=True, epochs=1, seed=3)
    assert Checkpoints(copy).steps() == [len(shorter.history.steps)]
    assert same(sciml.load(copy, model=Net()), shorter)
    assert (copy / "notes.txt").read_text() == "precious"


def test_what_is_no_folder_for_a_fit_is_told_in_one_line(trained, tmp_path):
    _, folder = trained
    (tmp_path / "file").write_text("")
    for given, said in (
        ({"directory": tmp_path / "file"}, "is a file"),
        ({"directory": tmp_path / "file" / "x"}, "cannot be made"),
        ({"resume": True}, "need the directory"),
        ({"directory": tmp_path, "resume": True, "overwrite": True}, "give one of them"),
        ({"directory": tmp_path / "c", "checkpoint_every": -1}, "expected a whole number"),
    ):
        with pytest.raises(InputError, match=said):
            fit(made(), waves(), epochs=1, **given)
    trained[0].save(tmp_path / "saved")
    for given in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(InputError, match="holds a saved surrogate, which"):
            fit(made(), waves(), epochs=1, directory=tmp_path / "saved", **given)
    run = shutil.copytree(folder, tmp_path / "run" / "checkpoints")
    (tmp_path / "run" / "lineage.json").write_text("{}")
    with pytest.raises(InputError, match="checkpoints of a run, which are not overwritten"):
        fit(made(), waves(), epochs=1, directory=run, overwrite=True)
    held = os.open(run, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(InputError, match=r"another fit trains in .* just now"):
        fit(made(), waves(), **EVERY, directory=run, resume=True)
    os.close(held)


def test_checkpoints_of_before_are_no_fit_to_go_on_with(trained, tmp_path):
    surrogate, _ = trained
    Checkpoints(tmp_path).save(5, surrogate, {"extra": {}})
    with pytest.raises(InputError, match="do not say what fit they are of"):
        fit(made(), waves(), **EVERY, directory=tmp_path, resume=True)


def test_a_full_disk_is_told_and_trained_on(tmp_path, monkeypatch, caplog):
    from sciml.training.checkpoint import CheckpointError

    def full(self, step, *args):
        raise CheckpointError(f"checkpoint of step {step} not written: no space")

    whole = fit(made(), waves(), **EVERY)
    monkeypatch.setattr(Checkpoints, "save", full)
    assert same(fit(made(), waves(), directory=tmp_path, **EVERY), whole)
    assert "checkpoint of step 10 not written" in caplog.text


def test_the_history_comes_back_as_it_was(trained):
    surrogate, folder = trained
    state = read(Checkpoints(folder).newest_path()).state["extra"]["history"]
    assert told(History.of(state))[0] == told(surrogate.history)[0]


def test_a_file_that_builds_the_model_may_not_be_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "from torch import nn\ndef build(setting):\n    return nn.Conv1d(1, 1, 3, padding=1)\n"
    (tmp_path / "net.py").write_text(text)
    fit("net.py", waves(), directory="c", epochs=1)
    (tmp_path / "net.py").write_text(text + "# edited\n")
    with pytest.raises(InputError, match=r"model\.source\.sha256: \w{8}… → \w{8}…"):
        fit("net.py", waves(), directory="c", epochs=1, resume=True)


def test_what_was_learned_lies_beside_the_checkpoints(tmp_path, monkeypatch):
    """Curves of one piece after a resumption, predictions of what was held out, figures."""
    from sciml.report.history import history
    from sciml.report.rows import rows_of

    monkeypatch.setenv("SCIML_FIGURES", "1")
    x = np.linspace(0.0, 1.0, 8)
    u = np.sin(6 * x + np.arange(6.0)[:, None] + np.arange(5)[:, None, None]).astype(np.float32)
    ds = xr.Dataset(
        {"u": (("member", "time", "lon"), u, {"units": "K"})},
        {"time": ("time", np.arange(6.0), {"units": "days since 2001-02-03"}), "lon": 40 * x},
    )
    given = {"epochs": 4, "batch_size": 4, "validate_every": 10, "hidden": [4], "validation": 0.4}
    sciml.fit("mlp", ds, directory=tmp_path / "waves", **given)
    lines = rows_of(tmp_path / "waves/metrics.jsonl")
    assert [line["step"] for line in lines if "lr" in line] == [10, 16]
    assert history(lines).vrmse.sizes == {"validation": 2, "field": 1}
    with xr.open_dataset(tmp_path / "waves/predictions.nc") as found:
        assert found.u.dims == ("sample", "time", "x") and found.u.shape == (2, 6, 8)
        assert str(found.time.values[1]) == "2001-02-04T00:00:00.000000000"
        held = found.sample.values
        np.testing.assert_array_equal(found.u_true, u[held])
        np.testing.assert_array_equal(found.u[:, 0], u[held, 0])
    assert {p.stem for p in (tmp_path / "waves/figures").iterdir()} == {
        "learning", "errors", "median", "worst"
    }  # fmt: skip
