"""A supervisor takes parameters that are drawn while simulations run."""

from functools import partial

import pytest

from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.simulations import further_job, jobs
from sciml.run.supervisor import Supervisor
from sciml.solver.program_description import describe
from sciml.study import load_study
from sciml.study.designs import plan


class Submitted(list):
    """In place of a launcher."""

    submit = list.append


def test_drawn_parameters_become_a_job_like_those_of_the_plan(write_study, tmp_path):
    study, run = load_study(write_study()), RunDirectory.create(tmp_path / "run")
    description = describe(study.solver.program)
    planned = jobs(study, description, plan(study), run)
    supervisor, submitted = object.__new__(Supervisor), Submitted()
    supervisor.__dict__ |= {
        "_jobs": {job.simulation: job for job in planned},
        "_training": {0},
        "_launcher": submitted,
        "_job_of": partial(further_job, study, description, run),
    }
    number = supervisor.submit({"kappa": 0.0625})
    assert number == len(planned) and supervisor.submit({"kappa": 0.125}) == number + 1
    first, second = submitted
    assert supervisor._jobs[number] is first and supervisor._training == {0, number, number + 1}
    assert first.environment == {**planned[0].environment, "SCIML_SIMULATION": str(number)}
    assert first.command[first.command.index("--kappa") + 1] == "0.0625"

    def seed(job):
        return job.command[job.command.index("--seed") + 1]

    assert len({seed(job) for job in (*planned, first, second)}) == len(planned) + 2
    for parameters in ({"kappa": -1.0}, {"kapa": 0.1}):
        with pytest.raises(InputError, match="kappa"):
            supervisor.submit(parameters)
    assert len(submitted) == 2 and number + 2 not in supervisor._jobs
