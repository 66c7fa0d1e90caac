"""A worker in a job of a batch system: runs one simulation after the other while its time lasts.

``python -m sciml.ensemble.worker ADDRESS --keys FOLDER --name NAME --walltime SECONDS``

It leaves before its time limit once what is left is less than its longest simulation took, so that none
is cut off at each limit; dask's own ``--lifetime`` ends whatever runs. It listens at the address of its
node by which the scheduler is reached, and at no other.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dask
from distributed import Worker, WorkerPlugin
from distributed.comm.addressing import get_address_host
from distributed.core import Status
from distributed.utils import get_ip

from sciml.ensemble.certificate import security
from sciml.ensemble.job import leaving
from sciml.ensemble.slurm import UNREACHED

#: Seconds in which the scheduler must answer.
PATIENCE = 60.0
#: Seconds between looks at the clock.
LOOK_EVERY = 0.5
#: Simulations of one study differ: room for one that takes so much longer than the longest so far.
ALLOWANCE = 1.25
#: Seconds that a worker takes to start, and to leave.
MARGIN = 20.0
#: Part of the time limit within which workers that began together leave: not all at once.
STAGGER = 0.1


class SimulationClock(WorkerPlugin):
    """How long simulations take here.

    Args:
        seconds: until the time limit of its job.
    """

    name = "clock"

    def __init__(self, seconds: float) -> None:
        limit = time.monotonic() + seconds - MARGIN
        self._deadline = limit - random.uniform(0.0, STAGGER * seconds)
        self._began: dict[str, float] = {}
        self._longest = 0.0

    def transition(self, key: str, start: str, finish: str, **kwargs: Any) -> None:
        """dask's word that a task of its goes from one state to another."""
        if finish == "executing":
            self._began[key] = time.monotonic()
        elif start == "executing" and key in self._began:
            self._longest = max(self._longest, time.monotonic() - self._began.pop(key))

    @property
    def spent(self) -> bool:
        """Whether another simulation would be cut off; never before the first has ended."""
        left = self._deadline - time.monotonic()
        return self._longest > 0.0 and left < ALLOWANCE * self._longest

    @property
    def busy(self) -> bool:
        return bool(self._began)


async def work(address: str, keys: Path, name: str, walltime: float) -> None:
    """Serve a scheduler until it is gone, the time is spent, or SIGTERM comes."""
    clock = SimulationClock(walltime)
    term = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, term.set)
    with (
        tempfile.TemporaryDirectory(prefix="sciml-worker-", ignore_cleanup_errors=True) as scratch,
        dask.config.set({"distributed.worker.http.routes": []}),
    ):
        async with Worker(
            address,
            nthreads=1,
            name=name,
            resources={"sim": 1},
            security=security(keys),
            protocol="tls://",
            host=get_ip(get_address_host(address)),
            dashboard=False,
            dashboard_address="127.0.0.1:0",
            death_timeout=PATIENCE,
            memory_limit=0,
            local_directory=scratch,
            plugins=[clock],
        ) as worker:
            worker.http_server.stop()  # dask opens it whatever its options say
            print(f"{name} at {worker.address}, for the scheduler at {address}", flush=True)
            while worker.status in (Status.running, Status.paused) and not term.is_set():
                if clock.spent and worker.status == Status.running:
                    worker.status = Status.paused  # takes no more
                # What has ended stays until it was fetched: it would be run again elsewhere.
                if worker.status == Status.paused and not clock.busy and not worker.data:
                    print("too little time is left for a simulation: leaving", flush=True)
                    await worker.close_gracefully(reason="time is spent")
                    return
                await asyncio.sleep(LOOK_EVERY)
            # Its solver ends with it, which is not to be reported as a failure.
            leaving.set()
            print("asked to end" if term.is_set() else "the scheduler is gone", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sciml.ensemble.worker")
    parser.add_argument("address")
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--walltime", type=float, required=True)
    given = parser.parse_args()
    try:
        asyncio.run(work(given.address, given.keys, given.name, given.walltime))
    except (OSError, TimeoutError) as error:
        sys.exit(
            f"{given.name}: error: the scheduler at {given.address} {UNREACHED} "
            f"({type(error).__name__}: {error})"
        )


if __name__ == "__main__":
    main()
