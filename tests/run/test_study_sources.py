"""Studies that learn from an equation: alone, beside data, beside a stream."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from killing import Killer
from safetensors.torch import load_file
from typer.testing import CliRunner

import sciml
from sciml.cli import app
from sciml.ensemble.stop import STOPPED
from sciml.errors import InputError
from sciml.run.evaluation import evaluate
from sciml.run.offline.solutions import undetermined
from sciml.run.offline.training import resume_offline, train_offline
from sciml.run.outcome import Outcome
from sciml.study import load_study

NET = "workflows/foundation/net.py"
ALONE, MIXED = "workflows/foundation/collocation.yaml", "workflows/foundation/hybrid.yaml"
#: Small enough for a test: two phases, the second in float64, a checkpoint in each.
SHORT = [
    "model.width=8",
    "model.depth=2",
    "training.sources.inside={kind: collocation, domain: {x: {low: -1, high: 1, points: 17}},"
    " time: [0, 1], batch_size: 32, initial: 8, boundary: 8}",
    "training.phases=[{optimizer: adam, lr: 1e-2, steps: 12},"
    " {optimizer: lbfgs, lr: 1, steps: 4, iterations: 4, dtype: float64, redraw: 2}]",
    "training.checkpoint_every=5",
    "validation={every: 6, times: 3}",
]


def alone(*overrides):
    return load_study(ALONE, [*SHORT, *overrides])


def weights(run):
    return load_file(run.surrogate / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run, code = train_offline(alone(), None, tmp_path_factory.mktemp("alone") / "run", plain=True)
    assert code == 0
    return run


def test_an_equation_alone_leaves_what_a_run_leaves(whole):
    summary = json.loads(whole.summary.read_text())
    assert summary["steps"] == 16 and summary["validation_simulations"] == 1
    assert np.isfinite(summary["loss"]) and summary["vrmse"] < 2
    assert not whole.endpoint.exists() and not whole.solver.exists()
    assert {str(t.dtype) for n, t in weights(whole).items() if "layers" in n} == {"torch.float64"}
    with xr.open_dataset(whole.predictions) as ds:
        assert ds.u.sizes == {"sample": 1, "time": 3, "x": 17}
        start = ds.u_true.isel(sample=0, time=0)
        np.testing.assert_allclose(start, -np.sin(np.pi * ds.x), atol=1e-6)
    assert "vrmse" in evaluate(whole.path)
    lines = [json.loads(line) for line in whole.metrics.read_text().splitlines()]
    assert any("physics.equation" in line.get("losses", line) for line in lines)


def test_its_surrogate_is_asked_at_places_and_times_of_ones_own(whole):
    surrogate = sciml.load(whole.path, model=NET)
    ds = xr.Dataset(coords={"time": [0.0, 0.25, 0.5]})
    found = surrogate.predict(ds, at={"x": [-0.3, 0.1, 0.2]})
    assert found.u.sizes == {"time": 3, "x": 3} and np.isfinite(found.u).all()
    everywhere = surrogate.predict(ds)
    assert everywhere.u.sizes == {"time": 3, "x": 17}


@pytest.mark.parametrize("stopped_at", [7, 14])
def test_an_equation_alone_resumes_bitwise(whole, tmp_path, monkeypatch, stopped_at):
    stop, told = threading.Event(), Outcome.on_step

    def on_step(self, step, history):
        told(self, step, history)
        if step.step == stopped_at:
            stop.set()

    monkeypatch.setattr(Outcome, "on_step", on_step)
    run, code = train_offline(alone(), None, tmp_path / "run", plain=True, stop=stop)
    assert code == STOPPED
    monkeypatch.setattr(Outcome, "on_step", told)
    _, code = resume_offline(run.path, plain=True)
    assert code == 0
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(run)[name]), name
    lines = [folder.metrics.read_text().splitlines() for folder in (run, whole)]
    # Where it was stopped it was validated, too.
    assert [x for x in lines[0] if json.loads(x)["step"] != stopped_at] == lines[1]


def test_fit_learns_the_same_from_the_same_keys(whole):
    study = alone().model_dump(exclude_none=True)
    training = study["training"]
    surrogate = sciml.fit(
        {**study["model"], "name": NET},
        task={key: study["task"][key] for key in ("inputs", "targets", "history", "time")},
        sources=training["sources"],
        objectives=training["objectives"],
        phases=training["phases"],
    )
    known = weights(whole)
    for name, tensor in surrogate.state_dict().items():
        if name.startswith("model."):
            assert torch.equal(tensor, known[name]), name


def test_the_command_line_runs_and_resumes_it(tmp_path):
    runner = CliRunner()
    arguments = [part for override in SHORT for part in ("--set", override)]
    done = runner.invoke(app, ["run", ALONE, "--out", str(tmp_path / "run"), "--plain", *arguments])
    assert done.exit_code == 0 and "validated on 1 exact solution" in done.output
    again = runner.invoke(app, ["resume", str(tmp_path / "run")])
    assert isinstance(again.exception, InputError) and "has finished" in str(again.exception)
    dry = runner.invoke(app, ["run", ALONE, "--dry-run", *arguments])
    assert dry.exit_code == 0, dry.exception
    assert "32 inside, 8 at the start, 8 on the sides" in dry.output


def exact(folder, kappas, n=9):
    """Heat between walls, exact: one simulation each."""
    grid = np.linspace(0, 1, n)
    time = np.linspace(0, 0.4, 5)
    x, y = np.meshgrid(grid, grid)
    wave = np.sin(np.pi * x) * np.sin(np.pi * y)
    decay = np.exp(-2 * np.pi**2 * np.multiply.outer(kappas, time))
    ds = xr.Dataset(
        {"u": (("sample", "time", "y", "x"), decay[..., None, None] * wave)},
        {"kappa": ("sample", list(kappas)), "time": time, "x": grid, "y": grid},
    )
    ds.to_netcdf(folder / "heat.nc", engine="h5netcdf")
    return folder / "heat.nc"


MIXED_SHORT = [
    "model.width=8",
    "training.batch_size=4",
    "training.phases=[{lr: 1e-2, steps: 10, weights: {physics: 0.1}}]",
    "training.sources.inside={kind: collocation, time: [0, 0.4], batch_size: 16, initial: 8,"
    " boundary: 8}",
    "buffer={capacity: 12, watermark: 4}",
    "training.checkpoint_every=4",
    "validation={simulations: 1, every: 5}",
    "record=false",
]


@pytest.mark.parametrize("stream", [False, True])
def test_data_and_an_equation_resume_bitwise(tmp_path, monkeypatch, stream):
    data = exact(tmp_path, [0.02, 0.04, 0.06, 0.08])
    study = load_study(MIXED, MIXED_SHORT, solver=False)
    one, code = train_offline(study, data, tmp_path / "one", stream=stream, plain=True)
    assert code == 0
    stop, told = threading.Event(), Outcome.on_step

    def on_step(self, step, history):
        told(self, step, history)
        assert {*step.losses} == {
            "fields.mse", "physics.equation", "physics.initial", "physics.boundary",
        }  # fmt: skip
        if step.step == 3:
            stop.set()

    monkeypatch.setattr(Outcome, "on_step", on_step)
    two, code = train_offline(study, data, tmp_path / "two", stream=stream, plain=True, stop=stop)
    assert code == STOPPED
    stop.clear()
    _, code = resume_offline(two.path, plain=True)
    assert code == 0
    for name, tensor in weights(one).items():
        assert torch.equal(tensor, weights(two)[name]), name
    # It is trained where its points are, too.
    assert sciml.load(two.path, model=NET).bounds.of("parameter", "kappa") == (0.02, 0.1)


def test_an_equation_alone_is_held_against_data(tmp_path):
    exact(tmp_path, [0.02, 0.05])
    points = "{kind: collocation, domain: {x: [0, 1], y: [0, 1]}, time: [0, 0.4], batch_size: 8,"
    points += " parameters: {kappa: [0.02, 0.1]}, initial: 4, boundary: 4}"
    tree = yaml.safe_load(Path(MIXED).read_text())
    tree = {key: tree[key] for key in ("name", "task", "model")}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree))
    changes = [
        f"training.sources.inside={points}",
        "training.objectives.physics={kind: residual, source: inside, equation: heat, solution: mode}",
        "training.phases=[{steps: 2}]",
    ]
    against = load_study(tmp_path / "study.yaml", [*changes, "validation.data=heat.nc"])
    run, _ = train_offline(against, None, tmp_path / "run", plain=True)
    summary = json.loads(run.summary.read_text())
    assert summary["validation_simulations"] == 2
    assert sciml.load(run.path, model=NET).domain.shape == (9, 9)
    drawn = load_study(tmp_path / "study.yaml", [*changes, "validation.simulations=3"])
    run, _ = train_offline(drawn, None, tmp_path / "drawn", plain=True)
    plan = json.loads(run.simulations.read_text())
    assert len({entry["parameters"]["kappa"] for entry in plan}) == 3
    elsewhere = [*changes, "validation.data=heat.nc"]
    elsewhere[0] = elsewhere[0].replace("x: [0, 1]", "x: [0, 2]")
    with pytest.raises(
        InputError, match=r"validation\.data: fields on y from 0 to 1, x from 0 to 1"
    ):
        train_offline(load_study(tmp_path / "study.yaml", elsewhere), None, tmp_path / "no")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("file", "override", "message"),
    [
        (ALONE, "training.objectives.physics.equation=burger", "did you mean 'burgers'"),
        (ALONE, "training.objectives.physics.parameters={}", "'burgers' needs 'nu'"),
        (ALONE, "task.targets=[w]", "is about 'u', which is no target"),
        (ALONE, "task.targets=[u, v]", "target 'v': no objective asks for it"),
        (ALONE, "task.time=false", "varies in time; set task.time: true"),
        (ALONE, "task={inputs: [u]}", "sees parameters and time, no fields; expected history: 0"),
        (
            ALONE,
            "task.parameters=[kappa]",
            "no range of 'kappa'; give parameters: {kappa: [low, high]}",
        ),
        (ALONE, "model=mlp", "training.sources.inside: model 'mlp' gives whole fields"),
        (ALONE, "training.phases=[{lr: 1e-3}]", "no end, and points have none"),
        (ALONE, "record=true", "nothing comes that could be recorded"),
        (ALONE, "solver={program: solvers/heat.py}", "remove the section solver"),
        (ALONE, "validation.data=none.nc", "none.nc"),
        (
            ALONE,
            "training.objectives.physics.solution={name: sine, amplitud: 2}",
            "no option 'amplitud'",
        ),
        (
            ALONE,
            "training.objectives.physics.solution=null",
            "initial: 128 points, and no solution",
        ),
        (MIXED, "training.phases.0.weights={physic: 1}", "did you mean 'physics'"),
        (MIXED, "training.phases.0.weights={solvers.mse: 1}", "no objective or loss 'solvers.mse'"),
        (MIXED, "training.phases.0.batch_size={inner: 1}", "did you mean 'inside'"),
        (MIXED, "training.phases.0.batch_size=500", "is above buffer.capacity"),
        (
            MIXED,
            "training.sources.inside.domain={x: [0, 1], y: [0, 1]}",
            "say where its points lie",
        ),
        (MIXED, "training.sources.solvers.kind=data", "a running solver feeds kind: stream"),
        (MIXED, "training.objectives.fields.source=inside", "expected kind: residual"),
        (MIXED, "training.sources.more={kind: stream}", "expected one of them"),
        (MIXED, "task.parameters=[]", "'heat' needs 'kappa'"),
        (MIXED, "solver=null", "key 'solver' is missing"),
        (MIXED, "validation.data=some.nc", "studies of collocation points alone"),
        (
            MIXED,
            "training.objectives.forces={kind: energy_forces, source: solvers}",
            "no target 'energy'",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_there(
    tmp_path, tried_here, file, override, message
):
    done = CliRunner().invoke(app, ["run", file, "--out", str(tmp_path / "run"), "--set", override])
    assert isinstance(done.exception, InputError), done.output
    assert message in str(done.exception) and "\n" not in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_data_for_an_equation_alone_are_refused(tmp_path):
    with pytest.raises(InputError, match="nothing would be trained on the data"):
        train_offline(alone(), exact(tmp_path, [0.1]), tmp_path / "run")


def test_a_model_that_is_not_periodic_is_refused_on_a_periodic_side(tmp_path):
    (tmp_path / "plain.py").write_text(
        Path(NET).read_text().replace("if wraps:", "if False:").replace("+ sum(periodic)", "")
    )
    study = alone(
        f"model={tmp_path / 'plain.py'}",
        "training.sources.inside.domain={x: {low: -1, high: 1, periodic: true}}",
        "training.sources.inside.boundary=0",
    )
    with pytest.raises(InputError, match="is not periodic along x, as the domain is"):
        train_offline(study, None, tmp_path / "run", plain=True)


@pytest.mark.slow
def test_a_stream_and_an_equation_are_killed_and_go_on(tmp_path):
    study = yaml.safe_load(Path(MIXED).read_text())
    study["training"]["phases"] = [{"lr": 3e-3}]
    study["cluster"] = {"retries": 5}
    with Killer(study, tmp_path, 3) as killer:
        killer.kill("trainer")
        killer.kill("supervisor")
        killer.finish()
        frames = json.loads((killer.run / "status.json").read_text())["frames"]
        processes, files = killer.left()
    assert frames["lost"] == frames["doubled"] == 0 and frames["received"] == 6 * 21
    assert not processes and not files
    [line, *_] = (json.loads(text) for text in (killer.run / "metrics.jsonl").open())
    assert "physics.equation" in line.get("losses", line)


@pytest.mark.parametrize("solution", ["sine", None])
def test_where_nothing_tells_one_solution_from_another_that_is_said(solution):
    free = ["training.sources.inside.initial=0", "training.sources.inside.boundary=0"]
    free += ["training.phases.0.weights={}", "training.phases.1.weights={}"]
    free = [*free, "training.objectives.physics.solution=null"] if solution is None else []
    said = undetermined(load_study("workflows/foundation/collocation.yaml", free))
    assert ("such as zero" in said) == (solution is None)


#: Heat on a disk, with all that may be asked of its points.
DISK = [
    "model.width=8",
    "model.depth=2",
    "training.sources.inside={kind: collocation, time: [0, 1], batch_size: 32, initial: 8, boundary: 8,"
    " domain: {x: {low: 0, high: 1, points: 9}, y: {low: 0, high: 1, points: 9}},"
    " geometry: {kind: disk, center: [0.5, 0.5], radius: 0.4}, sampler: halton, curriculum: 4,"
    " flux: 4, adaptive: {every: 3, k: 2}}",
    "training.objectives.physics={kind: residual, source: inside, equation: heat,"
    " parameters: {kappa: 0.1}, solution: mode}",
    "training.phases=[{optimizer: soap, lr: 3e-3, schedule: cosine, steps: 8, balance: 4}]",
    "validation={every: 8, times: 3}",
]


def test_points_of_a_disk_go_where_the_residual_is(tmp_path):
    pytest.importorskip("deepxde", reason="needs the extra 'pinn'")
    pytest.importorskip("pytorch_optimizer", reason="needs the extra 'pinn'")
    run, code = train_offline(load_study(ALONE, DISK), None, tmp_path / "run", plain=True)
    assert code == 0 and json.loads(run.summary.read_text())["steps"] == 8
    wrong = [part for o in DISK for part in ("--set", o.replace("radius: 0.4", "radius: 0.6"))]
    for how in ([], ["--dry-run"]):
        done = CliRunner().invoke(app, ["run", ALONE, "--out", str(tmp_path / "no"), *how, *wrong])
        assert isinstance(done.exception, InputError)
        assert "source 'inside': geometry: disk reaches from -0.1 to 1.1" in str(done.exception)
    assert not (tmp_path / "no").exists()
