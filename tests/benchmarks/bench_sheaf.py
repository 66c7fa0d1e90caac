"""How fast are sheaf layers and steps of GRAND? Run by hand:

    python tests/benchmarks/bench_sheaf.py [--rounds 5] [--edges 1000 10000 100000] [--json sheaf.json]

Forward and backward of one layer of sheaf diffusion with general maps, 64 channels in stalks of
dimension d, on random graphs of 6 edges a node (each counted both ways), one thread, float32, in turn:

- ours: no matrix of the sheaf;
- sparse: the same maps, the Laplacian assembled as a ``torch.sparse`` matrix in coordinates each time;
- dense: assembled as a dense matrix, up to 10⁴ rows.

Then, per edge, how the time of ours grows. Last a layer of GRAND of one Euler step, and what each
further step adds, against GCNConv and TransformerConv of torch_geometric (4 heads of 16 channels).
Seconds are of the processor. Ratios are theirs by ours in neighboring rounds: above 1 ours is faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from alternating import against, alternate
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GCNConv, TransformerConv

from sciml.surrogates import GRAND, SheafDiffusion, undirected
from sciml.surrogates.graph.links import Links, links_of
from sciml.surrogates.graph.sheaf_laplacian import SheafLaplacian

CHANNELS, NEIGHBOURS, LARGEST = 64, 6, 10_000


def random_graph(edges: int) -> tuple[Tensor, int]:
    nodes = edges // NEIGHBOURS
    return undirected(torch.randint(0, nodes, (2, edges // 2))), nodes


def assembled(delta: SheafLaplacian, links: Links, dense: bool) -> Tensor:
    """The Laplacian as a matrix with rows of nodes times dimensions."""
    n, d = links.nodes, delta.blocks.shape[-1]
    every = torch.arange(n)
    row, column = torch.cat([every, links.receiver]), torch.cat([every, links.source])
    i, j = torch.arange(d).view(1, d, 1), torch.arange(d).view(1, 1, d)
    shape = (len(row), d, d)
    places = torch.stack(
        [
            (row.view(-1, 1, 1) * d + i).expand(shape).flatten(),
            (column.view(-1, 1, 1) * d + j).expand(shape).flatten(),
        ]
    )
    values = torch.cat([delta.diagonal, -delta.blocks]).flatten()
    if dense:
        return values.new_zeros(n * d, n * d).index_put((places[0], places[1]), values)
    return torch.sparse_coo_tensor(places, values, (n * d, n * d))


def by_matrix(layer: SheafDiffusion, x: Tensor, edges: Tensor, dense: bool) -> Tensor:
    """What the layer gives, by way of a matrix."""
    [inner], links = layer.layers, links_of(edges, len(x))
    h = x.unflatten(1, (-1, layer.features))
    matrix = assembled(inner.laplacian(h, links, None), links, dense)
    mixed = (inner.stalks @ (h @ inner.mixed)).flatten(0, 1)
    found = matrix @ mixed if dense else torch.sparse.mm(matrix, mixed)
    scale = inner.epsilon.tanh().add(1)[:, None]
    return (scale * h - F.elu(found).view_as(h)).flatten(1)


def there_and_back(layer: nn.Module, x: Tensor, call: Callable[[], Tensor]) -> None:
    layer.zero_grad()
    x.grad = None
    call().sum().backward()


def sheaves(sizes: list[int], rounds: int) -> list[dict]:
    found = []
    print(f"{'d':>2} {'edges':>7} {'against':>7}     ours    other ratio (range), ms")
    for d in (1, 2, 3, 4):
        for size in sizes:
            edges, nodes = random_graph(size)
            x = torch.randn(nodes, d * (CHANNELS // d), requires_grad=True)
            layer = SheafDiffusion(d, CHANNELS // d, 1, "general")
            ways = {"ours": partial(layer, x, edges)}
            ways["sparse"] = partial(by_matrix, layer, x, edges, False)
            if nodes * d <= LARGEST:
                ways["dense"] = partial(by_matrix, layer, x, edges, True)
            for name, way in ways.items():
                torch.testing.assert_close(way(), layer(x, edges), atol=1e-4, rtol=1e-4, msg=name)
            calls = {n: partial(there_and_back, layer, x, way) for n, way in ways.items()}
            times = alternate(calls, rounds, time.process_time)
            for name in [*times][1:]:
                print(
                    f"{d:>2} {size:>7} {name:>7} {against(times['ours'], times[name])}", flush=True
                )
            found.append({"d": d, "edges": size, "seconds": times})
    for d in (1, 2, 3, 4):
        per_edge = [
            statistics.median(f["seconds"]["ours"]) / f["edges"] * 1e6 for f in found if f["d"] == d
        ]
        print(
            f"d={d}: µs an edge, from {sizes[0]} to {sizes[-1]}:", *(f"{t:.2f}" for t in per_edge)
        )
    return found


def steps(sizes: list[int], rounds: int) -> list[dict]:
    found = []
    print(f"{'':>20} {'edges':>7}     GRAND    other ratio (range), ms")
    for size in sizes:
        edges, nodes = random_graph(size)
        x = torch.randn(nodes, CHANNELS, requires_grad=True)
        layers = {
            "one step": GRAND(CHANNELS, 1.0, integration={"method": "euler"}),
            "nine steps": GRAND(CHANNELS, 9.0, integration={"method": "euler"}),
            "GCNConv": GCNConv(CHANNELS, CHANNELS),
            "TransformerConv": TransformerConv(CHANNELS, CHANNELS // 4, heads=4),
        }
        calls = {
            n: partial(there_and_back, layer, x, partial(layer, x, edges))
            for n, layer in layers.items()
        }
        times = alternate(calls, rounds, time.process_time)
        pairs = zip(times["one step"], times["nine steps"], strict=True)
        times["a further step"] = [(b - a) / 8 for a, b in pairs]
        for ours in ("one step", "a further step"):
            for name in ("GCNConv", "TransformerConv"):
                print(
                    f"{ours:>14} {name:>15} {size:>7} {against(times[ours], times[name])}",
                    flush=True,
                )
        found.append({"edges": size, "seconds": times})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--edges", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.sparse.check_sparse_tensor_invariants.disable()
    found = {"sheaf": sheaves(given.edges, given.rounds), "grand": steps(given.edges, given.rounds)}
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
