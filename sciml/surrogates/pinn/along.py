"""Characteristics of a surrogate as a dataset: where each label has gone, and what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.domain import Field
from sciml.errors import InputError
from sciml.surrogates import prediction
from sciml.surrogates.physical_model import PhysicalModel
from sciml.surrogates.pinn.inverse import determinant
from sciml.surrogates.pinn.lpinn import LPINN
from sciml.surrogates.pinn.pinn import joined, lattice
from sciml.surrogates.scales import Scales
from sciml.surrogates.traits import traits_of

if TYPE_CHECKING:
    import xarray as xr

PLACE, JACOBIAN = "place_", "jacobian"


class Along(nn.Module):
    """X, u and J at labels, in units, from parameters and times in units.

    Shapes: scalars ``(B, P)``, labels ``(B, Q, d)`` or ``(Q, d)``, as points of the box from 0 to 1 →
    ``(B, Q)`` or ``(B, *space)`` by name.
    """

    def __init__(self, model: LPINN, scales: Scales) -> None:
        super().__init__()
        self.model, self.scales = model, scales
        self.traits = replace(model.traits, takes_scales=False)

    def forward(self, scalars: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        model, grid, scales = self.model, self.model.grid, self.scales
        pairs = [*scales.parameters, scales.time]
        columns = [(c - m) / s for c, (m, s) in zip(scalars.unbind(1), pairs, strict=True)]
        scalars = torch.stack(columns, dim=1)
        space = grid.shape if y is None else (y.shape[-2],)
        wraps = [kind == "periodic" for kind in grid.boundary]
        labels = lattice(grid.shape, wraps, scalars) if y is None else y
        every = joined(labels, scalars)
        at, repeated = every[:, : grid.ndim], every[:, grid.ndim :]
        places, slope = model.carried(at, repeated, scales)
        state = model.state_at(at, repeated, scales)
        found = {JACOBIAN: determinant(slope)}
        for i, (axis, (low, high)) in enumerate(zip(grid.dims, grid.extent, strict=True)):
            found[PLACE + axis] = low + (high - low) * places[:, i]
        for i, (name, (mean, deviation)) in enumerate(
            zip(model.task.targets, scales.fields, strict=True)
        ):
            found[name] = mean + deviation * state[:, i]
        return {name: v.unflatten(0, (len(scalars), *space)) for name, v in found.items()}


def characteristics(
    surrogate: PhysicalModel, ds: xr.Dataset, *, batch_size: int, at: Mapping[str, Any] | None
) -> xr.Dataset:
    """See :meth:`sciml.surrogates.surrogate.Surrogate.characteristics`."""
    if not traits_of(surrogate.model).lagrangian:
        raise InputError(
            f"model {type(surrogate.model).__name__} has no characteristics; expected 'lpinn'"
        )
    task, grid = surrogate.task, surrogate.domain
    places = [
        Field(PLACE + axis, grid.units, f"{axis} of what began at its label") for axis in grid.dims
    ]
    names = (*task.targets, *(field.name for field in places), JACOBIAN)
    other = PhysicalModel(
        Along(surrogate.model, surrogate.scales),
        replace(task, targets=names),
        None,
        grid,
        fields=(
            *surrogate.fields,
            *places,
            Field(JACOBIAN, "1", "∂X/∂ξ; characteristics meet at 0"),
        ),
        dt=surrogate.step,
    )
    other.bounds = surrogate.bounds
    return prediction.predict(other.eval(), ds, batch_size=batch_size, at=at)
