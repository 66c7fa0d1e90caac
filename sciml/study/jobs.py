"""From a study and the program's own description to the jobs that run it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sciml.errors import InputError, nearest
from sciml.share import find
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
    description = describe(find(study.solver.program))
    for name, span in study.parameters.ranges.items():
        low, high = span.bounds
        description.check(name, low, high)
    options = {option["name"] for option in description.options}
    parameters = {parameter["name"] for parameter in description.parameters}
    for name in study.solver.options:
        if name not in options | parameters:
            raise InputError(
                f"solver.options.{name}: {description.name} has no such option; "
                f"{nearest(name, options | parameters)}"
            )
    fields = {field["name"] for field in description.fields}
    for name in (*study.task.inputs, *study.task.targets):
        if name not in fields:
            raise InputError(
                f"task: {description.name} has no field '{name}'; {nearest(name, fields)}"
            )
    for name in study.task.parameters:
        if name not in parameters:
            raise InputError(
                f"task.parameters: {description.name} has no parameter '{name}'; "
                f"{nearest(name, parameters)}"
            )
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


def flags(values: dict[str, Any]) -> list[str]:
    """``{"shape": [64, 64], "dt": 1e-3}`` as ``--shape 64 64 --dt 0.001``."""
    words: list[str] = []
    for name, value in values.items():
        words.append(f"--{name.replace('_', '-')}")
        words += [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]
    return words


def jobs(study: Study, plan: Sequence[PlannedSimulation], run: RunDirectory) -> list[Job]:
    """One job a planned simulation, in launch order."""
    program = find(study.solver.program)
    base = environment(os.environ)
    send = json.dumps(study.solver.send.model_dump())
    result = []
    for planned in plan:
        values = {**study.solver.options, **planned.parameters}
        if planned.seed is not None:
            values["seed"] = planned.seed
        result.append(
            Job(
                simulation=planned.id,
                command=command(program, study.solver.ranks, flags(values)),
                environment={
                    **base,
                    "OMP_NUM_THREADS": "1",
                    "SCIML_ENDPOINT": str(run.endpoint),
                    "SCIML_SIMULATION": str(planned.id),
                    "SCIML_SEND": send,
                },
                run=str(run.path),
            )
        )
    return result


def program_path(study: Study) -> Path:
    return find(study.solver.program)
