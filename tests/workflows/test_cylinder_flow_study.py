"""The study of the flow past a cylinder: data of its own, both feeds, results that are kept, figures."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.study import load_study

FOLDER = Path(__file__).parents[2] / "workflows/cylinder_flow"


@pytest.fixture
def runner(workflow, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "forces", raising=False)
    yield workflow("cylinder_flow")
    sys.modules.pop("forces", None)


def test_the_study_is_what_is_trained_online(runner):
    study, short = load_study(FOLDER / "study.yaml"), runner.LENGTHS["short"]
    recipe, _ = runner.recipe("short")
    assert study.solver.options == recipe.solver.options
    assert study.parameters.ranges == recipe.parameters.ranges
    assert study.seed != recipe.seed  # other flows than those that are recorded
    asked = runner.study_of("s", "online", "short", 0, "cpu")
    for part in ("task", "model", "buffer", "parameters"):
        assert getattr(asked, part) == getattr(study, part), part
    assert asked.training.phases == study.training.phases
    [phase] = study.training.phases
    states = short["stream"] * recipe.solver.options["steps"]
    assert phase.steps * study.training.batch_size == short["draws"] * states
    fixed = runner.study_of("m", "fixed", "short", 2, "cpu")
    assert fixed.training.phases == asked.training.phases and fixed.seed == 3
    assert dict(fixed.model)["size"] == "M"


def test_figures_are_root_mean_squares_and_relative_distances(runner):
    pairs = [
        (np.full((2, 3, 2), 2.0), np.zeros((2, 3, 2))),
        (np.zeros((4, 3, 2)), np.zeros((4, 3, 2))),
    ]
    assert runner.rmse(pairs) == pytest.approx(np.sqrt(4.0 * 12 / 36))
    found = [[3.0, 0.5, 0.3], [2.0, None, None], [4.0, 0.2, 0.2]]
    true = [[2.0, 0.4, 0.2], [2.0, 0.1, 0.2], [4.0, 0.1, None]]
    cells = runner.deviations(found, true).split(" | ")
    assert cells == ["16.7 %", "62.5 %", "50.0 %", "1 of 2"]


def test_coefficients_are_those_of_a_lift_that_drifts(runner):
    time = 0.02 * np.arange(100)
    flow = xr.Dataset(coords={"time": time}, attrs={"radius": 0.05, "speed": 1.5})
    lift = 0.7 * np.sin(2 * np.pi * 3.0 * time) + 2.0 * time - 1.0
    drag, swing, number = runner.coefficients(flow, np.full(100, 3.2), lift)
    assert drag == pytest.approx(3.2) and swing == pytest.approx(0.7, rel=0.05)
    assert number == pytest.approx(3.0 * 0.1 / 1.0, rel=0.02)
    assert runner.coefficients(flow, np.full(100, 3.2), 2.0 * time)[2] is None
    assert runner.coefficients(flow, np.full(100, np.nan), lift + np.inf) == [None] * 3


def test_results_of_both_feeds_are_lines_that_are_kept(runner, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ngsolve")
    small = {"name": "mesh_transformer", "layers": 2, "width": 16}
    monkeypatch.setitem(runner.MODELS, "s", small)
    monkeypatch.setitem(runner.MODELS, "xs", small)
    out = tmp_path / "results.jsonl"
    words = f"run.py --length tiny --model s xs --data {tmp_path / 'runs'} --out {out}".split()
    monkeypatch.setattr(sys, "argv", words)
    runner.main()
    solver, *rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["model"], row["feed"], row["replayed"]) for row in rows] == [
        ("s", "fixed", False),
        ("s", "online", False),
        ("xs", "fixed", False),
        ("xs", "online", True),
    ]
    # The same model, flows and seed: what is replayed is what came.
    assert rows[0]["one_step"] == rows[2]["one_step"] != rows[1]["one_step"]
    assert rows[3]["one_step"] == pytest.approx(rows[1]["one_step"], rel=1e-4)
    for row in rows:
        # Two steps teach little, yet what is at rest stays so.
        assert 0.3 < row["one_step"] / solver["one_step"] < 1.5
        assert np.isfinite(row["coefficients"][0][:2]).all()
    [[drag, *_]], [[true, *_]] = solver["coefficients"], solver["solver"]
    assert drag == pytest.approx(true, rel=0.2)
    monkeypatch.setattr(runner, "measure", None)
    capsys.readouterr()
    runner.main()
    assert out.read_text().count("\n") == 5
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("| xs | 8 915 | online, 1 | ")
