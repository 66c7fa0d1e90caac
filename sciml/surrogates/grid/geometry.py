"""What the models of this family share of a grid: coordinates as channels, lines that close, demands."""

from __future__ import annotations

import math
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


def closed(
    x: Float[Tensor, "batch channel *space"], periodic: Sequence[bool], padding: float
) -> Float[Tensor, "batch channel *longer"]:
    """``x`` with every axis that is not periodic continued to one that closes.

    Args:
        periodic: whether each axis is.
        padding: what is added, as a part of the distance between the first and the last point: a
            length, so that the waves along the longer axis are the same at every resolution.
    """
    for axis, (n, wraps) in enumerate(zip(x.shape[2:], periodic, strict=True), start=2):
        if not wraps:
            x = close(x, axis, max(1, round((1 + padding) * (n - 1)) - n))
    return x


def cropped(
    x: Float[Tensor, "batch channel *longer"], space: Sequence[int]
) -> Float[Tensor, "batch channel *space"]:
    """The first points of each axis, without what :func:`closed` added."""
    for axis, n in enumerate(space, start=2):
        x = x.narrow(axis, 0, n)
    return x


def expect_channels(name: str, x: Tensor, channels: int, ndim: int) -> None:
    """Refuse what does not have the shape ``(batch, channels, *space)`` with ``ndim`` axes in space.

    Raises:
        InputError: another number of channels or axes.
    """
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


def expect_points(name: str, space: Sequence[int], modes: Sequence[int]) -> None:
    """Refuse a grid with fewer points than modes along an axis.

    Raises:
        InputError: with the numbers.
    """
    if any(n < kept for n, kept in zip(space, modes, strict=True)):
        raise InputError(
            f"{name}: grid {tuple(space)} is too small for modes {tuple(modes)}; every axis "
            "needs at least as many points as modes: lower the modes or refine the grid"
        )


def expect_sizes(name: str, **sizes: float) -> None:
    """Refuse sizes of which a model would have nothing: no layers, no channels.

    Raises:
        InputError: one below 1.
    """
    for key, size in sizes.items():
        if not size >= 1:
            raise InputError(f"{name}: {key}={size}; expected 1 or more")


def expect_padding(name: str, padding: float) -> None:
    """Refuse what is no part of a length.

    Raises:
        InputError: below zero, or not finite.
    """
    if not 0 <= padding < math.inf:
        raise InputError(
            f"{name}: padding={padding}; expected a part of the length of an axis, 0 or more, such as "
            "0.125"
        )


def modes_on(name: str, domain: Grid, modes: Sequence[int] | int | None) -> tuple[int, ...]:
    """Modes along each axis: one number stands for every axis, none for 16 or as many as the grid
    has points.

    Raises:
        InputError: not one number an axis, or more modes than points.
    """
    if modes is None:
        modes = [min(16, n) for n in domain.shape]
    kept = (modes,) * domain.ndim if isinstance(modes, int) else tuple(modes)
    if len(kept) != domain.ndim or any(
        not 1 <= m <= n for m, n in zip(kept, domain.shape, strict=False)
    ):
        raise InputError(
            f"model '{name}': modes {kept} on a grid of shape {domain.shape}; expected one number an "
            "axis, from 1 to its number of points"
        )
    return kept


def field_to_field(name: str, setting: Setting) -> Grid:
    """The grid that the model called ``name`` is built for, which maps fields to fields.

    Raises:
        InputError: no grid, or no fields that go in.
    """
    grid, task = setting.grid(name), setting.task
    if task.history == 0 and not task.static:
        raise InputError(
            f"model '{name}': the task has no input fields (history=0); "
            "raise history, or take model 'mlp', which maps parameters to fields"
        )
    return grid
