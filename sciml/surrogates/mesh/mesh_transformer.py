"""MeshTransformer: nodes attend to their neighbours on the mesh, and to whom else they are joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sciml.errors import InputError, require_known
from sciml.surrogates.graph.attention import channels_of_head
from sciml.surrogates.graph.links import (
    Links,
    checked,
    links_of,
    owner_of,
    points_of,
    require_edges,
    unpacked,
)
from sciml.surrogates.mesh.bistride import (
    BiStride,
    CoarserMesh,
    levels_of_layers,
    on_levels,
    walked,
)
from sciml.surrogates.mesh.edge_attention import EdgeAttention
from sciml.surrogates.mesh.encodings import rotated, rotations
from sciml.surrogates.mesh.neighbourhoods import Neighbourhoods, with_loops
from sciml.surrogates.mesh.on_nodes import NodeChannels
from sciml.surrogates.mesh.virtual_node import VirtualNode
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose

#: Layers, width, heads of the presets.
SIZES: dict[str, tuple[int, int, int]] = {
    "S": (10, 64, 4),
    "M": (15, 128, 4),
    "L": (15, 256, 8),
    "XL": (20, 384, 12),
}


class NeighbourAttention(nn.Module):
    """W_o [o₁ … o_h], o of :class:`EdgeAttention`, q, k, v = W x in h heads.

    Shapes: x ``(N, width)`` → the same.

    Args:
        width: channels of all heads together.
        heads: h.

    Raises:
        InputError: a width that is not divisible by the heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        channels_of_head(width, heads)
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, attend: EdgeAttention, turns: Tensor | None = None) -> Tensor:
        q, k, v = (t.unflatten(1, (self.heads, -1)) for t in in_parts(self.qkv, x, 3))
        if turns is not None:
            q, k = rotated(q, turns), rotated(k, turns)
        return self.out(attend(q, k, v).flatten(1))


class TransformerBlock(nn.Module):
    """x += attention(RMSNorm(x)); x += W₃(GELU(W₁ y) ⊙ W₂ y), y = RMSNorm(x).

    Args:
        width, heads: as in :class:`NeighbourAttention`.
        expansion: channels of W₁ y over those of x.
    """

    def __init__(self, width: int, heads: int, expansion: int = 3) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2))
        self.attention = NeighbourAttention(width, heads)
        self.gate = nn.Linear(width, 2 * expansion * width)
        self.down = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor, attend: EdgeAttention, turns: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norms[0](x), attend, turns)
        gate, value = in_parts(self.gate, self.norms[1](x), 2)
        return x + self.down(F.gelu(gate) * value)


class MeshTransformer(nn.Module):
    """Encoder, ``layers`` blocks of :class:`TransformerBlock`, decoder; the adjacency is the mask.

    x ← x + Attn(RMSNorm(x)), x ← x + W₃(GELU(W₁y) ⊙ W₂y), y = RMSNorm(x); the softmax of Attn goes over
    a node and its neighbours. Encoder and decoder are networks of four linear layers and ReLU, behind
    the encoder a norm. Edges carry nothing: lengths and directions are known by the coordinates among
    the channels, or by ``rope``.

    Shapes: x ``(N, in_channels)``, ``edge_index`` ``(2, E)`` or :class:`Links`, or a list of them, which
    layers take in turn; ``points`` ``(N, d)``, ``owner`` ``(N,)`` → ``(N, out_channels)``; or a ``Data``
    or ``Batch`` of torch_geometric, with ``x``, ``edge_index`` and, for ``rope``, ``pos``.

    Args:
        in_channels, out_channels: of a node.
        layers, width, heads: of the blocks.
        expansion: of their gated networks.
        rope: coordinates d by which queries and keys are turned, so that a score knows how far apart
            two nodes are; 0: none.
        virtual_node: whether all nodes of a graph share one more, which is updated after each block.
        coarsening: coarser meshes, which are then given as ``levels``: blocks go down to them, and up.
        checkpointed: compute blocks again on the way back, in place of keeping what is in them.

    Raises:
        InputError: sizes below 1, a width that heads do not divide; in use: features of another shape
            or not finite, edges that cannot be.

    When it fails: a node sees as many edges far as there are layers; see
    :func:`~sciml.surrogates.mesh.neighbourhoods.receptive_field` for what windows, global nodes and
    random edges add.

    Good values: the presets of :data:`SIZES`: S 0.6, M 3.3, L 13, XL 39 million parameters; AdamW with
    betas 0.9, 0.95, weight decay 1e-4, lr 1e-3 with a warm-up of 1000 steps and a cosine, gradients
    clipped at 1, increments of the field, noise on inputs.

    Source: P. Garnier et al., Training Transformers for Mesh-Based Simulations, 2025, arXiv 2508.18051.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        layers: int = 10,
        width: int = 64,
        heads: int = 4,
        expansion: int = 3,
        rope: int = 0,
        virtual_node: bool = False,
        coarsening: BiStride | None = None,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, layers, width, heads, expansion) < 1:
            raise InputError(
                f"MeshTransformer: channels {in_channels} in, {width} inside, {out_channels} out, "
                f"{layers} layers, {heads} heads, expansion {expansion}; expected 1 or more"
            )
        self.in_channels, self.heads, self.checkpointed = in_channels, heads, checkpointed
        self.coarsening = coarsening
        self.layers = levels_of_layers(layers, coarsening.levels if coarsening else 0)
        self.encode = nn.Sequential(four_layers(in_channels, width, width), nn.RMSNorm(width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, expansion) for _ in range(layers)
        )
        self.shared = nn.ModuleList(VirtualNode(width) for _ in range(layers * virtual_node))
        self.decode = four_layers(width, width, out_channels)
        self.register_buffer(
            "rates", rotations(width // heads, rope) if rope else None, persistent=False
        )

    def forward(
        self,
        x: Float[Tensor, "node given"],
        edge_index: Tensor | Links | Sequence[Links] | None = None,
        points: Float[Tensor, "node d"] | None = None,
        owner: Tensor | None = None,
        levels: Sequence[CoarserMesh] = (),
    ) -> Float[Tensor, "node wanted"]:
        owner, points = owner_of(x, owner), points_of(x, points)
        x, edges, _ = unpacked(x, edge_index, None)
        x = checked("MeshTransformer", x, self.in_channels, self)
        every = [edges] if isinstance(edges, Links) else edges
        if not isinstance(every, Sequence) or not all(isinstance(one, Links) for one in every):
            require_edges(edges, len(x))
            every = [links_of(with_loops(edges, len(x)), len(x))]
        # Of the mesh itself, which layers take in turn, and of coarser ones.
        attends = [[EdgeAttention.of(links, self.heads) for links in every]]
        attends += [[EdgeAttention.of(level.links, self.heads)] for level in levels]
        turns = None
        if self.rates is not None:
            if points is None:
                raise InputError(
                    "MeshTransformer: rope without points; expected (nodes, d), or data.pos"
                )
            turns = points.to(x.dtype) @ self.rates.to(x.dtype)
        owners, every_turns, shared = on_levels(owner, levels), on_levels(turns, levels), None

        def block(layer: int, level: int, h: Tensor) -> Tensor:
            nonlocal shared
            attend = attends[level][layer % len(attends[level])]
            h = self._applied(self.blocks[layer], h, attend, every_turns[level])
            if self.shared:
                shared = VirtualNode.start(h, owner) if shared is None else shared
                h, shared = self.shared[layer](h, shared, owners[level])
            return h

        return self.decode(walked(self.encode(x), self.layers, levels, block))

    def _applied(self, block: nn.Module, *given: Any) -> Tensor:
        if self.checkpointed and torch.is_grad_enabled():
            return checkpoint(block, *given, use_reentrant=False)
        return block(*given)


def four_layers(given: int, hidden: int, wanted: int) -> nn.Sequential:
    """Four linear layers with ReLU between them."""
    widths = (given, hidden, hidden, hidden)
    layers = [part for w in widths[:-1] for part in (nn.Linear(w, hidden), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(hidden, wanted))


def in_parts(layer: nn.Linear, x: Tensor, count: int) -> list[Tensor]:
    """``layer(x).chunk(count, dim=1)``, each contiguous: nothing is copied, on the way back neither."""
    each = zip(layer.weight.chunk(count), layer.bias.chunk(count), strict=True)
    return [F.linear(x, weight, bias) for weight, bias in each]


class TransformerOnDomain(nn.Module):
    """A :class:`MeshTransformer` that gets its links from a structure, and channels of nodes.

    Args:
        net: the network.
        near: whom nodes attend to.
        sees: channels, and the structures that they come from.
    """

    def __init__(self, net: MeshTransformer, near: Neighbourhoods, sees: NodeChannels) -> None:
        super().__init__()
        self.net, self.near, self.sees = net, near, sees
        self.symmetric = bool(sees.seen.ndim or near.undirected)
        coarser = () if net.coarsening is None else (net.coarsening,)
        layers = len(net.blocks)
        everywhere = near.everywhere or bool(net.shared) or net.coarsening is not None
        reach = None if everywhere else sum(near.far(layer) for layer in range(layers))
        structures = (near, *sees.structures, *coarser)
        self.traits = Traits(reach=reach, groups=sees.seen.groups, structures=structures)

    def forward(self, x: Tensor, *where: Tensor, **given: Tensor) -> Tensor:
        links = self.near.taken(given, len(x), self.symmetric)
        levels = ()
        if self.net.coarsening is not None:
            levels = self.net.coarsening.taken(given, len(x), self.symmetric)
        features = self.sees.features(x, where, given)
        return self.net(features, links, given.get("place"), where[-1], levels)


def build(
    setting: Setting,
    *,
    size: str = "S",
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    hops: int = 1,
    dilations: Sequence[int] = (1,),
    random_edges: int = 0,
    global_nodes: int = 0,
    global_groups: Sequence[str] = (),
    virtual_node: bool = False,
    levels: int = 0,
    groups: bool = True,
    encoding: str = "",
    encoding_size: int = 8,
    rope: bool = False,
    undirected: bool = False,
    checkpointed: bool = False,
    seed: int = 0,
) -> nn.Module:
    """A MeshTransformer, for meshes and graphs.

    Args:
        size: preset of layers, width and heads: ``S`` 0.6, ``M`` 3.3, ``L`` 13, ``XL`` 39 million
            parameters.
        layers, width, heads: in place of those of the preset.
        hops, dilations: a node sees those at 1, …, ``hops`` times a dilation of edges; layers take the
            dilations in turn.
        random_edges: others that a node sees, drawn once a mesh.
        global_nodes: nodes, far from each other, that see all and that all see.
        global_groups: groups of nodes of the mesh, likewise.
        virtual_node: one more node, updated after each block.
        levels: coarser meshes, each some half of the one before, to which layers go down, and up again.
        groups: whether nodes see in which groups of the mesh they are.
        encoding: ``laplacian`` or ``random_walk`` among the channels of a node.
        encoding_size: numbers of it.
        rope: turn queries and keys by coordinates.
        undirected: whether edges are taken both ways.
        checkpointed: less memory, a third more time.
        seed: of what is drawn.

    Raises:
        InputError: no mesh or graph; options that cannot be.
    """
    sees = NodeChannels.of("mesh_transformer", setting, groups, encoding, encoding_size)
    require_known("mesh_transformer: unknown size", size, SIZES)
    if rope and not sees.seen.ndim:
        raise InputError("mesh_transformer: rope on a graph, whose nodes have no coordinates")
    sizes = zip((layers, width, heads), SIZES[size], strict=True)
    layers, width, heads = (usual if own is None else own for own, usual in sizes)
    near = Neighbourhoods(
        hops, tuple(dilations), random_edges, global_nodes, tuple(global_groups), undirected, seed
    )
    net = MeshTransformer(
        sees.channels,
        setting.channels[1],
        layers,
        width,
        heads,
        rope=sees.seen.ndim if rope else 0,
        virtual_node=virtual_node,
        coarsening=BiStride(levels, loops=True, undirected=undirected) if levels else None,
        checkpointed=checkpointed,
    )
    return chose(TransformerOnDomain(net, near, sees), layers=layers, width=width, heads=heads)
