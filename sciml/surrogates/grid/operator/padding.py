"""Ghost points as layers of their own."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sciml.surrogates.grid.boundary import PadToMultiple, extend
from sciml.surrogates.grid.operator.refinement import Refinement

#: Beginning of the names of torch's layers, and what it means.
MODES = {
    "Circular": "circular",
    "Reflection": "reflect",
    "Replication": "replicate",
    "Zero": "zeros",
}


class KernelPad(nn.Module):
    """Ghost points up to the same distance at every resolution.

    Args:
        pads: base points before and after each axis.
        mode: as in :func:`~sciml.surrogates.grid.boundary.extend`.
        refinement: of the network.
    """

    def __init__(self, pads: Sequence[tuple[int, int]], mode: str, refinement: Refinement) -> None:
        super().__init__()
        self.pads, self.mode, self.refinement = tuple(pads), mode, refinement

    def forward(self, x: Tensor) -> Tensor:
        for a, ((before, after), r) in enumerate(
            zip(self.pads, self.refinement.ratios_at(x.shape[2:]), strict=True)
        ):
            x = extend(x, 2 + a, r * before, r * after, self.mode, fade=r)
        return x


class KernelPadToMultiple(nn.Module):
    """As many base points as :class:`~sciml.surrogates.grid.boundary.PadToMultiple` makes, refined."""

    def __init__(self, pad: PadToMultiple, refinement: Refinement) -> None:
        super().__init__()
        self.multiple, self.modes, self.refinement = pad.multiple, pad.modes, refinement

    def forward(self, x: Tensor) -> Tensor:
        for a, mode in enumerate(self.modes):
            n = x.shape[2 + a]
            n0, r = self.refinement.coarse(n, a), self.refinement.ratio_at(n, a)
            wanted = self.refinement.fine(n0 + -n0 % self.multiple, a, r)
            x = extend(x, 2 + a, 0, wanted - n, mode, fade=r)
        return x


def mode_of(layer: nn.Module) -> str | None:
    """Mode of one of torch's layers that pad, or ``None``."""
    name = type(layer).__name__
    return next((mode for start, mode in MODES.items() if name.startswith(f"{start}Pad")), None)


def pads_of(layer: nn.Module) -> list[tuple[int, int]]:
    """Points before and after each axis; torch has the last axis first."""
    flat = layer.padding
    return [(flat[i], flat[i + 1]) for i in range(len(flat) - 2, -1, -2)]
