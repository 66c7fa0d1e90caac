"""A box as a torus: fields on it as ones that a Fourier series fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.surrogates.grid.geometry import expect_channels, field_to_field, with_coordinates
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import chose

Model = TypeVar("Model", bound=nn.Module)


class Torus:
    """What models in Fourier space do first: coordinates as channels, and axes that close.

    Args:
        name: of the model, for messages.
        in_channels, modes, periodic, padding, positions: see :class:`~sciml.surrogates.grid.fno.FNO`.

    Raises:
        InputError: modes and periodic of different lengths, a negative padding; in use: a grid smaller
            than the modes, another number of channels.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        modes: Sequence[int],
        periodic: Sequence[bool] | None,
        padding: float,
        positions: bool | None,
    ) -> None:
        self.name, self.in_channels, self.padding = name, in_channels, padding
        self.modes = tuple(int(m) for m in modes)
        self.periodic = (True,) * len(self.modes) if periodic is None else tuple(periodic)
        if len(self.periodic) != len(self.modes) or not 1 <= len(self.modes) <= 3:
            raise InputError(
                f"{name}: modes {self.modes} and periodic {self.periodic}; "
                "expected one entry of each for every axis, 1 to 3 axes"
            )
        if not 0 <= padding < math.inf:
            raise InputError(
                f"{name}: padding={padding}; expected a part of the length of an axis, 0 or more, "
                "such as 0.125"
            )
        self.positions = (not all(self.periodic)) if positions is None else positions
        #: Channels of what :meth:`enter` gives.
        self.channels = in_channels + (len(self.modes) if self.positions else 0)

    def enter(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch more *longer"]:
        """``x`` with its coordinates where they are wanted, and closed."""
        expect_channels(self.name, x, self.in_channels, len(self.modes))
        if any(n < kept for n, kept in zip(x.shape[2:], self.modes, strict=True)):
            raise InputError(
                f"{self.name}: grid {tuple(x.shape[2:])} is too small for modes {self.modes}; every "
                "axis needs at least as many points as modes: lower the modes or refine the grid"
            )
        if self.positions:
            x = with_coordinates(x, self.periodic)
        return closed(x, self.periodic, self.padding)


def closed(
    x: Float[Tensor, "batch channel *space"], periodic: Sequence[bool], padding: float
) -> Float[Tensor, "batch channel *longer"]:
    """``x`` with every axis that is not periodic continued to one that closes.

    By a straight ramp between the two end values: zeros would put a jump at both ends.

    Args:
        periodic: whether each axis is.
        padding: what is added, as a part of the distance between the first and the last point: a
            length, so that the waves along the longer axis are the same at every resolution.
    """
    for axis, (n, wraps) in enumerate(zip(x.shape[2:], periodic, strict=True), start=2):
        if wraps:
            continue
        points = max(1, round((1 + padding) * (n - 1)) - n)
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, n - 1, 1)
        ramp = torch.arange(1, points + 1, dtype=x.dtype, device=x.device) / (points + 1)
        shape = [1] * x.ndim
        shape[axis] = points
        x = torch.cat([x, last + (first - last) * ramp.view(shape)], dim=axis)
    return x


def built(
    make: Callable[..., Model],
    name: str,
    setting: Setting,
    modes: Sequence[int] | int | None,
    **options: object,
) -> Model:
    """A model on the torus of a setting's grid, ``make(given, wanted, modes, periodic=, …)``.

    Raises:
        InputError: no grid, no input fields, or a grid too small for the modes.
    """
    domain = field_to_field(name, setting)
    periodic = [b == "periodic" for b in domain.boundary]
    model = make(*setting.channels, _modes_on(name, domain, modes), periodic=periodic, **options)
    return chose(model, modes=list(model.torus.modes), positions=model.torus.positions)


def _modes_on(name: str, domain: Grid, modes: Sequence[int] | int | None) -> tuple[int, ...]:
    """Modes along each axis: one number stands for every axis, none for 16 or as many as the grid
    has points."""
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
