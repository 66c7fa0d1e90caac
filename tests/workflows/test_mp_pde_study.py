"""The study of MP-PDE: trajectories are the programs', errors are as defined, results are kept."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from programs import march

from sciml.study import load_study

FOLDER = Path(__file__).parents[2] / "workflows/mp_pde"


@pytest.fixture
def runner(workflow, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "trajectories", raising=False)
    yield workflow("mp_pde")
    sys.modules.pop("trajectories", None)


@pytest.mark.parametrize("experiment", ["E1", "E2", "E3"])
def test_trajectories_are_those_of_the_program(runner, experiment, monkeypatch):
    import trajectories

    monkeypatch.setattr(trajectories, "FRAMES", 21)
    solver = trajectories.recipe(experiment).solver
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in solver.options.items()}
    found = trajectories.simulate(experiment, [7, 8])
    every = solver.send.every
    for seed, u in zip((7, 8), found, strict=True):
        given = options | trajectories.draw(experiment, seed) | {"steps": 20 * every, "seed": seed}
        name = Path(solver.program).stem
        np.testing.assert_allclose(u, march(name, every=every, **given).fields["u"], atol=1e-12)
    assert trajectories.step(experiment) * 250 == pytest.approx(2 if experiment == "E3" else 4)


@pytest.mark.parametrize("points", [100, 50, 40])
def test_means_lie_around_the_centres_of_coarser_cells(runner, points):
    import trajectories

    def wave(n):
        return np.sin(2 * np.pi * (np.arange(n) + 0.5) / n)

    found = trajectories.restricted(np.stack([wave(200), np.ones(200)]), points)
    # A mean over 5 of 200 points, and where their number is even the mean of two such.
    damped = np.sin(5 * np.pi / 200) / (5 * np.sin(np.pi / 200))
    damped *= 1.0 if points == 40 else np.cos(np.pi / 200)
    np.testing.assert_allclose(found, [damped * wave(points), np.ones(points)], atol=1e-12)


def test_errors_add_up_over_frames_and_are_means_over_space(runner):
    class Off(torch.nn.Module):
        def forward(self, batch):
            return {"u": batch.targets["u"] + torch.tensor([2.0, 0.0]).repeat(20)}

    u, task = np.random.default_rng(0).standard_normal((3, 250, 40)), runner.task_of("E2")
    windows = runner.Windows("E2", u.astype(np.float32), np.full((3, 1), 0.1))
    batch = runner.collate(windows.rollouts(task), task)
    assert batch.inputs["u"].shape == (3, 25, 40) and batch.targets["u"].shape == (3, 200, 40)
    np.testing.assert_array_equal(batch.inputs["u"][:, 0], windows.u[:, 25])
    np.testing.assert_allclose(batch.time[0, 0], 50 * 0.016)
    assert runner.accumulated(Off(), [batch]) == pytest.approx(200 * 2.0)


def test_a_stream_goes_on_and_a_fixed_set_stays(runner):
    u, task = np.zeros((12, 80, 40), np.float32), runner.task_of("E1")
    windows = runner.Windows("E1", u, np.zeros((12, 0)))
    stream = runner.Draws(windows, task, held=4, steps=30, batch=4, seed=0)
    seen = []
    for _ in range(30):
        seen.append(stream.open())
        assert stream.next_batch().targets["u"].shape == (4, 50, 40)
    assert seen[0] == range(4) and seen[-1] == range(8, 12)
    assert all(0 <= b.start - a.start <= 1 for a, b in pairwise(seen))
    windows = runner.Windows("E1", u[:4], np.zeros((4, 0)))
    fixed = runner.Draws(windows, task, held=4, steps=30, batch=4, seed=0)
    for _ in range(30):
        assert fixed.open() == range(4)
        fixed.next_batch()


def test_results_are_lines_that_are_not_computed_again(runner, tmp_path, monkeypatch, capsys):
    import trajectories

    monkeypatch.setattr(trajectories, "BLOCK", 4)
    small = {"mppde": {"name": "mppde", "hidden": 32, "layers": 2}}
    small["fno"] = {"name": "fno", "modes": 8, "hidden_channels": 8, "n_layers": 2}
    monkeypatch.setitem(runner.MODELS, "short", small)
    out = tmp_path / "results.jsonl"
    words = [
        "run.py",
        "--length",
        "tiny",
        "--points",
        "40",
        "--experiment",
        "E2",
        "--data",
        tmp_path,
    ]
    words += ["--out", out, "--model", "mppde", "fno", "weno5"]
    monkeypatch.setattr(sys, "argv", [*map(str, words)])
    runner.main()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 2 * 2 + 1
    by = {(line["model"], line["feed"]): line for line in lines}
    assert by["weno5", "fixed"]["test"] < 0.3 * by["weno5", "fixed"]["unchanged"]
    for model in ("mppde", "fno"):
        assert by[model, "fixed"]["test"] != by[model, "stream"]["test"]
        assert [by[model, f]["trajectories"] for f in ("fixed", "stream")] == [4, 8]
    monkeypatch.setattr(runner, "measure", None)
    runner.main()
    assert out.read_text().count("\n") == len(lines)
    cells = capsys.readouterr().out.splitlines()[-1].split(" | ")
    assert cells[:2] == ["| E2", "40"] and cells[-3:] == ["1.45", "2.38", "8.05 |"]
    assert cells[2] == f"{by['mppde', 'fixed']['test']:.2f} (1)"


def test_the_study_online_has_the_same_task(runner):
    study = load_study(FOLDER / "study.yaml")
    assert study.task.build() == runner.task_of("E2")
    import trajectories

    solver = trajectories.recipe("E2").solver
    given, kept = study.solver.options, solver.options
    assert study.solver.program == solver.program and study.solver.send.every == solver.send.every
    assert all(given[key] == kept[key] for key in ("alpha", "waves", "dt"))
    assert study.training.pushforward.steps == runner.BUNDLE
