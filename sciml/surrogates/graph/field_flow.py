"""Fields that go through a layer as they are: what it learns is their equation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.graph.links import Links
from sciml.surrogates.scales import Scales
from sciml.surrogates.setting import Setting


class FieldFlow(nn.Module):
    """u(t + Δt) = Φ(u(t)), Φ the flow of a layer's equation from 0 to T, in units of u.

    There is no layer before it and none behind: rates that are learned are those of u times Δt / T.

    Shapes: x ``(N, C)`` scaled, of which the last frame of each target is taken → ``(N, wanted)``,
    scaled. What else there is at nodes is not seen; what is on edges is.

    Args:
        process: the layer, of as many channels as are wanted.
        setting: its targets are its inputs.

    Raises:
        InputError: targets that are no inputs, a bundle.

    When it fails: fields far from 0 (a temperature of 300 K that varies by 1) lose digits; reactions are
    those of a field whose states of rest are at 0 and 1.
    """

    def __init__(self, process: nn.Module, setting: Setting) -> None:
        super().__init__()
        task = setting.task
        if not set(task.targets) <= set(task.inputs) or task.bundle > 1 or task.lead == 0:
            raise InputError(
                f"latent=False: targets {', '.join(task.targets)} of inputs {', '.join(task.inputs)}; "
                "expected targets that are inputs, a lead of 1 or more, and no bundle: fields flow on"
            )
        self.process, places, begin = process, {}, 0
        for name in task.inputs:
            width = setting.width(name)
            begin += task.history * width
            places[name] = [*range(begin - width, begin)]
        self.places = [p for name in task.targets for p in places[name]]
        self.widths = [setting.width(name) for name in task.targets]

    @property
    def both_ways(self) -> str:
        """What needs each edge in both directions; empty where nothing does."""
        return getattr(self.process, "both_ways", "")

    def forward(
        self,
        given: Float[Tensor, "node channel"],
        links: Links,
        edge_attr: Tensor | None,
        volume: Tensor | None,
        scales: Scales,
    ) -> Float[Tensor, "node wanted"]:
        x = given[:, self.places]
        mean, deviation = self._numbers(scales.fields, x)
        shift, unit = self._numbers(scales.outputs, x)
        u = mean + deviation * x
        sized = (volume,) if getattr(self.process, "by_volume", False) else ()
        found = self.process(u, links, edge_attr, *sized)
        change = found - u if scales.increments else found
        return (change - shift) / unit

    def _numbers(self, pairs: tuple, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ of each channel."""
        each = [p for p, width in zip(pairs, self.widths, strict=True) for _ in range(width)]
        return tuple(
            torch.tensor(n, dtype=x.dtype, device=x.device) for n in zip(*each, strict=True)
        )
