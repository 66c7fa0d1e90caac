"""From a study and the program's own description to the jobs that run it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from typing import Any

from sciml.errors import InputError, nearest
from sciml.solver.describe import Description, describe
from sciml.solver.mpirun import command, environment
from sciml.study.designs import PlannedSimulation
from sciml.study.launch import Job
from sciml.study.rundir import RunDirectory
from sciml.study.schema import Study


def check(study: Study) -> Description:
    """Ask the program what it is, and hold the study against it, before anything starts.

    Raises:
        InputError: program not found; unknown parameter, option or field; a range that leaves the
            program's; more ranks at once than there are cores.
    """
    description = describe(study.solver.program)
    for name, span in study.parameters.ranges.items():
        description.check(name, *span.bounds)
    description.arguments(study.solver.options)
    if study.parameters.seed and "seed" not in description.flags:
        raise InputError(
            f"parameters.seed: {description.name} has no option 'seed'; set parameters.seed: false, "
            "or let the program take --seed"
        )
    fields = {field.name for field in description.fields}
    for name in (*study.task.inputs, *study.task.targets):
        if name not in fields:
            raise InputError(
                f"task: {description.name} has no field '{name}'; {nearest(name, fields)}"
            )
    for name in study.task.parameters:
        description.parameter(name)
    _check_cores(study)
    return description


def _check_cores(study: Study) -> None:
    cluster = study.cluster
    if cluster.kind != "local" or cluster.oversubscribe:
        return
    cores = len(os.sched_getaffinity(0))
    wanted = study.solver.ranks * cluster.simulations_at_once
    if wanted > cores:
        raise InputError(
            f"too few cores: {cluster.simulations_at_once} simulations at once of "
            f"{study.solver.ranks} ranks want {wanted}, there are {cores}; lower "
            "cluster.simulations_at_once or solver.ranks, or set cluster.oversubscribe=true"
        )


def values(study: Study, planned: PlannedSimulation) -> dict[str, Any]:
    """What one simulation is given: fixed options, drawn parameters, its seed."""
    given = {**study.solver.options, **planned.parameters}
    if planned.seed is not None:
        given["seed"] = planned.seed
    return given


def jobs(
    study: Study,
    description: Description,
    plan: Sequence[PlannedSimulation],
    run: RunDirectory,
) -> list[Job]:
    """One job a planned simulation, in launch order."""
    environ = {
        **environment(os.environ),
        "OMP_NUM_THREADS": "1",
        "SCIML_ENDPOINT": str(run.endpoint),
        "SCIML_SEND": json.dumps(study.solver.send.model_dump()),
    }
    local = study.cluster.kind == "local"
    # Ranks that wait for each other keep a core busy: they shall not take it from the trainer.
    polite = ["nice", "-n", "5"] if local and shutil.which("nice") else []
    return [
        Job(
            simulation=planned.id,
            command=[
                *polite,
                *command(
                    description.path,
                    study.solver.ranks,
                    description.arguments(values(study, planned)),
                    local=local or None,
                ),
            ],
            environment={**environ, "SCIML_SIMULATION": str(planned.id)},
            run=str(run.path),
        )
        for planned in plan
    ]
