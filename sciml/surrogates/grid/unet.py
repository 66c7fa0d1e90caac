"""U-Net: convolutions on a ladder of grids, with a way across at each rung."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.grid.boundary import checked, convolution, paddings
from sciml.surrogates.grid.geometry import cropped, expect_sizes, field_to_field, with_coordinates
from sciml.surrogates.grid.operator.conversion import to_operator
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose


class UNet(nn.Module):
    """v ← D(B v) down the levels, v ← B [U v, v of the way down] up again, B a residual block.

    B v = S v + C σ(N C σ(N v)), C a 3-point convolution, σ GELU, N GroupNorm, S the identity or a
    1-point convolution; D a convolution of stride 2, U the nearest value followed by a convolution.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space)`` in 1, 2 or 3 dimensions, on
    grids of any size with 2 points or more on the coarsest level: n → ⌈n/2⌉ down, cropped going up.

    Args:
        in_channels, out_channels: fields, static fields and scalars in; fields out.
        boundary: of each axis, as in :class:`~sciml.domain.Grid`: circular, zero, reflected or
            repeated ghost points.
        width: channels on the finest level; twice as many on each coarser one.
        levels: grids, the given one included.
        groups: of GroupNorm; lowered to a divisor of the width.
        positions: append the coordinates, from 0 to 1, as channels. ``None``: only if an axis is
            not periodic.

    Raises:
        InputError: no levels or channels; in use: another number of channels, or a grid too small.

    Good values: width 32–64, 4 levels. Fails where: its kernels have a fixed number of points, so
    that on another resolution it is another function; with
    :func:`~sciml.surrogates.grid.operator.conversion.to_operator` it is not.

    Source: Ronneberger et al. 2015, arXiv 1505.04597; blocks as in Gupta & Brandstetter 2022,
    arXiv 2209.15616 ("modern U-Net"), without a norm before the last layer, so that amplitudes
    get through.
    """

    traits = Traits(any_resolution=False)  # its stencils count points

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        boundary: Sequence[str],
        width: int = 32,
        levels: int = 4,
        groups: int = 8,
        positions: bool | None = None,
    ) -> None:
        super().__init__()
        expect_sizes("UNet", levels=levels, width=width)
        self.in_channels, self.levels = in_channels, levels
        self.periodic = tuple(b == "periodic" for b in boundary)
        self.positions = (not all(self.periodic)) if positions is None else positions
        modes = paddings(boundary)
        widths = [width * 2**level for level in range(levels)]
        given = in_channels + (len(modes) if self.positions else 0)
        self.lift = convolution(given, width, modes)
        self.down_blocks = nn.ModuleList([_Block(w, w, modes, groups) for w in widths[:-1]])
        self.down = nn.ModuleList([convolution(w, 2 * w, modes, stride=2) for w in widths[:-1]])
        self.middle = _Block(widths[-1], widths[-1], modes, groups)
        self.up = nn.ModuleList([nn.Upsample(scale_factor=2) for _ in widths[:-1]])
        self.narrow = nn.ModuleList([convolution(2 * w, w, modes) for w in widths[-2::-1]])
        self.up_blocks = nn.ModuleList([_Block(2 * w, w, modes, groups) for w in widths[-2::-1]])
        self.head = convolution(width, out_channels, modes, kernel_size=1)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        least = 2 ** (self.levels - 1) + 1
        checked(
            "UNet", x, self.in_channels, len(self.periodic), least, f"levels={self.levels}"
        )  # fmt: skip
        if self.positions:
            x = with_coordinates(x, self.periodic)
        x = self.lift(x)
        across = []
        for block, down in zip(self.down_blocks, self.down, strict=True):
            x = block(x)
            across.append(x)
            x = down(x)
        x = self.middle(x)
        for up, narrow, block in zip(self.up, self.narrow, self.up_blocks, strict=True):
            beside = across.pop()
            x = cropped(up(x), beside.shape[2:])
            x = block(torch.cat([beside, narrow(x)], dim=1))
        return self.head(x)


class _Block(nn.Module):
    """S v + C σ(N C σ(N v))."""

    def __init__(self, given: int, wanted: int, modes: Sequence[str], groups: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            _norm(given, groups),
            nn.GELU(),
            convolution(given, wanted, modes, bias=False),
            _norm(wanted, groups),
            nn.GELU(),
            convolution(wanted, wanted, modes),
        )
        self.skip = (
            nn.Identity() if given == wanted else convolution(given, wanted, modes, kernel_size=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.net(x)


def _norm(width: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(g for g in range(1, min(groups, width) + 1) if width % g == 0), width)


def build(
    setting: Setting,
    *,
    width: int = 32,
    levels: int | None = None,
    groups: int = 8,
    positions: bool | None = None,
    operator: bool = False,
) -> nn.Module:
    """A U-Net for a setting; no ``levels`` for 4, or as many as the grid has room for.

    With ``operator`` it is one at every resolution, the setting's grid being the base.

    Raises:
        InputError: no grid, no input fields, or a grid too small for the levels.
    """
    domain = field_to_field("unet", setting)
    room = max(1, (min(domain.shape) - 1).bit_length())
    if levels is None:
        levels = min(4, room)
    if levels > room:
        raise InputError(
            f"model 'unet': levels={levels} on a grid of shape {domain.shape}; it has room for "
            f"{room}: 2 points of each axis must be left on the coarsest one"
        )
    given, wanted = setting.channels
    model = UNet(given, wanted, domain.boundary, width, levels, groups, positions)
    positions = model.positions
    if operator:
        model = to_operator(model, domain.shape, model.periodic)
    return chose(model, levels=levels, positions=positions)
