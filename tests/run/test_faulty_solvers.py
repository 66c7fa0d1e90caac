"""Solvers that die or send what cannot be trusted: that simulation is lost, the study is not."""

import json
import re
from types import SimpleNamespace

import pytest
import yaml
from small_study import called, one_line, small_study

from sciml.ensemble.folders import write_json
from sciml.ensemble.job import JobResult
from sciml.ensemble.launcher import Failure, Launcher
from sciml.ensemble.stop import StopRequest
from sciml.errors import ScimlError
from sciml.record import open_recording
from sciml.run import supervisor
from sciml.run.directory import RunDirectory
from sciml.run.supervisor import Supervisor

#: A program in one piece: describes itself, then streams 8×8 fields. FAULTS says what goes wrong
#: in which simulation.
PROGRAM = """
import json, os, sys, time
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
fault = FAULTS.get(number)
a = float(sys.argv[sys.argv.index("--a") + 1])
grid = Grid((8, 8), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic"))
if fault == "dies" and "SCIML_RUN" in os.environ:  # not where it is tried out before
    sys.exit("could not open the input deck")
while fault == "waits" and "SCIML_RUN" in os.environ and not os.path.exists(__file__ + ".go"):
    time.sleep(0.05)
client = connect(Simulation(number, grid, (Field("u"),), {"a": a}))
for step in range(10):
    u = np.random.default_rng(step).normal(size=(8, 8)) * a + step
    if fault and step == 5:
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
        elif fault == "stops":
            break
    client.send(step, 0.1 * step, u=u)
if fault != "forgets":
    client.close()
"""

FAULTS = {
    1: "nan", 2: "dtype", 3: "shape", 4: "order", 5: "forgets", 6: "dies", 7: "raises", 8: "stops",
}  # fmt: skip
SIMULATIONS = 11
#: Of those with a fault, which ended well for all the launcher can tell.
WELL = {5, 8}


def faulty_study(folder, faults, **changes):
    program = folder / "faulty.py"
    program.write_text(PROGRAM.replace("FAULTS", repr(faults)))
    study = small_study(
        solver={"program": str(program), "ranks": 1, "send": {"dtype": None}},
        parameters={
            "design": "random",
            "simulations": SIMULATIONS,
            "ranges": {"a": [0.2, 0.8]},
            "seed": False,
        },
        task={"inputs": ["u"], "targets": ["u"], "parameters": ["a"]},
        validation={"simulations": 0, "every": 100},
        # Until the stream ends: every simulation gets its turn. Each sample is drawn once, so that the
        # trainer waits for simulations and does not learn the same meanwhile.
        buffer={"kind": "fifo", "capacity": 64, "watermark": 8},
        training={"batch_size": 4, "phases": [{"optimizer": "adamw", "lr": 1.0e-3}]},
        **changes,
    )
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One study in which eight simulations of eleven go wrong, each in its own way."""
    folder = tmp_path_factory.mktemp("faulty")
    cluster = {"kind": "local", "simulations_at_once": 1, "retries": 1}
    study = faulty_study(folder, FAULTS, cluster=cluster, record=True)
    out = folder / "out"
    process = called("run", study, "--out", out)
    log = out / "logs/trainer.log"
    assert process.returncode == 0, process.stderr + (log.read_text() if log.exists() else "")
    return process.stderr, json.loads((out / "status.json").read_text()), out


def line_of(said, number, words):
    return next(
        line
        for line in said.splitlines()
        if f"simulation {number} " in line and words in line and "warning" in line
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, ["nan", "'u'", "step 5"]),
        (2, ["<f4", "<f8"]),
        (3, ["(4, 8)"]),
        (4, [">f8"]),
    ],
)
def test_untrustworthy_data_quarantine_their_simulation(finished, number, words):
    line = line_of(finished[0], number, "quarantined")
    for word in words:
        assert word.lower() in line.lower(), line


@pytest.mark.parametrize(
    ("number", "words"),
    [(6, "could not open the input deck"), (7, "the pressure solve did not converge")],
)
def test_a_failing_simulation_is_given_up_with_its_last_line(finished, number, words):
    line = line_of(finished[0], number, "given up")
    assert words in line and "2 attempts" in line


@pytest.mark.parametrize(
    ("started", "heard", "ended"),
    [
        (50.0, {}, True),
        (50.0, {"8": 20.0}, True),
        (50.0, {"8": 1.0}, False),
        (1.0, {}, False),
        (1.0, {"8": 50.0}, False),  # that was the attempt before
        (None, {"8": 50.0}, False),  # and this one has not begun
    ],
)
def test_silence_is_that_of_the_attempt_that_runs(tmp_path, monkeypatch, started, heard, ended):
    """By the clock of the supervisor alone, from when it first saw the attempt."""
    run, kicked, said = RunDirectory.create(tmp_path / "run"), [], []
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(supervisor, "time", clock)
    record = run.pids / "simulation-00008.json"
    write_json(record, {"attempt": 2, "session": None if started is None else 1, "began": 1})
    one = object.__new__(Supervisor)
    one._study = SimpleNamespace(cluster=SimpleNamespace(simulation_timeout=10.0))
    one._room, one._run = SimpleNamespace(full=False), run
    one._reply, one._display = {"heard": heard}, SimpleNamespace(say=said.append)
    one._launcher = SimpleNamespace(running=[8], kick=kicked.append)
    one._began = {(8, 1): 0.0}
    one._end_silent()
    assert kicked == []  # it was first seen just now
    clock.now += started or 0.0
    one._end_silent()
    assert kicked == [8] * ended and len(said) == ended


@pytest.mark.parametrize(("died", "again"), [(False, False), (True, True)])
def test_a_busy_trainer_is_asked_until_it_says_what_it_refused(monkeypatch, died, again):
    """Ten seconds long; one that is gone is not waited for."""
    clock = SimpleNamespace(now=100.0)
    clock.time = clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(supervisor, "time", clock)
    one = object.__new__(Supervisor)
    one._reply, one._quarantined, one._stop = {"clock": 99.0}, {}, None
    one._trainer = SimpleNamespace(poll=lambda: 1 if died else None)

    def exchange():
        if clock.now > 110.0:
            one._reply, one._quarantined = {"clock": clock.now}, {3: "nan"}

    one._exchange = exchange
    assert one._may_retry(3) == again and (clock.now == 100.0) == died


def test_a_simulation_that_forgets_to_close_is_named(finished):
    line = line_of(finished[0], 5, "without close()")
    assert "client.close()" in line
    assert finished[0].count("without close()") == 1


def test_a_simulation_that_gives_less_than_the_others_is_named(finished):
    """It ended with exit code 0 and closed its stream: only the others show that half is missing."""
    said, status, out = finished
    assert "ended well with 5 frames; others sent 10" in line_of(said, 8, "ended well")
    last = said.splitlines()[-1]
    assert "of 50 frames never came" in last and "8); see logs/" in last
    summary = json.loads((out / "summary.json").read_text())
    found = summary["simulations"]
    assert found["planned"] == found["with_outcome"] == SIMULATIONS and found["lacking"] == []
    counts = [found[name] for name in ("finished", "given_up", "quarantined", "skipped")]
    assert counts == [SIMULATIONS - 6, 2, 4, 0]
    assert found["short"].pop("8") == 5 and {*found["short"]} <= {"5"}
    assert (
        status["frames"]["expected"] == 10 * (SIMULATIONS - 6) and status["frames"]["missing"] == 5
    )


def test_the_rest_trains(finished):
    _, status, _ = finished
    simulations = status["simulations"]
    assert simulations["quarantined"] == 4
    assert simulations["given_up"] == 2
    # Those that died and raised were tried once more; refused data would be refused again.
    assert simulations["restarted"] == 2
    assert simulations["done"] == SIMULATIONS - len(FAULTS) + len(WELL)
    assert status["frames"]["doubled"] == 0
    # What was sound before the fault, and all of the others: 9 windows of 10 frames.
    assert status["samples"]["entered"] >= 9 * (SIMULATIONS - len(FAULTS))
    assert status["state"] == "finished"


def test_the_recording_names_those_that_are_not_in_it(finished):
    recording = open_recording(finished[2])
    assert recording.ids == tuple(n for n in range(SIMULATIONS) if n not in {*FAULTS} - {8})
    absent = recording.absent
    assert set(absent) == {*FAULTS} - {8}
    for number in (1, 2, 3, 4):
        assert absent[number].startswith("quarantined: "), absent
    assert "could not open the input deck" in absent[6] and "given up after 2" in absent[6]
    assert "the pressure solve did not converge" in absent[7]


def test_a_study_whose_first_simulations_fail_alike_ends_with_their_words(tmp_path):
    study = faulty_study(tmp_path, dict.fromkeys(range(SIMULATIONS), "dies"))
    out = tmp_path / "out"
    process = called("run", study, "--out", out)
    assert process.returncode == 2 and "Traceback" not in process.stderr
    last = process.stderr.strip().splitlines()[-1]
    # Three, and those that ended in the same moment.
    alike = r"no simulation delivered a frame, and the first \d failed alike \(exit code 1\)"
    assert re.search(alike, last), last
    assert "could not open the input deck" in last
    # One attempt each, of simulations with two tries; those that had begun meanwhile ended, too.
    logs = [path.stem for path in (out / "logs").glob("simulation-*")]
    assert 3 <= len(logs) < SIMULATIONS and all(name.endswith("attempt-1") for name in logs)
    status = called("status", out)
    assert "failed" in status.stdout and "could not open the input deck" in status.stdout


@pytest.mark.parametrize(
    ("reasons", "stops"),
    [
        (["no licence (rank 3)", "no licence (rank 1)", "no licence (rank 0)"], True),
        (["no licence"] * 2, False),
        (["no licence", "no licence", "Re=10 is unstable"], False),
        (["no licence"] * 3 + [None], False),
    ],
)
def test_hope_ends_with_failures_that_are_alike(reasons, stops):
    """None: by then something had come."""
    one = object.__new__(Launcher)
    one.total, one._arrived = 10, lambda: None in reasons
    said = [reason for reason in reasons if reason]
    one._early = [JobResult(n, 1, 1, f"reading\n{words}", 0.1) for n, words in enumerate(said)]
    one.failures, one.finished = [], []
    if not stops:
        one.require_hope()
        return
    with pytest.raises(ScimlError, match=r"first 3 failed alike .*reading / no licence"):
        one.require_hope()


@pytest.mark.parametrize(("given_up", "finished"), [(4, 0), (5, 0), (9, 1)])
def test_hope_ends_with_simulations_that_are_given_up_alike(given_up, finished):
    """Their frames came, and yet none of them came to its end."""
    one = object.__new__(Launcher)
    one.total, one._early, one.finished = 40, [], list(range(30, 30 + finished))
    one.failures = [Failure(n, 3, 1, f"step {n}\nblew up at t = {n}") for n in range(given_up)]
    if given_up < 5 or finished:
        one.require_hope()
        return
    with pytest.raises(
        ScimlError, match=r"no simulation came to its end, and the first 5 .*blew up"
    ):
        one.require_hope()


@pytest.mark.parametrize(
    ("lives", "started"),
    [
        ([("wrong shape", 0)] * 9, 2),
        ([("wrong shape", 0), ("disk", 0), ("wrong shape", 0), ("disk", 0)] * 2, 4),
        ([("", 0)] * 9, 4),  # killed, which may not come again
        ([("wrong shape", 7), ("wrong shape", 9), ("wrong shape", 9)] * 2, 3),
    ],
)
def test_a_failure_of_the_trainer_that_would_repeat_is_tried_once_more(tmp_path, lives, started):
    run, said = RunDirectory.create(tmp_path / "run"), []
    one = object.__new__(Supervisor)
    one._run, one._stop, one._control = run, StopRequest(), None
    one._display = SimpleNamespace(say=said.append)
    one._leader = SimpleNamespace(lost=SimpleNamespace(is_set=lambda: True))
    one._close_launcher, one._connect, one._end = (lambda: None), (lambda _: False), (lambda _: 5)
    left = iter(lives)

    def start():
        reason, step = next(left)
        write_json(run.last_words, {"reason": reason, "step": step})
        return SimpleNamespace(poll=lambda: 1)

    one._start_trainer = start
    assert one.run() == 5
    assert len(said) == started - 1 and (not lives[0][0] or lives[0][0] in said[0])


@pytest.mark.slow
def test_a_run_that_lacks_a_simulation_is_not_finished_and_can_be_resumed(tmp_path):
    """Its held-out simulation takes longer than it is waited for."""
    run, changed = tmp_path / "run", []
    for value in (
        "parameters.simulations=2",
        "validation.simulations=1",
        "validation.patience=1e-6",
        "training.phases.0.steps=2",
    ):
        changed += ["--set", value]
    line = one_line(called("run", faulty_study(tmp_path, {1: "waits"}), "--out", run, *changed))
    assert "1 of 3 simulations have neither ended nor been given up (1)" in line
    assert "sciml resume" in line
    assert json.loads((run / "summary.json").read_text())["simulations"]["lacking"] == [1]
    (tmp_path / "faulty.py.go").touch()
    resumed = called("resume", run, "--set", "validation.patience=600", "--force")
    assert resumed.returncode == 0, resumed.stderr
    found = json.loads((run / "summary.json").read_text())
    assert found["simulations"]["lacking"] == [] and found["simulations"]["with_outcome"] == 3
    assert found["validation_simulations"] == 1
