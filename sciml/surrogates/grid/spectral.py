"""Convolution in Fourier space, kept to the lowest modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError


class SpectralConv(nn.Module):
    """v(x) = Σ_k R_k û_k e^{2πi k·x} + b: a complex matrix R_k over channels for each kept mode k.

    Shapes: u ``(B, in, *space)`` → v ``(B, out, *space)``, 1 to 3 dimensions, any grid size, odd
    ones too.

    Only the kept modes are ever computed: the transform is a product with the ``(modes, n)``
    matrix of each axis. For the 8 to 32 modes of a neural operator that is faster than an FFT of
    the whole grid and, unlike it, works in every dtype and under ``torch.export``.

    Args:
        in_channels, out_channels: widths.
        modes: modes along each axis, negative and positive frequencies together; the last axis
            keeps ``modes // 2 + 1``, since the data is real.
        neuralop: what neuraloperator's blocks pass besides; none of it changes this layer.

    Raises:
        InputError: a grid with fewer points than modes along an axis.

    Source: Li et al., ICLR 2021, arXiv 2010.08895, eq. (4); interface of neuraloperator's
    ``conv_module``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, modes: Sequence[int], **neuralop: object
    ) -> None:
        super().__init__()
        self.modes = tuple(modes)
        kept = (*self.modes[:-1], self.modes[-1] // 2 + 1)
        std = math.sqrt(2 / (in_channels + out_channels))
        # Real and imaginary parts in a real tensor: optimizers, checkpoints and casts to float64
        # or bfloat16 need no special case.
        self.weight = nn.Parameter(std * torch.randn(*kept, in_channels, out_channels, 2))
        self.bias = nn.Parameter(std * torch.randn(out_channels, *(1,) * len(kept)))

    def forward(
        self, u: Float[Tensor, "batch channel *space"], output_shape: object = None
    ) -> Float[Tensor, "batch out *space"]:
        space = u.shape[2:]
        for n, kept in zip(space, self.modes, strict=True):
            if n < kept:
                raise InputError(
                    f"spectral convolution: grid {tuple(space)} is too small for modes "
                    f"{self.modes}; every axis needs at least as many points as modes"
                )
        coefficients = _analysis(u, self.modes)
        return _synthesis(self._mix(coefficients), space, self.modes) + self.bias

    def transform(self, u: Tensor, output_shape: object = None) -> Tensor:
        """The skip connection keeps its resolution."""
        return u

    def _mix(self, coefficients: Tensor) -> Tensor:
        """R_k û_k, with [re | im] side by side along the last axis: one real product a mode."""
        batch, channels, *kept, _ = coefficients.shape
        kept.append(self.modes[-1] // 2 + 1)
        re, im = coefficients.reshape(batch, channels, -1, 2, kept[-1]).unbind(3)
        # (modes, B, 2·in)
        rows = torch.cat([re, im], dim=1).reshape(batch, 2 * channels, -1).permute(2, 0, 1)
        real, imag = self.weight.flatten(0, -4).unbind(-1)
        # (modes, 2·in, 2·out)
        matrix = torch.cat(
            [torch.cat([real, imag], dim=-1), torch.cat([-imag, real], dim=-1)], dim=-2
        )
        mixed = torch.bmm(rows, matrix)
        mixed = mixed.reshape(-1, kept[-1], batch, 2, matrix.shape[-1] // 2)
        # (B, out, other modes, [re | im])
        return mixed.permute(2, 4, 0, 3, 1).reshape(batch, -1, *kept[:-1], 2 * kept[-1])


def _analysis(u: Tensor, modes: tuple[int, ...]) -> Tensor:
    """Coefficients (B, C, *modes[:-1], 2·(modes[-1]//2+1)), real parts before imaginary ones."""
    space = u.shape[2:]
    last = _matrices(space[-1], modes[-1], True, u.dtype, u.device)
    x = u @ last[0]
    half = x.shape[-1] // 2
    for axis, (n, kept) in enumerate(zip(space[:-1], modes[:-1], strict=True), start=2):
        forward, _ = _matrices(n, kept, False, u.dtype, u.device)
        shape = x.shape
        # cos and sin parts stacked: (…, 2·kept, rest, 2·half)
        parts = forward @ x.reshape(*shape[:axis], n, -1)
        parts = parts.reshape(*shape[:axis], 2, kept, -1, 2, half)
        cos, sin = parts.unbind(axis)
        # e^{−iθ} (re + i im) = (c re + s im) + i (c im − s re)
        re = cos[..., 0, :] + sin[..., 1, :]
        im = cos[..., 1, :] - sin[..., 0, :]
        x = torch.stack([re, im], dim=-2).reshape(*shape[:axis], kept, *shape[axis + 1 :])
    return x


def _synthesis(y: Tensor, space: Sequence[int], modes: tuple[int, ...]) -> Tensor:
    """Values on the grid from the coefficients of :func:`_analysis`."""
    half = y.shape[-1] // 2
    for axis, (n, kept) in enumerate(zip(space[:-1], modes[:-1], strict=True), start=2):
        _, backward = _matrices(n, kept, False, y.dtype, y.device)
        shape = y.shape
        re, im = y.reshape(*shape[:axis], kept, -1, 2, half).unbind(-2)
        # [C | S] [[re | im], [−im | re]]
        straight = torch.stack([re, im], dim=-2)
        crossed = torch.stack([-im, re], dim=-2)
        rows = torch.cat([straight, crossed], dim=axis).flatten(axis + 1)
        y = (backward @ rows).reshape(*shape[:axis], n, *shape[axis + 1 :])
    return y @ _matrices(space[-1], modes[-1], True, y.dtype, y.device)[1]


def _matrices(
    n: int, kept: int, real: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    # While a graph is traced the tensors are not real ones and must not outlive the trace.
    build = _build if torch.compiler.is_compiling() else _cached
    return build(n, kept, real, dtype, device)


def _build(
    n: int, kept: int, real: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Matrices of the transform there and back along one axis, "forward" normalization."""
    if real:
        k = torch.arange(kept // 2 + 1)
    else:
        k = torch.cat([torch.arange((kept + 1) // 2), torch.arange(-(kept // 2), 0)])
    # k·x modulo n in whole numbers keeps the angle exact for large grids.
    angle = 2 * math.pi * (torch.outer(k, torch.arange(n)) % n).to(torch.float64) / n
    cos, sin = angle.cos(), angle.sin()
    if real:
        # Each kept mode stands for its conjugate too, except the mean and the Nyquist mode.
        twice = torch.where((k == 0) | (2 * k == n), 1.0, 2.0).to(torch.float64)[:, None]
        pair = torch.cat([cos, -sin]).T / n, torch.cat([twice * cos, -twice * sin])
    else:
        pair = torch.cat([cos, sin]) / n, torch.cat([cos, sin]).T
    forward, backward = (m.to(dtype=dtype, device=device).contiguous() for m in pair)
    return forward, backward


_cached = lru_cache(maxsize=128)(_build)
