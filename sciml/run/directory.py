"""A run directory: where each thing of a run lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sciml.ensemble.folders import JobFolders, place
from sciml.errors import InputError
from sciml.solver.mpirun import copy_number


@dataclass(frozen=True, slots=True)
class RunDirectory(JobFolders):
    """Paths within a run.

    ::

        study.yaml          the study as it ran, every default written out
        lineage.json        which study it was trained by, and from which step on
        simulations.json    drawn parameters, seed and role of every simulation
        initial/            copies of the states that they start from, with parameters.files
        solver.json         what the program said of itself
        run.json            which run it is: a copy becomes another
        endpoint.json       where the trainer listens, and the keys (readable by the owner only)
        status.json         how far it is: what `sciml status` prints
        metrics.jsonl       the loss every few steps, and a line a validation
        warnings.json       what solver programs warned of, by simulation, where any did
        files.json          what the run ran: checksums of model file and solver program
        files/              copy of a model file of the user's, and of what it imports from beside it
        cluster/            key and certificate of dask's scheduler, while worker jobs of Slurm's run
        recording/          every frame that came, with record: true; what ``sciml train`` takes
        replay.json         of a run without a stream: what it was trained on, and how
        validation/         the simulations that training never sees, a netCDF file each
        predictions.nc      rollouts of the surrogate beside the truth
        figures/            the same as pictures, and how it learned
        surrogate/          weights, normalizer, task, domain: what ``sciml.load`` opens
        checkpoints/        the last ones and the best
        summary.json        the figures of the run
        spool/  pids/  logs/
    """

    study = place("study.yaml")
    lineage = place("lineage.json")
    simulations = place("simulations.json")
    initial = place("initial")
    solver = place("solver.json")
    files = place("files")
    endpoint = place("endpoint.json")
    status = place("status.json")
    #: The trainer's snapshot as it ended: the supervisor may have asked just before.
    last_words = place("logs", "trainer.json")
    metrics = place("metrics.jsonl")
    warnings = place("warnings.json")
    validation = place("validation")
    recording = place("recording")
    replay = place("replay.json")
    predictions = place("predictions.nc")
    surrogate = place("surrogate")
    checkpoints = place("checkpoints")
    summary = place("summary.json")
    spool = place("spool")

    @classmethod
    def create(cls, path: str | Path) -> RunDirectory:
        """Make a new run directory.

        Raises:
            InputError: something lies there already.
        """
        path = Path(path)
        require_free(path)
        run = cls(path.resolve())
        try:
            for folder in (run.spool, run.pids, run.logs, run.validation, run.checkpoints):
                folder.mkdir(parents=True)
        except OSError as error:
            raise InputError(
                f"output {path} cannot be made: {error.strerror}; name another"
            ) from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """An existing run directory.

        Raises:
            InputError: there is no run.
        """
        run = cls(Path(path).resolve())
        if not run.study.is_file():
            raise InputError(f"{path} is no run directory; expected one that `sciml run` made")
        return run


def require_free(path: Path) -> None:
    """That nothing lies there.

    Raises:
        InputError: something does, or no file system takes such a name.
    """
    try:
        there = path.exists()
    except OSError as error:
        raise InputError(
            f"output {str(path)[:60]}… cannot be made: {error.strerror}; name another"
        ) from error
    if there:
        raise InputError(
            f"output {path} exists; name another with --out, or remove it (nothing was touched)"
        )


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
