"""U-shaped neural operator, on neuraloperator's blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu

from sciml.errors import InputError
from sciml.surrogates.grid.geometry import cropped, expect_sizes
from sciml.surrogates.grid.neuraloperator import neuraloperator
from sciml.surrogates.grid.spectral import SpectralConv
from sciml.surrogates.grid.torus import Torus, built
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class UNO(nn.Module):
    """Fourier layers down to coarser grids and up again, with skips: v_{l+1} = σ(D_l v_l), w_L = σ(C
    v_L), w_l = σ(U_l [w_{l+1}, v_{l+1}]), Q = last layer of [w_0, v_0].

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space)`` in 1, 2 or 3 dimensions,
    at any resolution with at least as many points as modes along every axis.

    Level l has half the points and modes along each axis of level l − 1, and twice the channels. A
    layer to another grid evaluates its Fourier series there, and so does the pointwise part beside
    it: on a periodic axis nothing is lost but waves that the coarser grid cannot hold, and a shift by
    one of its points commutes with the layers.

    Blocks, lifting and projection are neuraloperator's. Its own UNO 2.0 has no activation between
    blocks, leaves the choice of the convolution out, and resamples with bicubic weights that fit
    no periodic axis, in float32 in three dimensions.

    Args:
        in_channels, out_channels, modes, periodic, padding, positions: as for
            :class:`~sciml.surrogates.grid.fno.FNO`; ``modes`` are those of the finest level.
        hidden_channels: width of the finest level.
        levels: how often the grid is halved.
        growth: channels of a level, as a multiple of those of the next finer one.

    Raises:
        InputError: modes and periodic of different lengths; no levels; a grid smaller than the
            modes; another number of channels.

    Good values: 2 or 3 levels, modes of half the points and more, since coarse levels are cheap.
    Fails where the FNO does.

    Source: Rahman, Ross, Azizzadenesheli, TMLR 2023, arXiv 2204.11127, sec. 3.
    """

    traits = Traits(any_resolution=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        hidden_channels: int = 32,
        levels: int = 2,
        growth: float = 2,
        periodic: Sequence[bool] | None = None,
        padding: float = 0.125,
        positions: bool | None = None,
        lifting_channel_ratio: float = 2,
        projection_channel_ratio: float = 2,
        channel_mlp_expansion: float = 0.5,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise InputError(f"UNO: levels={levels}; expected at least 1, or take model 'fno'")
        self.torus = Torus("UNO", in_channels, modes, periodic, padding, positions)
        width = [round(hidden_channels * growth**level) for level in range(levels + 1)]
        expect_sizes("UNO", **{f"channels of level {k}": n for k, n in enumerate(width)})
        kept = [self.torus.modes]
        for _ in range(levels):
            kept.append(_halved(kept[-1]))
        block = neuraloperator("FNOBlocks")
        mlp = neuraloperator("ChannelMLP")

        def layer(given: int, wanted: int, level: int) -> nn.Module:
            return block(
                given,
                wanted,
                kept[level],
                conv_module=SpectralConv,
                channel_mlp_skip="linear",
                channel_mlp_expansion=channel_mlp_expansion,
            )

        self.lifting = mlp(
            self.torus.channels, width[0], round(lifting_channel_ratio * width[0]), n_layers=2
        )
        self.first = layer(width[0], width[0], 0)
        self.down = nn.ModuleList(
            layer(width[level], width[level + 1], level + 1) for level in range(levels)
        )
        self.bottom = layer(width[-1], width[-1], levels)
        self.up = nn.ModuleList(
            layer(2 * width[level + 1], width[level], level + 1) for level in range(levels)
        )
        self.last = layer(2 * width[0], width[0], 0)
        self.projection = mlp(
            width[0], out_channels, round(projection_channel_ratio * width[0]), n_layers=2
        )

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        space = x.shape[2:]
        v = [gelu(self.first(self.lifting(self.torus.enter(x))))]
        for down in self.down:
            v.append(gelu(down(v[-1], output_shape=_halved(v[-1].shape[2:]))))
        w = gelu(self.bottom(v[-1]))
        for level in reversed(range(len(self.up))):
            both = torch.cat([w, v[level + 1]], dim=1)
            w = gelu(self.up[level](both, output_shape=tuple(v[level].shape[2:])))
        return cropped(self.projection(self.last(torch.cat([w, v[0]], dim=1))), space)


def build(
    setting: Setting,
    *,
    modes: Sequence[int] | int | None = None,
    hidden_channels: int = 32,
    levels: int = 2,
    growth: float = 2,
    padding: float = 0.125,
    positions: bool | None = None,
    lifting_channel_ratio: float = 2,
    projection_channel_ratio: float = 2,
    channel_mlp_expansion: float = 0.5,
) -> UNO:
    """A UNO for a setting; modes as for the FNO.

    Raises:
        InputError: no grid, no input fields, or a grid too small for the modes.
    """
    return built(UNO, "uno", **locals())


def _halved(points: Sequence[int]) -> tuple[int, ...]:
    return tuple((n + 1) // 2 for n in points)
