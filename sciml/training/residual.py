"""Learning without data: the residual of an equation, which is zero for a solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from sciml.surrogates.batch import Batch


class Residual:
    """Mean squares of the residuals that ``function(model, batch)`` gives by name.

    Args:
        function: ``function(model, batch) -> {"equation": r, "boundary": r, …}``; inputs of
            the batch require gradients.
    """

    def __init__(self, function: Callable[[nn.Module, Batch], Mapping[str, Tensor]]) -> None:
        self.function = function

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        # Grid batches too can be asked for a residual; only collocation points come prepared.
        for values in batch.inputs.values():
            if not values.requires_grad:
                values.requires_grad_()
        residuals = self.function(model, batch)
        return {name: residual.square().mean() for name, residual in residuals.items()}
