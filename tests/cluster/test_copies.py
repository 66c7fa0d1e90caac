"""`srun -n 4 sciml run` by mistake: one goes on, the others say why not."""

import subprocess
import sys

import pytest
from patience import PATIENCE

from sciml.errors import InputError
from sciml.run.directory import RunDirectory, free_name
from sciml.run.online.study_run import _failure_told
from sciml.run.results import Run
from sciml.solver.mpirun import copy_number, cores_here, environment, refuse_ranks, under


def test_one_of_several_copies_leads(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert free_name("waves").name == "waves"
    monkeypatch.setenv("SLURM_PROCID", "2")
    with pytest.raises(
        InputError, match=r"copy 3 of 4 that srun or mpirun started.*start sciml once"
    ):
        free_name("waves")


def test_a_batch_script_is_no_copy():
    assert copy_number({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "16"}) is None
    assert copy_number({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None
    assert copy_number({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}) == (1, 2)
    assert copy_number({"PMI_RANK": "3", "PMI_SIZE": "4"}) == (3, 4)


def test_cores_are_those_of_the_allocation(monkeypatch):
    here = cores_here()
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert cores_here() == here  # left over: no job
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert cores_here() == 1
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1000")
    assert cores_here() == here


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}, True),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "16", "SLURM_PROCID": "0"}, False),  # a batch script
        ({"SLURM_STEP_NUM_TASKS": "4", "PMI_SIZE": "4", "SLURM_PROCID": "0"}, False),  # srun
        ({}, False),
    ],
)
def test_a_rank_leads_nothing(given, refused):
    """mpirun ends all ranks when one of them is refused: none may begin."""
    if not refused:
        refuse_ranks(given)
        return
    with pytest.raises(InputError, match=r"ranks that mpirun started .*start sciml once"):
        refuse_ranks(given)


def test_sciml_under_mpirun_is_refused_with_the_reason(tmp_path):
    words = [sys.executable, "-m", "sciml.cli", "run", "workflows/quickstart/study.yaml"]
    done = subprocess.run(
        under([*words, "--out", str(tmp_path / "out")], 2),
        capture_output=True, text=True, env=environment(), timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2 and "error: one of 2 ranks that mpirun started" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_that_ends_before_it_has_begun_leaves_a_status_that_says_so(tmp_path):
    run = RunDirectory.create(tmp_path / "run")
    with pytest.raises(InputError), _failure_told(run):
        raise InputError("the first worker job was refused")
    status = Run(run).status
    assert status["state"] == "failed" and status["reason"] == "the first worker job was refused"
