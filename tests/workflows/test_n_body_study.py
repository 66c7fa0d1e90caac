"""The study of bodies: its trajectories are the program's, and results are lines that are kept."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import march

from sciml.study import load_study

FOLDER = Path(__file__).parents[2] / "workflows/n_body"


@pytest.fixture
def runner(workflow, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "trajectories", raising=False)
    yield workflow("n_body")
    sys.modules.pop("trajectories", None)


@pytest.mark.parametrize("name", ["charged", "gravity"])
def test_trajectories_are_those_of_the_program(runner, name):
    from dataclasses import replace

    import trajectories

    system = replace(runner.SYSTEMS[name], given=200, wanted=300)
    states, charge = trajectories.simulate(system, [7, 8])
    for seed, found, c in zip((7, 8), states, charge, strict=True):
        run = march(
            "n_body", steps=300, every=100, seed=seed, dt=system.dt, bodies=system.bodies,
            law=system.law, softening=system.softening, scheme=system.scheme, clip=system.clip,
        ).fields  # fmt: skip
        for k, frame in enumerate((2, 3)):
            np.testing.assert_allclose(found[2 * k], run["positions"][frame], atol=1e-11)
            np.testing.assert_allclose(found[2 * k + 1], run["velocities"][frame], atol=1e-11)
        assert name == "gravity" or (run["charge"][0] == c).all()


def test_results_are_lines_that_are_not_computed_again(runner, tmp_path, monkeypatch, capsys):
    out = tmp_path / "results.jsonl"
    kinds = {"charged": ["linear", "egnn", "ponita-s"], "gravity": ["egnn"]}
    for name, models in kinds.items():
        short = {"given": 20, "wanted": 40}
        system = runner.SYSTEMS[name]
        monkeypatch.setitem(runner.SYSTEMS, name, type(system)(**{**vars(system), **short}))
        words = ["run.py", "--system", name, "--length", "tiny", "--data", tmp_path, "--out", out]
        monkeypatch.setattr(sys, "argv", [*map(str, words), "--model", *models])
        runner.main()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 2 * 4
    by = {(line["system"], line["model"], line["feed"]): line for line in lines}
    for line in lines:
        assert 0 < line["test"] < 1 and line["seen"] == (20 if line["feed"] == "fixed" else 40)
        rounding = 0.2 if line["model"] == "ponita-s" else 1e-3
        assert line["rotation"] < rounding, line
    assert by["charged", "egnn", "fixed"]["test"] != by["charged", "egnn", "stream"]["test"]
    # The words of the last call, of fewer trajectories: the stream has been computed.
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--trajectories", "10"])
    runner.main()
    assert out.read_text().count("\n") == len(lines) + 1
    monkeypatch.setattr(runner, "measure", None)
    runner.main()
    assert out.read_text().count("\n") == len(lines) + 1
    head = " ".join(capsys.readouterr().out.splitlines()[-5].split())
    assert head == "rate weights steps 10 fixed 20 fixed stream published rotation"


def test_the_study_of_solver_processes_has_the_same_task(runner):
    study = load_study(FOLDER / "study.yaml")
    options = study.solver.options
    system = runner.SYSTEMS["charged"]
    assert options["scheme"] == system.scheme and options["steps"] == system.wanted
    task = study.task.build()
    assert (task.inputs, task.targets, task.static) == (
        runner.TASK.inputs, runner.TASK.targets, runner.TASK.static,
    )  # fmt: skip
    assert task.lead * study.solver.send.every == system.wanted - system.given


def test_a_stream_never_repeats(runner):
    stream = runner.Stream(lambda number: [3 * number, 3 * number + 1, 3 * number + 2], 4)
    assert [stream.next_batch() for _ in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
