"""One more node a graph, which all others share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class VirtualNode(nn.Module):
    """g ← g + φ(g, mean of h_v), h_v ← h_v + ψ(g): of each graph its own.

    φ and ψ are a linear layer, SiLU and another. Two nodes are then two steps apart, at a cost of nodes.

    Shapes: h ``(N, width)``, g ``(B, width)``, owner ``(N,)``, or none for one graph → h, g.

    Args:
        width: channels.

    Source: C. Cai et al., On the Connection Between MPNN and Graph Transformer, ICML 2023, arXiv
    2301.11956, section 3.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gather = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
        self.spread = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, g: Tensor, owner: Tensor | None = None) -> tuple[Tensor, Tensor]:
        g = g + self.gather(torch.cat([g, means(h, len(g), owner)], dim=1))
        there = self.spread(g)
        return h + (there if owner is None else there.index_select(0, owner)), g

    @staticmethod
    def start(h: Tensor, owner: Tensor | None) -> Tensor:
        """g of zeros, one a graph."""
        return h.new_zeros(1 if owner is None else int(owner[-1]) + 1, h.shape[1])


def means(h: Tensor, graphs: int, owner: Tensor | None) -> Tensor:
    """Of the nodes of each graph, ``(graphs, C)``."""
    if owner is None:
        return h.mean(dim=0, keepdim=True)
    count = torch.bincount(owner, minlength=graphs).clamp(min=1)[:, None].to(h.dtype)
    return h.new_zeros(graphs, h.shape[1]).index_add(0, owner, h) / count
