"""Parts into one dataset, slab by slab, so that memory stays bounded whatever its size."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np

from sciml.datasets.part import PROGRAM, slabs
from sciml.datasets.plan import PlannedRun
from sciml.datasets.recipe import Recipe
from sciml.datasets.recorded import simulation_in
from sciml.domain.cf import Variable
from sciml.domain.names import SAMPLE, SPLIT, TIME
from sciml.domain.netcdf import lay_out
from sciml.errors import InputError, ScimlError
from sciml.installation import version
from sciml.record.file import entry_in
from sciml.record.index import Entry
from sciml.samples.program_warnings import (
    ATTRIBUTE,
    COORDINATE,
    Warned,
    findings,
    to_attribute,
)
from sciml.solver.program_description import Description

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
    missing: Sequence[int] = (),
    tell: Callable[[int], None] = lambda done: None,
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

    Raises:
        InputError: parts that do not share one sequence of times; a file of that name came into being
            meanwhile.
        ScimlError: the disk is full, for example.
    """
    aside = out.with_name(f".{out.name}.part")
    try:
        with _laid_out(aside, recipe, size, description, runs, parts, missing) as file:
            place, one = 0, entry_in(parts[0])
            names = [f["name"] for f in (*one.fields, *one.static_fields)]
            for index, (run, path) in enumerate(zip(runs, parts, strict=True)):
                with h5netcdf.File(path, "r") as part:
                    here = slice(place, place + run.samples)
                    _copy(recipe, names, run, part, file, here)
                place += run.samples
                tell(index + 1)
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


def _laid_out(
    aside: Path,
    recipe: Recipe,
    size: str,
    description: Description,
    runs: Sequence[PlannedRun],
    parts: Sequence[Path],
    missing: Sequence[int],
) -> Any:
    """The file with all that is known of the samples; room for the fields."""
    first, entries = simulation_in(parts[0]), [entry_in(path) for path in parts]
    with h5netcdf.File(parts[0], "r") as part:
        times, time = part.variables[TIME][...], dict(part.variables[TIME].attrs)
    flat = recipe.keep in ("last", "samples")
    each = [entry for run, entry in zip(runs, entries, strict=True) for _ in range(run.samples)]
    # All samples of a run are marked: which of them it was is not said.
    warned = {place: entry.warned for place, entry in enumerate(each) if entry.warned}
    beside = _columns(recipe, runs, entries) | _parameters(description, each)
    if recipe.keep == "last":
        beside[TIME] = Variable((), times[-1], time)
    if warned:
        kinds = [", ".join(w.kind for w in warned.get(n, ())) for n in range(len(each))]
        beside[COORDINATE] = _column(kinds, "what the solver warned of")
    file = lay_out(
        aside,
        first.domain,
        first.fields,
        entries[0].dtypes | {name: array.dtype for name, array in first.static.items()},
        times=len(times),
        time=None if flat else time,
        samples=len(each),
        static=first.static_fields,
        beside=beside,
        attrs=_attributes(recipe, size, description, entries, warned, missing),
    )
    if not flat:
        file.variables[TIME][...] = times
    return file


def _copy(
    recipe: Recipe, names: Sequence[str], run: PlannedRun, part: Any, file: Any, here: slice
) -> None:
    """The fields of one part into the file, a slab at a time."""
    if TIME in file.dimensions and not np.array_equal(part.variables[TIME], file.variables[TIME]):
        raise InputError(
            f"simulation {run.id} differs from the first in its '{TIME}'; a dataset has one "
            "grid and one sequence of times: vary neither shape, length nor time step"
        )
    for name in names:
        source, target = part.variables[name], file.variables[name]
        if TIME not in source.dimensions:
            for index in range(here.start, here.stop):
                target[index] = source[...]
            continue
        for place, values in slabs(source):
            if recipe.keep in ("last", "samples"):
                target[here.start + place.start : here.start + place.stop] = values
            else:
                target[here.start, place] = values


def _column(values: Sequence[Any], long_name: str) -> Variable:
    return Variable((SAMPLE,), np.array(values), {"long_name": long_name})


def _columns(
    recipe: Recipe, runs: Sequence[PlannedRun], entries: Sequence[Entry]
) -> dict[str, Variable]:
    """What is known of each sample beforehand."""
    each = [
        (run, entry, frame)
        for run, entry in zip(runs, entries, strict=True)
        for frame in range(run.samples)
    ]
    columns: dict[str, list[Any]] = {
        SAMPLE: list(range(len(each))),
        SPLIT: [run.split for run, *_ in each],
    }
    if recipe.parameters.seed:
        columns[SEED] = [run.seed for run, *_ in each]
    if recipe.parameters.points:
        columns[POINT] = [run.point for run, *_ in each]
    if recipe.parameters.files:
        columns[INITIAL] = [entry.about[INITIAL] for _, entry, _ in each]
    if recipe.keep == "samples":
        columns[FRAME] = [frame for *_, frame in each]
    return {name: _column(values, _NOTES[name]) for name, values in columns.items()}


def _parameters(description: Description, each: Sequence[Entry]) -> dict[str, Variable]:
    """One value a sample of those that vary, one for all of the others."""
    variables = {}
    for parameter in description.parameters:
        values = [entry.parameters[parameter.name] for entry in each]
        notes = {"units": parameter.units, "long_name": parameter.help or parameter.name}
        varies = len(set(values)) > 1
        variables[parameter.name] = Variable(
            (SAMPLE,) if varies else (), np.array(values if varies else values[0]), notes
        )
    return variables


def _attributes(
    recipe: Recipe,
    size: str,
    description: Description,
    entries: Sequence[Entry],
    warned: Mapping[int, Sequence[Warned]],
    missing: Sequence[int],
) -> dict[str, Any]:
    # What differs from run to run is no attribute of the dataset: it is a coordinate, or drawn.
    drop = {
        *(parameter.name for parameter in description.parameters),
        SEED,
        *([INITIAL] if recipe.parameters.files else []),
        "steps",
        "every",
        "Conventions",
        "program",
        "equation",
        "version",
    }
    first, *rest = (entry.about[PROGRAM] for entry in entries)
    shared: Mapping[str, Any] = {
        name: value
        for name, value in first.items()
        if name not in drop and all(other.get(name) == value for other in rest)
    }
    steps = {} if recipe.keep == "samples" else {"steps": first["steps"]}
    return {
        "title": recipe.title,
        "dataset": recipe.name,
        "size": size,
        "program": description.name,
        "equation": description.equation,
        "version": version(),
        "references": recipe.references,
        "license": recipe.license,
        "recipe": json.dumps(recipe.model_dump(exclude={"title", "references", "license"})),
        **shared,
        **steps,
        **({ATTRIBUTE: to_attribute(findings(warned))} if warned else {}),
        **({"missing_runs": np.array(missing)} if missing else {}),
    }
