"""On a real Slurm: the shipped batch script, and workers as its jobs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import real_slurm
import yaml
from listening import listening
from patience import PATIENCE, wait_until

from sciml.ensemble.addresses import is_loopback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(real_slurm.why_not()), reason=real_slurm.why_not() or "there is one"),
]
ROOT = Path(__file__).parents[2]
#: Times are those of Slurm's clock: limits are whole minutes, and a job waits before it starts again.
LONG = 900.0
#: A program that takes its time by the clock and computes little; its ranks and what it has loaded.
SLOW = """
import os
import time

import numpy as np
from sciml.domain import Field, Grid
from sciml.parallel import Decomposition
from sciml.solver import Option, Parameter, Program, main


class Slow(Program):
    name = "slow"
    equation = "u = a n"
    fields = (Field("u"),)
    parameters = (Parameter("a", 0.1, 0.0, 1.0),)
    options = (Option("pause", 0.1, help="seconds that a step takes"),)
    order_space, order_time = 1, {"none": 1}

    def __init__(self, given):
        self.given = given
        self.grid = Grid((16,), ((0.0, 1.0),), ("periodic",))

    def domain(self):
        return self.grid

    def start(self, comm):
        print("ranks", comm.size, "loaded", os.environ.get("LOADED"), flush=True)
        self.block = Decomposition(self.grid, comm.size).block(comm.rank)
        self.u = np.linspace(0.0, 1.0, self.block.shape[0])
        return self.block

    def state(self):
        return {"u": self.u}

    def step(self, n):
        time.sleep(self.given.pause)
        self.u = self.u + self.given.a
        return n + 1.0


main(Slow)
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with real_slurm.Slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def place(tmp_path, slurm):
    """A folder to submit from, with a study whose simulations take five seconds."""
    venv = tmp_path / ".venv/bin"
    venv.mkdir(parents=True)
    # Not a link: what is tested is this checkout.
    (venv / "sciml").write_text(f'#!/bin/bash\nexec {sys.executable} -m sciml.cli "$@"\n')
    (venv / "sciml").chmod(0o755)
    (tmp_path / "slow.py").write_text(SLOW)
    study = {
        "name": "slow",
        "solver": {"program": "slow.py", "ranks": 2, "options": {"steps": 50}},
        "parameters": {"simulations": 7, "ranges": {"a": [0.1, 0.2]}, "seed": False},
        "task": {"inputs": ["u"], "parameters": ["a"], "increment": True},
        "model": {"name": "mlp", "hidden": [16]},
        # Each sample once: training goes on until nearly all simulations have come.
        "buffer": {"kind": "fifo", "capacity": 100, "watermark": 10},
        "training": {"batch_size": 4, "phases": [{"steps": 80}]},
        "validation": {"simulations": 1, "every": 30},
        "cluster": {"kind": "local", "oversubscribe": True},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    return tmp_path


def environment(slurm):
    where = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**slurm.environment, "PYTHONPATH": where, "OMP_NUM_THREADS": "1"}


def start(slurm, place, *words):
    """`sciml`, in the background."""
    with (place / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "sciml.cli", *words],
            cwd=place, env=environment(slurm), stdout=log, stderr=log,
        )  # fmt: skip


def status(run):
    try:
        return json.loads((run / "status.json").read_text())
    except FileNotFoundError:
        return {}


def wait_for(process, place, true):
    """Wait for what a run that goes on will show."""
    wait_until(lambda: true() or process.poll() is not None, LONG)
    assert process.poll() is None, (place / "log").read_text()


def some_done(run):
    return status(run).get("simulations", {}).get("done", 0) >= 1


def said_by_solvers(run):
    return "".join(path.read_text() for path in run.glob("logs/simulation-*.log"))


def require_whole(run, simulations=8):
    """Every simulation has an outcome, and no frame was lost."""
    last = status(run)
    assert last["state"] == "finished"
    assert last["simulations"]["done"] + last["simulations"]["skipped"] == simulations
    assert last["simulations"]["given_up"] == last["simulations"]["quarantined"] == 0
    assert last["frames"]["lost"] == last["frames"]["doubled"] == 0


def one_running(slurm):
    """A worker job that runs, by the name of the study."""
    rows = slurm.says("squeue", "-h", "-t", "R", "-o", "%i %j").split("\n")
    found = [row.split() for row in rows if row]
    return next((number for number, name in found if name.startswith("slow-")), None)


@pytest.mark.timeout(1200)
def test_the_shipped_script_goes_back_into_the_queue_and_resumes(slurm, place):
    study = place / "study.yaml"
    longer = study.read_text().replace("steps: 50", "steps: 50\n    pause: 0.4")
    study.write_text(longer)  # 160 s of simulations; the warning comes after 140
    done = subprocess.run(
        [
            "sbatch", "--parsable", f"--cpus-per-task={os.cpu_count()}", "--time=4",
            "--signal=B:USR1@100", str(ROOT / "workflows/quickstart/job.slurm"), "study.yaml",
        ],
        cwd=place, env=environment(slurm), capture_output=True, text=True, check=True,
    )  # fmt: skip
    number = done.stdout.strip()
    wait_until(lambda: slurm.job(number)["JobState"] in ("COMPLETED", "FAILED", "TIMEOUT"), LONG)
    job = slurm.job(number)
    log = (place / f"sciml-quickstart-{number}.log").read_text()
    assert job["JobState"] == "COMPLETED", log
    assert int(job["Restarts"]) >= 1 and "goes back into the queue" in log
    run = place / f"runs/sciml-quickstart-{number}"
    require_whole(run)
    assert "ranks 2" in said_by_solvers(run)


@pytest.mark.timeout(900)
def test_a_worker_job_cancelled_in_the_middle_is_replaced(slurm, place):
    settings = [
        "cluster.kind=slurm",
        "cluster.simulations_at_once=1",
        "cluster.memory=1GB",
        "cluster.prologue=[export LOADED=module]",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    run = place / "run"
    process = start(slurm, place, "run", "study.yaml", "--out", "run", *words)
    wait_for(process, place, lambda: some_done(run))
    number = one_running(slurm)
    worker = int(slurm.says("scontrol", "listpids", number).split("\n")[1].split()[0])
    trainer = json.loads((run / "pids/trainer.json").read_text())["session"]
    for pid in (process.pid, trainer, worker):
        open_ports = list(listening(pid))
        assert open_ports and all(is_loopback(host) for host, _ in open_ports), open_ports
    slurm.says("scancel", number)
    assert process.wait(LONG) == 0, (place / "log").read_text()
    assert f"worker job {number} ended (CANCELLED)" in (place / "log").read_text()
    require_whole(run)
    assert slurm.says("squeue", "-h", "-t", "PD,R") == ""
    assert "ranks 2 loaded module" in said_by_solvers(run)
    logs = sorted(path.name for path in run.glob("logs/worker-*"))
    assert logs[0].startswith("worker-0001.") and len(logs) >= 4  # script and log of each
    assert not (run / "cluster").exists()


@pytest.mark.timeout(900)
def test_jobs_of_a_killed_supervisor_are_cancelled_by_resume(slurm, place):
    run = place / "run"
    words = ["--set", "cluster.kind=slurm", "--set", "cluster.memory=1GB"]
    words += ["--set", "parameters.simulations=3"]
    process = start(slurm, place, "run", "study.yaml", "--out", "run", *words)
    wait_for(process, place, lambda: some_done(run))
    left = one_running(slurm)
    process.kill()
    process.wait()
    # What Slurm has not begun yet: a job of this run's name that would start later.
    name = slurm.job(left)["JobName"]
    later = slurm.says(
        "sbatch", "--parsable", f"--job-name={name}", "--begin=now+1hour", "--wrap=sleep 600",
        f"--output={place}/later.log",
    )  # fmt: skip
    other = slurm.says(
        "sbatch", "--parsable", "--job-name=slow-00000000", "--begin=now+1hour", "--wrap=sleep 9",
        f"--output={place}/later.log",
    )  # fmt: skip
    assert start(slurm, place, "resume", "run").wait(LONG) == 0, (place / "log").read_text()
    require_whole(run, simulations=4)
    assert slurm.job(later)["JobState"] == "CANCELLED"
    assert slurm.says("squeue", "-h", "-o", "%i") == other
    slurm.says("scancel", other)


@pytest.mark.timeout(600)
def test_of_four_copies_under_srun_one_leads(slurm, place):
    words = ["study.yaml", "--set", "parameters.simulations=1", "--set", "solver.ranks=1"]
    done = subprocess.run(
        ["srun", "-n", "4", "--overcommit", "--label", sys.executable, "-m", "sciml.cli", "run", *words],
        cwd=place, env=environment(slurm), capture_output=True, text=True, timeout=LONG,
    )  # fmt: skip
    refused = [line for line in done.stderr.splitlines() if "of 4 that srun or mpirun" in line]
    assert len(refused) == 3 and all(line[3:].startswith("error: copy") for line in refused)
    assert [path.name for path in (place / "runs").iterdir()] == ["slow"]
    require_whole(place / "runs/slow", simulations=2)


def test_what_slurm_refuses_is_one_line(slurm, place):
    words = ["--set", "cluster.kind=slurm", "--set", "cluster.partition=nosuch"]
    assert start(slurm, place, "run", "study.yaml", *words).wait(PATIENCE) == 2
    [line] = (place / "log").read_text().splitlines()[-1:]
    assert line.startswith("error: cluster: Slurm did not take a worker job: sbatch: error:")
    assert "nosuch" in line


def test_the_display_says_what_is_waited_for(slurm, place):
    node = slurm.says("sinfo", "-h", "-o", "%n")
    slurm.says("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        process = start(slurm, place, "run", "study.yaml", "--set", "cluster.kind=slurm")
        words = "waiting for Slurm: 0 of 1 worker jobs run (pending: "
        wait_for(process, place, lambda: words in (place / "log").read_text())
        process.terminate()
        assert process.wait(PATIENCE) == 75
    finally:
        slurm.says("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert slurm.says("squeue", "-h") == ""
