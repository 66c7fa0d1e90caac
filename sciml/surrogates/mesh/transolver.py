"""Transolver: nodes are gathered into a few slices, which attend to each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sciml.errors import InputError
from sciml.surrogates.graph.attention import channels_of_head
from sciml.surrogates.graph.links import checked, owner_of
from sciml.surrogates.mesh.on_nodes import NodeChannels
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class PhysicsAttention(nn.Module):
    """y_n = Σ_s w_ns z'_s, z' = softmax(q kᵀ / √c) v of z_s = Σ_n w_ns f_n / Σ_n w_ns.

    w_n = softmax(W_s g_n / τ) says how much of each slice a node is; f and g are W x in heads, q, k, v
    are W z, τ is learned, a number a head.

    Shapes: x ``(N, width)``, sizes of the graphs → the same.

    Args:
        width: channels of all heads together.
        heads: each has slices of its own.
        slices: s.

    Raises:
        InputError: a width that is not divisible by the heads.
    """

    def __init__(self, width: int, heads: int, slices: int) -> None:
        super().__init__()
        c = channels_of_head(width, heads)
        self.heads = heads
        self.enter, self.out = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.slice = nn.Linear(c, slices)
        nn.init.orthogonal_(self.slice.weight)
        self.qkv = nn.Linear(c, 3 * c, bias=False)
        self.temperature = nn.Parameter(torch.full((heads, 1, 1), 0.5))

    def forward(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        f, g = self.enter(x).unflatten(1, (2, self.heads, -1)).permute(1, 2, 0, 3)  # (h, N, c)
        w = F.softmax(self.slice(g) / self.temperature.clamp(0.1, 5.0), dim=-1)  # (h, N, s)
        found = [
            self._mixed(*one) for one in zip(w.split(sizes, 1), f.split(sizes, 1), strict=True)
        ]
        return self.out(torch.cat(found, dim=1).transpose(0, 1).flatten(1))

    def _mixed(self, w: Tensor, f: Tensor) -> Tensor:
        """Of one graph."""
        z = w.mT @ f / (w.sum(dim=1).unsqueeze(-1) + 1e-5)
        return w @ F.scaled_dot_product_attention(*self.qkv(z).chunk(3, dim=-1))


class SliceBlock(nn.Module):
    """x += attention(LayerNorm(x)); x += W₂ GELU(W₁ LayerNorm(x))."""

    def __init__(self, width: int, heads: int, slices: int, expansion: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = PhysicsAttention(width, heads, slices)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )

    def forward(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        x = x + self.attention(self.norms[0](x), sizes)
        return x + self.mlp(self.norms[1](x))


class Transolver(nn.Module):
    """x ← x + PhysicsAttention(LayerNorm(x)), x ← x + MLP(LayerNorm(x)), ``layers`` times.

    Edges are not looked at: what is near is known by the coordinates among the channels. All nodes of a
    graph see each other, at a cost of nodes times slices.

    Shapes: x ``(N, in_channels)``, ``owner`` ``(N,)``, ascending, or none for one graph →
    ``(N, out_channels)``; or a ``Data`` or ``Batch`` of torch_geometric.

    Args:
        in_channels, out_channels: of a node.
        layers, width, heads, slices: of :class:`PhysicsAttention`.
        expansion: of the networks behind it.
        checkpointed: compute blocks again on the way back, in place of keeping what is in them.

    Raises:
        InputError: sizes below 1; in use: features of another shape or not finite.

    When it fails: what differs between neighbours is seen by their channels alone; small structures on
    large meshes want more slices.

    Good values: 8 layers, 128 channels, 8 heads, 32 slices; AdamW at 1e-3 with a one-cycle schedule.

    Source: H. Wu et al., Transolver: A Fast Transformer Solver for PDEs on General Geometries, ICML
    2024, arXiv 2402.02366, section 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        layers: int = 8,
        width: int = 128,
        heads: int = 8,
        slices: int = 32,
        expansion: int = 1,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, layers, width, heads, slices, expansion) < 1:
            raise InputError(
                f"Transolver: channels {in_channels} in, {width} inside, {out_channels} out, {layers} "
                f"layers, {heads} heads, {slices} slices, expansion {expansion}; expected 1 or more"
            )
        self.in_channels, self.checkpointed = in_channels, checkpointed
        self.encode = nn.Sequential(
            nn.Linear(in_channels, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.blocks = nn.ModuleList(
            SliceBlock(width, heads, slices, expansion) for _ in range(layers)
        )
        self.decode = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, out_channels))

    def forward(
        self, x: Float[Tensor, "node given"], owner: Int[Tensor, " node"] | None = None
    ) -> Float[Tensor, "node wanted"]:
        owner = owner_of(x, owner)
        x = checked("Transolver", getattr(x, "x", x), self.in_channels, self)
        sizes = [len(x)] if owner is None else torch.bincount(owner).tolist()
        h = self.encode(x)
        for block in self.blocks:
            if self.checkpointed and torch.is_grad_enabled():
                h = checkpoint(block, h, sizes, use_reentrant=False)
            else:
                h = block(h, sizes)
        return self.decode(h)


class TransolverOnDomain(nn.Module):
    """A :class:`Transolver` that gets channels of nodes.

    Args:
        net: the network.
        sees: channels, and the structures that they come from.
    """

    def __init__(self, net: Transolver, sees: NodeChannels) -> None:
        super().__init__()
        self.net, self.sees = net, sees
        self.traits = Traits(groups=sees.seen.groups, structures=sees.structures)

    def forward(self, x: Tensor, *where: Tensor, **given: Tensor) -> Tensor:
        return self.net(self.sees.features(x, where, given), where[-1])


def build(
    setting: Setting,
    *,
    layers: int = 8,
    width: int = 128,
    heads: int = 8,
    slices: int = 32,
    expansion: int = 1,
    groups: bool = True,
    encoding: str = "",
    encoding_size: int = 8,
    checkpointed: bool = False,
) -> nn.Module:
    """A Transolver, for meshes and graphs.

    Args:
        groups: whether nodes see in which groups of the mesh they are.
        encoding: ``laplacian`` or ``random_walk`` among the channels of a node, by which alone it
            knows of edges.
        encoding_size: numbers of it.
        checkpointed: less memory, a third more time.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    sees = NodeChannels.of("transolver", setting, groups, encoding, encoding_size)
    sizes = (layers, width, heads, slices, expansion)
    net = Transolver(sees.channels, setting.channels[1], *sizes, checkpointed=checkpointed)
    return TransolverOnDomain(net, sees)
