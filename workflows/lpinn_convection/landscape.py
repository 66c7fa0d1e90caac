"""The loss around trained PINN and LPINN, at rest and carried fast.

    python workflows/lpinn_convection/landscape.py OUT.png [--seed 0] [--across 25]

Two random directions in the weights, each row of a matrix of the length of that row in the trained
network, so that networks of other scales are comparable; the loss, with the factors of its training,
on one set of points, at distances up to 1 along each.

Source: H. Li et al., NeurIPS 2018, arXiv:1712.09913.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from cases import case
from matplotlib.colors import LogNorm
from trainings import predicted, relative

from sciml.training import CollocationSource
from sciml.training.collocation import BoxPoints
from sciml.training.equation_residual import EquationResidual

SPEEDS, METHODS = (0.0, 50.0), ("PINN", "LPINN soft")


def direction(model: torch.nn.Module, generator: torch.Generator) -> list[torch.Tensor]:
    """One a parameter: rows (filters) as long as those of the weights, biases left as they are."""
    found = []
    for weight in model.parameters():
        random = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        if weight.ndim > 1:
            length = weight.detach().norm(dim=1, keepdim=True)
            found.append(random * length / random.norm(dim=1, keepdim=True))
        else:
            found.append(torch.zeros_like(random))
    return found


def losses(row, surrogate: torch.nn.Module, across: int, seed: int) -> np.ndarray:
    """The loss on a lattice of weights, ``(across, across)``, the trained ones in the middle."""
    objective = EquationResidual(row.equation, row.parameters, row.solution)
    sides = {axis: (side["low"], side["high"]) for axis, side in row.domain.items()}
    seam = row.points.get("seam", 0)
    points = BoxPoints(sides, (0.0, row.last), {}, tuple(sides), initial=256, seam=seam)
    batch = CollocationSource(points, 2560, seed=seed).next_batch()
    factors = row.phases[0].get("weights", {})
    generator = torch.Generator().manual_seed(seed)
    first, second = (direction(surrogate, generator) for _ in range(2))
    trained = [weight.detach().clone() for weight in surrogate.parameters()]
    steps = np.linspace(-1.0, 1.0, across)
    found = np.empty((across, across))
    for i, a in enumerate(steps):
        for j, b in enumerate(steps):
            with torch.no_grad():
                for weight, at, one, other in zip(
                    surrogate.parameters(), trained, first, second, strict=True
                ):
                    weight.copy_(at + a * one + b * other)
            parts = objective(surrogate, batch)
            found[i, j] = sum(
                factors.get(f"physics.{name}", 1.0) * part.item() for name, part in parts.items()
            )
    with torch.no_grad():
        for weight, at in zip(surrogate.parameters(), trained, strict=True):
            weight.copy_(at)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--across", type=int, default=25)
    parser.add_argument("--steps", type=int, help="of each training, instead of those of the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figure, panels = plt.subplots(2, 2, figsize=(8.4, 7.4), layout="constrained")
    for line, method in zip(panels, METHODS, strict=True):
        for panel, speed in zip(line, SPEEDS, strict=True):
            row = case(speed, 0.0, method, "SOAP, no warm-up, 2000 steps")
            if given.steps:
                row = replace(row, phases=[{**p, "steps": given.steps} for p in row.phases])
            surrogate = row.trained(given.seed)
            truth = row.truth()
            error = relative(predicted(surrogate, truth).values, truth.values)
            found = losses(row, surrogate, given.across, given.seed)
            draw(panel, found)
            panel.set_title(f"{method.split()[0]}, c = {speed:g}: error {error:.1e}")
            print(
                f"{method}, c = {speed:g}: error {error:.2e}, "
                f"loss {found.min():.1e} to {found.max():.1e}",
                flush=True,
            )
    figure.savefig(given.out, dpi=100)


def draw(panel, found: np.ndarray) -> None:
    """Loss by color and contour, logarithmic."""
    steps = np.linspace(-1.0, 1.0, len(found))
    levels = np.geomspace(found.min(), found.max(), 16)
    image = panel.contourf(steps, steps, found.T, levels, norm=LogNorm(), cmap="viridis")
    panel.contour(steps, steps, found.T, levels, colors="k", linewidths=0.3)
    panel.plot(0, 0, "r+")
    panel.set(xlabel="first direction", ylabel="second direction", aspect="equal")
    panel.figure.colorbar(image, ax=panel, label="loss", format="%.0e")


if __name__ == "__main__":
    main()
