"""Training on inputs that the model itself has made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from sciml.errors import InputError, require_known
from sciml.surrogates.batch import Batch
from sciml.surrogates.option_types import require_types
from sciml.surrogates.structure import onward

DRAWS = ("random", "last")


@dataclass(frozen=True, slots=True)
class Pushforward:
    """Loss at A(ũ_k), ũ_k = Aᵏ(u_0) without gradient: errors of the model enter as data.

    Of the ``task.unroll`` targets of a window, k are gone through without gradient, and the next
    ``task.unroll − steps`` are what the loss compares, with gradients through all of them. So
    ``unroll = steps + 1`` is the pushforward trick, and more is an unrolled training behind it.

    Shapes: inputs ``(B, H, …)``, targets ``(B, U, …)`` → ``(B, H, …)``, ``(B, U − steps, …)``.

    Args:
        steps: the largest k.
        draw: ``"random"``: k from 0 to the largest, each as likely; ``"last"``: the largest.
        grow: the largest k is 0 at first and rises by one every so many optimizer steps; 0: at once.

    Raises:
        InputError: no target left, or inputs that the model does not give.

    Good values: 1 or 2, ``grow`` a tenth of the training: at first the model's own outputs are
    nothing like a solution. Costs k evaluations, without memory for them.

    Source: Brandstetter, Worrall, Welling, ICLR 2022, arXiv 2202.03376, eq. (6) and section 3.1; k
    drawn as in the code of that paper.
    """

    steps: int
    draw: str = "random"
    grow: int = 0

    def __post_init__(self) -> None:
        require_types("pushforward", self)
        if self.steps < 1:
            raise InputError(f"pushforward: steps={self.steps}; expected 1 or more")
        require_known("pushforward: unknown draw", self.draw, DRAWS)
        if self.grow < 0:
            raise InputError(f"pushforward: grow={self.grow}; expected 0 or more")

    def largest(self, step: int) -> int:
        """Largest k at an optimizer step, counted from 0."""
        return min(self.steps, step // self.grow) if self.grow else self.steps

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        targets = batch.time.shape[1]
        if targets <= self.steps:
            raise InputError(
                f"pushforward: {self.steps} steps leave none of the {targets} targets of a window "
                f"for the loss; set the task's unroll to {self.steps + 1} or more"
            )
        bundle = getattr(getattr(model, "task", None), "bundle", 1)
        if self.steps % bundle:
            raise InputError(
                f"pushforward: {self.steps} steps, where one call of the model gives {bundle}; expected "
                f"a multiple of {bundle}"
            )
        k = self.largest(step) // bundle * bundle
        if self.draw == "random":
            # Drawn even where there is nothing to choose, so that noise does not depend on `grow`.
            k = bundle * int(torch.randint(0, k // bundle + 1, ()))
        left = slice(k, k + targets - self.steps)
        if k:
            pushed = self._pushed(model, batch, k)
            batch = onward(batch, pushed, getattr(model, "structures", ()))
        return replace(
            batch,
            targets={name: values[:, left] for name, values in batch.targets.items()},
            forcing={name: values[:, left] for name, values in batch.forcing.items()},
            given={name: values[:, left] for name, values in batch.given.items()},
            time=batch.time[:, left],
        )

    @torch.no_grad()
    def _pushed(self, model: nn.Module, batch: Batch, k: int) -> dict[str, torch.Tensor]:
        """Inputs k steps later: the last of what was given and what the model gave."""
        outputs = model(replace(batch, time=batch.time[:, :k]))
        for name in batch.inputs:
            if name not in outputs:
                raise InputError(
                    f"pushforward: input '{name}' is not among what the model gives "
                    f"({', '.join(outputs)}), so nothing can be fed back; add it to the targets"
                )
        return {
            name: torch.cat([values, outputs[name].to(values.dtype)], dim=1)[:, -values.shape[1] :]
            for name, values in batch.inputs.items()
        }
