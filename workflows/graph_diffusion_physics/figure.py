"""Figures of the study: errors of all models, a rollout, and what was found out of the equations.

python workflows/graph_diffusion_physics/figure.py --runs runs/graph_diffusion_physics
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

sys.path.append(str(Path(__file__).parent))
from cases import PHYSICS
from measures import along_edges
from run import Table
from table import UNTRAINED

import sciml
from sciml.domain.dataset import domain_of
from sciml.report.rows import chosen, rows_of

HERE = Path(__file__).parent
TITLES = {
    "plates": "heat, plates with jumps",
    "fisher": "Fisher–KPP",
    "allen-cahn": "Allen–Cahn",
    "vectors": "vectors on a surface",
    "transport": "transport",
    "sensors": "from sensors, now",
    "forecast": "from sensors, ahead",
    "network": "network",
    "plate": "one plate",
}


def errors(rows: list[dict], path: Path) -> None:
    """Relative L2 of rollouts, each seed a dot, on meshes that are new and, hollow, finer."""
    rows = [row for row in rows if "error" in row]
    names = [n for n in TITLES if n not in ("network", "plate") and chosen(rows, physics=n)]
    fig, axes = plt.subplots(2, 4, figsize=(16, 8), layout="constrained")
    for ax, name in zip(axes.flat, names, strict=False):
        models = [
            m for m in (*UNTRAINED, *PHYSICS[name].models) if chosen(rows, physics=name, model=m)
        ]
        for place, model in enumerate(models):
            mine = chosen(rows, physics=name, model=model)
            color = "0.5" if model in UNTRAINED else f"C{place % 10}"
            ax.plot([r["error"] for r in mine], [place] * len(mine), "o", color=color)
            finer = [r["error_finer"] for r in mine if "error_finer" in r]
            ax.plot(finer, [place + 0.25] * len(finer), "o", mfc="none", color=color, ms=4)
        ax.set_yticks(range(len(models)), models, fontsize=8)
        ax.invert_yaxis()
        ax.set_xscale("log")
        ax.set_xlim(0.01, 3.0)
        ax.grid(axis="x", alpha=0.3)
        ax.set_title(TITLES[name])
    for ax in list(axes.flat)[len(names) :]:
        ax.set_visible(False)
    fig.supxlabel("relative L2 error (hollow: finer mesh)")
    fig.savefig(path, dpi=110)
    plt.close(fig)


def conductances(folder: Path, path: Path) -> None:
    """Rates that linear GRAND has found, against those of the solver."""
    fig, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for ax, name in zip(axes, ("network", "plate", "plates"), strict=True):
        table = Table(name, folder)
        surrogate = sciml.open_run(folder / f"{name}-live").surrogate()
        found, true, _ = along_edges(table, table.live, surrogate)
        ax.plot(true, found, ".", ms=3, alpha=0.5)
        ends = [min(true.min(), 0), true.max()]
        ax.plot(ends, ends, "k-", lw=0.8)
        ax.set_title(f"{TITLES[name]}: {np.corrcoef(found, true)[0, 1]:.3f}")
        ax.set_xlabel("$w_{ij} / V_i$ of the solver")
    axes[0].set_ylabel("learned")
    fig.savefig(path, dpi=110)
    plt.close(fig)


def rollouts(folder: Path, path: Path) -> None:
    """Transport on a mesh that is new: truth, and the last frame of three models."""
    table = Table("transport", folder)
    ds = table.truths["unseen"][0]
    mesh, steps = domain_of(ds), table.physics.rollout
    names = [*table.physics.models]
    some = [
        n for n in ("directed sheaf, fluxes", "sheaf of O(2)", "MeshGraphNet, small") if n in names
    ]
    fig, axes = plt.subplots(
        1, 2 + len(some), figsize=(3.6 * (2 + len(some)), 3.6), layout="constrained"
    )
    fields = {"start": ds.u.values[0], "truth": ds.u.values[steps]}
    for name in some:
        run = table.trained(name, 0)
        fields[name] = run.surrogate().rollout(ds.isel(time=[0]), steps).u.values[-1]
    for ax, (name, u) in zip(axes, fields.items(), strict=True):
        seen = ax.tripcolor(*mesh.points.T, mesh.cells, u, shading="gouraud", vmin=0, vmax=1)
        ax.set_aspect("equal")
        ax.set_axis_off()
        ax.set_title(name)
    fig.colorbar(seen, ax=axes, shrink=0.8)
    fig.savefig(path, dpi=110)
    plt.close(fig)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/graph_diffusion_physics"))
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    errors(rows_of(given.results), HERE / "errors.png")
    conductances(given.runs, HERE / "conductances.png")
    rollouts(given.runs, HERE / "transport.png")
