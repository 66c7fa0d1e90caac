"""Where the solver jobs of a study run: this machine, jobs of Slurm's, or a dask scheduler."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sciml.ensemble.addresses import listening_address
from sciml.ensemble.folders import JobFolders
from sciml.ensemble.slurm import WorkerJobs
from sciml.study.schema import Study

log = logging.getLogger("sciml.ensemble")

#: Where dask opens pages of its own until they are closed: on the loopback, at any port.
NOWHERE = "127.0.0.1:0"


@contextmanager
def opened(
    study: Study, run: JobFolders, lost: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Any, WorkerJobs | None]]:
    """The cluster of a study while its run is led: what dask's client takes, and the worker jobs in
    Slurm's queue, if that is where they come from.

    Args:
        study: says which.
        run: its directory.
        lost: whether another leads the run by now.

    Raises:
        InputError: the first worker job was refused.
    """
    settings = study.cluster
    if settings.kind == "address":
        yield settings.address, None
        return
    if settings.kind == "local":
        cluster = local_cluster(settings.simulations_at_once)
        try:
            yield cluster, None
        finally:
            close_cluster(cluster)
        return
    from sciml.ensemble.certificate import make_certificate, security

    make_certificate(run.keys)
    host = listening_address(settings.interface, study.stream.host)
    cluster = _dask(0, protocol="tls://", host=host, security=security(run.keys))
    try:
        # A copy: dask changes it from a thread of its own.
        with WorkerJobs(
            study, run, cluster.scheduler_address,
            lambda: {worker.name for worker in list(cluster.scheduler.workers.values())}, lost,
        ) as jobs:  # fmt: skip
            yield cluster, jobs
    finally:
        close_cluster(cluster)
        if not lost():
            shutil.rmtree(run.keys, ignore_errors=True)


def local_cluster(jobs_at_once: int) -> Any:
    """A dask cluster inside this process: a thread a job slot, and no worker that could die before it.

    A thread only waits for its job, so threads lose nothing to processes. What is said between
    scheduler and workers never leaves the process, and nothing of it listens.
    """
    return _dask(jobs_at_once, protocol="inproc://", resources={"sim": 1})


def _dask(workers: int, **settings: Any) -> Any:
    """dask's scheduler in this process, with so many workers."""
    import dask
    from distributed import LocalCluster

    routes = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    with dask.config.set({"distributed.admin.log-format": "%(message)s", **routes}):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address=NOWHERE,
            worker_dashboard_address=NOWHERE,
            scheduler_kwargs={"dashboard": False},
            silence_logs=50,
            memory_limit=0,
            **settings,
        )
    cluster.sync(_close_pages, [cluster.scheduler, *cluster.workers.values()])
    return cluster


async def _close_pages(nodes: Sequence[Any]) -> None:
    """dask opens pages of statistics, on the loopback, whatever its options say."""
    for node in nodes:
        node.http_server.stop()


def close_cluster(cluster: Any, patience: float = 5.0) -> None:
    """End a cluster. One that is slow to end, on a busy machine, takes nothing away from a run that
    has ended: neither its exit code nor its last status."""
    try:
        cluster.close(timeout=patience)
    except TimeoutError:
        log.warning("the threads that start solvers took longer than %g s to end", patience)
