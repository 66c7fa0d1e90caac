"""The field that a solution starts from, known to a model that has it exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from sciml.domain import Grid
from sciml.equations.equation import options_of
from sciml.equations.named import equation as named
from sciml.errors import InputError, require_known
from sciml.samples import Task
from sciml.surrogates.pinn.taylor import Word
from sciml.surrogates.scales import Scales


class GivenStart:
    """u₀ at labels, with its derivatives, scaled as the targets are.

    Args:
        said: ``{"equation": "burgers", "solution": "sine", option: value, …}``, an exact solution, of
            which the start is taken.
        grid, task: of the surrogate; parameters of the task that are options vary with the samples.

    Raises:
        InputError: an unknown equation, solution or option.
    """

    def __init__(self, said: Mapping[str, Any], grid: Grid, task: Task) -> None:
        rest = dict(said)
        for key in ("equation", "solution"):
            if not isinstance(rest.get(key), str):
                raise InputError(
                    f"initial={dict(said)}; expected {{equation: …, solution: …}} by name, and options"
                )
        self.equation = named(rest.pop("equation"))
        self.solution = self.equation.solution(rest.pop("solution"))
        known = [*self.equation.constants, *options_of(self.solution, self.equation.constants)]
        require_known("initial: no option", rest, known)
        for name in task.targets:
            if name not in self.equation.fields:
                raise InputError(
                    f"initial: equation '{self.equation.name}' says nothing of '{name}'"
                )
        # What varies in time alone does not matter at the start.
        self._options = {**dict.fromkeys(self.equation.constants, 0.0), **rest}
        self._grid, self._task = grid, task

    def __call__(self, labels: Tensor, scalars: Tensor, scales: Scales, time: float) -> Tensor:
        """Scaled targets ``(n, targets)`` at labels ``(n, d)``, in sides of the box."""
        sides = dict(zip(self._grid.dims, self._grid.extent, strict=True))
        points = {
            axis: low + (high - low) * labels[:, i]
            for i, (axis, (low, high)) in enumerate(sides.items())
        }
        given = dict(zip(self._task.parameters, scales.parameters_of(scalars), strict=True))
        given = self.equation.given_to(self.solution, {**self._options, **given})
        first = torch.full_like(labels[:, 0], time)
        found = (self.solution.start or self.solution.value)(points, first, sides, **given)
        columns = [
            (found[name] - mean) / deviation
            for name, (mean, deviation) in zip(self._task.targets, scales.fields, strict=True)
        ]
        return torch.stack(columns, dim=1)

    def jets(
        self, labels: Tensor, scalars: Tensor, scales: Scales, time: float, words: Iterable[Word]
    ) -> dict[Word, Tensor]:
        """Derivatives by labels; by anything else they are zero, and left out."""
        axes = labels.shape[1]
        with torch.enable_grad():
            leaf = labels.detach().requires_grad_()
            value = self(leaf, scalars.detach(), scales, time)
            found: dict[Word, Tensor] = {(): value}
            for word in sorted(words, key=len):
                if word and all(column < axes for column in word):
                    found[word] = self._by(found, word, leaf)
        return {word: part.detach() for word, part in found.items()}

    def _by(self, found: dict[Word, Tensor], word: Word, leaf: Tensor) -> Tensor:
        before, column = word[:-1], word[-1]
        if before not in found:
            found[before] = self._by(found, before, leaf)
        rows = [
            torch.autograd.grad(part.sum(), leaf, create_graph=True, materialize_grads=True)[0]
            for part in found[before].unbind(1)
        ]
        return torch.stack([row[:, column] for row in rows], dim=1)
