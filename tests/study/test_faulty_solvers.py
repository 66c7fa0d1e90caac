"""Solvers that die or send what cannot be trusted: that simulation is lost, the study is not."""

import json
import textwrap

import pytest
from conftest import small_study

#: A program in one piece: describes itself, then streams 8×8 fields; FAULT is what goes wrong.
PROGRAM = """
import json, os, sys
import numpy as np

if "--describe" in sys.argv:
    print(json.dumps({
        "schema_version": 1, "name": "faulty", "equation": "none", "summary": "a program for tests",
        "fields": [{"name": "u", "units": "1", "long_name": "u"}],
        "parameters": [{"name": "a", "units": "1", "low": 0.0, "high": 1.0, "default": 0.5,
                        "help": ""}],
        "options": [], "order": {"space": 0, "time": 0}, "deterministic": True, "static": []}))
    raise SystemExit(0)

from sciml.domain import Field, Grid
from sciml.samples import Simulation
from sciml.stream.client import connect

number = int(os.environ["SCIML_SIMULATION"])
faulty = number == 1
a = float(sys.argv[sys.argv.index("--a") + 1])
grid = Grid((8, 8), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic"))
fault = "FAULT"
if faulty and fault == "dies":
    sys.exit("could not open the input deck")
client = connect(Simulation(number, grid, (Field("u"),), {"a": a}))
for step in range(10):
    u = np.random.default_rng(step).normal(size=(8, 8)) * a + step
    if faulty and step == 5:
        if fault == "nan":
            u[3, 4] = np.nan
        elif fault == "dtype":
            u = u.astype(np.float32)
        elif fault == "shape":
            u = u[:4]
        elif fault == "order":
            u = u.astype(">f8")
        elif fault == "raises":
            raise RuntimeError("the pressure solve did not converge")
    client.send(step, 0.1 * step, u=u)
client.close()
"""


@pytest.fixture
def run_with(command, write_study, tmp_path):
    def run(fault):
        program = tmp_path / "faulty.py"
        program.write_text(textwrap.dedent(PROGRAM).replace("FAULT", fault))
        study = write_study(
            solver={"program": str(program), "ranks": 1, "send": {"dtype": None}},
            parameters={"design": "random", "simulations": 4, "ranges": {"a": [0.2, 0.8]}},
            task={"inputs": ["u"], "targets": ["u"], "parameters": ["a"]},
            model={"name": "fno", "modes": [2, 2], "hidden_channels": 4, "n_layers": 1},
            validation={"simulations": 0, "every": 100},
        )
        out = tmp_path / "out"
        process = command("run", study, "--out", out)
        assert process.returncode == 0, process.stderr + (out / "logs/trainer.log").read_text()
        return process.stderr, json.loads((out / "status.json").read_text())

    return run


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nan", ["nan", "u", "step 5"]),
        ("dtype", ["float32", "float64"]),
        ("shape", ["(4, 8)"]),
        ("order", [">f8"]),
    ],
)
def test_untrustworthy_data_quarantine_their_simulation(run_with, fault, words):
    said, status = run_with(fault)
    line = next(line for line in said.splitlines() if "quarantined" in line)
    for word in words:
        assert word.lower() in line.lower(), line
    assert "simulation 1" in line
    assert status["simulations"]["quarantined"] == 1
    assert status["simulations"]["restarted"] == 0
    assert status["simulations"]["done"] == 3
    assert status["frames"]["doubled"] == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [("dies", "could not open the input deck"), ("raises", "the pressure solve did not converge")],
)
def test_a_failing_simulation_is_retried_then_given_up_with_its_last_line(run_with, fault, words):
    said, status = run_with(fault)
    line = next(line for line in said.splitlines() if "given up" in line and "warning" in line)
    assert words in line and "2 attempts" in line
    assert status["simulations"]["restarted"] == small_study()["cluster"]["retries"]
    assert status["simulations"]["given_up"] == 1
    assert status["simulations"]["done"] == 3


def test_a_study_whose_every_simulation_fails_says_so(command, write_study, tmp_path):
    program = tmp_path / "faulty.py"
    source = textwrap.dedent(PROGRAM).replace("FAULT", "dies").replace("number == 1", "True")
    program.write_text(source)
    study = write_study(
        solver={"program": str(program), "ranks": 1},
        parameters={"design": "random", "simulations": 2, "ranges": {"a": [0.2, 0.8]}},
        task={"inputs": ["u"], "targets": ["u"]},
        validation={"simulations": 0},
    )
    process = command("run", study, "--out", tmp_path / "out")
    assert process.returncode == 2
    assert "no simulation delivered" in process.stderr.strip().splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert "could not open the input deck" in process.stderr
