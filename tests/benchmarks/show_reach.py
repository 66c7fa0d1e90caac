"""What a node of a mesh transformer sees, by what is added to the adjacency. Run by hand:

    python tests/benchmarks/show_reach.py [--spacing 0.03] [--figure reach.png] [--json reach.json]

On the mesh of ``solvers/cylinder.py``, of MeshTransformer S: pairs a node, how much of the mesh a node
sees by the last layer and after how many it sees half (means over 20 nodes), parameters, and seconds of
the processor of a training step. The figure has, of a node behind the cylinder, after how many layers it
sees each other one; where it does not, it is grey. Needs the extra ``mesh``.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Sequence
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


class Case:
    """A mesh transformer with one of the additions."""

    def __init__(self, mesh: Mesh, options: dict) -> None:
        options = dict(options)
        shared, levels = options.pop("virtual_node", False), options.pop("levels", 0)
        coarsening = BiStride(levels, loops=True) if levels else None
        self.links, self.in_pairs = Neighbourhoods(**options).of(mesh), not (shared or levels)
        torch.manual_seed(0)
        self.net = MeshTransformer(3, 2, *SIZES["S"], virtual_node=shared, coarsening=coarsening)
        self.coarse = []
        if coarsening is not None:
            parts = {n: torch.from_numpy(p.values) for n, p in coarsening.parts(mesh).items()}
            self.coarse = coarsening.taken(parts, mesh.size, True)

    def after(self, nodes: Sequence[int]) -> np.ndarray:
        """How many layers, the last ones, it takes until each of them sees each node; −1: more."""
        if self.in_pairs:
            return np.stack([receptive_field(self.links, LAYERS, n) for n in nodes])
        x = torch.randn(self.links[0].nodes, 3, dtype=torch.float64, requires_grad=True)
        net, found = copy.deepcopy(self.net).double(), np.full((len(nodes), len(x)), -1)
        for count in range(LAYERS, 0, -1):
            # A layer whose weights are 0 adds nothing.
            for layer in (*net.blocks[: LAYERS - count], *net.shared[: LAYERS - count]):
                for weights in layer.parameters():
                    weights.data.zero_()
            out = net(x, self.links, levels=self.coarse)
            for row, node in zip(found, nodes, strict=True):
                [slope] = torch.autograd.grad(out[node].sum(), x, retain_graph=True)
                row[(slope != 0).any(dim=1).numpy()] = count
        found[range(len(nodes)), nodes] = 0
        return found

    def step(self) -> float:
        """Seconds of a training step."""
        x, seconds = torch.randn(self.links[0].nodes, 3), []
        for _ in range(4):
            began = time.process_time()
            self.net.zero_grad()
            self.net(x, self.links, levels=self.coarse).square().mean().backward()
            seconds.append(time.process_time() - began)
        return min(seconds)

    def figures(self) -> dict[str, float]:
        n = self.links[0].nodes
        after = self.after(np.random.default_rng(0).choice(n, NODES, replace=False))
        half = np.sort(np.where(after < 0, np.inf, after), axis=1)[:, n // 2].mean()
        return {
            "pairs": float(np.mean([len(one.source) for one in self.links])) / n,
            "seen": float((after >= 0).mean()),
            "half": float(half) if np.isfinite(half) else np.nan,
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "step": self.step(),
        }


def draw(mesh: Mesh, cases: dict[str, Case], path: Path) -> None:
    """After how many layers a node behind the cylinder sees each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    center = mesh.points[mesh.groups["cylinder"]].mean(axis=0)
    node = int(np.argmin(np.linalg.norm(mesh.points - center - [0.3, 0.0], axis=1)))
    colors = plt.get_cmap("viridis_r", LAYERS)
    colors.set_bad("0.88")
    figure, grid = plt.subplots(3, 3, figsize=(10.5, 3.0), layout="constrained")
    for axis, (name, case) in zip(grid.flat, cases.items(), strict=True):
        [after] = case.after([node])
        # A cell is as late as the last of its corners.
        late = np.where(after < 0, np.inf, after)[mesh.cells].max(axis=1)
        image = axis.tripcolor(
            *mesh.points.T,
            mesh.cells,
            facecolors=np.ma.masked_invalid(late),
            cmap=colors,
            vmin=0.5,
            vmax=LAYERS + 0.5,
        )
        axis.plot(*mesh.points[node], "o", ms=4, mfc="red", mec="white", mew=0.7)
        axis.set(aspect="equal", xticks=[], yticks=[])
        axis.set_title(f"{name}: {(after >= 0).mean():.0%}", fontsize=9)
        axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=grid, label="layers until seen", ticks=range(1, LAYERS + 1))
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spacing", type=float, default=0.03)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    ds = sciml.simulate("solvers/cylinder.py", steps=1, dt=1e-3, spacing=given.spacing)
    mesh = domain_of(ds)
    cases, found = {name: Case(mesh, options) for name, options in CASES.items()}, {}
    print(f"{mesh.size} nodes\n{'':>22} pairs  seen  half  parameters  step, s")
    for name, case in cases.items():
        one = found[name] = case.figures()
        half = f"{one['half']:5.1f}" if one["half"] == one["half"] else f"{'–':>5}"
        print(
            f"{name:>22} {one['pairs']:5.1f} {one['seen']:5.0%} {half} "
            f"{one['parameters'] / 1e6:9.2f}·10⁶ {one['step']:7.3f}",
            flush=True,
        )
    if given.figure:
        draw(mesh, cases, given.figure)
    if given.json:
        given.json.write_text(json.dumps({"nodes": mesh.size, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
