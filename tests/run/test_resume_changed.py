"""A run goes on with the study that it began with, unless it is told otherwise, key by key."""

import json
import threading

import pytest
import yaml
from small_study import one_line, small_study

from sciml.ensemble.stop import STOPPED
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.lineage import adopt, begin, current, propose
from sciml.run.offline.training import resume_offline, train_offline
from sciml.run.outcome import Outcome
from sciml.study import load_study
from sciml.study.changes import changes


@pytest.fixture
def run(tmp_path, write_study):
    run = RunDirectory.create(tmp_path / "run")
    begin(run, load_study(write_study()))
    return run


def edit(run, **values):
    """What a hand does to ``study.yaml``."""
    tree = yaml.safe_load(run.study.read_text())
    for section, entries in values.items():
        tree[section].update(entries)
    run.study.write_text(yaml.safe_dump(tree))


def test_the_study_in_force_is_the_one_of_the_beginning(run, write_study):
    assert current(run) == load_study(write_study())
    assert propose(run) == (current(run), [])
    # The very file it began with, too: defaults are not differences.
    assert propose(run, write_study()) == (current(run), [])


def test_differences_are_listed_key_by_key(write_study):
    old, new = (
        load_study(write_study(), overrides)
        for overrides in (
            [],
            [
                "training.batch_size=8",
                "training.phases.0.lr=1e-4",
                "cluster.simulation_timeout=5",
                "record=true",
                "solver.options.scheme=explicit",
            ],
        )
    )
    assert [str(change) for change in changes(old, new)] == [
        "solver.options.scheme: unset → explicit",
        "training.batch_size: 4 → 8",
        "training.phases.0.lr: 0.001 → 0.0001",
        "record.enabled: false → true",
        "cluster.simulation_timeout: null → 5.0",
    ]
    assert changes(old, old) == []


def test_what_differs_is_refused_and_taken_on_with_force(run):
    wanted = ["training.batch_size=8", "cluster.retries=5"]
    with pytest.raises(InputError) as refused:
        propose(run, overrides=wanted)
    for words in ("training.batch_size: 4 → 8", "cluster.retries: 1 → 5", "--force"):
        assert words in str(refused.value)
    assert current(run).training.batch_size == 4
    study, found = propose(run, overrides=wanted, force=True)
    adopt(run, study, found)
    assert current(run).training.batch_size == 8
    assert yaml.safe_load(run.study.read_text())["cluster"]["retries"] == 5
    entries = json.loads(run.lineage.read_text())["studies"]
    assert [entry["from_step"] for entry in entries] == [0, 0]
    assert entries[1]["changed"] == ["training.batch_size: 4 → 8", "cluster.retries: 1 → 5"]
    assert propose(run) == (study, [])  # the new one counts from now on


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("seed=2", "first weights"),
        ("solver.program=docs/foreign_solver.py", "made the frames"),
        ("solver.options.dt=1e-3", "made the frames"),
        ("solver.send.every=2", "made the frames"),
        ("parameters.ranges.kappa=[0.05, 0.2]", "roles of all simulations"),
        ("parameters.simulations=50", "roles of all simulations"),
        ("validation.simulations=2", "held out"),
        ("task.lead=2", "shape"),
        ("model.hidden=[9]", "weights"),
        ("buffer.kind=fifo", "buffer of that kind"),
    ],
)
def test_what_makes_the_run_cannot_change_even_with_force(run, override, why):
    for force in (False, True):
        with pytest.raises(InputError, match=why) as refused:
            propose(run, overrides=["training.batch_size=8", override], force=force)
        key = override.partition("=")[0]
        assert key in str(refused.value) and "begin a new run" in str(refused.value)


def test_an_edit_by_hand_is_noticed(run):
    edit(run, training={"batch_size": 2})
    assert current(run).training.batch_size == 4, "in force is what the run was told"
    with pytest.raises(InputError, match=r"study\.yaml was edited: training.batch_size: 4 → 2"):
        propose(run)
    study, found = propose(run, force=True)
    assert study.training.batch_size == 2 and len(found) == 1
    edit(run, model={"activation": "gelu"})
    with pytest.raises(
        InputError, match=r"was edited: model\.activation: relu → gelu cannot change"
    ):
        propose(run, force=True)
    edit(run, training={"batch_size": 4}, model={"activation": "relu"})
    assert propose(run)[1] == []


def test_an_edit_that_changes_no_value_is_none(run):
    run.study.write_text("# a remark\n" + run.study.read_text())
    assert propose(run)[1] == []


def test_a_run_without_a_lineage_takes_its_file_as_it_is(run):
    run.lineage.unlink()
    edit(run, training={"batch_size": 2})
    study, found = propose(run)
    adopt(run, study, found)
    assert study.training.batch_size == 2 and found == []
    assert current(run) == study and run.lineage.is_file()


def test_the_command_lists_and_refuses(command, run, write_study):
    changed = write_study(cluster={**small_study()["cluster"], "retries": 4})
    before = {p: p.read_bytes() for p in (run.study, run.lineage)}
    line = one_line(command("resume", run.path, "--study", changed))
    assert "cluster.retries: 1 → 4" in line and "--force" in line
    line = one_line(command("resume", run.path, "--set", "model.activation=tanh", "--force"))
    assert "model.activation: relu → tanh cannot change in a run" in line
    assert before == {p: p.read_bytes() for p in before}


@pytest.fixture
def stopped(tmp_path, write_study, monkeypatch):
    """An offline run that ended at step 10 of 20, in the first of two phases."""
    import numpy as np
    import xarray as xr

    rng = np.random.default_rng(0)
    x = np.arange(8.0)
    data = rng.normal(size=(3, 12, 8, 8)).astype(np.float32)
    ds = xr.Dataset(
        {"u": (("sample", "time", "y", "x"), data)},
        {"time": 0.1 * np.arange(12), "y": x, "x": x},
    )
    ds.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    phases = [{"lr": 1e-3, "steps": 15, "weight_decay": 0.1}, {"lr": 1e-4, "steps": 5}]
    study = write_study(
        task={"inputs": ["u"]},
        training={"batch_size": 4, "phases": phases, "device": "cpu"},
    )
    stop, original = threading.Event(), Outcome.on_step

    def on_step(self, done, history):
        original(self, done, history)
        if done.step == 10:
            stop.set()

    with monkeypatch.context() as patch:
        patch.setattr(Outcome, "on_step", on_step)
        run, code = train_offline(
            load_study(study), tmp_path / "data.nc", tmp_path / "offline", plain=True, stop=stop
        )
    assert code == STOPPED
    return run


def test_an_offline_run_goes_on_with_what_was_forced(stopped, capsys, monkeypatch):
    wanted = ["training.phases.1.steps=9", "training.phases.0.weight_decay=0.3"]
    with pytest.raises(InputError, match=r"phases\.1\.steps: 5 → 9"):
        resume_offline(stopped, overrides=wanted)
    decays = []
    from sciml.training import loop

    advance = loop.advance

    def watched(problem, phase, optimizer):
        decays.append(optimizer.param_groups[0]["weight_decay"])
        return advance(problem, phase, optimizer)

    monkeypatch.setattr(loop, "advance", watched)
    run, code = resume_offline(stopped, overrides=wanted, force=True, plain=True)
    assert code == 0
    assert json.loads(run.summary.read_text())["steps"] == 24
    # What the checkpoint says of the optimizer does not undo what was asked for.
    assert decays[:5] == [0.3] * 5
    said = capsys.readouterr().err
    assert "changed: training.phases.1.steps: 5 → 9" in said
    entries = json.loads(run.lineage.read_text())["studies"]
    assert [entry["from_step"] for entry in entries] == [0, 10]


def test_the_optimizer_of_a_phase_under_way_stays(stopped):
    with pytest.raises(InputError, match=r"phases\.0\.optimizer: adamw → sgd, yet the checkpoint"):
        resume_offline(stopped, overrides=["training.phases.0.optimizer=sgd"], force=True)
    assert current(stopped).training.phases[0].optimizer == "adamw"
    _, code = resume_offline(
        stopped, overrides=["training.phases.1.optimizer=sgd"], force=True, plain=True
    )
    assert code == 0


def test_train_resume_takes_a_study_and_force(command, stopped, write_study):
    line = one_line(command("train", "--resume", stopped.path, "--set", "training.batch_size=2"))
    assert "training.batch_size: 4 → 2" in line
    done = command("resume", stopped.path, "--set", "training.batch_size=2", "--force", "--plain")
    assert done.returncode == 0, done.stderr
    assert (
        "changed: training.batch_size: 4 → 2" in done.stderr and "trained 20 steps" in done.stderr
    )
    line = one_line(command("train", write_study(), "--from", stopped.path, "--force"))
    assert "--force goes with --resume" in line
