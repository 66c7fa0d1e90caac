"""Worker jobs in a queue that a stand-in keeps: asked for, watched, replaced, cancelled."""

import os
import re
import subprocess

import pytest
from patience import wait_until

from sciml.ensemble import slurm
from sciml.ensemble.slurm import WorkerJobs, cancel_left, check_slurm, job_name, job_script
from sciml.errors import InputError, ScimlError
from sciml.run.display import limit
from sciml.run.snapshot import Snapshot

ADDRESS = "tls://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(slurm, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(slurm, "ASK_EVERY", 0.05)
    monkeypatch.setattr(slurm, "PAUSE", 0.01)
    monkeypatch.setattr(slurm, "GRACE", 0.1)


@pytest.fixture
def connected():
    """Names of the workers that dask has."""
    return set()


def news_of(jobs, words):
    """Wait for news that hold the words."""
    heard = []
    wait_until(lambda: heard.extend(jobs.news()) or any(words in line for line in heard))
    return next(line for line in heard if words in line)


def test_as_many_as_simulations_at_once(slurm_study, run, standin, connected):
    study = slurm_study(simulations_at_once=3)
    with WorkerJobs(study, run, ADDRESS, connected.copy) as jobs:
        wait_until(lambda: len(standin.jobs) == 3)
        wait_until(lambda: jobs.figures["pending"] == "Resources")
        shown = limit(Snapshot(queue=jobs.figures))
        assert shown == "waiting for Slurm: 0 of 3 worker jobs run (pending: Resources)"
        connected.add("worker-0002")
        wait_until(lambda: jobs.figures["running"] == 1)
        assert limit(Snapshot(queue=jobs.figures)) == "starting"
    assert set(standin.jobs.values()) == {"CANCELLED"}


def test_one_at_its_time_limit_is_replaced(slurm_study, run, standin, connected):
    with WorkerJobs(slurm_study(), run, ADDRESS, connected.copy) as jobs:
        connected.add("worker-0001")
        wait_until(lambda: jobs.figures["running"] == 1)
        jobs.need(left=3, ended=1)
        (run.logs / "worker-0001.100.log").write_text("fine\nJOB 100 DUE TO TIME LIMIT\n")
        standin.becomes("100", "TIMEOUT")
        connected.clear()
        line = news_of(jobs, "worker job 100 ended (TIMEOUT)")
        assert line == (
            "warning: worker job 100 ended (TIMEOUT): JOB 100 DUE TO TIME LIMIT; another takes its place"
        )
        wait_until(lambda: standin.jobs.get("101") == "PENDING")
        # One that left in time is nothing to warn of.
        connected.add("worker-0002")
        wait_until(lambda: jobs.figures["running"] == 1)
        standin.becomes("101", "COMPLETED")
        connected.clear()
        assert not news_of(jobs, "worker job 101 has left before its time limit").startswith(
            "warning"
        )


def test_how_a_job_ended_is_waited_for(slurm_study, run, standin, connected):
    with WorkerJobs(slurm_study(), run, ADDRESS, connected.copy) as jobs:
        connected.add("worker-0001")
        wait_until(lambda: jobs.figures["running"] == 1)
        standin.becomes("100", "COMPLETING")
        connected.clear()
        wait_until(lambda: jobs.figures["pending"] == "completing")
        standin.becomes("100", "NODE_FAIL")
        assert "it has left no log" in news_of(jobs, "worker job 100 ended (NODE_FAIL)")


def test_without_an_answer_of_slurm_the_word_of_dask_counts(slurm_study, run, standin, connected):
    (standin.bin / "squeue").write_text("#!/bin/sh\nexit 1\n")
    with WorkerJobs(slurm_study(), run, ADDRESS, connected.copy) as jobs:
        wait_until(lambda: jobs.figures["pending"] == "squeue does not answer")
        assert len(standin.jobs) == 1
        connected.add("worker-0001")
        wait_until(lambda: jobs.figures["running"] == 1)
        connected.clear()
        news_of(jobs, "worker job 100 ended (gone)")
        wait_until(lambda: len(standin.jobs) == 2)


def test_the_queue_is_left_alone_while_all_work(slurm_study, run, standin, connected):
    connected.add("worker-0001")
    with WorkerJobs(slurm_study(), run, ADDRESS, connected.copy) as jobs:
        looks = []
        wait_until(lambda: looks.append(jobs.figures["running"]) or len(looks) > 20)
        assert looks[-1] == 1
    assert not (standin.folder / "asked").exists()


def test_job_after_job_in_vain_ends_the_study(slurm_study, run, standin, connected):
    study = slurm_study(simulations_at_once=2)
    with WorkerJobs(study, run, ADDRESS, connected.copy) as jobs:

        def fail():
            for job, state in standin.jobs.items():
                if state == "PENDING":
                    number = int(job) - 99
                    log = run.logs / f"worker-{number:04d}.{job}.log"
                    log.write_text("bash: line 7: module: command not found\n")
                    standin.becomes(job, "FAILED", "NonZeroExitCode")
            jobs.news()

        def until_it_ends():
            wait_until(lambda: fail())

        with pytest.raises(ScimlError) as error:
            until_it_ends()
    assert re.search(
        r"4 worker jobs of Slurm's in a row ended before a simulation did; the last, job 103 "
        r"\(FAILED\), said: bash: line 7: module: command not found \(see .*/logs/worker-0004\.\*\)",
        str(error.value),
    )
    assert len(standin.jobs) == 4


def test_jobs_too_short_for_a_simulation_name_the_key(slurm_study, run, standin, connected):
    with (
        pytest.raises(ScimlError, match=r"3 worker jobs.*\(TIMEOUT\).*raise cluster\.walltime"),
        WorkerJobs(slurm_study(), run, ADDRESS, connected.copy) as jobs,
    ):

        def cut_off():
            for job, state in standin.jobs.items():
                if state == "PENDING":
                    standin.becomes(job, "TIMEOUT")
            jobs.news()

        wait_until(lambda: cut_off())


def test_with_nothing_left_to_run_all_are_let_go(slurm_study, run, standin, connected):
    connected |= {"worker-0001"}
    with WorkerJobs(slurm_study(simulations_at_once=2), run, ADDRESS, connected.copy) as jobs:
        wait_until(lambda: len(standin.jobs) == 2)
        jobs.need(left=1, ended=3)
        wait_until(lambda: standin.jobs == {"100": "PENDING", "101": "CANCELLED"})
        jobs.need(left=0, ended=4)
        wait_until(lambda: set(standin.jobs.values()) == {"CANCELLED"})
        assert limit(Snapshot(queue=jobs.figures)) == "starting"
        jobs.need(left=1, ended=4)  # a simulation was lost after all
        wait_until(lambda: standin.jobs.get("102") == "PENDING")


def test_what_slurm_refuses_is_said(slurm_study, run, standin, connected):
    (standin.folder / "refuses").write_text("Invalid partition name specified")
    jobs = WorkerJobs(slurm_study(), run, ADDRESS, connected.copy)
    with pytest.raises(
        InputError, match=r"Invalid partition name specified; look at cluster\.part"
    ):
        jobs.__enter__()


def test_a_refusal_later_is_tried_again(slurm_study, run, standin, connected, monkeypatch):
    monkeypatch.setattr(slurm, "LONGEST_PAUSE", 0.2)
    with WorkerJobs(slurm_study(), run, ADDRESS, connected.copy) as jobs:
        jobs.need(left=3, ended=1)
        (standin.folder / "refuses").write_text("Socket timed out on send/recv operation")
        standin.becomes("100", "NODE_FAIL")
        assert "Socket timed out" in news_of(jobs, "asked again")
        (standin.folder / "refuses").unlink()
        wait_until(lambda: len(standin.jobs) == 2)


def test_jobs_that_a_killed_supervisor_left_are_cancelled(slurm_study, run, standin):
    study = slurm_study()
    others = standin.folder / "jobs"
    (others / "7").write_text(f"PENDING|Priority|{job_name(study, run)}\n")
    (others / "8").write_text("PENDING|Priority|waves-00000000\n")
    cancel_left(study, run)
    assert standin.jobs == {"7": "CANCELLED", "8": "PENDING"}


def test_one_that_lost_the_run_cancels_its_own_alone(slurm_study, run, standin, connected):
    study = slurm_study()
    with WorkerJobs(study, run, ADDRESS, connected.copy, lost=lambda: True):
        (standin.folder / "jobs" / "200").write_text(f"RUNNING|None|{job_name(study, run)}\n")
    assert standin.jobs == {"100": "CANCELLED", "200": "RUNNING"}


def test_the_script_of_a_job(slurm_study, run, tmp_path):
    study = slurm_study(
        partition="long",
        walltime="1-02:00",
        memory="1500MB",
        directives=["--account=physics", "-C skylake"],
        prologue=["module load openmpi/5.0", "export A='b c'"],
    )
    text = job_script(study, run, ADDRESS, 7)
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert re.fullmatch(r"#SBATCH --job-name=waves-[0-9a-f]{8}", lines[1])
    assert lines[2] == f'#SBATCH --output="{tmp_path}/a run, 100%%/logs/worker-0007.%j.log"'
    for line in ("--ntasks=2", "--mem=1500M", "--time=1560", "--partition=long", "-C skylake"):
        assert f"#SBATCH {line}" in lines
    assert lines.index("#SBATCH --account=physics") < lines.index("set -e")
    assert lines[-3:-1] == ["module load openmpi/5.0", "export A='b c'"]
    assert lines[-1].startswith("exec ") and "sciml.ensemble.worker tls://127.0.0.1:1" in lines[-1]
    assert lines[-1].endswith(f"'{run.keys}' --name worker-0007 --walltime $((93600 - SECONDS))")
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=True).returncode == 0


def test_a_job_within_a_job_is_its_own(slurm_study, run, standin, connected, monkeypatch):
    """sbatch takes variables of the job around it for what is asked for."""
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "100")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    with WorkerJobs(slurm_study(), run, ADDRESS, connected.copy):
        seen = (standin.folder / "env.100").read_text()
    assert "SLURM_MEM_PER_NODE" not in seen and "SLURM_CONF=/etc/slurm/slurm.conf" in seen


def test_without_sbatch_nothing_starts(slurm_study, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no sbatch on PATH"):
        check_slurm(slurm_study())
    (tmp_path / "sbatch").touch(mode=0o755)
    check_slurm(slurm_study())
    with pytest.raises(InputError, match=r"cluster\.interface: 'ib7' is none of this node's.*lo"):
        check_slurm(slurm_study(interface="ib7"))
    assert os.environ["PATH"] == str(tmp_path)
