"""Convolutional network of dilated residual blocks on one grid."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.grid.boundary import checked, convolution, paddings
from sciml.surrogates.grid.geometry import expect_sizes, field_to_field, with_coordinates
from sciml.surrogates.grid.operator.conversion import to_operator
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose

#: Points from one tap of a stencil to the next, layer by layer; those that a grid has no room for go.
DILATIONS = (1, 2, 4, 8, 4, 2, 1)


class CNN(nn.Module):
    """v ← v + σ(C_m … σ(C_1 v)), ``blocks`` times, between two 3-point convolutions; σ GELU.

    C_i: 3-point convolutions with dilations 1, 2, 4, 8, 4, 2, 1, so that a block sees 22 points on
    each side.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space)`` in 1, 2 or 3 dimensions, on
    grids with more points along each axis than the largest dilation.

    Args:
        in_channels, out_channels: fields, static fields and scalars in; fields out.
        boundary: of each axis, as in :class:`~sciml.domain.Grid`: circular, zero, reflected or
            repeated ghost points.
        width: channels.
        blocks: residual blocks.
        dilations: of the convolutions of each block.
        positions: append the coordinates, from 0 to 1, as channels. ``None``: only if an axis is
            not periodic.

    Raises:
        InputError: no blocks, channels or dilations; in use: another number of channels, or a grid too
            small.

    Good values: width 48, 4 blocks. Fails where: a point sees 22 · blocks + 2 points on each side
    and no more, and on another resolution that is another distance, unless it is made an operator
    (:func:`~sciml.surrogates.grid.operator.conversion.to_operator`).

    Source: dilated ResNet of Stachenfeld et al., ICLR 2022, arXiv 2112.15275.
    """

    traits = Traits(any_resolution=False)  # its stencils count points

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        boundary: Sequence[str],
        width: int = 48,
        blocks: int = 4,
        dilations: Sequence[int] = DILATIONS,
        positions: bool | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.dilations = in_channels, tuple(dilations)
        least = min(self.dilations, default=0)
        expect_sizes("CNN", width=width, blocks=blocks, **{"smallest of the dilations": least})
        self.periodic = tuple(b == "periodic" for b in boundary)
        self.positions = (not all(self.periodic)) if positions is None else positions
        modes = paddings(boundary)
        given = in_channels + (len(modes) if self.positions else 0)
        self.lift = convolution(given, width, modes)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(
                    *(
                        layer
                        for dilation in self.dilations
                        for layer in (
                            convolution(width, width, modes, dilation=dilation),
                            nn.GELU(),
                        )
                    )
                )
                for _ in range(blocks)
            ]
        )
        self.head = convolution(width, out_channels, modes)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        least = max(self.dilations) + 1
        checked(
            "CNN", x, self.in_channels, len(self.periodic), least, f"dilations {self.dilations}"
        )
        if self.positions:
            x = with_coordinates(x, self.periodic)
        x = self.lift(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def build(
    setting: Setting,
    *,
    width: int = 48,
    blocks: int = 4,
    dilations: Sequence[int] | None = None,
    positions: bool | None = None,
    operator: bool = False,
) -> nn.Module:
    """A CNN for a setting; ``dilations`` of nothing for those that the grid has room for.

    With ``operator`` it is one at every resolution, the setting's grid being the base.

    Raises:
        InputError: no grid, no input fields, or a grid too small for the dilations.
    """
    domain = field_to_field("cnn", setting)
    if dilations is None:
        dilations = [d for d in DILATIONS if d < min(domain.shape)]
    if any(d < 1 or d >= min(domain.shape) for d in dilations):
        raise InputError(
            f"model 'cnn': dilations {tuple(dilations)} on a grid of shape {domain.shape}; expected "
            f"numbers from 1 to {min(domain.shape) - 1}"
        )
    given, wanted = setting.channels
    model = CNN(given, wanted, domain.boundary, width, blocks, dilations, positions)
    positions = model.positions
    if operator:
        model = to_operator(model, domain.shape, model.periodic)
    return chose(model, dilations=list(dilations), positions=positions)
