"""Fourier neural operator, on neuraloperator's blocks."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.grid.geometry import cropped, expect_sizes
from sciml.surrogates.grid.neuraloperator import neuraloperator
from sciml.surrogates.grid.spectral import SpectralConv
from sciml.surrogates.grid.torus import Torus, built
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class FNO(nn.Module):
    """u ↦ Q ∘ L_n ∘ … ∘ L_1 ∘ P u, each L v = σ(W v + K v), K a convolution kept to the lowest modes.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space)`` in 1, 2 or 3 dimensions,
    at any resolution with at least as many points as modes along every axis.

    Lifting, blocks and projection are neuraloperator's; the spectral convolution in them is
    :class:`~sciml.surrogates.grid.spectral.SpectralConv`, since neuraloperator 2.0 shifts
    frequencies by one on axes of odd length and computes in complex64 only. Ours computes with real
    numbers in any dtype, so that no device needs complex ones.

    Args:
        in_channels, out_channels: fields, static fields and scalars in; fields out.
        modes: Fourier modes kept along each axis, positive and negative together: waves of up to
            modes / 2 periods along the axis pass; shorter ones see the pointwise layers alone.
        hidden_channels: width.
        n_layers: Fourier layers.
        periodic: whether each axis is; the other axes are padded, since the Fourier series of a
            field that does not close would ring at the boundary.
        padding: what is added to a non-periodic axis, as a part of its length.
        positions: append the coordinates, from 0 to 1, as channels. ``None``: only if an axis is
            not periodic, since on a torus no point differs from another.
        neuralop: further arguments of ``neuralop.models.FNO``.

    Raises:
        InputError: modes and periodic of different lengths; no layers or channels; a negative
            padding; a grid smaller than the modes; another number of channels.

    Good values: 4 layers, width 24–64, modes more than twice the largest wave number that matters.
    Fails where waves beyond that matter: at shocks, or on data rougher than the modes. Random heat,
    width 24, 600 steps, one-step error: 8e-4 with waves up to 6 at modes 14; 6e-3 with waves up
    to 8 at modes 12.

    Source: Li et al., ICLR 2021, arXiv 2010.08895, eqs. (2) and (4).
    """

    traits = Traits(any_resolution=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        hidden_channels: int = 32,
        n_layers: int = 4,
        periodic: Sequence[bool] | None = None,
        padding: float = 0.125,
        positions: bool | None = None,
        **neuralop: object,
    ) -> None:
        super().__init__()
        expect_sizes("FNO", hidden_channels=hidden_channels, n_layers=n_layers)
        self.torus = Torus("FNO", in_channels, modes, periodic, padding, positions)
        neuralop.setdefault("conv_module", SpectralConv)
        self.net = neuraloperator("FNO")(
            n_modes=self.torus.modes,
            in_channels=self.torus.channels,
            out_channels=out_channels,
            hidden_channels=hidden_channels,
            n_layers=n_layers,
            positional_embedding=None,
            **neuralop,
        )
        # neuraloperator puts its constructor arguments among the tensors of the state dict.
        self.register_state_dict_post_hook(_drop_metadata)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        return cropped(self.net(self.torus.enter(x)), x.shape[2:])


def build(
    setting: Setting,
    *,
    modes: Sequence[int] | int | None = None,
    hidden_channels: int = 32,
    n_layers: int = 4,
    padding: float = 0.125,
    positions: bool | None = None,
    lifting_channel_ratio: float = 2,
    projection_channel_ratio: float = 2,
    use_channel_mlp: bool = True,
    channel_mlp_expansion: float = 0.5,
) -> FNO:
    """An FNO for a setting; one number of modes stands for every axis, none for 16
    or as many as the grid has points.

    Raises:
        InputError: no grid, no input fields, or a grid too small for the modes.
    """
    return built(FNO, "fno", **locals())


def _drop_metadata(module: nn.Module, state: dict, prefix: str, local: dict) -> None:
    for key in [key for key in state if key.endswith("_metadata")]:
        del state[key]
