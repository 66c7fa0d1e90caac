"""What a node of a mesh transformer sees, by what is added to the adjacency. Run by hand:

    python tests/benchmarks/show_reach.py [--spacing 0.03] [--figure reach.png] [--json reach.json]

On the mesh of ``solvers/cylinder.py``, of MeshTransformer S: pairs a node, how much of the mesh a node
sees by the last layer and after how many it sees half (means over 20 nodes), parameters, and seconds of
the processor of a training step. The figure has, of a node behind the cylinder, after how many layers it
sees each other one. Needs the extra ``mesh``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

import sciml
from sciml.domain import Mesh
from sciml.domain.inference import domain_of
from sciml.surrogates import MeshTransformer
from sciml.surrogates.mesh.bistride import BiStride
from sciml.surrogates.mesh.mesh_transformer import SIZES
from sciml.surrogates.mesh.neighbourhoods import Neighbourhoods, receptive_field

LAYERS, NODES = SIZES["S"][0], 20
CASES = {
    "adjacency": {},
    "hops 2": {"hops": 2},
    "dilations 1, 2, 4": {"dilations": (1, 2, 4)},
    "dilations 1, 2, 4, 8": {"dilations": (1, 2, 4, 8)},
    "random edges 1": {"random_edges": 1},
    "global nodes 4": {"global_nodes": 4},
    "cylinder sees all": {"global_groups": ("cylinder",)},
    "virtual node": {"virtual_node": True},
    "levels 2": {"levels": 2},
}


def looked_at(mesh: Mesh, options: dict) -> dict:
    """Figures of one case; those of what is no pair of nodes by the gradient."""
    options = dict(options)
    shared, levels = options.pop("virtual_node", False), options.pop("levels", 0)
    coarsening = BiStride(levels, loops=True) if levels else None
    links = Neighbourhoods(**options).of(mesh)
    torch.manual_seed(0)
    net = MeshTransformer(3, 2, *SIZES["S"], virtual_node=shared, coarsening=coarsening)
    coarse = []
    if coarsening is not None:
        parts = {n: torch.from_numpy(p.values) for n, p in coarsening.parts(mesh).items()}
        coarse = coarsening.taken(parts, mesh.size, True)
    nodes = np.random.default_rng(0).choice(mesh.size, NODES, replace=False)
    found = {"pairs": np.mean([len(one.source) for one in links]) / mesh.size}
    if shared or levels:
        x = torch.randn(mesh.size, 3, dtype=torch.float64, requires_grad=True)
        out = net.double()(x, links, levels=coarse)
        slopes = [torch.autograd.grad(out[n].sum(), x, retain_graph=True)[0] for n in nodes]
        found["seen"] = np.mean([(s != 0).any(1).double().mean() for s in slopes])
        found["half"] = np.nan
        net.float()
    else:
        after = np.stack([receptive_field(links, LAYERS, n) for n in nodes])
        found["seen"] = (after >= 0).mean()
        sorted_ = np.sort(np.where(after < 0, 10**6, after), axis=1)[:, mesh.size // 2]
        found["half"] = sorted_.mean() if (sorted_ < 10**6).all() else np.nan
    x, seconds = torch.randn(mesh.size, 3), []
    for _ in range(4):
        began = time.process_time()
        net.zero_grad()
        net(x, links, levels=coarse).square().mean().backward()
        seconds.append(time.process_time() - began)
    count = sum(p.numel() for p in net.parameters())
    return {k: float(v) for k, v in found.items()} | {"parameters": count, "step": min(seconds)}


def draw(mesh: Mesh, path: Path) -> None:
    """After how many layers a node behind the cylinder sees each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    cases = [n for n, o in CASES.items() if not {*o} & {"virtual_node", "levels"}]
    center = mesh.points[mesh.groups["cylinder"]].mean(axis=0)
    node = int(np.argmin(np.linalg.norm(mesh.points - center - [0.3, 0.0], axis=1)))
    figure, grid = plt.subplots(
        (len(cases) + 1) // 2, 2, figsize=(10, 5), layout="constrained", sharex=True, sharey=True
    )
    for axis in grid.flat[len(cases) :]:
        axis.set_visible(False)
    for axis, name in zip(grid.flat, cases, strict=False):
        after = receptive_field(Neighbourhoods(**CASES[name]).of(mesh), LAYERS, node)
        values = np.where(after < 0, np.nan, after)
        image = axis.scatter(*mesh.points.T, c=values, s=3, vmin=0, vmax=LAYERS, cmap="viridis_r")
        axis.scatter(*mesh.points[after < 0].T, c="0.9", s=3)
        axis.plot(*mesh.points[node], "r.", ms=4)
        axis.set(aspect="equal", title=f"{name}: {(after >= 0).mean():.0%}")
    figure.colorbar(image, ax=grid, label="layers")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spacing", type=float, default=0.03)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    ds = sciml.simulate("solvers/cylinder.py", steps=1, dt=1e-3, spacing=given.spacing)
    mesh, found = domain_of(ds), {}
    print(f"{mesh.size} nodes\n{'':>22} pairs  seen  half  parameters  step, s")
    for name, options in CASES.items():
        one = found[name] = looked_at(mesh, options)
        half = f"{one['half']:5.1f}" if one["half"] == one["half"] else f"{'–':>5}"
        print(
            f"{name:>22} {one['pairs']:5.1f} {one['seen']:5.0%} {half} "
            f"{one['parameters'] / 1e6:9.2f}·10⁶ {one['step']:7.3f}",
            flush=True,
        )
    if given.figure:
        draw(mesh, given.figure)
    if given.json:
        given.json.write_text(json.dumps({"nodes": mesh.size, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
