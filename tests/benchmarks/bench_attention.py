"""How fast is attention over the edges of a mesh? Run by hand:

    python tests/benchmarks/bench_attention.py [--rounds 5] [--nodes 2000 10000 50000] [--json a.json]

Forward and backward of one layer with its four products of matrices, 4 heads, float32, one thread, on
Delaunay meshes of random points with edges both ways and from each node to itself, in turn:

- ours: :class:`NeighbourAttention`, what a block of MeshTransformer has;
- gathered: the same weights with gather, ``scatter_reduce`` and ``index_add`` in plain autograd;
- TransformerConv of torch_geometric;
- dense: ``scaled_dot_product_attention`` with the adjacency as mask, up to 10⁴ nodes.

Seconds are of the processor. Ratios are theirs by ours in neighboring rounds: above 1 ours is faster.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from alternating import against, alternate
from scipy.spatial import Delaunay
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import TransformerConv

from sciml.surrogates.graph.links import Links, links_of
from sciml.surrogates.mesh.edge_attention import EdgeAttention
from sciml.surrogates.mesh.mesh_transformer import NeighbourAttention

HEADS, LARGEST = 4, 10_000


def mesh(nodes: int) -> Tensor:
    """Edges of a mesh of random points, numbered along a line as mesh generators do."""
    points = np.random.default_rng(0).random((nodes, 2))
    points = points[np.lexsort((points[:, 1], np.floor(points[:, 0] * nodes**0.5 / 4)))]
    cells = Delaunay(points).simplices
    pairs = np.concatenate([cells[:, [i, j]] for i in range(3) for j in range(3)])
    return torch.from_numpy(np.unique(pairs, axis=0).T.astype(np.int64))


def gathered(layer: NeighbourAttention, x: Tensor, links: Links) -> Tensor:
    """What the layer gives, by what a tutorial would write."""
    q, k, v = (t.unflatten(1, (layer.heads, -1)) for t in layer.qkv(x).chunk(3, dim=1))
    at, to = links.source, links.receiver
    scores = (q[to] * k[at]).sum(-1) * q.shape[-1] ** -0.5
    most = scores.new_full((links.nodes, layer.heads), -torch.inf)
    most = most.scatter_reduce(0, to[:, None].expand_as(scores), scores.detach(), "amax")
    w = (scores - most[to]).exp()
    w = w / w.new_zeros(links.nodes, layer.heads).index_add(0, to, w)[to]
    return layer.out(torch.zeros_like(v).index_add(0, to, w[:, :, None] * v[at]).flatten(1))


def dense(layer: NeighbourAttention, x: Tensor, mask: Tensor) -> Tensor:
    q, k, v = (
        t.unflatten(1, (layer.heads, -1)).transpose(0, 1) for t in layer.qkv(x).chunk(3, dim=1)
    )
    found = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask)[0]
    return layer.out(found.transpose(0, 1).flatten(1))


def there_and_back(layer: nn.Module, x: Tensor, call: partial) -> None:
    layer.zero_grad()
    x.grad = None
    call().sum().backward()


def measured(nodes: int, width: int, rounds: int) -> dict:
    edges = mesh(nodes)
    links = links_of(edges, nodes)
    x = torch.randn(nodes, width, requires_grad=True)
    layer, other = NeighbourAttention(width, HEADS), TransformerConv(width, width // HEADS, HEADS)
    attend = EdgeAttention.of(links, HEADS)
    ways = {"ours": partial(layer, x, attend), "gathered": partial(gathered, layer, x, links)}
    if nodes <= LARGEST:
        mask = torch.zeros(nodes, nodes, dtype=torch.bool)
        mask[links.receiver, links.source] = True
        ways["dense"] = partial(dense, layer, x, mask)
    for name, way in ways.items():
        torch.testing.assert_close(way(), layer(x, attend), atol=1e-5, rtol=1e-5, msg=name)
    calls = {n: partial(there_and_back, layer, x, way) for n, way in ways.items()}
    sorted_edges = torch.stack([links.source, links.receiver])
    calls["TransformerConv"] = partial(there_and_back, other, x, partial(other, x, sorted_edges))
    calls["making it"] = partial(EdgeAttention.of, links, HEADS)
    times = alternate(calls, rounds, time.process_time)
    for name in [*times][1:]:
        print(
            f"{nodes:>6} {len(links.source):>7} {width:>4} {name:>15} "
            f"{against(times['ours'], times[name])}",
            flush=True,
        )
    return {"nodes": nodes, "edges": len(links.source), "width": width, "seconds": times}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nodes", type=int, nargs="+", default=[2000, 10_000, 50_000])
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'nodes':>6} {'edges':>7} {'C':>4} {'against':>15}     ours    other ratio (range), ms")
    found = [measured(n, w, given.rounds) for w in given.widths for n in given.nodes]
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
