"""Running a study from Python, and opening what a run left behind."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.ensemble.identity import identify
from sciml.ensemble.leader import Leader, is_led
from sciml.ensemble.stop import StopRequest
from sciml.errors import InputError
from sciml.report import card
from sciml.report.history import history, lines_of, validations
from sciml.run.about import about, shown
from sciml.run.directory import RunDirectory, read_json, write_json
from sciml.run.kept_files import keep, model_file, require_program, with_copy
from sciml.run.lineage import adopt, begin, current, propose, require_own
from sciml.run.snapshot import ENDED, Snapshot, complete
from sciml.share import find
from sciml.solver.mpirun import SEGMENT, SHARED, copy_number, has_shared_memory, refuse_ranks
from sciml.study.designs import PlannedSimulation, plan
from sciml.study.schema import Study, load_study
from sciml.study.starts import keep_starts
from sciml.training.figures import lines, remarks

if TYPE_CHECKING:
    import xarray as xr
    from torch import nn

    from sciml.report.figures import Figures
    from sciml.report.sheet import Sheet
    from sciml.solver.describe import Description
    from sciml.study.changes import Change
    from sciml.study.starts import Starts
    from sciml.surrogates import Surrogate


log = logging.getLogger("sciml.run")


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A run on disk, finished or not.

    >>> run = sciml.open_run("runs/quickstart")        # doctest: +SKIP
    >>> run.predictions["u"].isel(sample=0).plot(col="time")   # doctest: +SKIP
    """

    directory: RunDirectory

    def __repr__(self) -> str:
        return card.text(*about(self.directory, self.status))

    def _repr_html_(self) -> str:
        return card.html(*about(self.directory, self.status))

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def study(self) -> Study:
        return current(self.directory)

    @property
    def simulations(self) -> list[dict[str, Any]]:
        """Number, role, parameters and seed of every simulation planned."""
        return read_json(self.directory.simulations)

    @property
    def status(self) -> dict[str, Any]:
        """The last snapshot: frames, samples, simulations, state of the training; ``killed`` where
        whoever led the run is gone without a word."""
        if not self.directory.status.exists():
            return {}
        state = read_json(self.directory.status)
        if state.get("state") not in ENDED and not is_led(self.directory):
            state["state"], state["reason"] = "killed", "nobody leads it any more; resume it"
        return state

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One entry a validation: step, loss, errors one step ahead and those of persistence, of all
        fields and in ``fields`` of each: see :class:`sciml.training.Validation`."""
        return validations(lines_of(self.directory.metrics))

    @property
    def history(self) -> xr.Dataset:
        """Loss by step, and each field's errors by the steps of the validations: see
        :func:`sciml.report.history.history`.

        >>> run.history.loss.plot(yscale="log")                    # doctest: +SKIP
        >>> run.history.vrmse.sel(field="u").plot()                # doctest: +SKIP
        """
        return history(lines_of(self.directory.metrics))

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of the finished run.

        Raises:
            InputError: the run has not finished.
        """
        if not self.directory.summary.exists():
            raise InputError(f"{self.path} has no summary; the run did not finish")
        return read_json(self.directory.summary)

    @property
    def warnings(self) -> dict[int, list[dict[str, Any]]]:
        """What solver programs warned of, by simulation; the largest of each are in the summary."""
        path = self.directory.warnings
        return {int(n): warned for n, warned in read_json(path).items()} if path.exists() else {}

    @property
    def predictions(self) -> xr.Dataset:
        """Rollouts on the held-out simulations, and the truth (``<field>_true``) beside them; ``sample``
        is the number of the simulation."""
        import xarray as xr

        if not self.directory.predictions.exists():
            apart = sorted(self.path.glob(f"{self.directory.predictions.stem}-*.nc"))
            if apart:
                raise InputError(
                    f"{self.path} has a file of predictions for each of {len(apart)} simulations, whose "
                    f"times or domains differ: xr.open_dataset('{apart[0]}')"
                )
            raise InputError(f"{self.path} has no predictions; the run did not finish")
        return xr.open_dataset(self.directory.predictions, engine="h5netcdf")

    def plot(self, name: str | None = None) -> Figures | Sheet:
        """How it learned, how far off it is, and where: figures of matplotlib (extra ``plot``), which
        notebooks show; those that lie in ``figures/`` of the run.

        >>> run.plot("errors").savefig("errors.pdf")               # doctest: +SKIP

        Args:
            name: ``learning``, ``errors``, ``median`` or ``worst``; ``None``: all, by their names.

        Raises:
            InputError: no matplotlib; nothing to draw yet; an unknown name.
        """
        from sciml.report.figures import figures

        found = figures(self.path, name)
        return found if name is None else found[name]

    def surrogate(self) -> Surrogate:
        """The trained surrogate. Where a Python file of the user's builds its model, the run's own copy
        of it is run, of a run that this user made or whose files are there as they were.

        Raises:
            InputError: no surrogate; a run of somebody else's, or one of before, without a copy: name
                the file, ``sciml.load(path, model="my_net.py")``.
        """
        name = self.study.model.name
        if not name.endswith(".py"):
            return load(self.path, name)
        file = model_file(self.directory)
        if file is None:
            raise InputError(
                f"{self.path} keeps no copy of {name}, which builds its model and would be run (earlier "
                f"versions kept none); say that it may be: sciml evaluate RUN --model {name}, or "
                f"load(run, model='{name}')"
            )
        return load(self.path, file)


def run(
    study: str | Path | Study,
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    plain: bool | None = None,
) -> Run:
    """Run a study: solvers stream, the surrogate trains, a run directory comes out.

    Args:
        study: path of a study file (working directory first, then what ships with the package),
            or a study.
        out: run directory to make; default ``runs/<name>``, numbered if that is taken.
        overrides: ``"training.batch_size=8"``.
        plain: lines in place of the live display.

    Raises:
        InputError: anything in the study that cannot work, before anything is started.
        ScimlError: the trainer ended early.
        KeyboardInterrupt: asked to stop; the checkpoint is written.
    """
    loaded = study if isinstance(study, Study) else load_study(study, list(overrides))
    directory, code = execute(loaded, out, plain=plain)
    if code != 0:
        raise KeyboardInterrupt
    return Run(directory)


def train(
    study: str | Path | Study,
    data: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    stream: bool = False,
    epochs: int | None = None,
    group: str | None = None,
    plain: bool | None = None,
) -> Run:
    """Train a study on data that are there, without its solver; a run directory comes out.

    Args:
        study, out, overrides, plain: as for :func:`run`; the sections ``solver`` and ``parameters`` of
            the study may be left out.
        data: a recording, a run that recorded, a file (netCDF, zarr, HDF5 of The Well or PDEBench), a
            folder of them, a pattern such as ``"sims/*.nc"``, or a list; where it says a ``split``, that
            is respected.
        stream: replay once, in order of arrival, through the study's buffer; else epochs.
        epochs: passes over the samples; by default as many as the phases of the study take.
        group: of netCDF-4, HDF5 or zarr, in which the variables are.

    Raises:
        InputError: data or study that cannot work, before a directory is made.
        KeyboardInterrupt: asked to stop; the checkpoint is written.
    """
    from sciml.run.offline.training import train_offline

    loaded = study if isinstance(study, Study) else load_study(study, list(overrides), solver=False)
    directory, code = train_offline(
        loaded, data, out, stream=stream, epochs=epochs, group=group, plain=plain
    )
    if code != 0:
        raise KeyboardInterrupt
    return Run(directory)


def execute(
    study: Study, out: str | Path | None = None, *, plain: bool | None = None
) -> tuple[RunDirectory, int]:
    """Run a study; returns its directory and the exit code of `sciml run`."""
    from sciml.run.simulations import check, starts_of

    refuse_ranks()
    description = check(study)
    starts = starts_of(study, description)
    planned = plan(study, 0 if starts is None else len(starts))
    directory = RunDirectory.create(free_name(study.name) if out is None else out)
    try:
        with Leader(directory) as leader:
            identify(directory)
            if starts is not None:
                keep_starts(starts, {p.start for p in planned}, directory.initial)
            write_plan(directory, planned, starts)
            write_json(directory.solver, description.schema)
            keep(directory, study, description.path)
            # Last: where study.yaml lies, there is a run that can be resumed.
            begin(directory, study)
            code = supervise(study, description, planned, directory, leader, plain=plain)
    finally:
        if not directory.study.exists():  # told to end before there was anything to go on with
            shutil.rmtree(directory.path, ignore_errors=True)
    return directory, code


def resume(
    path: str | Path,
    study: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    force: bool = False,
    trust: bool = False,
    plain: bool | None = None,
) -> tuple[RunDirectory, int]:
    """Go on with a run that was interrupted or killed; returns its directory and the exit code.

    What is left of its processes is ended first. Simulations that have ended well are not run again,
    frames that the spool holds are not sent again, and training goes on from the last checkpoint.

    Args:
        path: run directory.
        study, overrides, force: another study to go on with; see
            :func:`sciml.run.lineage.propose`.
        trust: run what the folder names, though somebody else made it, or could have written to it.
        plain: lines in place of the live display.

    Raises:
        InputError: no run, one that has finished, one that is running, another study, or a folder of
            somebody else's.
    """
    from sciml.ensemble.job import reap
    from sciml.ensemble.slurm import cancel_left
    from sciml.run.simulations import check, kept_plan

    refuse_ranks()
    directory = RunDirectory.open(path)
    if not trust:
        require_own(directory)
    with Leader(directory, lambda line: print(line, file=sys.stderr)) as leader:
        identify(directory)
        cancel_left(current(directory), directory)
        if directory.summary.exists() and not lacking(read_json(directory.summary)):
            reap(directory)
            if not complete(directory):
                raise InputError(
                    f"{path} has finished; nothing to resume (see sciml evaluate {path})"
                )
            print(figures(read_json(directory.summary), Run(directory).metrics))
            return directory, 0
        loaded, changed = propose(directory, study, overrides, force=force)
        # Before the program is asked what it is: that runs it.
        require_program(directory, find(loaded.solver.program), force=force)
        description = check(with_copy(directory, loaded, trusted=trust), directory)
        reap(directory)
        directory.summary.unlink(missing_ok=True)  # simulations are lacking in it
        adopt(directory, loaded, changed)
        tell(changed)
        planned = kept_plan(loaded, directory)
        code = supervise(loaded, description, planned, directory, leader, plain=plain)
    return directory, code


def supervise(
    study: Study,
    description: Description,
    planned: Sequence[PlannedSimulation],
    directory: RunDirectory,
    leader: Leader,
    *,
    plain: bool | None,
) -> int:
    """Run what has not been run of a study in its directory; returns the exit code."""
    from sciml.ensemble.cluster import opened
    from sciml.ensemble.job import finished_jobs
    from sciml.report.progress import Progress
    from sciml.run.simulations import jobs
    from sciml.run.supervisor import Supervisor

    finished = finished_jobs(directory)
    with ExitStack() as over:
        with Progress(f"{study.name}: {shown(directory.path)}", plain=plain) as display:
            with (
                _failure_told(directory),
                opened(study, directory, leader.lost.is_set) as (cluster, queue),
            ):
                ranks = study.solver.ranks
                if study.cluster.kind == "local" and ranks > 1 and not has_shared_memory(ranks):
                    display.say(
                        f"warning: {SHARED} has no room for {ranks} ranks, {SEGMENT >> 20} MB each: "
                        f"they talk by files in {tempfile.gettempdir()}; a container gets more by "
                        "--shm-size"
                    )
                work = jobs(study, description, planned, directory)
                training = {p.id for p in planned if p.role == "train"}
                supervisor = Supervisor(
                    study, directory, leader, work, training, cluster, display, finished, queue
                )
                code = supervisor.run()
                # What a batch system says from here on changes nothing of how the run has ended.
                over.enter_context(StopRequest())
            for line in supervisor.warnings:
                display.say(f"warning: {line}")
            if code == 0:
                summary = read_json(directory.summary)
                for line in shortcomings(study, summary, supervisor.given_up):
                    display.say(f"warning: {line}")
        if code == 0:
            print(figures(summary, Run(directory).metrics))
            print(left_behind(directory))
    return code


@contextmanager
def _failure_told(directory: RunDirectory) -> Iterator[None]:
    """The status of a run that ends before it has begun says why."""
    try:
        yield
    except Exception as error:
        if not directory.status.exists():
            state = {"state": "failed", "reason": str(error) or type(error).__name__}
            write_json(directory.status, Snapshot(trainer=state).to_json())
        raise


def left_behind(directory: RunDirectory) -> str:
    """Draw the figures of a run that has finished; what lies where, in a line."""
    from sciml.report.figures import leave

    drawn = leave(directory.path, log)
    what = (
        "surrogate, metrics, predictions and figures"
        if drawn
        else "surrogate, metrics and predictions"
    )
    return f"{what}: {shown(directory.path)}"


def shortcomings(study: Study, summary: dict[str, Any], given_up: int) -> list[str]:
    """What a run that finished did not do of what the study asked for."""
    lines = []
    if given_up:
        lines.append(
            f"{given_up} simulations were given up: what is learned lacks their part of the design"
        )
    if missing := summary["frames"]["missing"]:
        short = list(summary["simulations"]["short"])
        some = ", ".join(short[:5]) + (", …" if len(short) > 5 else "")
        lines.append(
            f"{missing} of {summary['frames']['expected']} frames never came: {len(short)} simulations "
            f"ended well with fewer than they should have sent ({some}); see logs/ in the run"
        )
    planned = study.training.steps
    if planned and summary["steps"] < planned:
        lines.append(
            f"the stream fed {summary['steps']} of {planned} steps; raise buffer.draws or "
            "parameters.simulations, or lower training.phases"
        )
    return lines


def lacking(summary: dict[str, Any]) -> list[int]:
    """Planned simulations that have no outcome in a summary; runs of before did not say."""
    return (summary.get("simulations") or {}).get("lacking", [])


def tell(changed: Sequence[Change]) -> None:
    """What a resumed run does otherwise from now on."""
    for change in changed:
        print(f"changed: {change}", file=sys.stderr)


def open_run(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        InputError: there is no run.
    """
    return Run(RunDirectory.open(path))


def load(path: str | Path, model: nn.Module | str | Path | None = None) -> Surrogate:
    """The surrogate of a run directory, one that :meth:`Surrogate.save` wrote, or that of the newest
    checkpoint of ``fit(directory=...)``.

    Args:
        path: of any of them.
        model: where it is one of your own: an instance built alike, or its name, such as the file of its
            ``build``, which is run.

    Raises:
        InputError: there is none of them.
    """
    from sciml.surrogates import Surrogate
    from sciml.training.checkpoint import Checkpoints

    path = Path(path)
    for folder in (path / "surrogate", path):
        if (folder / "surrogate.json").is_file():
            return Surrogate.load(folder, model)
    newest = Checkpoints(path).newest_path()
    if newest is not None:
        return Surrogate.load(newest, model)
    raise InputError(f"{path} holds no surrogate; expected a finished run or a saved surrogate")


def free_name(name: str) -> Path:
    """``runs/<name>``, or the first of ``runs/<name>-2``, ``-3``, … that is not there.

    Raises:
        InputError: this is one of several copies that ``srun`` or ``mpirun`` started: each would do all
            of it.
    """
    copy = copy_number()
    if copy is not None and copy[0]:
        raise InputError(
            f"copy {copy[0] + 1} of {copy[1]} that srun or mpirun started, without an --out of its own: "
            "the first goes on alone; start sciml once, it starts mpirun by itself"
        )
    path, number = Path("runs") / name, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{name}-{number}"
    return path


def write_plan(
    directory: RunDirectory, planned: Sequence[PlannedSimulation], starts: Starts | None = None
) -> None:
    entries = []
    for p in planned:
        entry = {"id": p.id, "role": p.role, "parameters": dict(p.parameters), "seed": p.seed}
        if starts is not None and p.start is not None:
            entry["initial"] = str(starts.states[p.start])
        entries.append(entry)
    write_json(directory.simulations, entries)


def figures(summary: dict[str, Any], metrics: Sequence[dict[str, Any]] = ()) -> str:
    """The result of a run in a few lines, with what is wrong with it by its figures."""
    found = [f"trained {summary['steps']} steps"]
    if summary.get("loss") is not None:
        found[0] += f", last loss {summary['loss']:.2e}"
    unseen = f"on {summary.get('validation_simulations')} unseen simulations"
    found += lines(summary, unseen)
    first = summary.get("first_step") or {}
    if first:
        found.append(
            f"first gradient step when {first['simulations_started']} of "
            f"{first['simulations_planned']} simulations had started"
        )
    found += [f"warning: {line}" for line in remarks(summary, metrics)]
    return "\n".join(found)
