"""What flows out of the error of a velocity on a mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sciml.errors import InputError, nearest
from sciml.surrogates.batch import Batch
from sciml.surrogates.setting import Setting


def divergence(
    values: Float[Tensor, "node frame d"],
    points: Float[Tensor, "node d"],
    edges: Int[Tensor, "2 edge"],
) -> Float[Tensor, "node frame"]:
    """div u of least squares: of the G that makes Σ_j |u_j − u_i − G (x_j − x_i)|² / |x_j − x_i|² least.

    Exact for linear fields, of first order on others; along surfaces in space, of the part along them; 0
    at a node without edges.

    When it fails: a direction in which neighbours differ by less than 0.3 % of their distance is left
    out, as that through a surface is: cells 300 times as long as wide want edges across. Coordinates are
    float32: far from the origin, as those of a map, subtract what they have in common.
    """
    source, receiver = edges
    away = points.index_select(0, source) - points.index_select(0, receiver)
    squared = away.square().sum(1).clamp(min=torch.finfo(away.dtype).tiny)
    unit = away / squared.sqrt()[:, None]
    d = points.shape[1]
    spread = unit.new_zeros(len(points), d, d)
    spread = spread.index_add(0, receiver, unit[:, :, None] * unit[:, None, :])
    inverse = torch.linalg.pinv(spread, rtol=1e-5, hermitian=True)
    along = (inverse.index_select(0, receiver) @ away[:, :, None])[..., 0] / squared[:, None]
    change = values.index_select(0, source) - values.index_select(0, receiver)
    flow = (change * along[:, None].to(values.dtype)).sum(-1)
    return flow.new_zeros(values.shape[:2]).index_add(0, receiver, flow)


def divergence_loss(
    names: Sequence[str], model: nn.Module, outputs: Mapping[str, Tensor], batch: Batch
) -> Tensor:
    """mean (h div(û − u) / σ)², h the mean length of the edges of a node.

    0 where the truth came out, however its divergence comes out on this mesh. σ is one for all
    components: the root of the mean square of their deviations, or of those of their increments.
    """
    error = stacked(names, outputs) - stacked(names, batch.targets)
    points, edges = batch.geometry["points"], batch.geometry["edges"]
    length = (points[edges[0]] - points[edges[1]]).norm(dim=1)
    count = torch.bincount(edges[1], minlength=len(points)).clamp(min=1)
    h = length.new_zeros(len(points)).index_add(0, edges[1], length) / count
    found = divergence(error, points, edges) * h[:, None].to(error.dtype)
    normalizer = getattr(model, "normalizer", None)
    if normalizer is not None:
        moves = getattr(model, "increment", False) and {*names} <= {*model.task.inputs}
        kind = ("increment",) if moves else ()
        each = [normalizer.numbers(name, *kind)[1] for name in names]
        found = found / (sum(one * one for one in each) / len(each)) ** 0.5
    return found.square().mean()


def stacked(names: Sequence[str], fields: Mapping[str, Tensor]) -> Tensor:
    """Components of a velocity, ``(N, U, d)``: of one field, or of as many as there are axes."""
    return fields[names[0]] if len(names) == 1 else torch.stack([fields[n] for n in names], dim=-1)


def require_velocity(names: Sequence[str], setting: Setting) -> None:
    """That a velocity has a component for each axis of a mesh.

    Raises:
        InputError: no mesh; names that are no targets; too few or many components.
    """
    scope = setting.scope
    if scope is not None and scope.kind != "mesh":
        raise InputError(f"divergence of fields on a {scope.kind}; expected a mesh")
    for name in names:
        if name not in setting.task.targets:
            raise InputError(
                f"divergence: '{name}' is no target; {nearest(name, setting.task.targets)}"
            )
    widths = [setting.width(name) for name in names]
    if scope is not None and (sum(widths) != scope.ndim or (len(names) > 1 and max(widths) > 1)):
        raise InputError(
            f"divergence of {', '.join(names)}, {sum(widths)} components in {scope.ndim} dimensions; "
            "expected one field with a component an axis, or a field of numbers for each axis"
        )
