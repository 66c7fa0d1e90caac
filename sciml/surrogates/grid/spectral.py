"""Convolution in Fourier space, kept to the lowest modes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.grid.fourier_series import analysis, resample, synthesis
from sciml.surrogates.grid.kernels import kernel


class SpectralConv(nn.Module):
    """v(x) = Σ_k R_k û_k e^{2πi k·x} + b: a complex matrix R_k over channels for each kept mode k.

    Shapes: u ``(B, in, *space)`` → v ``(B, out, *output_shape)``, 1 to 3 dimensions, any grid size,
    odd ones too; by default on the grid of u.

    Only the kept modes are ever computed, and all numbers are real ones (see
    :mod:`~sciml.surrogates.grid.fourier_series`).

    Args:
        in_channels, out_channels: widths.
        modes: modes along each axis, negative and positive frequencies together; the last axis
            keeps ``modes // 2 + 1``, since the data is real.
        factorization, rank: how R is held; see :mod:`~sciml.surrogates.grid.kernels`.
        neuralop: what neuraloperator's blocks pass besides; none of it changes this layer.

    Raises:
        InputError: a grid with fewer points than modes along an axis.

    Source: Li et al., ICLR 2021, arXiv 2010.08895, eq. (4); factorized: Kossaifi et al., TMLR 2024,
    arXiv 2310.00120, sec. 3; interface of neuraloperator's ``conv_module``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        factorization: str | None = None,
        rank: float = 1.0,
        **neuralop: object,
    ) -> None:
        super().__init__()
        self.modes = tuple(modes)
        self.kept = (*self.modes[:-1], self.modes[-1] // 2 + 1)
        std = math.sqrt(2 / (in_channels + out_channels))
        self.kernel = kernel(factorization, self.kept, in_channels, out_channels, rank, std)
        #: Weights of R if it were dense.
        self.dense_weights = 2 * math.prod(self.kept) * in_channels * out_channels
        self.bias = nn.Parameter(std * torch.randn(out_channels, *(1,) * len(self.kept)))

    def forward(
        self, u: Float[Tensor, "batch channel *space"], output_shape: Sequence[int] | None = None
    ) -> Float[Tensor, "batch out *other"]:
        space = u.shape[2:]
        other = space if output_shape is None else tuple(output_shape)
        for n, m, kept in zip(space, other, self.modes, strict=True):
            if min(n, m) < kept:
                raise InputError(
                    f"spectral convolution: grid {tuple(space if n < kept else other)} is too small "
                    f"for modes {self.modes}; every axis needs at least as many points as modes"
                )
        return synthesis(self._mix(analysis(u, self.modes)), other, self.modes) + self.bias

    def transform(self, u: Tensor, output_shape: Sequence[int] | None = None) -> Tensor:
        """What a skip connection beside this layer does: the same field on the output's grid."""
        return u if output_shape is None else resample(u, output_shape)

    def extra_repr(self) -> str:
        held = sum(p.numel() for p in self.kernel.parameters())
        ranks = f", ranks={self.kernel.ranks}" if self.kernel.ranks else ""
        return f"modes={self.modes}{ranks}, {held} of {self.dense_weights} weights"

    def _mix(self, coefficients: Tensor) -> Tensor:
        """R_k û_k, with [re | im] side by side along the last axis: one real product a mode."""
        enter, middle, leave = self.kernel()
        batch, _, *_, width = coefficients.shape
        rows = coefficients.flatten(2)
        if enter is not None:
            rows = enter.T @ rows
        channels = rows.shape[1]
        re, im = rows.reshape(batch, channels, -1, 2, width // 2).unbind(3)
        # (modes, B, 2·in)
        rows = torch.cat([re, im], dim=1).reshape(batch, 2 * channels, -1).permute(2, 0, 1)
        real, imag = middle.unbind(-1)
        # (modes, 2·in, 2·out)
        matrix = torch.cat(
            [torch.cat([real, imag], dim=-1), torch.cat([-imag, real], dim=-1)], dim=-2
        )
        mixed = torch.bmm(rows, matrix)
        mixed = mixed.reshape(-1, width // 2, batch, 2, matrix.shape[-1] // 2)
        # (B, out, other modes, [re | im])
        mixed = mixed.permute(2, 4, 0, 3, 1).flatten(2)
        if leave is not None:
            mixed = leave.T @ mixed
        return mixed.reshape(batch, -1, *self.kept[:-1], width)
