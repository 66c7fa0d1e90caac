"""Which derivatives a residual is linear in, with weights that no unknown enters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sciml.equations.equation import LAPLACIAN, Equation


class LinearPart:
    """Σ w_k D_k, of r = Σ w_k D_k + rest(u, other derivatives): one row in Taylor mode.

    Weights are what torch gives as ∂r/∂D_k. That they depend on no unknown is tried out once, at values
    of many sizes.

    Args:
        equation: of one field, with one residual.
        given: constants and coordinates by name; those that vary with the points are tensors.
    """

    def __init__(self, equation: Equation, given: Mapping[str, Any]) -> None:
        self.equation = equation
        words = {name: by for name, (_, by) in equation.derivatives.items()}
        self._names = [*words, *[LAPLACIAN] * equation.has_laplacian]
        #: Arguments of the residual that are summed up as one.
        self.names: tuple[str, ...] = ()
        self._numbers: dict[str, float] | None = None
        if len(equation.fields) > 1 or not self._names:
            return
        rng = torch.Generator().manual_seed(0)
        draws = [self._weights(given, rng) for _ in range(3)]
        if None in draws:
            return
        first, *others = draws
        self.names = tuple(
            n for n in self._names if all(torch.equal(first[n], one[n]) for one in others)
        )
        arguments = {name: given[name] for name in equation.arguments if name in given}
        if not any(isinstance(value, Tensor) for value in arguments.values()):
            self._numbers = {n: float(first[n].ravel()[0]) for n in self.names}

    def weights(self, given: Mapping[str, Any]) -> dict[str, Tensor | float]:
        """By argument: numbers, or ``(n,)`` where they vary with the points."""
        if self._numbers is not None:
            return self._numbers
        found = self._weights(given, None)
        return {name: found[name] for name in self.names}

    def _weights(
        self, given: Mapping[str, Any], rng: torch.Generator | None
    ) -> dict[str, Tensor] | None:
        """∂r/∂D at unknowns that are drawn, of sizes from 10⁻³ to 10³; without ``rng`` at ones."""
        equation = self.equation
        columns = [value for value in given.values() if isinstance(value, Tensor)]
        like = columns[0].detach()

        def unknown() -> Tensor:
            if rng is None:
                return torch.ones_like(like)
            size = 10.0 ** (6.0 * torch.rand(like.shape, generator=rng) - 3.0)
            return (size * torch.randn(like.shape, generator=rng)).to(like)

        known = {name: unknown() for name in equation.fields}
        leaves = {name: unknown().requires_grad_() for name in self._names}
        known |= {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in given.items()
        }
        known = {n: v for n, v in (known | leaves).items() if n in equation.arguments}
        with torch.enable_grad():
            found = equation.residual(**known)
            if not isinstance(found, Tensor) or not found.requires_grad:
                return None
            slopes = torch.autograd.grad(found.sum(), [*leaves.values()], materialize_grads=True)
        return dict(zip(leaves, slopes, strict=True))
