"""Graph diffusion on physics: the studies can be, the measures measure, one row at a toy size."""

import dataclasses
import sys
from pathlib import Path

import pytest
import xarray as xr
import yaml
from programs import load, started

from sciml.study.schema import load_study
from sciml.surrogates import Setting, registry

STUDY = Path(__file__).parents[2] / "workflows" / "graph_diffusion_physics"
NAMES = ("cases", "run", "measures", "simulation", "table", "trainings")


@pytest.fixture
def study(monkeypatch):
    """The study's own modules, whose folder is no package."""
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)  # put back at the end
    monkeypatch.syspath_prepend(STUDY)
    import cases
    import measures
    import run
    import table

    yield {"cases": cases, "run": run, "measures": measures, "table": table}
    for name in NAMES:
        sys.modules.pop(name, None)


def dataset(physics, steps=2, **options):
    import simulation

    return simulation.simulated(physics.program, 1, steps=steps, **{**physics.options, **options})


def test_every_row_is_a_study_that_can_be(study, tmp_path):
    for name, physics in study["cases"].PHYSICS.items():
        program = load(Path(physics.program).stem)
        small = {"spacing": 0.2} if "spacing" in physics.options else {}
        domain = started(Path(physics.program).stem, **{**physics.options, **small}).domain()
        for model in physics.models.values():
            path = tmp_path / "study.yaml"
            path.write_text(yaml.safe_dump(study["run"].Table(name, tmp_path).study(model, 0)))
            read = load_study(path)
            setting = Setting(read.task.build(), domain, (*program.fields, *program.static))
            assert sum(
                p.numel()
                for p in registry.build(read.model.name, setting, **read.model.config).parameters()
            )


def test_one_coefficient_is_found_where_there_is_one(study, monkeypatch):
    """Diffusion alone: its coefficient, an error of the steps' size; persistence keeps the start."""
    cases, measures = study["cases"], study["measures"]
    physics = cases.PHYSICS["fisher"]
    options = {**physics.options, "reaction": "none", "spacing": 0.12}
    physics = dataclasses.replace(physics, options=options, rollout=6, finer={})
    table = study["run"].Table("fisher", Path())
    monkeypatch.setattr(table, "physics", physics)
    known = dataset(physics, 6, dt=0.2)
    monkeypatch.setattr(table, "simulated", lambda *_, **__: known)
    found = measures.still(table, study["run"].LAPLACIAN)
    assert found["coefficient"] == pytest.approx(2e-3, rel=0.01) and found["error"] < 1e-3
    kept = measures.still(table, study["run"].PERSISTENCE)
    assert kept["error"] > 10 * found["error"] and kept["beyond"] == 0.0


def test_sensors_are_filled_in_harmonically(study):
    cases, measures = study["cases"], study["measures"]
    ds = dataset(cases.PHYSICS["sensors"], 2, sensors=0.3, seed=1)
    near, smooth = (measures._interpolated(ds, cases.PHYSICS["sensors"], k) for k in (True, False))
    assert 0.01 < smooth < near < 1.0


def test_tables_have_a_row_a_model(study):
    rows = [
        {"physics": "network", "model": "GRAND, a number a pair", "seed": seed, "weights": 3600,
         "error": 0.01 + 0.001 * seed, "correlation": 0.99, "cpu_seconds": 5.0, "live": seed == 0}
        for seed in range(3)
    ]  # fmt: skip
    rows.append({"physics": "network", "model": "persistence", "seed": 0, "error": 0.5})
    text = study["table"].table(rows, "network")
    assert "| persistence | – | 0.5 | – | – |" in text
    assert "| GRAND, a number a pair | 3,600 | 1.1e-02 ± 1.0e-03 | 0.990 ± 0.000 | 5 |" in text


@pytest.mark.slow
def test_conductances_are_found_out_from_a_stream(study, tmp_path):
    table = study["run"].Table("network", tmp_path)
    row = table.measure(table.live, 0)
    assert row["live"] and row["correlation"] > 0.95 and abs(row["slope"] - 1) < 0.05
    again = table.measure(table.live, 1)
    assert not again["live"] and again["correlation"] > 0.95
    assert isinstance(table.truths["unseen"][0], xr.Dataset)
