"""Parts into one dataset, slab by slab, so that memory stays bounded whatever its size."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np

from sciml.datasets.part import even, rows_of, slabs
from sciml.datasets.plan import PlannedRun
from sciml.datasets.recipe import Recipe
from sciml.domain.names import SAMPLE, SPLIT, TIME
from sciml.errors import InputError, ScimlError
from sciml.installation import version
from sciml.samples.warned import (
    ATTRIBUTE,
    COORDINATE,
    Warned,
    findings,
    of_attribute,
    to_attribute,
)
from sciml.solver.describe import Description
from sciml.study.starts import Starts

POINT, FRAME, SEED, INITIAL = "point", "frame", "seed", "initial"
_NOTES = {
    SAMPLE: "sample",
    SPLIT: "split that the sample belongs to",
    POINT: "name of the point in the design",
    SEED: "seed of the run",
    INITIAL: "state that the run starts from",
    FRAME: "frame of the run that the sample is",
}


def merge(
    recipe: Recipe,
    size: str,
    description: Description,
    runs: Sequence[PlannedRun],
    parts: Sequence[Path],
    out: Path,
    *,
    missing: Sequence[int] = (),
    tell: Callable[[int], None] = lambda done: None,
    starts: Starts | None = None,
) -> None:
    """Write the dataset aside and give it its name.

    Dimensions: ``(sample, time, z, y, x)``, or ``(sample, z, y, x)`` where one state of each sample
    is kept. Coordinates: ``split``, ``seed``, each parameter of the program (one value a sample if
    it varies), ``point``, ``initial`` and ``frame`` where there are any; where programs warned,
    ``warned`` (of what, for each sample), with the largest of each kind in the attribute ``warnings``.

    Args:
        recipe, size: what the dataset is of.
        description: of the program.
        runs: those whose parts are there, in order.
        parts: their files.
        out: path of the dataset.
        missing: numbers of the runs that failed, for the record.
        tell: called with the number of parts that are in.
        starts: states that the runs start from, where the recipe has files of them.

    Raises:
        InputError: parts that do not share one grid and one sequence of times; a file of that name
            came into being meanwhile.
        ScimlError: the disk is full, for example.
    """
    aside = out.with_name(f".{out.name}.part")
    try:
        with h5netcdf.File(aside, "w") as file:
            writer = _Writer(recipe, description, runs, file, starts)
            for index, (run, path) in enumerate(zip(runs, parts, strict=True)):
                with h5netcdf.File(path, "r") as part:
                    writer.add(run, part)
                tell(index + 1)
            writer.finish(size, missing)
        # A link never replaces a file, a rename does; some file systems know no links.
        try:
            os.link(aside, out)
        except FileExistsError as error:
            raise InputError(f"--out {out} appeared meanwhile; nothing was replaced") from error
        except OSError:
            os.replace(aside, out)
    except OSError as error:
        raise ScimlError(f"--out {out} cannot be written: {error}; the parts are kept") from error
    finally:
        aside.unlink(missing_ok=True)


class _Writer:
    """The dataset while it grows, part by part."""

    def __init__(
        self,
        recipe: Recipe,
        description: Description,
        runs: Sequence[PlannedRun],
        file: Any,
        starts: Starts | None,
    ) -> None:
        self._starts = starts
        self._recipe, self._runs, self._file = recipe, runs, file
        self._program = description
        self._flat = recipe.keep in ("last", "samples")
        self._total = sum(run.samples for run in runs)
        self._scalars: dict[str, list[float]] = {}
        self._attrs: list[dict[str, Any]] = []
        self._warned: dict[int, list[Warned]] = {}
        self._place = 0

    def add(self, run: PlannedRun, part: Any) -> None:
        if self._place == 0:
            self._create(part)
        self._check(run, part)
        here = slice(self._place, self._place + run.samples)
        for name in (*self._fields, *self._static):
            source, target = part.variables[name], self._file.variables[name]
            if name in self._static:
                for index in range(here.start, here.stop):
                    target[index] = source[...]
                continue
            for place, values in slabs(source):
                if self._flat:
                    target[here.start + place.start : here.start + place.stop] = values
                else:
                    target[here.start, place] = values
        for name in self._scalars:
            self._scalars[name] += [float(part.variables[name][()])] * run.samples
        attrs = dict(part.attrs)
        warned = of_attribute(attrs.pop(ATTRIBUTE, ""))
        # All samples of a run are marked: which of them it was is not said.
        self._warned |= {n: warned for n in range(here.start, here.stop) if warned}
        self._attrs.append(attrs)
        self._place = here.stop

    def finish(self, size: str, missing: Sequence[int]) -> None:
        """Coordinates that are known at the end, and attributes."""
        for name, values in self._scalars.items():
            varies = len(set(values)) > 1
            made = self._file.create_variable(
                name, (SAMPLE,) if varies else (), data=np.array(values if varies else values[0])
            )
            made.attrs.update(self._notes[name])
        if self._warned:
            kinds = [", ".join(w.kind for w in self._warned.get(n, ())) for n in range(self._total)]
            made = self._file.create_variable(COORDINATE, (SAMPLE,), h5py.string_dtype())
            made[...] = np.array(kinds, dtype=object)
            made.attrs["long_name"] = "what the solver warned of"
            for name in (*self._fields, *self._static):
                notes = self._file.variables[name].attrs
                notes["coordinates"] = f"{notes['coordinates']} {COORDINATE}"
        self._file.attrs.update(self._attributes(size, missing))

    def _create(self, part: Any) -> None:
        """Dimensions, coordinates and empty fields, as the first part has them."""
        file, recipe = self._file, self._recipe
        chosen = recipe.solver.send.fields
        self._fields = [f.name for f in self._program.fields if chosen is None or f.name in chosen]
        self._static = [f.name for f in self._program.static]
        self._axes = [dim for dim in part.dimensions if dim != TIME]
        self._held = {n: part.variables[n][...] for n in (*self._axes, TIME)}
        if self._flat:
            self._held.pop(TIME)
        shape = {dim: len(part.dimensions[dim]) for dim in self._axes}
        times = {} if self._flat else {TIME: len(part.dimensions[TIME])}
        file.dimensions = {SAMPLE: self._total, **times, **shape}
        for name, values in self._held.items():
            made = file.create_variable(name, (name,), data=values)
            made.attrs.update(dict(part.variables[name].attrs))
        scalars = [n for n, v in part.variables.items() if not v.dimensions]
        self._scalars = {name: [] for name in scalars}
        self._notes = {name: dict(part.variables[name].attrs) for name in scalars}
        alone = [TIME] if recipe.keep == "last" else []
        if alone:
            self._add_end(part)
        columns = self._columns()
        coordinates = " ".join([*(c for c in columns if c != SAMPLE), *scalars, *alone])
        for name, values in columns.items():
            text = isinstance(values[0], str)
            made = file.create_variable(
                name, (SAMPLE,), h5py.string_dtype() if text else np.dtype(np.int64)
            )
            made[...] = np.array(values, dtype=object if text else np.int64)
            made.attrs["long_name"] = _NOTES[name]
        for name in (*self._fields, *self._static):
            variable = part.variables[name]
            dims = tuple(dim for dim in variable.dimensions if dim != TIME or not self._flat)
            sizes = [len(file.dimensions[dim]) for dim in dims]
            lead = (self._total, *sizes[:1]) if TIME in dims else (self._total,)
            rest = sizes[1:] if TIME in dims else sizes
            rows = even(lead[-1], rows_of(rest, variable.dtype.itemsize))
            chunks = (*(1 for _ in lead[1:]), rows, *rest)
            made = file.create_variable(
                name, (SAMPLE, *dims), variable.dtype, chunks=chunks,
                # HDF5 reads zeros where nothing was written; NaN is told from data.
                fillvalue=np.nan if variable.dtype.kind == "f" else None,
            )  # fmt: skip
            made.attrs.update(dict(variable.attrs))
            made.attrs["coordinates"] = coordinates

    def _add_end(self, part: Any) -> None:
        """The time of the one state, as a scalar."""
        self._scalars.pop(TIME, None)
        made = self._file.create_variable(TIME, (), data=np.float64(part.variables[TIME][-1]))
        notes = {k: v for k, v in part.variables[TIME].attrs.items() if k in ("units", "long_name")}
        made.attrs.update(notes)

    def _columns(self) -> dict[str, list[Any]]:
        """What is known of each sample beforehand."""
        each = [(run, frame) for run in self._runs for frame in range(run.samples)]
        columns: dict[str, list[Any]] = {
            SAMPLE: list(range(self._total)),
            SPLIT: [run.split for run, _ in each],
        }
        if self._recipe.parameters.seed:
            columns[SEED] = [run.seed for run, _ in each]
        if self._recipe.parameters.points:
            columns[POINT] = [run.point for run, _ in each]
        if self._starts is not None:
            columns[INITIAL] = [str(self._starts.states[run.start]) for run, _ in each]
        if self._recipe.keep == "samples":
            columns[FRAME] = [frame for _, frame in each]
        return columns

    def _check(self, run: PlannedRun, part: Any) -> None:
        for name, values in self._held.items():
            if not np.array_equal(part.variables[name][...], values):
                raise InputError(
                    f"simulation {run.id} differs from the first in its '{name}'; a dataset has one "
                    "grid and one sequence of times: vary neither shape, length nor time step"
                )

    def _attributes(self, size: str, missing: Sequence[int]) -> dict[str, Any]:
        recipe = self._recipe
        # What differs from run to run is no attribute of the dataset: it is a coordinate, or drawn.
        drop = {
            *self._scalars,
            SEED,
            *([INITIAL] if self._starts is not None else []),
            "steps",
            "every",
            "Conventions",
            "program",
            "equation",
            "version",
        }
        first, *rest = self._attrs
        shared: Mapping[str, Any] = {
            name: value
            for name, value in first.items()
            if name not in drop and all(np.array_equal(a.get(name), value) for a in rest)
        }
        steps = {} if recipe.keep == "samples" else {"steps": first["steps"]}
        attrs = {
            "Conventions": "CF-1.11",
            "title": recipe.title,
            "dataset": recipe.name,
            "size": size,
            "program": self._program.name,
            "equation": self._program.equation,
            "version": version(),
            "references": recipe.references,
            "license": recipe.license,
            "recipe": json.dumps(recipe.model_dump(exclude={"title", "references", "license"})),
            **{k: v for k, v in (shared | steps).items() if v is not None},
        }
        if self._warned:
            attrs[ATTRIBUTE] = to_attribute(findings(self._warned))
        if missing:
            attrs["missing_runs"] = np.array(missing)
        return attrs
