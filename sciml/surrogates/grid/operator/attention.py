"""Attention as a quotient of integrals."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from sciml.surrogates.grid.operator.quadrature import grid_weights
from sciml.surrogates.grid.operator.refinement import Refinement


class QuadratureAttention(nn.MultiheadAttention):
    """Multi-head attention of torch with quadrature weights; tokens are points of a grid, in its order.

    The grid is that of the last convolution before. Where the number of tokens is another, or all
    weights are equal, as on periodic axes and at the base, this is torch's.

    Args:
        attention: of torch; weights are shared.
        refinement: of the network.
    """

    def __init__(self, attention: nn.MultiheadAttention, refinement: Refinement) -> None:
        super().__init__(
            attention.embed_dim,
            attention.num_heads,
            attention.dropout,
            bias=attention.in_proj_bias is not None,
            add_bias_kv=attention.bias_k is not None,
            add_zero_attn=attention.add_zero_attn,
            kdim=attention.kdim,
            vdim=attention.vdim,
            batch_first=attention.batch_first,
            device="meta",
        )
        self._parameters.update(attention._parameters)
        self._modules.update(attention._modules)
        self.refinement = refinement

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        space = self.refinement.grid
        points = key.shape[1 if self.batch_first and key.ndim == 3 else 0]
        if attn_mask is None and space is not None and prod(space) == points:
            weights = grid_weights(space, self.refinement, key)
            if weights is not None:
                length = query.shape[1 if self.batch_first and query.ndim == 3 else 0]
                attn_mask = torch.log(weights.flatten() * points).expand(length, points)
                is_causal = False
        return super().forward(
            query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights,
            is_causal,
        )  # fmt: skip
