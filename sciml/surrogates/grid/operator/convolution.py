"""Convolutions with a kernel that is a function, and their adjoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.errors import InputError, require_known
from sciml.surrogates.grid.boundary import CONVOLVE, BoundaryConv, extend
from sciml.surrogates.grid.operator.basis import BASES, smooth, smooth_inside
from sciml.surrogates.grid.operator.refinement import Refinement
from sciml.surrogates.grid.operator.resampling import interpolate

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d | BoundaryConv
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}

#: What a convolution's weights are: values of a piecewise polynomial, or point masses.
KERNELS = (*BASES, "points")


class KernelConv(nn.Module):
    """(K u)(x) = ∫ κ(y) u(x + y) dy / h₀ᵈ, κ(y) = Σ_t W_t φ(y/h₀ − t), φ a basis function.

    κ is the piecewise polynomial through the weights W at the spacing h₀ of the base. At spacing
    h = h₀/r the integral is the sum over grid points with weight (h/h₀)ᵈ: κ is sampled, and divided
    by rᵈ, so that constants are mapped as at the base; at r = 1 it is the convolution given. Since
    κ = W ∗ φ, it is computed in two steps, smoothing by φ and a convolution with dilation r, with
    (2r − 1) d + kᵈ terms a point for the hat instead of ((k + 1) r − 1)ᵈ.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space')``; what a stride becomes,
    :class:`~sciml.surrogates.grid.operator.refinement.Refinement` says.

    Args:
        conv: of torch, or :class:`~sciml.surrogates.grid.boundary.BoundaryConv`; weights are shared.
        refinement: of the network.
        kernel: ``linear``: straight lines; ``cubic``: cubics with a continuous slope; ``points``:
            κ = Σ_t W_t δ(y − t h₀), values of u at the very points that the base takes, and nothing in
            between.

    Ghost points: circular, reflected and repeated ones are r times as many; zeros are read as the
    piecewise-linear function that falls to zero one base spacing beyond the end.

    Error: second order in h for a smooth u that goes on smoothly beyond the ends. The limit differs
    from the base by W applied to h₀²/12 Σ ∂²u with ``linear``, which adds up over layers; by
    O(h₀⁴) with ``cubic``; not at all with ``points``.

    Raises:
        InputError: unknown ``kernel``.

    Source: Berner et al. 2025, arXiv 2506.10973, convolutions.
    """

    def __init__(self, conv: Conv, refinement: Refinement, kernel: str = "points") -> None:
        super().__init__()
        require_known("unknown kernel", kernel, KERNELS)
        self.weight, self.bias = conv.weight, conv.bias
        self.refinement, self.kernel = refinement, kernel
        self.kernel_size, self.stride, self.dilation = conv.kernel_size, conv.stride, conv.dilation
        self.groups = conv.groups
        self.padding = _padding(conv)
        self.modes = (
            conv.modes
            if isinstance(conv, BoundaryConv)
            else (conv.padding_mode,) * len(self.kernel_size)
        )

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *coarse"]:
        return convolve(
            x,
            self.weight,
            self.bias,
            self.refinement,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            modes=self.modes,
            kernel=self.kernel,
        )


class KernelConvTranspose(nn.Module):
    """(K u)(x) = ∫ κ(x − y) u(y) dy / (s h₀)ᵈ, κ as in :class:`KernelConv`, u at the spacing s h.

    The adjoint of :class:`KernelConv`: a sum over the points of u, with weight 1/rᵈ where u is
    refined; at r = 1 it is the transposed convolution given. From a coarser grid that is not
    refined to the finest one that is, κ is evaluated at the points of that.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space')``.

    Beyond its ends u is zero one base spacing on, as in :class:`KernelConv`; where kernels do not
    overlap (k ≤ s), so that the base sees no end, u goes on: around, or by its last value.

    Args:
        conv: of torch; weights are shared.
        refinement: of the network.
        kernel: ``linear`` or ``cubic``; ``points``, which would leave holes, is ``cubic`` here.
    """

    def __init__(self, conv: Transposed, refinement: Refinement, kernel: str = "points") -> None:
        super().__init__()
        self.kernel = kernel
        self.weight, self.bias, self.refinement = conv.weight, conv.bias, refinement
        self.stride, self.padding, self.dilation = conv.stride, conv.padding, conv.dilation
        self.output_padding, self.groups = conv.output_padding, conv.groups

    def forward(self, x: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch out *fine"]:
        return convolve_transposed(
            x,
            self.weight,
            self.bias,
            self.refinement,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
            kernel=self.kernel,
        )


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    refinement: Refinement,
    *,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    groups: int,
    modes: Sequence[str],
    kernel: str,
    dilation: Sequence[int] = (1, 1, 1),
) -> Tensor:
    """:class:`KernelConv` as a function; ``padding`` before and after each axis, at the base."""
    size = weight.shape[2:]
    ratio = refinement.ratios_at(x.shape[2:])
    steps = []
    closed = [
        mode == "circular" or (refinement.periodic[a] and sum(padding[a]) == 0)
        for a, mode in enumerate(modes)
    ]
    if kernel != "points":
        # One tap is a pointwise layer, which needs no quadrature.
        widths = [1 if k == 1 else r for k, r in zip(size, ratio, strict=True)]
        beyond = [_beyond(mode, c) for mode, c in zip(modes, closed, strict=True)]
        x = smooth(x, widths, beyond, kernel)
    for a, r in enumerate(ratio):
        n, (before, after), reach = x.shape[2 + a], padding[a], dilation[a] * (size[a] - 1)
        n0 = refinement.coarse(n, a)
        left0 = n0 + before + after - reach - 1
        if left0 < 0:
            raise InputError(
                f"a convolution over {reach + 1} points got an axis of {n0} points at the base; "
                "refine the base grid"
            )
        out0 = left0 // stride[a] + 1
        r_out = refinement.strided(out0, a, stride[a], r)
        step = stride[a] * r // r_out
        left = r * before
        right = step * (refinement.fine(out0, a, r_out) - 1) + r * (reach - before) - (n - 1)
        steps.append(step)
        x = extend(x, 2 + a, left, max(0, right), "circular" if closed[a] else modes[a], fade=r)
        x = x.narrow(2 + a, 0, left + n + right)
    dilated = [r * d for r, d in zip(ratio, dilation, strict=False)]
    out = CONVOLVE[len(size)](x, weight, bias, tuple(steps), 0, tuple(dilated), groups)
    refinement.grid = tuple(out.shape[2:])
    return out


def convolve_transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    refinement: Refinement,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
    kernel: str,
    output_padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    beyond: str | None = None,
) -> Tensor:
    """:class:`KernelConvTranspose` as a function; ``beyond``: how u goes on, whatever the kernel."""
    size = weight.shape[2:]
    ratio = refinement.ratios_at(x.shape[2:])
    basis = kernel if kernel in BASES else "cubic"
    wanted, begin, widths, reaches, final = [], [], [], [], []
    for a, r in enumerate(ratio):
        n, s, p = x.shape[2 + a], stride[a], padding[a]
        reach = dilation[a] * (size[a] - 1)
        n0 = refinement.coarse(n, a)
        out0 = (n0 - 1) * s - 2 * p + reach + output_padding[a] + 1
        out = refinement.fine(out0, a, r)
        final.append(refinement.fine(out0, a, refinement.strided(out0, a, s, r)))
        width = r if size[a] > 1 or s > 1 else 1
        around = BASES[basis][1] * width - 1 if width > 1 else 0
        # Points of u beyond each end whose kernels reach into the output.
        before = max(0, (r * (reach - p) + around) // s)
        after = max(0, (out - 1 + r * p + around - s * (n - 1)) // s)
        if r == 1 and beyond is None:
            before = after = 0
        apart = reach + 1 <= s
        mode = beyond or ("replicate" if apart else "zeros")
        if refinement.periodic[a] and mode == "replicate" and r > 1:
            mode = "circular"
        x = extend(x, 2 + a, before, after, mode, fade=r)
        wanted.append(out)
        begin.append(s * before + r * p)
        widths.append(width)
        reaches.append(around)
    dilated = tuple(r * d for r, d in zip(ratio, dilation, strict=False))
    y = TRANSPOSE[len(size)](x, weight, None, tuple(stride), 0, 0, groups, dilated)
    for a, (out, first, width, around) in enumerate(
        zip(wanted, begin, widths, reaches, strict=True), start=2
    ):
        missing = max(0, around - first), max(0, first + out + around - y.shape[a])
        y = extend(y, a, *missing, "zeros")
        y = y.narrow(a, first - around + missing[0], out + 2 * around)
        y = smooth_inside(y, a, width, basis) if width > 1 else y
    y = interpolate(y, final, refinement.periodic, basis)
    refinement.grid = tuple(y.shape[2:])
    return y if bias is None else y + bias.view(-1, *(1,) * len(size))


def _beyond(mode: str, closed: bool) -> str:
    """How a field goes on for smoothing; straight on, where nothing is known, keeps linear ones."""
    if closed:
        return "circular"
    return "reflect" if mode == "reflect" else "odd"


def _padding(conv: Conv) -> tuple[tuple[int, int], ...]:
    if conv.padding == "valid":
        return ((0, 0),) * len(conv.kernel_size)
    if conv.padding == "same":
        total = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((p, p) for p in conv.padding)


def ones_kernel(channels: int, factors: Sequence[Tensor]) -> Tensor:
    """Product of one-dimensional kernels, the same for each channel: ``(channels, 1, *sizes)``."""
    weight = factors[0]
    for factor in factors[1:]:
        weight = weight.unsqueeze(-1) * factor
    return torch.broadcast_to(weight, (channels, 1, *weight.shape))
