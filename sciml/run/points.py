"""The collocation points of a study: on which box, beside what is fed, and by what they are scaled."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sciml.domain import Domain, Grid
from sciml.errors import InputError, nearest
from sciml.study.ranges import Range
from sciml.study.schema import Study

if TYPE_CHECKING:
    from sciml.surrogates import Surrogate
    from sciml.training.collocation_source import CollocationSource
    from sciml.training.objective import Objective
    from sciml.training.source import Source


def grid_of(study: Study) -> Grid:
    """Where the surrogate of a study of points alone lives.

    Raises:
        InputError: two sources with domains of their own.
    """
    (first, section), *others = study.training.collocation.items()
    for name, other in others:
        if other.domain != section.domain:
            raise InputError(
                f"training.sources.{name}.domain: another than that of '{first}'; expected one domain"
            )
    axes = [section.domain[axis] for axis in reversed("xyz"[: len(section.domain)])]
    return Grid(
        tuple(axis.points for axis in axes),
        tuple((axis.low, axis.high) for axis in axes),
        tuple("periodic" if axis.periodic else "dirichlet" for axis in axes),
    )


def spans_of(study: Study, name: str) -> dict[str, Range]:
    """Ranges of the parameters of the task, for the points of a source.

    Raises:
        InputError: one that nobody gives, or that the task does not see.
    """
    given = study.training.collocation[name].parameters
    known = {**(study.parameters.ranges if study.parameters else {}), **given}
    where, wanted = f"training.sources.{name}.parameters", study.task.parameters
    for parameter in given:
        if parameter not in wanted:
            raise InputError(
                f"{where}: '{parameter}' is none of task.parameters; {nearest(parameter, wanted)}"
                if wanted
                else f"{where}: '{parameter}', and the task sees no parameters; remove it"
            )
    for parameter in wanted:
        if parameter not in known:
            raise InputError(f"{where}: no range of '{parameter}'; give {parameter}: [low, high]")
    return {parameter: known[parameter] for parameter in wanted}


def point_sources(study: Study, domain: Domain) -> dict[str, CollocationSource]:
    """Sources of points on a grid, by name.

    Raises:
        InputError: no grid; a range or a time that is missing, points on sides that are not there.
    """
    from sciml.training.collocation_source import CollocationSource

    found = {}
    for name, section in study.training.collocation.items():
        where = f"training.sources.{name}"
        if not isinstance(domain, Grid):
            raise InputError(
                f"{where}: points of a box, and fields on a {domain.kind}; expected a grid"
            )
        if (section.time is None) == study.task.time:
            lack = "is missing: task.time is true" if study.task.time else "yet task.time is false"
            raise InputError(f"{where}.time {lack}")
        periodic = tuple(
            d for d, b in zip(domain.dims, domain.boundary, strict=True) if b == "periodic"
        )
        sides = dict(zip(domain.dims, domain.extent, strict=True))
        try:
            points = section.sampler_on(sides, periodic, spans_of(study, name))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        seed = (study.seed + zlib.crc32(name.encode())) % 2**32
        size = study.training.size_of(name)
        found[name] = CollocationSource(points, size, seed, every=section.every)
    return found


def mixed(study: Study, fed: Source | None, domain: Domain) -> Source:
    """What a study is trained on: what is fed, and the points besides; by the names of the sources,
    where these have some."""
    training = study.training
    if not training.sources:
        return fed
    from sciml.training.source import Mix

    # What is fed first: it may wait, or end.
    first = {} if training.fed is None else {training.fed: fed}
    return Mix({**first, **point_sources(study, domain)})


def scale_by_points(
    surrogate: Surrogate, objective: Objective, sources: Mapping[str, CollocationSource]
) -> None:
    """Scaling and bounds of a surrogate that sees no data: of time and parameters from a draw of points,
    of fields from what holds at the start and on the sides."""
    from sciml.training.equation_residual import measure

    for name, one in objective.objectives.items():
        measure(surrogate, one, sources[objective.source(name)].peek())
    surrogate.normalizer.fix()
