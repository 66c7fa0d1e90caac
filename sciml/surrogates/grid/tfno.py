"""Fourier neural operator with factorized weights."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.grid.fno import FNO
from sciml.surrogates.grid.spectral import SpectralConv
from sciml.surrogates.grid.torus import built
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits


class TFNO(nn.Module):
    """:class:`~sciml.surrogates.grid.fno.FNO` whose tensors of spectral weights are products of
    factors: R = G ×₁ U_1 … ×_d U_d × A × B (Tucker), with a part ``rank`` of the weights.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space)``, as for the FNO.

    Args:
        in_channels, out_channels, modes: as for the FNO.
        rank: spectral weights, as a part of those of the FNO: 0.1 keeps a tenth.
        factorization: ``tucker``, ``cp`` or ``tt``; see :mod:`~sciml.surrogates.grid.kernels`.
        fno: further arguments of the FNO.

    Raises:
        InputError: as the FNO; an unknown factorization or a rank that is no part.

    Good values: Tucker, rank 0.05–0.5. With few data fewer weights generalize better; it is slower
    than the dense one where modes and channels are few, since the factors have to be multiplied.
    CP makes the whole tensor in every step, and gains memory of the optimizer alone.

    Source: Kossaifi et al., TMLR 2024, arXiv 2310.00120, sec. 3.
    """

    traits = Traits(any_resolution=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        rank: float = 0.1,
        factorization: str = "tucker",
        **fno: object,
    ) -> None:
        super().__init__()
        self.fno = FNO(
            in_channels, out_channels, modes, factorization=factorization, rank=rank, **fno
        )
        self.torus = self.fno.torus

    @property
    def compression(self) -> float:
        """Spectral weights held, as a part of those of the FNO."""
        layers = [m for m in self.modules() if isinstance(m, SpectralConv)]
        held = sum(p.numel() for layer in layers for p in layer.kernel.parameters())
        return held / sum(layer.dense_weights for layer in layers)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        return self.fno(x)


def build(
    setting: Setting,
    *,
    modes: Sequence[int] | int | None = None,
    hidden_channels: int = 32,
    n_layers: int = 4,
    rank: float = 0.1,
    factorization: str = "tucker",
    padding: float = 0.125,
    positions: bool | None = None,
    lifting_channel_ratio: float = 2,
    projection_channel_ratio: float = 2,
    use_channel_mlp: bool = True,
    channel_mlp_expansion: float = 0.5,
) -> TFNO:
    """A TFNO for a setting; modes as for the FNO.

    Raises:
        InputError: no grid, no input fields, or a grid too small for the modes.
    """
    return built(TFNO, "tfno", **locals())
