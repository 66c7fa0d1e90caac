"""Normalization by moments that are integrals."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.surrogates.grid.operator.quadrature import grid_weights
from sciml.surrogates.grid.operator.refinement import Refinement


class QuadratureGroupNorm(nn.Module):
    """γ (u − m)/√(v + ε) + β, m = ∫ u dx, v = ∫ (u − m)² dx over the box and a group of channels.

    On periodic axes the mean over points is that integral already, and this is GroupNorm; where an
    axis holds both ends, :func:`~sciml.surrogates.grid.operator.quadrature.refined` gives weights.

    Shapes: ``(B, C, *space)`` both.

    Args:
        norm: of torch, GroupNorm or InstanceNorm; weights are shared.
        refinement: of the network.
    """

    def __init__(self, norm: nn.Module, refinement: Refinement) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        #: None: as many as there are channels.
        self.groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else None
        self.refinement = refinement

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch channel *space"]:
        groups = self.groups or x.shape[1]
        weights = grid_weights(x.shape[2:], self.refinement, x)
        if weights is None:
            return F.group_norm(x, groups, self.weight, self.bias, self.eps)
        grouped = x.unflatten(1, (groups, -1))  # (B, groups, C / groups, *space)
        inner = tuple(range(2, grouped.ndim))
        weights = weights / grouped.shape[2]
        mean = (grouped * weights).sum(inner, keepdim=True)
        centered = grouped - mean
        variance = (centered.square() * weights).sum(inner, keepdim=True)
        x = (centered * (variance + self.eps).rsqrt()).flatten(1, 2)
        if self.weight is None:
            return x
        shape = (-1, *(1,) * (x.ndim - 2))
        return x * self.weight.view(shape) + self.bias.view(shape)
