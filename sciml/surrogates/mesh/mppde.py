"""MP-PDE: messages of differences between neighbours, several frames a call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.surrogates.graph.links import Links, checked, links_of, owner_of, unpacked
from sciml.surrogates.graph.on_domain import OnDomain, graph_channels
from sciml.surrogates.mesh.on_grid import MessagesOnGrid, has_positions
from sciml.surrogates.mesh.virtual_node import means
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import chose


class MPPDE(nn.Module):
    """h_i ← norm(h_i + φ(h_i, mean_j m_ij, θ)), m_ij = ψ(h_i, h_j, u_i − u_j, x_i − x_j, θ).

    h is at first an embedding of all channels, u the frames that are known, θ what is the same at all
    nodes of a graph: parameters and time. φ, ψ and the embedding are two linear layers, each with Swish;
    no weights are shared between layers. ``norm`` takes from each graph and channel its mean, and
    divides by the deviation. A decoder of two convolutions along the channels of a node gives frames of
    a bundle. With increments, as studies and ``fit`` have them by default, the frame k of a bundle is
    the last known one + k dt d_k, as in the source.

    Shapes: x ``(N, in_channels)``, ``edge_index`` ``(2, E)``, x_i − x_j as ``edge_attr``
    ``(E, edge_channels)``, ``owner`` ``(N,)``, the graph of each node → ``(N, out_channels)``, frames
    one after the other; or a ``Data`` or ``Batch`` of torch_geometric.

    Args:
        in_channels, out_channels: of a node.
        state: so many of the first channels are u.
        scalars: the channels that are θ.
        edge_channels: values of an edge that are seen; 0: none.
        bundle: frames in ``out_channels``.
        hidden: channels in between.
        layers: messages.

    Raises:
        InputError: sizes below 1, a bundle that the hidden channels are too few for; in use: features of
            another shape or not finite, edges that cannot be.

    When it fails: a node sees ``layers`` messages far, within which a bundle has to find whatever moves
    there; means of a graph pass the norm through what is not linear alone.

    Good values: 6 layers, 128 channels, 25 frames in and out, pushforward by a bundle, AdamW at 1e-4.

    Source: J. Brandstetter, D. Worrall, M. Welling, Message Passing Neural PDE Solvers, ICLR 2022, arXiv
    2202.03376, eqs. (7) to (10), and the code of that paper. Kernels of the decoder are those of that
    code at 128 channels and a bundle of 25; elsewhere they scale with channels and bundle.
    """

    #: It sees whose each node is.
    by_graph = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        state: int,
        scalars: Sequence[int] = (),
        edge_channels: int = 0,
        bundle: int = 1,
        hidden: int = 128,
        layers: int = 6,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, state, bundle, hidden, layers) < 1:
            raise InputError(
                f"MPPDE: channels {in_channels} in, {state} of them u, {hidden} hidden, {out_channels} "
                f"out, {layers} layers, bundle {bundle}; expected 1 or more"
            )
        if state > in_channels or out_channels % bundle:
            raise InputError(
                f"MPPDE: {state} of {in_channels} channels as u, {out_channels} out in {bundle} frames; "
                "expected at most all channels, and as many in each frame"
            )
        self.in_channels, self.edge_channels, self.state = in_channels, edge_channels, state
        self.scalars = list(scalars)
        self.embed = nn.Sequential(
            nn.Linear(in_channels, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        numbers = len(self.scalars)
        self.layers = nn.ModuleList(
            _Layer(hidden, state, edge_channels, numbers) for _ in range(layers)
        )
        self.decode = _decoder(hidden, out_channels // bundle, bundle)

    def forward(
        self,
        x: Float[Tensor, "node given"],
        edge_index: Tensor | Links | None = None,
        edge_attr: Float[Tensor, "edge value"] | None = None,
        owner: Int[Tensor, " node"] | None = None,
        graphs: int = 1,
    ) -> Float[Tensor, "node wanted"]:
        """``graphs``: where nobody owns nodes, how many graphs of one size there are."""
        owner = owner_of(x, owner)
        x, edge_index, edge_attr = unpacked(x, edge_index, edge_attr)
        x = checked("MPPDE", x, self.in_channels, self)
        links = links_of(edge_index, x.shape[0])
        along = links.sorted(edge_attr, self.edge_channels, self)
        u, numbers = x[:, : self.state], x[:, self.scalars]
        share = 1.0 / (links.starts[1:] - links.starts[:-1]).clamp(min=1)[:, None].to(x.dtype)
        h = self.embed(x)
        for layer in self.layers:
            h = _normalized(layer(h, u, along, numbers, links, share), owner, graphs)
        # A node's channels as a signal, of which convolutions make (fields, frames).
        frames = self.decode(h.unsqueeze(1))
        return frames.transpose(1, 2).flatten(1)


class _Layer(nn.Module):
    """The message and the update, without the norm behind them."""

    def __init__(self, hidden: int, state: int, edge_channels: int, scalars: int) -> None:
        super().__init__()
        self.widths = [hidden, hidden, state, edge_channels, scalars]
        self.message = nn.Linear(sum(self.widths), hidden)
        self.message_out = nn.Linear(hidden, hidden)
        self.update = nn.Sequential(
            nn.Linear(2 * hidden + scalars, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )

    def forward(
        self,
        h: Tensor,
        u: Tensor,
        along: Tensor | None,
        numbers: Tensor,
        links: Links,
        share: Tensor,
    ) -> Tensor:
        # The first layer is linear in what both ends have, so each node multiplies once for all edges.
        here, there, between, way, fixed = self.message.weight.split(self.widths, dim=1)
        ours = F.linear(
            torch.cat([h, u, numbers], dim=1),
            torch.cat([here, between, fixed], dim=1),
            self.message.bias,
        )
        theirs = F.linear(torch.cat([h, u], dim=1), torch.cat([there, -between], dim=1))
        sent = ours.index_select(0, links.receiver) + theirs.index_select(0, links.source)
        if along is not None:
            sent = sent + F.linear(along, way)
        sent = F.silu(self.message_out(F.silu(sent)))
        return h + self.update(torch.cat([h, links.sum(sent) * share, numbers], dim=1))


def _normalized(h: Tensor, owner: Tensor | None, graphs: int) -> Tensor:
    """(h − μ) / σ of each graph and channel."""
    if owner is None:
        split = h.unflatten(0, (graphs, -1))
        variance, mean = torch.var_mean(split, dim=1, correction=0, keepdim=True)
        return ((split - mean) * torch.rsqrt(variance + 1e-5)).flatten(0, 1)
    graphs = int(owner.max()) + 1
    h = h - means(h, graphs, owner).index_select(0, owner)
    variance = means(h * h, graphs, owner)
    return h * torch.rsqrt(variance + 1e-5).index_select(0, owner)


def _decoder(hidden: int, fields: int, bundle: int) -> nn.Sequential:
    """Convolutions from ``(1, hidden)`` to ``(fields, bundle)``; at 128 and 25: 16, 3 apart, and 14."""
    first = max(1, hidden // 8)
    stride = min(first, max(1, round(0.6 * hidden / bundle)))
    second = (hidden - first) // stride + 2 - bundle
    if second < 1:
        raise InputError(
            f"MPPDE: hidden={hidden} channels for a bundle of {bundle} frames; expected "
            f"{-(-8 * (bundle - 1) // 7)} or more"
        )
    return nn.Sequential(nn.Conv1d(1, 8, first, stride), nn.SiLU(), nn.Conv1d(8, fields, second))


def build(
    setting: Setting,
    *,
    hidden: int = 128,
    layers: int = 6,
    reach: int = 3,
    positions: bool | None = None,
    undirected: bool = False,
) -> nn.Module:
    """An MPPDE, for grids, meshes and graphs.

    Args:
        reach: on grids, spacings within which points are neighbours.
        positions: on grids, whether coordinates are among the channels; none: where an axis is not
            periodic, since on a torus no point differs from another.
        undirected: on meshes and graphs, whether edges are taken both ways.

    Raises:
        InputError: a domain or a task that it is not for; options that cannot be.
    """
    task = setting.task
    if task.history == 0:
        raise InputError(
            "model 'mppde': the task has no input fields (history=0), whose differences it sees; raise "
            "history, or take model 'mlp', which maps parameters to fields"
        )
    given, wanted = setting.channels
    state = task.history * sum(map(setting.width, task.inputs))
    scalars = range(given - len(task.parameters) - task.time, given)
    sizes = {"bundle": task.bundle, "hidden": hidden, "layers": layers}
    if isinstance(setting.scope, Grid):
        if undirected:
            raise InputError(
                "model 'mppde': undirected on a grid, whose points see each other; drop it"
            )
        grid = setting.scope
        positions = has_positions(grid, positions)
        given += positions * grid.ndim
        net = MPPDE(given, wanted, state, scalars, grid.ndim, **sizes)
        return chose(MessagesOnGrid(net, grid, reach, positions), positions=positions)
    seen = graph_channels("mppde", setting)
    if positions:
        raise InputError(
            f"model 'mppde': positions on a {setting.scope.kind}, whose edges have directions; drop it, "
            "or name coordinates as static fields"
        )
    net = MPPDE(seen.channels, wanted, state, scalars, seen.edge_channels, **sizes)
    return chose(OnDomain(net, seen, undirected), positions=False)
