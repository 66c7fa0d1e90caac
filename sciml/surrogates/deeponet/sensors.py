"""Where a network measures its input functions, and where it is asked for its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.surrogates.grid.geometry import coordinates
from sciml.surrogates.setting import Setting

#: Part of a spacing by which a sensor may miss a point of the grid; by more, fields are refused.
TOLERANCE = 1e-3


class Sensors(nn.Module):
    """Points of a grid at which input fields are measured; kept with the weights.

    Coordinates run from 0 to 1 along each axis. A field on another grid over the same box will do
    if that grid has a point at every sensor.

    Args:
        shape: points of the grid along each axis.
        periodic: whether each axis is.
        counts: sensors along each axis, at points of the grid, evenly spread; one number stands
            for every axis, ``None`` for all points.
        fields: channels that are fields; each is measured at every sensor.
        scalars: channels behind them that are constant in space; each gives one number.

    Raises:
        InputError: more sensors than points, or none.
    """

    sensors: Tensor
    index: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        periodic: Sequence[bool],
        counts: Sequence[int] | int | None = None,
        fields: int = 1,
        scalars: int = 0,
    ) -> None:
        super().__init__()
        self.shape = tuple(int(n) for n in shape)
        self.periodic = tuple(bool(p) for p in periodic)
        self.fields, self.scalars = fields, scalars
        counts = self.shape if counts is None else counts
        counts = (counts,) * len(self.shape) if isinstance(counts, int) else tuple(counts)
        if len(counts) != len(self.shape) or any(
            not 1 <= c <= n
            for c, n in zip(counts, self.shape)  # noqa: B905
        ):
            raise InputError(
                f"sensors {counts} on a grid of shape {self.shape}; expected one number an axis, "
                "from 1 to its number of points"
            )
        self.counts = counts
        #: Positions of the sensors along each axis.
        self.axes: list[np.ndarray] = []
        for count, n, wraps in zip(counts, self.shape, self.periodic, strict=True):
            spread = np.arange(count) * n / count if wraps else np.linspace(0, n - 1, count)
            self.axes.append(np.floor(spread + 0.5) / (n if wraps else n - 1))
        mesh = np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1)
        self.register_buffer("sensors", torch.as_tensor(mesh.reshape(-1, len(self.shape))).float())
        self.register_buffer("index", self.index_on(self.shape), persistent=False)
        points = self.points_of(self.shape).to(torch.get_default_dtype())
        self.register_buffer("points", points, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Sensors:
        """Points are computed anew in another dtype: converted ones keep the digits of the shortest."""
        before = self.points.dtype
        super()._apply(fn, recurse)
        if self.points.dtype != before:
            self.points = self.points_of(self.shape).to(self.points)
        return self

    @property
    def count(self) -> int:
        return prod(self.counts)

    @property
    def width(self) -> int:
        """Numbers that one sample gives."""
        return self.fields * self.count + self.scalars

    def index_on(self, space: Sequence[int]) -> Tensor:
        """Which points of a grid of shape ``space`` the sensors are."""
        if len(space) != len(self.shape):
            raise InputError(
                f"fields with {len(space)} axes in space {tuple(space)}; expected "
                f"{len(self.shape)}: sensors lie on a grid of shape {self.shape}"
            )
        found = []
        for places, n, wraps in zip(self.axes, space, self.periodic, strict=True):
            position = places * (n if wraps else n - 1)
            nearest = np.rint(position)
            missed = np.abs(position - nearest) > TOLERANCE
            if missed.any():
                raise InputError(
                    f"fields of shape {tuple(space)} came, with no point at {int(missed.sum())} of "
                    f"the {len(places)} sensors along an axis, the first at {places[missed][0]:.4g} "
                    f"of its length; expected shape {self.shape}, or a grid that has a point at "
                    f"each of the {' × '.join(map(str, self.counts))} sensors: interpolate with "
                    "ds.interp"
                )
            found.append(nearest.astype(np.int64))
        flat = np.ravel_multi_index(np.meshgrid(*found, indexing="ij"), tuple(space))
        return torch.from_numpy(np.ascontiguousarray(flat.ravel()))

    def points_of(self, space: Sequence[int]) -> Float[Tensor, "point axis"]:
        """Coordinates of all points of a grid of shape ``space``, in float64."""
        like = torch.zeros((), dtype=torch.float64)
        return coordinates(space, self.periodic, like).flatten(1).T.contiguous()

    def measure(self, u: Float[Tensor, "batch channel *space"]) -> tuple[Tensor, Tensor]:
        """Fields at the sensors ``(B, fields, m)``, and scalars ``(B, scalars)``."""
        if u.shape[1] != self.fields + self.scalars:
            raise InputError(
                f"{u.shape[1]} channels; expected {self.fields} fields and {self.scalars} scalars"
            )
        space = u.shape[2:]
        flat = u.flatten(2)
        fields = flat[:, : self.fields] if self.scalars else flat
        if not (space == self.shape == self.counts):
            index = self.index if space == self.shape else self.index_on(space).to(u.device)
            fields = fields.index_select(2, index)
        # Not len(flat), which would fix the number of samples of an exported program.
        scalars = flat[:, self.fields :, 0] if self.scalars else flat.new_empty(flat.shape[0], 0)
        return fields, scalars

    def asked(self, u: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Coordinates of the points of ``u``, or of the own grid where it has none; and their shape."""
        space = tuple(u.shape[2:]) if u.ndim > 2 else self.shape
        if space == self.shape:
            return self.points, space
        return self.points_of(space).to(self.points), space

    def _load_from_state_dict(self, state: dict, prefix: str, *args: Any) -> None:
        saved = state.get(f"{prefix}sensors")
        errors = args[-1]
        if saved is not None and saved.shape == self.sensors.shape:
            off = (saved.to(self.sensors) - self.sensors).abs().amax()
            if off > 1e-5:
                errors.append(
                    f"sensors lie elsewhere, by {float(off):.3g}; expected the saved ones"
                )
        super()._load_from_state_dict(state, prefix, *args)


def sensors_of(name: str, setting: Setting, counts: Sequence[int] | int | None) -> Sensors:
    """Sensors for the fields of a setting; parameters and time are scalars."""
    domain, task = setting.grid(name), setting.task
    given, _ = setting.channels
    scalars = len(task.parameters) + task.time
    if given == 0:
        raise InputError(f"model '{name}': the task has no inputs; name fields or parameters")
    return Sensors(domain.shape, _periodic(domain), counts, fields=given - scalars, scalars=scalars)


def _periodic(domain: Grid) -> list[bool]:
    return [b == "periodic" for b in domain.boundary]
