"""The study of molecules: what it chooses, how it samples, that it goes on where it was."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from sciml.share import find

pytest.importorskip("tblite")


@pytest.fixture
def study(monkeypatch):
    folder = find("workflows/molecules_online/run.py").parent
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("molecules_online_run", folder / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("sampling", None)


def test_doubt_decides_and_wears_off(study):
    assert study.chosen({0: 1.0, 1: 4.0, 2: 3.0}, 4) == [1, 2, 1, 2]


@pytest.fixture
def dynamics():
    spec = importlib.util.spec_from_file_location(
        "molecules_online_dynamics", find("workflows/molecules_online/dynamics.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_histograms_are_compared_by_kind_of_bond(dynamics):
    from ase.build import molecule

    atoms, rng = molecule("CH3OH"), np.random.default_rng(0)
    x = atoms.positions + 0.02 * rng.standard_normal((500, 6, 3))
    long = x.copy()
    long[:, atoms.symbols == "H"] *= 1.1
    found = dynamics.compared(atoms, {"x": x}, {"x": x})
    assert {*found} == {"C-H", "C-O", "H-O"}
    assert all(one == {"overlap": 1.0, "moved, Å": 0.0} for one in found.values())
    found = dynamics.compared(atoms, {"x": x}, {"x": long})
    assert found["C-O"]["overlap"] == 1.0 and found["C-H"]["overlap"] < 0.6
    d, e = (
        dynamics.lengths_of(y, dynamics.bonds(atoms))[:, -1].mean() for y in (x, long)
    )  # O-H: all are moved by as much
    kind = dynamics.kinds_of(atoms, dynamics.bonds(atoms))[-1]
    assert found[kind]["moved, Å"] == pytest.approx(abs(e - d), rel=0.3)


class Springs:
    """Forces of springs along bonds; after so many calls they are not finite."""

    def __init__(self, pairs, rest, last):
        self.pairs, self.rest, self.left = pairs, rest, last

    def __call__(self, x):
        self.left -= 1
        if self.left < 0:
            return np.nan, np.full_like(x, np.nan)
        i, j = self.pairs.T
        away = x[i] - x[j]
        length = np.linalg.norm(away, axis=-1)
        pull = (30.0 * (length - self.rest) / length)[:, None] * away
        forces = np.zeros_like(x)
        np.add.at(forces, i, -pull)
        np.add.at(forces, j, pull)
        return 15.0 * float(np.square(length - self.rest).sum()), forces


# In warming up, with friction, without it, near the end.
@pytest.mark.parametrize("last", [2, 20, 55, 75])
def test_dynamics_whose_forces_end_being_finite_are_told_as_broken(dynamics, last, tmp_path):
    from ase.build import molecule

    dynamics.PIECE, dynamics.KEPT, dynamics.WARM = 40, 5, 10
    atoms = molecule("H2O")
    pairs = dynamics.bonds(atoms)
    rest = dynamics.lengths_of(atoms.positions, pairs)
    for name, calls in (("whole", 10**6), ("breaks", last)):
        acting = Springs(pairs, rest, calls)
        dynamics.march(acting, atoms, atoms.positions.copy(), tmp_path / name, 2, 300.0)
    runs = {name: dynamics.gathered(tmp_path / name) for name in ("whole", "breaks")}
    told = dynamics.told(atoms, runs)
    dynamics.draw(atoms, runs, tmp_path / "figure.png")
    assert not told["whole"]["broken"] and told["whole"]["picoseconds"] == 0.04
    assert told["breaks"]["broken"] and told["breaks"]["picoseconds"] < 0.04
    assert ("beside whole" in told["breaks"]) == (last > 15)
    assert "NaN" not in json.dumps(told)


@pytest.mark.slow
def test_it_samples_learns_and_goes_on(study, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "MOLECULES", ("H2O", "CH4"))
    monkeypatch.setattr(study, "TEMPERATURES", (300.0, 900.0))
    monkeypatch.setattr(study, "ARMS", [(m, t) for m in range(2) for t in (300.0, 900.0)])
    for name, value in (("FIRST", 2), ("EACH", 1), ("WARM_UP", 2), ("STRIDE", 2), ("FRAMES", 4)):
        monkeypatch.setattr(study, name, value)

    def run(rounds):
        with study.Sampler("solvers/xtb.py", 2) as sampler:
            submitted = []
            ours = sampler.submit
            sampler.submit = lambda number, **given: (
                submitted.append(number),
                ours(number, **given),
            )
            test = study.each_arm(sampler, tmp_path / "test", study.TESTED)
            looked_at = study.each_arm(sampler, tmp_path / "looked_at", study.LOOKED_AT)
            one = study.Study(tmp_path / "run", "pairs", "committee", 0, steps=5, size=2)
            one.go(sampler, rounds, test, looked_at)
            return one, [n for n in submitted if n < 10**6]

    first, submitted = run(2)
    assert submitted == [0, 1, 2]
    [start, decided] = [json.loads(x) for x in (tmp_path / "run/decisions.jsonl").open()]
    doubts = {int(arm): value for arm, value in decided["doubts"].items()}
    assert len(start["arms"]) == 2 and decided["arms"] == [max(doubts, key=doubts.get)]
    assert {*doubts} == {0, 1, 2, 3} and min(doubts.values()) > 0
    second, submitted = run(3)
    assert submitted == [3], "what is there is not computed again"
    lines = [json.loads(x) for x in (tmp_path / "run/results.jsonl").open()]
    assert [line["frames"] for line in lines] == [8, 12, 16]
    assert all(np.isfinite(line["forces"]) for line in lines)
    for number, ds in first.data.items():
        assert ds.identical(second.data[number])
