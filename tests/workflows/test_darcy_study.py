"""The study of Darcy flow at a toy size: both sources, one table, nothing computed twice."""

import json
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from sciml.datasets import load_recipe, planned_runs
from sciml.study.designs import plan

STUDY = Path(__file__).parents[2] / "workflows" / "darcy"
TOY = ["solver.options.shape=[33, 33]", "solver.options.modes=32", "splits.train=64", "per_run=64"]
OPTIONS = {"device": "cpu", "autocast": None, "compile": False, "solvers": 1}


@pytest.fixture
def cases(monkeypatch):
    """The study's own modules, whose folder is no package: tests may have modules of the same names."""
    names = ("cases", "run", "table")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)  # put back at the end
    monkeypatch.syspath_prepend(STUDY)
    import cases
    import run

    yield cases, run
    for name in names:
        sys.modules.pop(name, None)


class AtOnce:
    """A pool that does what it is given in this process, where all is imported."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


def test_both_sources_learn_and_nothing_is_computed_twice(tmp_path, cases, monkeypatch, capsys):
    cases, run = cases
    monkeypatch.setattr(run, "ProcessPoolExecutor", AtOnce)
    # Two runs of the solver, of which the first is enough to begin with.
    toy = replace(cases.SIZES["small"], per_run=160, watermark=64)
    monkeypatch.setitem(cases.SIZES, "small", toy)
    monkeypatch.setitem(cases.MODELS["small"], "mgno", ({"width": 12, "n_layers": 2}, 6e-3))

    def study(*arguments):
        """Run it; returns what it printed."""
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
        run.main()
        return capsys.readouterr().out

    given = [
        *("--data", "darcy_rough", "--models", "mgno", "--seeds", "0", "--epochs", "5"),
        *("--workers", "1", "--out", tmp_path, "--set", *TOY, "splits.test=16"),
    ]
    text = study(*given)
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    by_mode = {row["mode"]: row for row in rows}
    assert sorted(by_mode) == ["offline", "online"] and len(rows) == 2
    assert by_mode["offline"]["weights"] == by_mode["online"]["weights"]
    for row in rows:
        assert row["steps"] == 40 and row["draws"] == 320
        # Always the mean of the training samples: 0.30 and 0.43.
        assert row["l2"] < 0.2 and row["h1"] < 0.3, row
    assert by_mode["offline"]["distinct"] == 64 <= by_mode["online"]["distinct"] <= 320
    assert "| darcy_rough | MgNO |" in text
    assert "0 of 2 trainings to do" in study(*given)
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2


def test_what_is_streamed_is_what_the_dataset_holds_and_none_of_its_samples(cases):
    cases, run = cases
    for size in cases.SIZES:
        for data in cases.DATASETS:
            changes = run.changes(data, size, [])
            recipe = load_recipe(data, cases.RECIPES[size], changes)
            seeds = {planned.seed for planned in planned_runs(recipe)}
            for seed in range(3):
                case = cases.Case(data, "mgno", "online", seed, size)
                made = run.study_of(case, {**OPTIONS, "set": []})
                assert made.solver.send == recipe.solver.send
                options = dict(made.solver.options)
                assert options.pop("steps") == cases.SIZES[size].per_run - 1
                assert options == recipe.solver.options
                drawn = {planned.seed for planned in plan(made)}
                assert not drawn & seeds
                # The stream cannot end before the training, however fast it is.
                assert len(drawn) * cases.SIZES[size].per_run >= 8 * made.training.steps


def test_errors_are_those_that_are_published(cases):
    import numpy as np
    import xarray as xr

    _, run = cases
    x = np.arange(32) / 32
    u = np.sin(2 * np.pi * 3 * x)[None, :, None] * np.ones(32)
    e = 0.1 * np.cos(2 * np.pi * 5 * x)[None, :, None] * np.ones(32)
    fields = [xr.Dataset({"u": (("sample", "y", "x"), values)}) for values in (u + e, u)]
    found = run.errors(*fields)
    assert found["l2"] == pytest.approx(0.1)
    assert found["h1"] == pytest.approx(0.1 * ((1 + 25) / (1 + 9)) ** 0.5)


def test_every_model_fits_every_grid(cases):
    from sciml.domain import Grid
    from sciml.run.feasibility import check_model
    from sciml.stream.policy import SendPolicy

    cases, run = cases
    for size, data in ((size, data) for size in cases.SIZES for data in cases.DATASETS):
        for model in cases.MODELS[size]:
            case = cases.Case(data, model, "offline", 0, size)
            made = run.study_of(case, {**OPTIONS, "set": []})
            shape = tuple(made.solver.options["shape"])
            solved = Grid(shape, ((0.0, 1.0),) * 2, ("dirichlet",) * 2)
            kept = SendPolicy(coarsen=made.solver.send.coarsen).domain(solved)
            assert kept.boundary == ("dirichlet",) * 2
            check_model(made, kept)
