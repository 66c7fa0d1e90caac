"""The runs of a dataset: which parameters each of them gets."""

import pytest

from sciml.datasets import Recipe, planned_runs
from sciml.errors import InputError

RANGES = {"mean": [0.0, 1.0], "amplitude": [0.0, 1.0], "kappa": [0.01, 1.01]}
POINTS = {"slow": {"slope": 1.0}, "fast": {"slope": 2.0}, "faster": {"slope": 3.0}}


def recipe(parameters, **splits):
    return Recipe.model_validate(
        {
            "name": "tiny",
            "title": "Heat on a small plate",
            "references": "none",
            "solver": {"program": "solvers/heat.py", "options": {"steps": 8}},
            "parameters": parameters,
            "splits": splits,
        }
    )


@pytest.mark.parametrize("points", [2, 3])
@pytest.mark.parametrize("design", ["sobol", "halton", "latin-hypercube", "random"])
def test_each_named_point_gets_all_of_each_range(design, points):
    """Taking turns in one Sobol sequence, each of two points would get one half of a range."""
    named = dict(list(POINTS.items())[:points])
    planned = planned_runs(recipe({"design": design, "ranges": RANGES, "points": named}, train=96))
    for point in named:
        runs = [run.parameters for run in planned if run.point == point]
        assert len(runs) == 96 // points
        for name, (low, _) in RANGES.items():
            values = [run[name] - low for run in runs]
            assert min(values) < 0.25 and max(values) > 0.75, (point, name)
            below = sum(value < 0.5 for value in values) / len(values)
            assert 0.25 < below < 0.75, (point, name)
    assert len({run.parameters["mean"] for run in planned}) == 96


def test_each_named_point_gets_a_whole_grid():
    design = {"design": "grid", "ranges": {"kappa": [0.0, 1.0]}, "points": POINTS}
    planned = planned_runs(recipe(design, train=9))
    for point in POINTS:
        assert [r.parameters["kappa"] for r in planned if r.point == point] == [0.0, 0.5, 1.0]


def test_more_samples_keep_the_first_ones_of_each_point():
    few, many = (
        planned_runs(recipe({"ranges": RANGES, "points": POINTS}, train=n)) for n in (4, 9)
    )
    assert [(r.point, r.parameters, r.seed) for r in few] == [
        (r.point, r.parameters, r.seed) for r in many[:4]
    ]


@pytest.mark.parametrize(
    ("parameters", "splits"),
    [
        ({"points": POINTS}, {"train": 3, "test": 1}),
        ({"points": POINTS}, {"train": 4}),
        ({"ranges": {"kappa": {"values": [0.1, 0.2]}}}, {"train": 2, "test": 1}),
    ],
)
def test_no_sample_comes_twice(parameters, splits):
    """Without seeds of their own, runs with the same parameters would be in two splits."""
    with pytest.raises(InputError, match=r"would be the same.*seed: true"):
        planned_runs(recipe({**parameters, "seed": False}, **splits))
    assert len(planned_runs(recipe(parameters, **splits))) == sum(splits.values())
    apart = recipe({"ranges": {"kappa": [0.1, 0.2]}, "seed": False}, train=8, test=8)
    assert len({run.parameters["kappa"] for run in planned_runs(apart)}) == 16
