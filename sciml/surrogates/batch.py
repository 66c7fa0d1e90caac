"""What a model and an objective see of one step: tensors of several samples, and on what device."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

#: Entries of the geometry that say of which sample a point, a cell, an edge is.
OWNERS = {"point": "owner", "cell": "cell_owner", "edge": "edge_owner"}
#: Tensors by name that are values of fields, and those that say where these lie and how they count.
VALUES = ("inputs", "targets", "static", "forcing", "masks", "fixed", "given")
BESIDE = ("geometry", "weights", "structure")


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """What a model and an objective see of one optimizer step.

    Shapes, for B samples, N points in all of them together, H = ``task.history``,
    U = ``task.unroll``, and c components of fields that have some:

    ========== =================== =======================
    entry      grid                mesh, graph, particles
    ========== =================== =======================
    inputs     (B, H, \\*space)     (N, H[, c])
    targets    (B, U, \\*space)     (N, U[, c])
    static     (B, \\*space)        (N[, c])
    forcing    (B, U, \\*space)     (N, U[, c])
    ========== =================== =======================

    Fields in cells or on edges have as many rows as there are of these instead of N; those with
    ``on="global"`` are ``(B, H[, c])`` or ``(B, U[, c])`` everywhere.

    Args:
        inputs, targets, static: tensors by field name.
        parameters: scalar parameters in the order of ``task.parameters``.
        time: physical time of each target.
        weights: of points, by target, broadcast against the target's tensor: a field without them has
            ones. See :func:`sciml.training.losses.norms`, where they come in.
        masks: where fields have values, bool, for those that do not have them everywhere: grid
            ``(1, 1, \\*space)``, others ``(N, 1)``. Elsewhere values are 0, mean nothing, and weigh
            nothing.
        fixed: where targets are prescribed, bool, of those that are so somewhere: grid
            ``(B, 1, \\*space)``, others ``(N, 1[, 1])``. Outputs there are what is given, and weigh
            nothing.
        given: values of these targets, as targets are; where none are known the last input stays.
        geometry: grid: ``spacing (B, d)`` and ``periodic (d,)``, with an axis of latitudes
            ``area (1, 1, \\*space)``, cos φ with mean 1 (1 along other axes); where outputs are wanted
            at points of their own, ``at (P, d)`` or ``(B, P, d)``, from 0 to 1 along each axis, and
            targets are then ``(B, U, P)``. Others: ``ptr (B+1,)``, where each
            sample's points begin; ``owner (N,)``, the sample of each point; ``edges (2, E)``
            offset to the concatenated points; mesh: ``points (N, d)``; particles: ``species (N,)``,
            ``periodic (d,)`` and, where they have cells, ``cell (B, d, d)``. With fields in cells,
            ``cells (M, k)``, their nodes, and ``cell_owner (M,)``; with fields on edges,
            ``edge_owner`` and, of a mesh, ``sides (E, 2)``, their nodes.
        structure: what the model wants derived from domains and frames, by the keyword with which it
            gets it; see :mod:`sciml.surrogates.structure`.
        on: where the rows of fields are that do not lie on points: ``"cell"``, ``"edge"``, ``"global"``.
        size: number of samples B.
        keys: ``Sample.key`` of each.
        kind: kind of domain; ``"points"`` for collocation points, which have no samples behind them.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor] = field(default_factory=dict)
    parameters: Float[Tensor, "batch parameter"] | None = None
    time: Float[Tensor, "batch unroll"] | None = None
    static: dict[str, Tensor] = field(default_factory=dict)
    geometry: dict[str, Tensor] = field(default_factory=dict)
    forcing: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)
    masks: dict[str, Tensor] = field(default_factory=dict)
    fixed: dict[str, Tensor] = field(default_factory=dict)
    given: dict[str, Tensor] = field(default_factory=dict)
    structure: dict[str, Tensor] = field(default_factory=dict)
    on: dict[str, str] = field(default_factory=dict)
    size: int = 0
    keys: tuple[tuple[int, int], ...] = ()
    kind: str = "grid"

    def rows(self, name: str, values: Tensor) -> Tensor | None:
        """The sample of each row of a field; ``None`` where a sample is one row: on grids, and of
        numbers a frame."""
        owner = self.geometry.get(OWNERS.get(self.on.get(name, "point"), ""))
        return None if owner is None or len(owner) != len(values) else owner.to(values.device)

    def to(
        self,
        device: torch.device | str,
        dtype: torch.dtype | None = None,
        *,
        keep_float64: bool = False,
    ) -> Batch:
        """The same batch on ``device``, numbers that are not whole as ``dtype``; nothing is copied if
        it is so already.

        Args:
            keep_float64: fields, parameters and times that are float64 stay so where the device has
                it; see :func:`suited`.
        """
        device = torch.device(device)
        exact = keep_float64 and device.type != "mps"

        def moved(t: Tensor, kept: bool) -> Tensor:
            stays = not t.is_floating_point() or (kept and t.dtype == torch.float64)
            wanted = t.dtype if dtype is None or stays else dtype
            if t.device == device and t.dtype == wanted:
                return t
            return t.to(device, wanted, non_blocking=True)

        found: dict[str, Any] = {
            name: {n: moved(t, exact and name in VALUES) for n, t in getattr(self, name).items()}
            for name in (*VALUES, *BESIDE)
        }
        for name in ("parameters", "time"):
            values = getattr(self, name)
            found[name] = None if values is None else moved(values, exact)
        return self if self._holds(found) else replace(self, **found)

    def _holds(self, found: dict[str, Any]) -> bool:
        """Whether these are the very tensors of this batch."""
        for name, value in found.items():
            own = getattr(self, name)
            if isinstance(value, dict):
                if any(t is not own[n] for n, t in value.items()):
                    return False
            elif value is not own:
                return False
        return True


def lattice_of(values: Tensor) -> Tensor:
    """Cells ``(B, d, d)`` of the last frames of vectors ``(B, H, d * d)``."""
    side = round(values.shape[-1] ** 0.5)
    return values[:, -1].unflatten(-1, (side, side))


def dtype_for(model: nn.Module) -> torch.dtype | None:
    """That of the values of batches for a model: of its weights, yet float32 at least, since a field
    around a large mean is gone once it is rounded to bfloat16; ``None`` where there are no weights."""
    own = weights_dtype(model)
    return None if own is None else torch.promote_types(own, torch.float32)


def weights_dtype(model: nn.Module) -> torch.dtype | None:
    """Of the first weights that are not whole or complex; ``None`` where there are none."""
    dtypes = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(dtypes, None)


def suited(batch: Batch, model: nn.Module, device: torch.device | str) -> Batch:
    """The batch on ``device`` as ``model`` takes it.

    A surrogate with a normalizer scales values before it rounds them to what its weights are, so
    float64 stays: a pressure of 1e5 Pa whose deviation is 1 Pa has no digits to lose in float32, which
    has steps of 0.008 there. Any other model gets numbers of its own dtype (:func:`dtype_for`).
    """
    scales = getattr(model, "normalizer", None) is not None
    dtype = dtype_for(model) or torch.get_default_dtype()
    return batch.to(device, dtype, keep_float64=scales)
