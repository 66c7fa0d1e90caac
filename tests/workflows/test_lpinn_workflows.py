"""The studies of Lagrangian networks at a toy size: they learn, resume, and print their tables."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from sciml.study import load_study

WORKFLOWS = Path(__file__).parents[2] / "workflows"
NAMES = ("cases", "run", "table", "trainings", "landscape", "snapshots")


@pytest.fixture
def study(monkeypatch):
    """A study's own modules, whose folder is no package: others have modules of the same names."""
    path = [*sys.path]

    def load(folder, *names):
        monkeypatch.syspath_prepend(WORKFLOWS / folder)
        return [__import__(name) for name in names]

    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield load
    for name in NAMES:
        sys.modules.pop(name, None)
    sys.path[:] = path


def shorter(case, steps, **model):
    """With so many steps of Adam."""
    phases = [{**case.phases[0], "optimizer": "adam", "lr": 1e-2, "steps": steps}]
    points = {
        key: min(value, 64)
        for key, value in case.points.items()
        if key in ("batch_size", "initial", "seam")
    }
    return replace(case, model={**case.model, **model}, phases=phases, points=points, times=5)


SMALL = {"state": [8], "characteristics": [8], "labels": 32}


def test_convection_is_learned_once_and_its_rows_are_kept(study, tmp_path, capsys):
    cases, trainings, table = study("lpinn_convection", "cases", "trainings", "table")
    every = [*cases.convection(), *cases.diffusion()]
    assert len({case.name for case in every}) == len(every)
    hard = next(c for c in every if c.about["method"] == "LPINN hard" and c.about["speed"] == 30.0)
    toy = shorter(hard, 200, **SMALL)
    plain = shorter(next(c for c in every if c.about["method"] == "PINN"), 1, hidden=[4])

    def told(*words):
        """What the command of the study prints."""
        given = trainings.parser_of("", tmp_path).parse_args(list(words))
        trainings.run([plain, toy], given, table.table)
        return capsys.readouterr().out

    assert "| LPINN hard | SOAP |" in told("--only", "hard", "--seeds", "0", "1")
    rows = trainings.rows_of(tmp_path / trainings.RESULTS)
    assert [row["seed"] for row in rows] == [0, 1]
    assert all(row["error"] < 0.3 and "least_jacobian" in row for row in rows)
    text = told("--seeds", "1")
    assert "PINN, SOAP, seed 1" in text and "hard, SOAP, seed" not in text
    assert len(trainings.rows_of(tmp_path / trainings.RESULTS)) == 3


def test_snapshots_carried_along_need_few_modes(study):
    [snapshots] = study("lpinn_convection", "snapshots")
    moving, still, displaced = snapshots.carried_pulse(50.0)
    assert snapshots.needed(snapshots.falling(moving)) > 20
    assert snapshots.needed(snapshots.falling(np.vstack([still, displaced])), 1e-9) == 2


def test_the_landscape_is_lowest_in_the_middle_and_leaves_the_weights(study):
    cases, landscape = study("lpinn_convection", "cases", "landscape")
    toy = shorter(cases.case(0.0, 0.0, "LPINN soft", "SOAP"), 100, **SMALL)
    surrogate = toy.trained(0)
    before = [p.detach().clone() for p in surrogate.parameters()]
    found = landscape.losses(toy, surrogate, 3, 0)
    assert found[1, 1] == found.min()
    assert all((p == q).all() for p, q in zip(before, surrogate.parameters(), strict=True))


def test_burgers_has_floors_and_the_data_of_others(study, tmp_path):
    cases, table = study("lpinn_burgers", "cases", "table")
    assert cases.floor(0.1) == pytest.approx(0.052, rel=0.02)
    t, x = np.linspace(0, 0.99, 100), np.linspace(-1, 1, 256)
    np.savez(
        tmp_path / "burgers.npz",
        t=t[:, None],
        x=x[:, None],
        usol=-np.sin(np.pi * x)[:, None] + 0 * t,
    )
    every = [*cases.published(tmp_path / "burgers.npz"), *cases.breaking(), *cases.viscous()]
    assert every[0].exact.sizes == {"time": 33, "x": 256}
    rows = []
    for case in (every[0], every[3], every[-4]):
        toy = replace(shorter(case, 20, **SMALL), exact=case.exact)
        rows.append(toy.measure(0))
    # The field at the first time is held, and moves little until then.
    assert rows[0]["error"] < 0.5 and rows[1]["least_jacobian"] < 1
    text = table.table(rows)
    assert "| burgers.npz | 0.32 | LPINN hard |" in text and "| 0.01 | LPINN hard |" in text


def test_all_speeds_are_learned_from_the_equation_the_stream_or_both(study, tmp_path, monkeypatch):
    [run] = study("lpinn_parametric", "run")
    monkeypatch.setattr(run, "SPEEDS", 2)
    modes = {name: run.Mode(name, tmp_path, 3) for name in run.MODES}
    for name, mode in modes.items():
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(mode.study(0)))
        study_of = load_study(path)
        assert study_of.training.steps == 3
        assert ("stream" in {s.kind for s in study_of.training.sources.values()}) == (
            name != "physics"
        )
    row = modes["physics"].measure(0)
    assert row["steps"] == 3 and len(row["errors"]) == 2
    assert row["worst"] == max(row["errors"].values()) >= row["error"]
    assert "| equation | " in run.table([row])


def test_a_cone_turns(study):
    [run] = study("lpinn_rotation", "run")
    toy = shorter(run.case(12), 30, state=[4], characteristics=[8], labels=8)
    row = toy.measure(0)
    assert np.isfinite(row["error"])
    assert "| LPINN hard | 12² |" in run.table([row])
