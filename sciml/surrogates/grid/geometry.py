"""What the models of this family share of a grid: coordinates as channels, lines that close, demands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.domain import Domain, Grid
from sciml.errors import InputError
from sciml.samples import Task


def coordinates(
    space: Sequence[int], periodic: Sequence[bool], like: Tensor
) -> Float[Tensor, "axis *space"]:
    """Position of each point from 0 to 1 along each axis; a periodic axis ends one spacing before 1.

    Args:
        space: points along each axis.
        periodic: whether each axis is.
        like: gives dtype and device.
    """
    axes = [
        torch.arange(n, dtype=like.dtype, device=like.device) / (n if wraps else max(1, n - 1))
        for n, wraps in zip(space, periodic, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def with_coordinates(
    x: Float[Tensor, "batch channel *space"], periodic: Sequence[bool]
) -> Float[Tensor, "batch more *space"]:
    """``x`` and the coordinates of its points as further channels."""
    grid = coordinates(x.shape[2:], periodic, x)
    return torch.cat([x, grid.expand(x.shape[0], *grid.shape)], dim=1)


def close(x: Tensor, axis: int, points: int) -> Tensor:
    """Continue each line smoothly from its end to its beginning, so that it closes.

    A straight ramp between the two end values: zeros would put a jump at both ends.
    """
    last = x.narrow(axis, x.shape[axis] - 1, 1)
    first = x.narrow(axis, 0, 1)
    shape = [1] * x.ndim
    shape[axis] = points
    ramp = (torch.arange(1, points + 1, dtype=x.dtype, device=x.device) / (points + 1)).view(shape)
    return torch.cat([x, last + (first - last) * ramp], dim=axis)


def field_to_field(name: str, task: Task, domain: Domain | None) -> Grid:
    """The grid that the model called ``name`` is built for, which maps fields to fields.

    Raises:
        InputError: no grid, or no fields that go in.
    """
    if domain is None or domain.kind != "grid":
        kind = "no domain" if domain is None else f"a {domain.kind}"
        raise InputError(f"model '{name}': got {kind}; expected a uniform grid")
    if task.history == 0 and not task.static:
        raise InputError(
            f"model '{name}': the task has no input fields (history=0); "
            "raise history, or take model 'mlp', which maps parameters to fields"
        )
    return domain
