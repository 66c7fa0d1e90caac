"""What the models of this family share of a grid: coordinates as channels, demands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.surrogates.setting import Setting


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


def cropped(
    x: Float[Tensor, "batch channel *longer"], space: Sequence[int]
) -> Float[Tensor, "batch channel *space"]:
    """The first points of each axis, without what :func:`~sciml.surrogates.grid.torus.closed` added."""
    for axis, n in enumerate(space, start=2):
        x = x.narrow(axis, 0, n)
    return x


def expect_channels(name: str, x: Tensor, channels: int, ndim: int) -> None:
    """Refuse what does not have the shape ``(batch, channels, *space)`` with ``ndim`` axes in space."""
    if x.ndim != ndim + 2:
        raise InputError(
            f"{name}: input of shape {tuple(x.shape)}; expected (batch, {channels}, *space) with "
            f"{ndim} axes in space"
        )
    if x.shape[1] != channels:
        raise InputError(
            f"{name}: input has {x.shape[1]} channels; it was built for {channels} (history of each "
            "input, static fields, parameters, time): build it for the task it is used with"
        )


def expect_sizes(name: str, **sizes: float) -> None:
    """Refuse sizes of which a model would have nothing: no layers, no channels."""
    for key, size in sizes.items():
        if not size >= 1:
            raise InputError(f"{name}: {key}={size}; expected 1 or more")


def field_to_field(name: str, setting: Setting) -> Grid:
    """The grid that the model called ``name`` is built for, which maps fields to fields."""
    grid, task = setting.grid(name), setting.task
    if task.history == 0 and not task.static:
        raise InputError(
            f"model '{name}': the task has no input fields (history=0); "
            "raise history, or take model 'mlp', which maps parameters to fields"
        )
    return grid
