"""What do models of meshes cost, and does it grow with the mesh alone? Run by hand:

    python tests/benchmarks/bench_mesh.py [--nodes 2000 10000 50000] [--most 300000] [--json mesh.json]

A training step (forward, backward, AdamW) and an answer without gradient, float32, one thread, on
Delaunay meshes of random points, three channels in and two out:

- MeshTransformer S, M, L; MeshGraphNet as published (15 layers, 128 channels), with 3 coarser levels,
  and small; Transolver: at the sizes of ``--nodes``, while a step takes less than ``--seconds``;
- MeshTransformer S with blocks computed again, two random edges a node, up to ``--most`` nodes with 11
  edges each, and the powers of the nodes by which seconds and memory grow.

Each is a process of its own. Seconds are of the processor, MB what the process has at its peak beyond
what it had when the mesh and the model were there, and in all.

Large tensors are given back to the system and asked for again, page by page, unless glibc is told to
keep them: ``MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184`` before the command.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from alternating import _status
from scipy.spatial import Delaunay
from torch import Tensor, nn

from sciml.domain import Mesh
from sciml.surrogates import MeshGraphNet, MeshTransformer, Transolver
from sciml.surrogates.graph.links import links_of
from sciml.surrogates.graph.on_domain import away_of, ways
from sciml.surrogates.mesh.bistride import BiStride
from sciml.surrogates.mesh.mesh_transformer import SIZES
from sciml.surrogates.mesh.neighbourhoods import Neighbourhoods

GIVEN, WANTED = 3, 2
#: A model, and how it is asked.
Made = tuple[nn.Module, Callable[[], Tensor]]


def plate(nodes: int) -> Mesh:
    """Random points, numbered along a line as mesh generators do."""
    points = np.random.default_rng(0).random((nodes, 2))
    points = points[np.lexsort((points[:, 1], np.floor(points[:, 0] * nodes**0.5 / 4)))]
    cells = Delaunay(points).simplices
    (ax, ay), (bx, by) = (points[cells[:, k]].T - points[cells[:, 0]].T for k in (1, 2))
    return Mesh(points, cells[np.abs(ax * by - ay * bx) > 1e-12])


def transformer(mesh: Mesh, size: str, checkpointed: bool = False, random: int = 0) -> Made:
    net = MeshTransformer(GIVEN, WANTED, *SIZES[size], checkpointed=checkpointed)
    links = Neighbourhoods(random_edges=random).of(mesh)
    x = torch.randn(mesh.size, GIVEN)
    print(f"{len(links[0].source):>8} edges", end=" ")
    return net, lambda: net(x, links)


def meshgraphnet(mesh: Mesh, hidden: int, layers: int, levels: int = 0) -> Made:
    coarsening = BiStride(levels) if levels else None
    net = MeshGraphNet(GIVEN, WANTED, 3, hidden, layers, coarsening=coarsening, ndim=2)
    links, x = links_of(torch.from_numpy(mesh.edges), mesh.size), torch.randn(mesh.size, GIVEN)
    ends = links.source, links.receiver
    along = ways(torch.from_numpy(away_of(mesh.points, *(t.numpy() for t in ends))), ends)
    every = []
    if coarsening is not None:
        parts = {n: torch.from_numpy(p.values) for n, p in coarsening.parts(mesh).items()}
        every = coarsening.taken(parts, mesh.size, True)
    print(f"{len(links.source):>8} edges", end=" ")
    return net, lambda: net(x, links, along, levels=every)


def transolver(mesh: Mesh) -> Made:
    net, x = Transolver(GIVEN, WANTED), torch.randn(mesh.size, GIVEN)
    print(f"{0:>8} edges", end=" ")
    return net, lambda: net(x)


MODELS: dict[str, Callable[[Mesh], Made]] = {
    "MeshTransformer S": lambda mesh: transformer(mesh, "S"),
    "MeshTransformer M": lambda mesh: transformer(mesh, "M"),
    "MeshTransformer L": lambda mesh: transformer(mesh, "L"),
    "MeshGraphNet": lambda mesh: meshgraphnet(mesh, 128, 15),
    "MeshGraphNet, 3 levels": lambda mesh: meshgraphnet(mesh, 128, 15, 3),
    "MeshGraphNet, small": lambda mesh: meshgraphnet(mesh, 64, 6),
    "Transolver": transolver,
}


def measured(nodes: int, make: Callable[[Mesh], Made], steps: int = 3) -> dict[str, float]:
    """Of a process of its own, a fork in which no thread has been started."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        torch.manual_seed(0)
        net, ask = make(plate(nodes))
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
        before, seconds = _status("VmRSS"), []
        for _ in range(steps):
            began = time.process_time()
            optimizer.zero_grad()
            ask().square().mean().backward()
            optimizer.step()
            seconds.append(time.process_time() - began)
        peak = _status("VmHWM")
        with torch.no_grad():
            ask()
            began = time.process_time()
            ask()
            asked = time.process_time() - began
        count = sum(p.numel() for p in net.parameters())
        found = {"step": min(seconds), "ask": asked, "MB": (peak - before) / 1e3}
        found |= {"MB in all": peak / 1e3, "parameters": count}
        print(
            f"{found['step']:8.3f} s a step {asked:8.3f} s an answer {found['MB']:7.0f} MB "
            f"{peak / 1e3:7.0f} in all {count / 1e6:6.2f}·10⁶ parameters",
            flush=True,
        )
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else {}


def grown(found: Sequence[dict]) -> str:
    """By which power of the nodes, fitted through all sizes."""
    nodes = np.log([one["nodes"] for one in found])
    powers = {k: np.polyfit(nodes, np.log([one[k] for one in found]), 1)[0] for k in ("step", "MB")}
    return f"seconds as nodes^{powers['step']:.2f}, MB as nodes^{powers['MB']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="*", default=[2000, 10_000, 50_000])
    parser.add_argument("--most", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for name, make in MODELS.items():
        for nodes in given.nodes:
            print(f"{name:>22} {nodes:>7} nodes", end=" ", flush=True)
            one = measured(nodes, make)
            found.append({"model": name, "nodes": nodes, **one})
            if not one or one["step"] > given.seconds:
                break
    large = []
    for nodes in [n for n in (10_000, 30_000, 100_000, 300_000) if n <= given.most]:
        print(f"{'S, computed again':>22} {nodes:>7} nodes", end=" ", flush=True)
        one = measured(nodes, lambda mesh: transformer(mesh, "S", True, 2), steps=2)
        large.append({"model": "S, computed again", "nodes": nodes, **one})
    if len(large) > 1:
        print(grown(large))
    found += large
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
