"""`srun -n 4 sciml run` by mistake: one goes on, the others say why not."""

import pytest

from sciml.errors import InputError
from sciml.solver.mpirun import copy_number, cores_here
from sciml.study.api import free_name


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
