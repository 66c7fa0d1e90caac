"""Collocation points where the residual is large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from sciml.errors import InputError, nearest
from sciml.surrogates.option_types import require_types
from sciml.training.source import Source


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Points inside drawn from p ∝ |r|^k / ⟨|r|^k⟩ + c, by a set that is drawn anew every so many steps.

    |r|² is the sum of the squares of all residuals of the objective at a point.

    Args:
        every: steps with the same points.
        k: 0: as the sampler draws them; large: only where |r| is largest.
        c: part that stays as the sampler draws it; 0: none.
        candidates: so many for each point that is chosen.
        add: keep the points that there are, and add so many to them each time, those where |r| is
            largest among the candidates; 0: draw all anew.

    Raises:
        InputError: numbers that cannot be.

    Good values: k = c = 1 for all but the sharpest fronts, k = 2 for these.

    Source: C. Wu et al., Comput. Methods Appl. Mech. Engrg. 403 (2023) 115671, RAD eq. 2, and RAR-G.
    """

    every: int = 1000
    k: float = 1.0
    c: float = 1.0
    candidates: int = 10
    add: int = 0

    def __post_init__(self) -> None:
        require_types("adaptive", self)
        for name, least in (("every", 1), ("candidates", 2), ("k", 0), ("c", 0), ("add", 0)):
            if not getattr(self, name) >= least:
                raise InputError(
                    f"adaptive: {name}={getattr(self, name)}; expected {least} or more"
                )

    @classmethod
    def of(cls, plain: Adaptive | Mapping[str, Any] | int | None) -> Adaptive | None:
        """From its keys, or the number ``every`` alone.

        Raises:
            InputError: an unknown key, with the nearest.
        """
        if plain is None or isinstance(plain, cls):
            return plain
        if not isinstance(plain, Mapping):
            return cls(every=plain)
        known = [f.name for f in fields(cls)]
        for key in plain:
            if key not in known:
                raise InputError(f"adaptive has no key '{key}'; {nearest(key, known)}")
        return cls(**plain)

    def chosen(self, squares: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of n of the candidates, those at which the sum of squared residuals is given."""
        if self.add:
            return np.argsort(-squares, kind="stable")[:n]
        largest = squares.max()
        # |r|^k over its largest value, so that no power overflows.
        powers = (squares / largest) ** (0.5 * self.k) if largest > 0 else np.ones_like(squares)
        weights = powers / powers.mean() + self.c
        # Without repetition: the n largest of log w + Gumbel noise are n draws in a row.
        noise = rng.gumbel(size=len(weights))
        with np.errstate(divide="ignore"):
            return np.argsort(-(np.log(weights) + noise), kind="stable")[:n]


def adapt(source: Source, model: nn.Module, objective: Any) -> None:
    """Move points to where a model is far from its equation, of the sources that are due.

    Args:
        source: a collocation source, or a mix.
        objective: of it, or a sum by the sources of the mix.

    Raises:
        InputError: an objective that does not know its residuals point by point.
    """
    among = getattr(source, "sources", None)
    if among is None:
        _adapt(source, model, {"": objective})
        return
    for name, one in among.items():
        parts = getattr(objective, "objectives", {})
        asked = {n: part for n, part in parts.items() if objective.source(n) == name}
        _adapt(one, model, asked)


def _adapt(source: Source, model: nn.Module, objectives: Mapping[str, Any]) -> None:
    if not getattr(source, "due", False):
        return
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    dtype = next((p.dtype for p in model.parameters()), torch.get_default_dtype())

    def squares(points: np.ndarray) -> np.ndarray:
        # In parts as large as a batch: residuals keep the graph of their derivatives.
        parts = np.array_split(points, -(-len(points) // source.batch_size))
        return np.concatenate([of(part) for part in parts])

    def of(points: np.ndarray) -> np.ndarray:
        at = torch.as_tensor(points, dtype=dtype, device=device)
        total = torch.zeros(len(points), dtype=dtype, device=device)
        for name, one in objectives.items():
            if not hasattr(one, "pointwise"):
                what = f"objective '{name}'" if name else type(one).__name__
                raise InputError(
                    f"adaptive points: {what} has no residuals point by point; expected 'residual'"
                )
            for value in one.pointwise(model, "interior", at).values():
                total += value.detach()
        return total.double().cpu().numpy()

    source.adapt(squares)
