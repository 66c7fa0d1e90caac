"""Points of the caller's own choice at which a prediction is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sciml.domain import Grid
from sciml.errors import InputError, require_known

if TYPE_CHECKING:
    import xarray as xr

#: Part of its length by which a coordinate may lie beyond the end of an axis; beyond, it is refused.
SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Query:
    """The product of one line of coordinates an axis.

    Args:
        points: ``(P, d)``, from 0 to 1 along each axis.
        axes: coordinates by dimension, in their units; of the axes that were asked for.
        shape: points along each axis.
    """

    points: Tensor
    axes: Mapping[str, np.ndarray]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, at: Mapping[str, Any], grid: Grid, dims: Sequence[str]) -> Query:
        """Coordinates ``at`` on a grid whose axes the dataset calls ``dims``; axes that are not
        named keep their points.

        Raises:
            InputError: a dimension that is no axis, coordinates that are no line of numbers or lie
                outside the box.
        """
        if not isinstance(at, Mapping):
            raise InputError(f"at: {at!r}; expected coordinates by axis, {{'{dims[-1]}': [...]}}")
        require_known("at: no axis", at, dims)
        axes, lines = {}, []
        for axis, dim in enumerate(dims):
            low, high = grid.extent[axis]
            places = grid.coordinates(axis)
            if dim in at:
                places = _numbers(dim, at[dim])
                if places.ndim != 1 or not places.size or not np.isfinite(places).all():
                    raise InputError(
                        f"at: '{dim}' of shape {places.shape}; expected a line of finite numbers"
                    )
                axes[dim] = places
            relative = (places - low) / (high - low)
            if grid.boundary[axis] != "periodic" and (
                relative.min() < -SLACK or relative.max() > 1 + SLACK
            ):
                raise InputError(
                    f"at: '{dim}' from {places.min():g} to {places.max():g}; expected within "
                    f"[{low:g}, {high:g}], where the surrogate was trained"
                )
            lines.append(relative)
        mesh = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(lines))
        return cls(
            torch.as_tensor(mesh, dtype=torch.get_default_dtype()),
            axes,
            tuple(len(line) for line in lines),
        )

    def dress(self, ds: xr.Dataset) -> xr.Dataset:
        """``ds`` with the coordinates asked for, without what lives on the axes they replace."""
        gone = [n for n, v in ds.variables.items() if set(v.dims) & set(self.axes)]
        notes = {dim: dict(ds[dim].attrs) if dim in ds.coords else {} for dim in self.axes}
        return ds.drop_vars(gone).assign_coords(
            {dim: (dim, places, notes[dim]) for dim, places in self.axes.items()}
        )


def _numbers(dim: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"at: '{dim}' is {given!r}; expected a line of finite numbers") from error
