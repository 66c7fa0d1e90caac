"""Factors of losses that make their gradients as long as each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from sciml.training.objective import weight_of
from sciml.training.step import Problem

#: Part of the factors that stays when they are measured anew.
KEPT = 0.9


@dataclass(slots=True)
class Balance:
    """λ_i ← 0.9 λ_i + 0.1 ⟨|∇L|⟩ / |∇L_i|, with the mean over losses; the first time without the past.

    Losses whose gradient is zero, such as an initial condition that holds by itself, or whose weight is,
    stay out of it.

    Args:
        factors: λ by loss, 1 where there is none.

    Source: S. Wang, S. Sankaran, H. Wang and P. Perdikaris, arXiv:2308.08468, sec. 5.2; there with the
    sum instead of the mean, which makes all λ larger by the number of losses.
    """

    factors: dict[str, float] = field(default_factory=dict)

    def measure(self, problem: Problem) -> None:
        """Measure anew on the batches of a step."""
        parameters = [p for p in problem.model.parameters() if p.requires_grad]
        norms = {}
        for name, loss in problem.separately().items():
            counts = weight_of(name, problem.weights) != 0
            if counts and isinstance(loss, torch.Tensor) and loss.requires_grad:
                found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
                squares = [g.detach().abs().square().sum() for g in found if g is not None]
                norm = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
                if 0.0 < norm < float("inf"):
                    norms[name] = norm
        mean = sum(norms.values()) / max(1, len(norms))
        for name, norm in norms.items():
            new = mean / norm
            before = self.factors.get(name)
            self.factors[name] = new if before is None else KEPT * before + (1.0 - KEPT) * new
