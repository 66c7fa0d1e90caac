"""Vision transformer: attention between patches of a grid."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.grid.boundary import CONVOLUTIONS, PadToMultiple, checked
from sciml.surrogates.grid.geometry import cropped, expect_sizes, field_to_field
from sciml.surrogates.grid.operator.conversion import to_operator
from sciml.surrogates.grid.operator.positions import PositionalFunction
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose

TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class ViT(nn.Module):
    """t = P x + p; t ← t + A N t, t ← t + M N t for each layer; y = P' t.

    P maps each patch of the grid to a token, P' each token to a patch; p is a learned function of
    the position; A multi-head self-attention, M a perceptron with GELU, N LayerNorm.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space)`` in 1, 2 or 3 dimensions, at
    any size of at least one patch: axes are continued up to whole patches (periodic ones around,
    others by their last value) and cropped at the end. p is interpolated to the tokens.

    Args:
        in_channels, out_channels: fields, static fields and scalars in; fields out.
        shape: grid that p has a value for every token of.
        boundary: of each axis, as in :class:`~sciml.domain.Grid`.
        patch: points along each side of a patch.
        width: channels of a token.
        layers, heads: of attention.
        expansion: hidden width of M in widths.

    Raises:
        InputError: no layers or heads, a width that these do not divide; in use: another number
            of channels, or a grid smaller than a patch.

    Good values: patch 4, width 64–256, 4–8 layers; work grows with the square of the number of
    patches. Fails where: on another resolution its patches have another size, unless it is made an
    operator (:func:`~sciml.surrogates.grid.operator.conversion.to_operator`); with few data.

    Source: Dosovitskiy et al., ICLR 2021, arXiv 2010.11929, without class token and without a norm
    before P', so that amplitudes get through.
    """

    traits = Traits(any_resolution=False)  # its patches count points

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        boundary: Sequence[str],
        patch: int = 4,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        expansion: float = 2.0,
    ) -> None:
        super().__init__()
        expect_sizes("ViT", patch=patch, width=width, layers=layers, heads=heads)
        if width % heads:
            raise InputError(f"ViT: width={width} and heads={heads}; the heads must divide it")
        self.in_channels, self.patch = in_channels, patch
        self.periodic = tuple(b == "periodic" for b in boundary)
        ndim = len(self.periodic)
        self.pad = PadToMultiple(patch, ["circular" if p else "replicate" for p in self.periodic])
        self.embed = CONVOLUTIONS[ndim](in_channels, width, patch, stride=patch)
        self.position = PositionalFunction(width, [-(-n // patch) for n in shape], self.periodic)
        self.blocks = nn.ModuleList(
            [
                nn.TransformerEncoderLayer(
                    width,
                    heads,
                    round(expansion * width),
                    dropout=0.0,
                    activation="gelu",
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(layers)
            ]
        )
        for block in self.blocks:
            # Off with the fused layer of evaluation: torch's compiler takes its strides wrongly.
            block.activation_relu_or_gelu = 0
        self.head = TRANSPOSED[ndim](width, out_channels, patch, stride=patch)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        checked(
            "ViT", x, self.in_channels, len(self.periodic), self.patch, f"patch={self.patch}"
        )  # fmt: skip
        space = x.shape[2:]
        x = self.embed(self.pad(x))
        x = x + self.position(x)
        grid = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)  # (B, tokens, width)
        for block in self.blocks:
            tokens = block(tokens)
        x = self.head(tokens.transpose(1, 2).unflatten(2, grid))
        return cropped(x, space)


def build(
    setting: Setting,
    *,
    patch: int | None = None,
    width: int = 128,
    layers: int = 4,
    heads: int = 4,
    expansion: float = 2.0,
    operator: bool = False,
) -> nn.Module:
    """A ViT for a setting; ``patch`` of nothing for 4, or as many points as there are.

    With ``operator`` it is one at every resolution, the setting's grid being the base.

    Raises:
        InputError: no grid, no input fields, or a grid smaller than a patch.
    """
    domain = field_to_field("vit", setting)
    if patch is None:
        patch = min(4, *domain.shape)
    if not 1 <= patch <= min(domain.shape):
        raise InputError(
            f"model 'vit': patch={patch} on a grid of shape {domain.shape}; expected a number from "
            f"1 to {min(domain.shape)}"
        )
    given, wanted = setting.channels
    model = ViT(
        given, wanted, domain.shape, domain.boundary, patch, width, layers, heads, expansion
    )
    if operator:
        model = to_operator(model, domain.shape, model.periodic)
    return chose(model, patch=patch)
