"""Outputs of a surrogate at all times of datasets: windows, batches of them, and what comes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sciml.domain import Domain, Grid, Particles
from sciml.domain.inference import domain_of
from sciml.domain.layout import Layout, point_dim
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.samples.dataset import parameter_of, simulations_of
from sciml.surrogates.arrangement import Arrangement
from sciml.surrogates.batch import Batch, suited
from sciml.surrogates.clock import Clock
from sciml.surrogates.collation import collate
from sciml.surrogates.compatibility import require_masks
from sciml.surrogates.findings import Findings
from sciml.surrogates.forcing import KnownForcing
from sciml.surrogates.query import Query

if TYPE_CHECKING:
    import xarray as xr

    from sciml.surrogates.physical_model import PhysicalModel


@dataclass(frozen=True, slots=True)
class Asked:
    """A caller's dataset as the surrogate sees it, and the times that predictions begin from."""

    arrangement: Arrangement
    ds: xr.Dataset
    alone: bool
    layout: Layout
    order: np.ndarray
    clock: Clock
    known: KnownForcing
    origins: list[int]

    @property
    def samples(self) -> int:
        return self.ds.sizes[self.layout.sample] if self.layout.sample else 1


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an output belongs: its dataset, the sample there, the row of its origin; and a number that
    the sample has for people."""

    dataset: int
    sample: int
    row: int
    number: int


def evaluated(
    surrogate: PhysicalModel,
    task: Task,
    asked: Sequence[Asked],
    unroll: int,
    batch_size: int,
    findings: Findings,
    query: Query | None = None,
) -> list[dict[str, np.ndarray]]:
    """Outputs by target of each dataset, ``(sample, origin, unroll, …)``; NaN where a simulation has
    ended."""
    weight = next(surrogate.parameters(), torch.empty(0))
    found: list[dict[str, np.ndarray]] = [{} for _ in asked]
    overall = {f.name for f in surrogate.fields if f.on == "global"}
    training = surrogate.training
    surrogate.eval()
    try:
        for chunk in _chunks(_all_windows(surrogate, task, asked, unroll, findings), batch_size):
            values = collate([w for _, w in chunk], task, surrogate.structures)
            batch = suited(values, surrogate, weight.device)
            # Values are scaled before they are rounded to what the weights are; places are not.
            places = batch.to(weight.device, weight.dtype).geometry
            if query is not None:
                places = {**places, "at": query.points.to(weight.device, weight.dtype)}
            batch = replace(batch, geometry=places)
            with torch.no_grad():
                outputs = surrogate(batch)
            for name, out in outputs.items():
                # Of kinds the likeliest.
                kinds = surrogate.setting.field(name).categories
                array = (out.argmax(2) if kinds else out).cpu().numpy()
                if query is not None:
                    array = array.reshape(*array.shape[:2], *query.shape)
                pieces = array
                if "owner" in batch.geometry and name not in overall:
                    # The points of all samples one after the other: (B, U, N, …).
                    pieces = _apart(array, batch, len(chunk))
                for (at, window), piece in zip(chunk, pieces, strict=True):
                    one = asked[at.dataset]
                    if name not in found[at.dataset]:
                        shape = (one.samples, len(one.origins), *piece.shape)
                        nothing = -1 if kinds else np.nan
                        found[at.dataset][name] = np.full(shape, nothing, dtype=array.dtype)
                    found[at.dataset][name][at.sample, at.row] = piece
                    findings.gave(at.number, name, piece, partial(one.clock.words, window))
    finally:
        surrogate.train(training)
    for one, values in zip(asked, found, strict=True):
        if not values:
            raise InputError(
                f"dataset holds nothing to predict from: none of its {one.samples} samples has numbers "
                "at all the times that the surrogate sees"
            )
        for name, mask in surrogate.masks.items():
            if name in values and query is None:
                values[name][..., ~mask] = np.nan if values[name].dtype.kind == "f" else -1
    return found


def _apart(array: np.ndarray, batch: Batch, samples: int) -> list[np.ndarray]:
    """``(U, n, …)`` of each sample, of an array ``(N, U, …)`` of the points of all."""
    if len(array) == len(batch.geometry["owner"]):
        cuts = batch.geometry["ptr"].cpu().numpy()[1:-1]
        return [piece.swapaxes(0, 1) for piece in np.split(array, cuts)]
    # Cells or edges, as many of each: one sample's domain is that of the others.
    return [piece.swapaxes(0, 1) for piece in np.split(array, samples)]


def _chunks(
    windows: Iterable[tuple[_Place, Sample]], size: int
) -> Iterator[list[tuple[_Place, Sample]]]:
    """Batches of at most ``size``: of one sample, or of molecules that can be put together."""
    for _, alike in groupby(windows, _together):
        while chunk := list(islice(alike, size)):
            yield chunk


def _together(window: tuple[_Place, Sample]) -> Any:
    at, sample = window
    domain = sample.simulation.domain
    if isinstance(domain, Particles):
        return domain.periodic, domain.cell is None
    return at.dataset, at.sample


def _all_windows(
    surrogate: PhysicalModel,
    task: Task,
    asked: Sequence[Asked],
    unroll: int,
    findings: Findings,
) -> Iterator[tuple[_Place, Sample]]:
    """The windows of all samples of all datasets, looked at on the way."""
    number = -1
    for dataset, one in enumerate(asked):
        layout, clock, origins = one.layout, one.clock, one.origins
        for sample in range(one.samples):
            number += 1
            ds = one.ds.isel({layout.sample: [sample]}) if layout.sample else one.ds
            given = partial(one.known.at, sample)
            windows = list(_windows(surrogate, task, ds, layout, clock, origins, unroll, given))
            if len(windows) < len(origins) and len(origins) == 1:
                raise InputError(
                    f"sample {sample} has only NaN at the last times of the dataset; select times "
                    f"that every sample has with ds.isel({layout.time}=...)"
                )
            for row, window in windows:
                findings.saw(number, window, partial(clock.words, window))
                yield _Place(dataset, sample, row, number), window


def _windows(
    surrogate: PhysicalModel,
    task: Task,
    ds: xr.Dataset,
    layout: Layout,
    clock: Clock,
    origins: Sequence[int],
    unroll: int,
    given: Callable[[int, int], dict[str, np.ndarray]],
) -> Iterator[tuple[int, Sample]]:
    """Samples whose target frames hold times and forcing alone, with the row of their origin."""
    if layout.sample:
        ds = ds.isel({layout.sample: 0})
    if task.history == 0 and not task.static:
        parameters = {n: parameter_of(ds, n) for n in task.parameters}
        if not all(np.isfinite(v) for v in parameters.values()):
            raise InputError(f"parameters {parameters}: NaN; expected numbers")
        where = elsewhere(surrogate, ds)
        simulation = Simulation(0, where, surrogate.fields, parameters)
        frames: dict[int, Frame] = {}
    else:
        whole = [n for n in task.static if set(layout.space) <= set(ds[n].dims)]
        names = task.inputs or tuple(whole)
        [(simulation, arrived)] = simulations_of(
            ds, task.parameters, fields=names, static=task.static
        )
        require_masks(surrogate, simulation, (*task.inputs, *task.static))
        frames = {f.step: f for f in arrived}
    for row, origin in enumerate(origins):
        inputs = tuple(task.input_steps(origin))
        if all(s in frames for s in inputs):
            stride = task.lead if task.history else 0
            ahead = [(k + 1) * stride for k in range(unroll)]
            targets = tuple(
                Frame(0, origin + n, clock.seen(origin, n), given(origin, n)) for n in ahead
            )
            yield row, Sample(simulation, origin, tuple(frames[s] for s in inputs), targets)


def elsewhere(surrogate: PhysicalModel, ds: xr.Dataset) -> Domain:
    """Where outputs lie of a task of which nothing spans space: the grid of the training, or the mesh or
    whatever it is that the dataset describes."""
    if point_dim(ds) is not None:
        return domain_of(ds)
    if isinstance(surrogate.domain, Grid):
        return surrogate.domain
    kind = "domain" if surrogate.domain is None else surrogate.domain.kind
    raise InputError(
        f"the dataset holds no {kind}, nor a field on it; expected the one on which predictions are "
        "wanted: ds.merge(sciml.domain.dataset.to_dataset(mesh, (), {}, None))"
    )
