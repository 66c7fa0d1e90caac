"""Designs cover their ranges, stay when a study grows, and hold validation apart."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from sciml.errors import InputError
from sciml.study import Study, draw, plan
from sciml.study.designs import grid_counts
from sciml.study.sobol import AXES, sobol

RANGES = {
    "kappa": [0.5, 2.0],
    "nu": {"low": 1e-4, "high": 1.0, "scale": "log"},
    "n": {"values": [1, 2, 4]},
}
SEQUENCES = ["sobol", "halton", "random"]
DESIGNS = [*SEQUENCES, "latin-hypercube", "grid"]


def study(simulations=20, validation=5, seed=0, seeds=True, **parameters):
    return Study.model_validate(
        {
            "seed": seed,
            "solver": {"program": "solvers/heat.py"},
            "parameters": {
                "simulations": simulations,
                "seed": seeds,
                "ranges": {"kappa": [0.5, 2.0], "nu": [0.0, 1.0]},
                **parameters,
            },
            "task": {"inputs": ["u"]},
            "validation": {"simulations": validation},
        }
    )


@pytest.mark.parametrize("design", DESIGNS)
def test_inside_the_ranges_and_repeatable(design):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = draw(design, RANGES, 48, seed=1)
    assert len(drawn) == 48 and all(list(d) == list(RANGES) for d in drawn)
    assert all(0.5 <= d["kappa"] <= 2 and 1e-4 <= d["nu"] <= 1 for d in drawn)
    assert {d["n"] for d in drawn} == {1.0, 2.0, 4.0}
    assert all(type(v) is float for d in drawn for v in d.values())
    assert draw(design, RANGES, 48, seed=1) == drawn
    if design != "grid":
        assert draw(design, RANGES, 48, seed=2) != drawn


@pytest.mark.parametrize("design", SEQUENCES)
@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=15)
def test_first_draws_stay_when_the_study_grows(design, few, more):
    few, more = sorted((few, more))
    assert draw(design, RANGES, more, seed=3)[:few] == draw(design, RANGES, few, seed=3)


def test_log_scale_covers_ratios_evenly():
    exponents = np.log10([d["nu"] for d in draw("sobol", RANGES, 256)])
    counts, _ = np.histogram(exponents, bins=4, range=(-4, 0))
    assert counts.tolist() == [64, 64, 64, 64]


@pytest.mark.parametrize("design", ["sobol", "halton", "latin-hypercube"])
def test_more_even_than_chance(design):
    ranges = {"a": [0, 1], "b": [0, 1]}

    def discrepancy(name):
        points = [[*d.values()] for d in draw(name, ranges, 100, seed=5)]
        return qmc.discrepancy(np.array(points))

    assert discrepancy(design) < 0.5 * discrepancy("random")


def test_latin_hypercube_hits_each_slice_once():
    values = [d["a"] for d in draw("latin-hypercube", {"a": [0, 10], "b": [0, 1]}, 10)]
    assert sorted(int(v) for v in values) == list(range(10))


def test_grid_holds_every_combination_and_the_ends():
    drawn = draw("grid", {"a": [0, 1], "b": {"values": [5, 7]}}, 6)
    assert [(d["a"], d["b"]) for d in drawn] == [
        (a, b) for a in (0.0, 0.5, 1.0) for b in (5.0, 7.0)
    ]
    assert draw("grid", {"a": [0, 1]}, 1) == [{"a": 0.5}]
    logs = draw("grid", {"a": {"low": 1, "high": 100, "scale": "log"}}, 3)
    assert [d["a"] for d in logs] == pytest.approx([1, 10, 100])


@pytest.mark.parametrize(
    ("fixed", "n", "counts"),
    [
        ([None, None], 100, [10, 10]),
        ([None, None, None], 100, [5, 5, 4]),
        ([None, 4, None], 48, [4, 4, 3]),
        ([None], 97, [97]),
        ([3, 2], 6, [3, 2]),
    ],
)
def test_grid_counts(fixed, n, counts):
    assert grid_counts(fixed, n) == counts


@pytest.mark.parametrize(
    ("fixed", "n", "nearest"),
    [
        ([None, None], 97, "96 or 98"),
        ([None, None], 1, "such as 4"),
        ([None, None, None], 97, "96 or 100"),
        ([3, None], 10, "9 or 12"),
        ([3, 2], 10, "such as 6;"),
        ([3, 2], 1, "such as 6;"),
    ],
)
def test_a_grid_that_does_not_come_out_even_is_refused(fixed, n, nearest):
    with pytest.raises(InputError, match=nearest):
        grid_counts(fixed, n)


@given(st.integers(1, 60), st.integers(0, 60))
@settings(max_examples=40)
def test_validation_is_spread_and_training_comes_first(train, validation):
    planned = plan(study(train, validation))
    assert [p.id for p in planned] == list(range(train + validation))
    roles = [p.role for p in planned]
    assert roles[0] == "train"
    assert roles.count("train") == train and roles.count("validation") == validation
    places = [i for i, role in enumerate(roles) if role == "validation"]
    if validation and train > validation:
        gaps = [b - a for a, b in pairwise([-1, *places, len(roles)])]
        assert max(gaps) - min(gaps) <= 2


@pytest.mark.parametrize("design", DESIGNS)
def test_plan_is_repeatable_and_holds_validation_apart(design):
    planned = plan(study(20, 5, design=design))
    assert plan(study(20, 5, design=design)) == planned
    train = {tuple(p.parameters.values()) for p in planned if p.role == "train"}
    held_out = {tuple(p.parameters.values()) for p in planned if p.role == "validation"}
    assert len(train) == 20 and len(held_out) == 5 and not train & held_out
    seeds = [p.seed for p in planned]
    assert len(set(seeds)) == 25 and all(0 <= s < 2**53 for s in seeds)
    assert plan(study(20, 5, design=design, seeds=False))[0].seed is None


def test_more_simulations_keep_the_others():
    """Growing a study, or its validation, changes nobody else's parameters and seed."""

    def of(role, *sizes):
        return [(p.parameters, p.seed) for p in plan(study(*sizes)) if p.role == role]

    assert of("train", 30, 5)[:20] == of("train", 20, 5) == of("train", 20, 9)
    assert of("validation", 20, 9)[:5] == of("validation", 30, 5)
    assert of("train", 20, 5) != [
        (p.parameters, p.seed) for p in plan(study(20, 5, 1)) if p.role == "train"
    ]


def test_seeds_alone_may_vary():
    planned = plan(study(3, 1, ranges={}))
    assert all(p.parameters == {} for p in planned) and len({p.seed for p in planned}) == 4


def test_held_out_simulations_are_not_trained_on_without_seeds():
    """Of a few values, without a seed for each, the held-out ones would be drawn for training too."""
    values = {"kappa": {"values": [0.1, 0.2, 0.3]}}
    with pytest.raises(
        InputError, match=r"2 of 2 would be simulations that train too .*seed: true"
    ):
        plan(study(6, 2, seeds=False, ranges=values))
    assert len(plan(study(6, 2, ranges=values))) == 8
    assert len(plan(study(6, 0, seeds=False, ranges=values))) == 6


def test_unknown_design():
    with pytest.raises(InputError, match="did you mean 'sobol'"):
        draw("sobbol", RANGES, 3)


@pytest.mark.parametrize("axes", range(1, AXES + 1))
def test_sobol_points_are_those_of_scipy(axes):
    for n in (1, 2, 67):
        seeds = [np.random.SeedSequence(7 * axes + n) for _ in range(2)]
        mine, other = map(np.random.default_rng, seeds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a length that is no power of two
            theirs = qmc.Sobol(axes, scramble=True, seed=other).random(n)
        np.testing.assert_array_equal(sobol(axes, n, mine), theirs)
