"""Weights of points by the area that they stand for, in losses and in figures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sciml.domain.grid import area_of
from sciml.errors import InputError, require_known

if TYPE_CHECKING:
    from sciml.domain import Domain
    from sciml.surrogates.batch import Batch

#: ``latitude``: cos φ, with mean 1 over the latitudes of the grid. A row near a pole has as many points
#: as one at the equator, on a fraction of its area.
WEIGHTINGS = ("latitude",)


def require_weighting(weighting: str | None, domain: Domain) -> None:
    """That points of a domain have such weights.

    Raises:
        InputError: an unknown weighting, fields off a grid.
        DomainError: a grid without an axis of latitudes.
    """
    if weighting is None:
        return
    require_known("unknown weighting", weighting, WEIGHTINGS)
    if not hasattr(domain, "latitude"):
        raise InputError(
            f"weighting '{weighting}': fields on a {domain.kind}; expected a grid with an axis of "
            "latitudes"
        )
    area_of(domain)


def weighed(batch: Batch, weighting: str | None) -> Batch:
    """The batch with the weights of its points, on top of those that it has; numbers that belong to no
    point have none."""
    if weighting is None:
        return batch
    area = batch.geometry.get("area")
    if area is None:
        raise InputError(
            f"weighting '{weighting}': a {batch.kind} without an axis of latitudes; expected one with "
            "units: ds.lat.attrs['units'] = 'degrees_north'"
        )
    spanning = {n: t for n, t in batch.targets.items() if t.ndim > 2}
    weights = {n: area * batch.weights[n] if n in batch.weights else area for n in spanning}
    return replace(batch, weights={**batch.weights, **weights})
