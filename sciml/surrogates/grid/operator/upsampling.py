"""Upsampling by a whole factor, as a transposed convolution with a fixed kernel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import InputError
from sciml.surrogates.grid.operator.basis import BASES
from sciml.surrogates.grid.operator.convolution import convolve_transposed, ones_kernel
from sciml.surrogates.grid.operator.refinement import Refinement
from sciml.surrogates.grid.operator.resampling import interpolate

_LINEAR = ("linear", "bilinear", "trilinear")


class KernelUpsample(nn.Module):
    """(U u)(x) = ∫ κ(x − y) u(y) dy, κ the box of the nearest value or the hat of lines between points.

    Shapes: ``(B, C, *space)`` → ``(B, C, *s·space)``.

    At the base the nearest value stands s/2 − ½ points too far back on average; κ keeps that shift as a
    length. With ``align_corners`` the values are those of the stretched lines at every resolution.

    Args:
        up: of torch, with a whole ``scale_factor``; ``nearest`` or linear.
        refinement: of the network.
        kernel: as in :class:`~sciml.surrogates.grid.operator.convolution.KernelConvTranspose`.

    Raises:
        InputError: a size instead of a factor, a factor that is no whole number, another mode.
    """

    def __init__(self, up: nn.Upsample, refinement: Refinement, kernel: str = "points") -> None:
        super().__init__()
        self.kernel = kernel
        factor = up.scale_factor
        ndim = len(refinement.base)
        factors = factor if isinstance(factor, tuple) else (factor,) * ndim
        if up.size is not None or any(f != int(f) for f in factors):
            raise InputError(
                f"Upsample to size {up.size}, factor {factor}: another number at each resolution; "
                "expected a whole scale_factor"
            )
        if up.mode != "nearest" and up.mode not in _LINEAR:
            raise InputError(
                f"Upsample with mode '{up.mode}'; expected one of nearest, {', '.join(_LINEAR)}"
            )
        self.factors, self.mode = tuple(int(f) for f in factors), up.mode
        self.align_corners, self.refinement = up.align_corners, refinement

    def forward(self, x: Tensor) -> Tensor:
        refinement = self.refinement
        ratio = refinement.ratios_at(x.shape[2:])
        if set(ratio) == {1} or self.align_corners:
            sizes, final = [], []
            for a, (s, r) in enumerate(zip(self.factors, ratio, strict=True)):
                out0 = s * refinement.coarse(x.shape[2 + a], a)
                sizes.append(refinement.fine(out0, a, r))
                final.append(refinement.fine(out0, a, refinement.strided(out0, a, s, r)))
            y = F.interpolate(x, size=sizes, mode=self.mode, align_corners=self.align_corners)
            basis = self.kernel if self.kernel in BASES else "cubic"
            return interpolate(y, final, refinement.periodic, basis)
        linear = self.mode in _LINEAR
        lines = [_hat(s, x) if linear else x.new_ones(s) for s in self.factors]
        return convolve_transposed(
            x,
            ones_kernel(x.shape[1], lines),
            None,
            refinement,
            stride=self.factors,
            padding=[s // 2 if linear else 0 for s in self.factors],
            groups=x.shape[1],
            kernel=self.kernel,
            beyond="replicate",
        )


def _hat(factor: int, like: Tensor) -> Tensor:
    """Weights of one point in the ``factor``-fold grid."""
    size = 2 * factor - factor % 2
    steps = torch.arange(size, dtype=like.dtype, device=like.device)
    return 1.0 - (steps - (size - 1) / 2).abs() / factor
