"""From a study and the program's own description to the jobs that run it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sciml.domain import Domain
from sciml.ensemble.addresses import check_scheduler
from sciml.ensemble.identity import name_of
from sciml.ensemble.job import Job
from sciml.ensemble.rehearsal import TakesLong, disagreements, rehearse
from sciml.ensemble.slurm import check_slurm
from sciml.errors import InputError, ScimlError
from sciml.run.directory import RunDirectory
from sciml.run.feasibility import check_device, check_model
from sciml.samples.lattice_images import require_lattice
from sciml.solver.mpirun import cores_here, executable
from sciml.solver.program_description import Description, describe
from sciml.stream import environment
from sciml.study.designs import PlannedSimulation, further, plan
from sciml.study.schema import Study
from sciml.study.starts import Starts, copy_of, find_starts, kept, kept_for_a_while

#: Points of an axis a rank below which it is tried whether the program can be cut into so many blocks.
FEW = 4
#: Seconds that a program may take for its first frame.
PATIENCE = 300.0
#: Ranks a core of this machine beyond which nothing is tried, whatever the study allows.
MOST_PER_CORE = 32


def check(study: Study, run: RunDirectory | None = None) -> Description:
    """Hold a study against its program and its model, all in this process.

    Args:
        study: what is to run.
        run: where it ran before: it holds the states that the simulations start from.

    Raises:
        InputError: as :func:`check_program`; a model that cannot be built on the program's domain; no
            such device.
    """
    check_device(study)
    check_model(study, None)
    description, domain = check_program(study, run)
    check_model(study, domain, (*description.fields, *description.static), online=True)
    return description


def check_program(
    study: Study, run: RunDirectory | None = None
) -> tuple[Description, Domain | None]:
    """Ask the program what it is, and hold the study against it, before anything starts.

    Args:
        study, run: as for :func:`check`.

    Returns:
        What it says of itself, and where the sent fields live; ``None`` if it cannot be asked that.

    Raises:
        InputError: program not found; unknown parameter, option or field; a range that leaves the
            program's; more ranks at once than there are cores; no such scheduler.
    """
    if study.cluster.address is not None:
        check_scheduler(study.cluster.address, encryption=study.cluster.encryption)
    if study.cluster.kind == "slurm":
        check_slurm(study)
    description = describe(study.solver.program)
    for name, span in study.parameters.ranges.items():
        description.check(name, *span.bounds)
    description.arguments(study.solver.options)
    if "every" in study.solver.options and description.thins_files:
        # It thins out the file alone: nothing would be sent less often.
        raise InputError("solver.options.every: a study streams; set solver.send.every")
    if study.parameters.seed and "seed" not in description.flags:
        raise InputError(
            f"parameters.seed: {description.name} has no option 'seed'; set parameters.seed: false, "
            "or let the program take --seed"
        )
    task, sent = study.task, study.solver.send.fields
    description.require_fields((*task.inputs, *task.targets, *task.forcing), "task")
    description.require_fields(sent or (), "solver.send.fields")
    for name in task.build().moving if sent is not None else ():
        if name not in sent:
            raise InputError(
                f"task: '{name}' is not among solver.send.fields ({', '.join(sent)}); add it there"
            )
    if description.domain in ("particles", ""):
        require_lattice(task.build(), sent or [field.name for field in description.fields], "task")
    description.require_fields(task.static, "task.static", static=True)
    for name in task.parameters:
        description.parameter(name)
    if task.levels == "channels":
        raise InputError(
            "task.levels: channels are made of files with a vertical axis; expected the fields of "
            f"{description.name} by name: leave it away"
        )
    _check_window(study, description)
    _check_cores(study)
    with example_start(study, description, run) as start:
        return description, _check_corners(study, description, start)


def starts_of(study: Study, description: Description) -> Starts | None:
    """The states that ``parameters.files`` hold, if there are any."""
    if not study.parameters.files:
        return None
    ends = {name: span.bounds[0] for name, span in study.parameters.ranges.items()}
    return find_starts(study.parameters.files, description, {**study.solver.options, **ends})


@contextmanager
def example_start(
    study: Study, description: Description, run: RunDirectory | None = None
) -> Iterator[Path | None]:
    """One of the states that simulations start from, in a file of its own. All of them have been
    looked at before; ``None`` where the program makes its own."""
    starts = starts_of(study, description) if run is None else None
    if starts is not None:
        with kept_for_a_while(starts, {p.start for p in plan(study, len(starts))}) as path:
            yield path
    elif study.parameters.files and run is not None:
        yield copy_of(min(p.start for p in kept_plan(study, run)), run.initial)
    else:
        yield None


def kept_plan(study: Study, run: RunDirectory) -> list[PlannedSimulation]:
    """The plan of a run that has begun, by the initial states that it keeps."""
    return plan(study, kept(run.initial) if study.parameters.files else 0)


def _check_window(study: Study, description: Description) -> None:
    """A window of the task must fit into the frames that a simulation sends."""
    if "steps" not in description.flags:
        return
    task = study.task.build()
    if description.steady and task.history and task.lead:
        raise InputError(
            f"task.lead: {task.lead}, but frames of {description.name} are samples of their own, which "
            "do not follow from one another; set task.lead: 0"
        )
    steps = int(study.solver.options.get("steps", description.flags["steps"].default))
    frames = steps // study.solver.send.every + 1
    if frames < task.span:
        raise InputError(
            f"task: a window spans {task.span} frames, a simulation sends {frames} (steps={steps}, "
            f"every={study.solver.send.every}); raise solver.options.steps, or lower "
            "solver.send.every, task.lead, task.history or task.unroll"
        )


def _check_corners(study: Study, description: Description, start: Path | None) -> Domain | None:
    """The program itself must accept both ends of the ranges: a time step that is stable at one end
    only would cut the design short, without a word, and bias what is learned.

    One of ours is asked for no steps, on one rank; another is ended after its first frame, on as many
    ranks as the study has.

    Returns where the sent fields live; ``None`` if the program cannot be asked: one of others that is
    to run elsewhere, or takes long to begin.
    """
    ranks, local, ours = study.solver.ranks, study.cluster.kind == "local", description.ours
    if not (ours or local):
        return None
    send = study.solver.send.model_dump()
    how = {"send": send, "ranks": 1 if ours else ranks, "frames": None if ours else 1}
    ends = []
    for end in (0, 1) if study.parameters.ranges else (0,):
        corner = {name: span.bounds[end] for name, span in study.parameters.ranges.items()}
        given = {**study.solver.options, **corner, **({"steps": 0} if ours else {})}
        if start is not None:
            given["initial"] = str(start)
        try:
            rehearsal = rehearse(description, given, timeout=PATIENCE, **how)
            rehearsal.require()
        except TakesLong:
            return None
        except ScimlError as error:
            at = ", ".join(f"{name}={value:g}" for name, value in corner.items())
            raise InputError(f"solver at {at or 'its defaults'}: {error}") from error
        # A program of ours says by itself what it makes of what it was given.
        graver, _ = disagreements(description, rehearsal.simulation, given, send["fields"])
        if graver and not ours:
            raise InputError(f"solver: {description.name}: {graver[0]}; see `sciml check`")
        ends.append(rehearsal.simulation.domain)
    _check_species(study, ends)
    domain = ends[-1]
    # Starting MPI takes a second: where blocks are large, any cut will do.
    if ours and local and min(domain.point_shape) < FEW * ranks > FEW:
        try:
            rehearse(description, given, timeout=PATIENCE, **how | {"ranks": ranks}).require()
        except ScimlError as error:
            raise InputError(f"solver.ranks: {ranks}: {error}") from error
    return domain


def _check_species(study: Study, ends: Sequence[Domain]) -> None:
    """A model is built when the first simulation comes: it must know then which species others have."""
    if (
        ends[0].kind != "particles"
        or "species" in study.model.config
        or study.model.name.endswith(".py")
    ):
        return
    every = {kind for domain in ends for kind in domain.species.tolist()}
    if any(not every <= {*domain.species.tolist(), *domain.expected} for domain in ends):
        found = " and ".join(", ".join(map(str, np.unique(d.species).tolist())) for d in ends)
        raise InputError(
            f"model: species of the particles depend on the parameters, {found} at the ends of their "
            f"ranges, and a model is built for those that it is told of; set model.species: "
            f"{sorted(every)}, with others that may come, or let the program say expected=[...] in its "
            "Particles"
        )


def _check_cores(study: Study) -> None:
    cluster = study.cluster
    if cluster.kind != "local":
        return
    cores = cores_here()
    wanted = study.solver.ranks * cluster.simulations_at_once
    if wanted > cores and not cluster.oversubscribe:
        raise InputError(
            f"too few cores: {cluster.simulations_at_once} simulations at once of "
            f"{study.solver.ranks} ranks want {wanted}, there are {cores}; lower "
            "cluster.simulations_at_once or solver.ranks, or set cluster.oversubscribe=true"
        )
    if wanted > MOST_PER_CORE * cores:
        raise InputError(
            f"solver.ranks: {wanted} ranks at once on {cores} cores; expected {MOST_PER_CORE} a core "
            "at most, even with cluster.oversubscribe"
        )


def values(study: Study, planned: PlannedSimulation, start: Path | None = None) -> dict[str, Any]:
    """What one simulation is given: fixed options, drawn parameters, its seed, what it starts from."""
    given = {**study.solver.options, **planned.parameters}
    if start is not None:
        given["initial"] = str(start)
    if planned.seed is not None:
        given["seed"] = planned.seed
    return given


def jobs(
    study: Study,
    description: Description,
    several: Sequence[PlannedSimulation],
    run: RunDirectory,
) -> list[Job]:
    """One job a planned simulation, in launch order."""
    environ = {
        "OMP_NUM_THREADS": "1",
        environment.ENDPOINT: str(run.endpoint),
        environment.RUN: name_of(run),
        environment.SEND: json.dumps(study.solver.send.model_dump()),
    }
    local = study.cluster.kind == "local"
    # Ranks that wait for each other keep a core busy: they shall not take it from the trainer.
    polite = ["nice", "-n", "5"] if local and shutil.which("nice") else []

    def start(planned: PlannedSimulation) -> Path | None:
        return None if planned.start is None else copy_of(planned.start, run.initial)

    return [
        Job(
            simulation=planned.id,
            command=[
                *polite,
                *executable(description.path, study.solver.ranks),
                *description.arguments(values(study, planned, start(planned))),
            ],
            environment={**environ, environment.SIMULATION: str(planned.id)},
            run=str(run.path),
            ranks=study.solver.ranks,
            local=local,
            program=str(description.path),
        )
        for planned in several
    ]


def further_job(
    study: Study,
    description: Description,
    run: RunDirectory,
    number: int,
    parameters: Mapping[str, float],
) -> Job:
    """The job of a simulation that a design has drawn while others run.

    Raises:
        InputError: a parameter that the program does not have or take; as
            :func:`~sciml.study.designs.further`.
    """
    for name, value in parameters.items():
        description.check(name, value, value)
    return jobs(study, description, [further(study, number, parameters)], run)[0]
