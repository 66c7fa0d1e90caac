"""Training without solvers: a recording, or any netCDF data, instead of the stream."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from sciml.domain import Grid
from sciml.domain.levels import written_out
from sciml.ensemble.folders import read_json, write_json
from sciml.ensemble.identity import identify
from sciml.ensemble.leader import Leader
from sciml.ensemble.stop import StopRequest
from sciml.errors import InputError
from sciml.record import Foreign, Trajectories, Windows, open_trajectories
from sciml.record.time_cut import CutInTime, cut_of
from sciml.report.progress import Progress
from sciml.run.conclusion import figures, left_behind
from sciml.run.directory import RunDirectory, free_name
from sciml.run.feasibility import check_device, check_model
from sciml.run.held_out import HeldOut
from sciml.run.kept_files import keep, model_file, with_conditions
from sciml.run.lineage import adopt, begin, print_changes, propose
from sciml.run.offline.plan import Replay
from sciml.run.offline.solutions import against, held_against, undetermined
from sciml.run.offline.status import Teller
from sciml.run.one_domain import joined_with
from sciml.run.results import Run
from sciml.run.snapshot import complete, is_left, refuse_finished
from sciml.samples.reach import Far, those_far
from sciml.samples.seams import FRAMES, SIMULATIONS, seams, spread
from sciml.samples.splits import (
    LAST,
    PART,
    SHARED,
    TEST,
    TOO_SHORT,
    TRAIN,
    VALIDATION,
    drawn,
    require_training,
    role_of,
    shared_frames,
)
from sciml.solver.mpirun import refuse_ranks
from sciml.study.schema import Study

#: Exit code; others are those of :class:`~sciml.ensemble.stop.StopRequest`.
FINISHED = 0
#: What ``replay.json`` holds.
SCHEMA_VERSION = 1
#: Lines about data that are shown; folders may have thousands of files.
REMARKS = 5


def train_offline(
    study: Study,
    data: str | Path | Sequence[str | Path] | None,
    out: str | Path | None = None,
    *,
    stream: bool = False,
    epochs: int | None = None,
    group: str | None = None,
    plain: bool | None = None,
    stop: threading.Event | None = None,
) -> tuple[RunDirectory, int]:
    """Train a study on data that are there; leaves the directory that a run leaves.

    Simulations that the data hold out (a split, or the roles of a recording) are validated on and
    never trained on, those for testing left alone. Where nothing says which to validate on,
    ``validation.simulations`` of them are held out, drawn with the seed; of a single one, its last
    times, as :func:`sciml.fit` does.

    Args:
        study: task, model, buffer, training and validation; its solver is not started.
        data: a recording, a run that recorded, a file of others, a folder of them, a pattern or a list;
            ``None``: the study learns from an equation alone.
        out: run directory to make; default ``runs/<name>``, numbered if that is taken.
        stream, epochs, group: see :class:`Replay`.
        plain: lines in place of the live display.
        stop: when set, training ends with a checkpoint.

    Returns:
        The run directory and the exit code: 0 finished, 130 or 75 stopped with a checkpoint.

    Raises:
        InputError: data or study that cannot work, before a directory is made.
    """
    listed = _listed(study, data)
    check_device(study)
    check_model(study, None)
    grid, cut, meant = None, None, study
    if listed is None:
        replay = Replay(None)
        trajectories, grid = held_against(study)
        roles = dict.fromkeys(trajectories.ids, VALIDATION)
    else:
        absolute = [os.path.abspath(path) for path in listed]
        replay = Replay(absolute[0] if len(absolute) == 1 else absolute, stream, epochs, group)
        whole = open_trajectories(replay.data, study.task.build(), group)
        trajectories, roles, cut = split_of(whole, study)
        meant = _written_out(study, trajectories)
        Windows(trajectories, _of(roles, TRAIN), meant.task.build())
        training = _of(roles, TRAIN)
        scope = None
        for number in (*training, *roles):
            scope = joined_with(scope, number, trajectories.simulation(number).domain)
        first = trajectories.simulation(training[0])
        check_model(meant, first.domain, (*first.fields, *first.static_fields))
    run = RunDirectory.create(free_name(study.name) if out is None else out)
    with Leader(run):
        identify(run)
        _begin(run, study, replay, trajectories, roles, cut)
        meant = with_conditions(run, meant)
        return _train(run, meant, replay, trajectories, roles, plain, stop, grid)


def _listed(study: Study, data: Any) -> Sequence[str | os.PathLike[str]] | None:
    """Paths of the data; ``None`` where a study learns from points alone.

    Raises:
        InputError: no data for a study that needs some, or the other way round; no paths.
    """
    if study.training.fed is not None and data is None:
        raise InputError("expected a study and --from DATA, or --resume RUN")
    if study.training.fed is None and data is not None:
        raise InputError(
            f"training.sources: {', '.join(study.training.sources)} are points, and nothing would be "
            "trained on the data; add a source of kind: data, or name them as validation.data and take "
            "sciml run STUDY"
        )
    if data is None:
        return None
    listed = [data] if isinstance(data, str | os.PathLike) else data
    if not isinstance(listed, Sequence) or not all(
        isinstance(one, str | os.PathLike) for one in listed
    ):
        raise InputError(
            f"data of type {type(data).__name__}; expected the path of a recording, a file or a folder: "
            "ds.to_netcdf(path) writes a dataset, sciml.fit takes it as it is"
        )
    return listed


def _begin(
    run: RunDirectory,
    study: Study,
    replay: Replay,
    trajectories: Trajectories,
    roles: Mapping[int, str],
    cut: int | None,
) -> None:
    """Write down what a new run is trained by, and on."""
    keep(run, study)
    begin(run, study)
    plan = [
        {
            "id": number,
            "role": role,
            "parameters": dict(trajectories.simulation(number).parameters),
            "seed": trajectories.about(number).get("seed"),
        }
        for number, role in roles.items()
    ]
    unread = sorted({*trajectories.roles} - {*roles})
    plan += [{"id": n, "role": TEST, "parameters": {}, "seed": None} for n in unread]
    write_json(run.simulations, plan)
    write_json(
        run.replay,
        {
            "schema_version": SCHEMA_VERSION,
            "from": replay.data,
            **({} if replay.group is None else {"group": replay.group}),
            **({} if cut is None else {"cut": cut}),
            "stream": replay.stream,
            "epochs": replay.epochs,
            "identity": trajectories.identity,
        },
    )


def _written_out(study: Study, trajectories: Trajectories) -> Study:
    """The study with names of its task written out as fields of these data."""
    if not trajectories.channels:
        if study.task.levels == "channels":
            raise InputError(
                "task.levels: channels, and the data are a recording, whose fields have no levels; "
                "leave it away"
            )
        return study
    task = study.task.of_fields(trajectories.channels)
    weights = written_out(study.training.field_weights, trajectories.channels)
    training = study.training.model_copy(update={"field_weights": dict(weights)})
    return study.model_copy(update={"task": task, "training": training})


def resume_offline(
    run: str | Path | RunDirectory,
    study: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    force: bool = False,
    plain: bool | None = None,
    stop: threading.Event | None = None,
) -> tuple[RunDirectory, int]:
    """Go on with an offline run from its newest checkpoint; on the CPU bitwise as if it had never
    been interrupted.

    Args:
        run: run directory.
        study, overrides, force: another study to go on with; see
            :func:`sciml.run.lineage.propose`.
        plain, stop: see :func:`train_offline`.

    Raises:
        InputError: no offline run, one that has finished, another study, or data that are not what
            they were.
    """
    refuse_ranks()
    run = run if isinstance(run, RunDirectory) else RunDirectory.open(run)
    if not is_offline(run):
        raise InputError(f"{run.path} holds no {run.replay.name}; expected a run of `sciml train`")
    if run.summary.exists():
        if is_left(run):
            refuse_finished(run)
        with Leader(run):
            complete(run)
        return run, FINISHED
    model_file(run)  # is looked at before anything is read or written
    loaded, changed = propose(run, study, overrides, force=force)
    noted = read_json(run.replay)
    replay = Replay(noted["from"], noted["stream"], noted["epochs"], noted.get("group"))
    grid, copied = None, with_conditions(run, loaded)
    if replay.data is None:
        trajectories, grid = held_against(copied)
    else:
        trajectories = open_trajectories(replay.data, loaded.task.build(), replay.group)
    if trajectories.identity != noted["identity"]:
        what = replay.data or loaded.validation.data or "the exact solution"
        raise InputError(
            f"{what} is not what {run.path} was begun with; put the data back, or start anew"
        )
    if (cut := noted.get("cut")) is not None:
        trajectories = CutInTime(trajectories, trajectories.ids[0], cut)
    with Leader(run, lambda line: print(line, file=sys.stderr)):
        identify(run)
        adopt(run, loaded, changed)
        print_changes(changed)
        plan = {entry["id"]: entry["role"] for entry in read_json(run.simulations)}
        roles = {number: plan[number] for number in trajectories.ids}
        meant = _written_out(copied, trajectories)
        return _train(run, meant, replay, trajectories, roles, plain, stop, grid)


def is_offline(run: RunDirectory) -> bool:
    """Whether a run directory is one of `sciml train`."""
    return run.replay.is_file()


def split_of(
    trajectories: Trajectories, study: Study
) -> tuple[Trajectories, dict[int, str], int | None]:
    """What is trained on and what is held out: simulations, their roles, and where a single one is cut.

    Where the data do not say which to validate on, ``validation.simulations`` of those for training are
    held out, drawn with the seed; of a single one its last times.

    Raises:
        InputError: nothing is left to train on, or roles that are not understood.
    """
    roles = {}
    for number in trajectories.ids:
        said = trajectories.roles.get(number, TRAIN)
        roles[number] = role_of(said)
        if roles[number] is None:
            raise InputError(
                f"simulation {number} has the role {said!r}; expected train, validation or test"
            )
    # What is for testing may have a number and not be there.
    said = getattr(trajectories, "split", "") or "the split of the data"
    require_training({*roles.values(), *trajectories.roles.values()}, said)
    training = _of(roles, TRAIN)
    if VALIDATION in roles.values() or not study.validation.simulations:
        return trajectories, roles, None
    if len(training) > 1:
        held = min(study.validation.simulations, len(training) - 1)
        return (
            trajectories,
            roles | dict.fromkeys(drawn(training, held, study.seed), VALIDATION),
            None,
        )
    cut = cut_of(trajectories, training[0], study.task.build(), PART)
    if cut is None:
        return trajectories, roles, None
    apart = CutInTime(trajectories, training[0], cut)
    return apart, roles | {apart.later: VALIDATION}, cut


def held_out(trajectories: Trajectories, roles: Mapping[int, str], study: Study) -> str:
    """What is held out, and why, in a line."""
    if isinstance(trajectories, CutInTime):
        return f"held out: {LAST.format(len(trajectories.order(trajectories.later).steps))}"
    count = {role: len(_of(roles, role)) for role in (TRAIN, VALIDATION)}
    tested = [n for n, role in {**trajectories.roles, **roles}.items() if role_of(role) == TEST]
    said = VALIDATION in map(role_of, trajectories.roles.values())
    why = "as the data say" if said else f"drawn with seed {study.seed}"
    line = f"{count[TRAIN]} simulations for training, {count[VALIDATION]} held out"
    line += f", {why}" if count[VALIDATION] else ""
    return line + (f"; {len(tested)} for testing are left alone" if tested else "")


def _alike(trajectories: Foreign, roles: Mapping[int, str]) -> str:
    """What is wrong with what is held out, if anything."""
    training, held = (
        [(trajectories.simulation(n), list(trajectories.frames(n))) for n in _of(roles, role)]
        for role in (TRAIN, VALIDATION)
    )
    shared = shared_frames(training, held)
    return SHARED.format(shared, len(held)) if shared else ""


def _train(
    run: RunDirectory,
    study: Study,
    replay: Replay,
    trajectories: Trajectories,
    roles: dict[int, str],
    plain: bool | None,
    stop: threading.Event | None,
    grid: Grid | None = None,
) -> tuple[RunDirectory, int]:
    from sciml.report.card import shown
    from sciml.run.offline.replay import Replaying  # torch from here on
    from sciml.surrogates.threads import threads

    stop = stop or threading.Event()
    with (
        Progress(f"{study.name}: {shown(run.path)}", plain=plain) as display,
        StopRequest(stop) as asked,
        threads(study.training.threads),
    ):
        if grid is not None:
            display.say(against(study, trajectories))
            if said := undetermined(study):
                display.say(f"warning: {said}")
        else:
            display.say(held_out(trajectories, roles, study))
            if VALIDATION not in roles.values() and study.validation.simulations:
                display.say(f"warning: {TOO_SHORT}")
        if isinstance(trajectories, Foreign) and (alike := _alike(trajectories, roles)):
            display.say(f"warning: {alike}")
        carried = trajectories.warnings
        for found in carried:
            display.say(f"warning: the solver of these data: {found.line()}")
        teller = Teller(run, display, len(roles), study)
        for line in trajectories.remarks[:REMARKS]:
            teller.say(line)
        if (more := len(trajectories.remarks) - REMARKS) > 0:
            teller.say(f"and {more} more lines of that kind")
        if left := trajectories.varying(study.task.build()):
            teller.say(f"parameters vary and are not inputs: {left}; task.parameters makes them so")
        for line in trajectories.doubts[:REMARKS]:
            teller.say(f"warning: {line}")
        for line in _seams(trajectories, _of(roles, TRAIN)):
            teller.say(f"warning: {line}")
        teller.state["warnings"] = [found.to_json() for found in carried]
        frames = sum(len(trajectories.order(number).steps) for number in roles)
        teller.state["frames"] = {"produced": frames, "received": frames}
        heldout = HeldOut(run.validation, trajectories.units)
        far = _far(run, trajectories, roles, study)
        for number, one in far.items():
            display.say(f"warning: {one.line(number)}")
        for number in _of(roles, VALIDATION):
            if number in far and not far[number].trainable:
                continue
            heldout.open(trajectories.simulation(number))
            for frame in trajectories.frames(number):
                heldout.push(frame)
            heldout.close(number)
        training = [n for n in _of(roles, TRAIN) if n not in far or far[n].trainable]
        try:
            replaying = Replaying(
                run, study, trajectories, training, heldout, teller.progress, far, grid
            )
            replaying.train(replay, stop, teller)
        except BaseException as error:
            teller.state["reason"] = str(error) or type(error).__name__
            teller.tell("failed", force=True)
            raise
        if stop.is_set() and not replaying.complete:
            teller.tell("stopped", force=True)
            display.say(f"stopped; a checkpoint is in {shown(run.path)}: resume with")
            display.say(
                f"  sciml {'train --resume' if grid is None else 'resume'} {shown(run.path)}"
            )
            return run, asked.code
        teller.tell("validating", force=True)
        replaying.finish(warnings=[found.to_json() for found in carried])
        teller.tell("finished", force=True)
        display.say(figures(read_json(run.summary), Run(run).metrics))
        display.say(left_behind(run))
    return run, FINISHED


def _far(
    run: RunDirectory, trajectories: Trajectories, roles: Mapping[int, str], study: Study
) -> dict[int, Far]:
    """Simulations that are far outside of the others; looked for once, since it takes all data."""
    noted = read_json(run.replay)
    if "far" not in noted:
        numbers = [number for number, role in roles.items() if role != TEST]
        frames = (frame for number in numbers for frame in trajectories.frames(number))
        far_ones = those_far(frames, study.task.build().moving)
        noted["far"] = [[number, *astuple(far)] for number, far in far_ones.items()]
        write_json(run.replay, noted)
    return {number: Far(*far) for number, *far in noted["far"]}


def _seams(trajectories: Trajectories, training: Sequence[int]) -> list[str]:
    """Axes that are marked periodic and are none, by some frames of the training."""
    return seams(
        (
            trajectories.simulation(number),
            [
                trajectories.frame(number, int(step))
                for step in spread(trajectories.order(number).steps, FRAMES)
            ],
        )
        for number in spread(training, SIMULATIONS)
    )


def _of(roles: Mapping[int, str], role: str) -> tuple[int, ...]:
    return tuple(number for number, is_ in sorted(roles.items()) if is_ == role)
