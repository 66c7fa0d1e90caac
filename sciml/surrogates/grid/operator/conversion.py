"""Networks of torch's layers as operators: the same function of functions at every resolution.

========================= ===================================================================
layer                     becomes
========================= ===================================================================
Conv, BoundaryConv        a kernel function under an integral; a stride keeps its points
ConvTranspose             its adjoint
Upsample                  a transposed convolution with a box or a hat
MaxPool, AvgPool          the same over a window of fixed size in space
AdaptiveAvgPool to 1      an integral
GroupNorm, InstanceNorm   moments by quadrature
MultiheadAttention        softmax with quadrature weights
…Pad, PadToMultiple       as far as at the base
========================= ===================================================================

All else acts on each point, or token, alone, or does not depend on resolution (BatchNorm, FNO's spectral
convolution), and is left as it is; what can be neither is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from math import ceil

from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.grid.boundary import BoundaryConv, PadToMultiple
from sciml.surrogates.grid.operator.attention import QuadratureAttention
from sciml.surrogates.grid.operator.convolution import KERNELS, KernelConv, KernelConvTranspose
from sciml.surrogates.grid.operator.norm import QuadratureGroupNorm
from sciml.surrogates.grid.operator.padding import KernelPad, KernelPadToMultiple, mode_of, pads_of
from sciml.surrogates.grid.operator.pooling import KernelAvgPool, KernelMaxPool, Mean
from sciml.surrogates.grid.operator.refinement import Refinement
from sciml.surrogates.grid.operator.resampling import RESAMPLING
from sciml.surrogates.grid.operator.upsampling import KernelUpsample
from sciml.surrogates.traits import Traits

#: A grid this much finer than a whole multiple of the base is still taken to it.
SLACK = 0.1

Rule = Callable[[nn.Module, Refinement, str], nn.Module]

RULES: dict[tuple[type[nn.Module], ...], Rule] = {
    (nn.Conv1d, nn.Conv2d, nn.Conv3d, BoundaryConv): KernelConv,
    (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d): KernelConvTranspose,
    (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d): (
        lambda layer, refinement, kernel: KernelMaxPool(layer, refinement)
    ),
    (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d): KernelAvgPool,
    (nn.Upsample,): KernelUpsample,
    (nn.MultiheadAttention,): (
        lambda layer, refinement, kernel: QuadratureAttention(layer, refinement)
    ),
    (PadToMultiple,): lambda layer, refinement, kernel: KernelPadToMultiple(layer, refinement),
}
_INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)

#: Layers whose weights or results are tied to a number of points.
REFUSED: dict[tuple[type[nn.Module], ...], str] = {
    (nn.Flatten, nn.Unflatten): "a layer over all points fixes their number",
    (nn.Fold, nn.Unfold): "use a convolution with a stride",
    (nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle): "use a (transposed) convolution",
    (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d): "use MaxPool",
    (nn.LPPool1d, nn.LPPool2d, nn.LPPool3d, nn.FractionalMaxPool2d): "use AvgPool or MaxPool",
    (nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d): "use Upsample",
}


class Operator(nn.Module):
    """A converted network, at any resolution of the box that its base grid covers.

    Shapes: x ``(B, C, *space)`` → ``(B, C_out, *space)``.

    A grid that is the base refined by whole numbers is worked on as it is. Any other one, coarser ones
    among them, is taken to the next such grid first, and the output back: a coarse field is
    read as the function that its interpolation is. What :meth:`state_dict` holds has the names of
    the network that was converted, so that weights can be exchanged.

    Args:
        module: of converted layers, which share ``refinement``.
        refinement: base grid.
        resample: ``linear``, ``cubic``, or ``fourier`` on periodic axes (rings where fields jump).
        finest: grids more than so many times as fine as the base are worked on at that multiple.

    Raises:
        InputError: in use: another number of axes, or an axis of 1 point.
    """

    traits = Traits(any_resolution=True)

    def __init__(
        self,
        module: nn.Module,
        refinement: Refinement,
        resample: str = "cubic",
        finest: int | None = None,
    ) -> None:
        super().__init__()
        require_known("unknown resample", resample, RESAMPLING)
        self.module, self.refinement = module, refinement
        self.resample, self.finest = resample, finest
        self.register_state_dict_post_hook(_without_module)
        self._register_load_state_dict_pre_hook(_with_module)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        refinement, space = self.refinement, tuple(x.shape[2:])
        if len(space) != len(refinement.base) or min(space) < 2:
            raise InputError(
                f"operator with base {refinement.base} got a grid of shape {space}; expected "
                f"{len(refinement.base)} axes of at least 2 points"
            )
        ratio = [max(1, ceil(r - SLACK)) for r in refinement.ratio_of(space)]
        if self.finest is not None:
            ratio = [min(r, self.finest) for r in ratio]
        resample = RESAMPLING[self.resample]
        with refinement.at(ratio):
            work = tuple(
                refinement.fine(n, a, r)
                for a, (n, r) in enumerate(zip(refinement.base, ratio, strict=True))
            )
            y = self.module(resample(x, work, refinement.periodic))
        return resample(y, space, refinement.periodic) if tuple(y.shape[2:]) == work else y


def to_operator(
    module: nn.Module,
    base_resolution: int | Sequence[int],
    periodic: bool | Sequence[bool],
    *,
    kernel: str = "points",
    levels: str = "base",
    resample: str = "cubic",
    finest: int | None = None,
) -> Operator:
    """The operator that is ``module`` on the base grid.

    Works before and after training. Weights are shared: training one trains both. ``module`` stays as
    it is. At the base both give the same to rounding; under refinement the operator converges.

    How resolution gives spacing: a periodic axis of n points has L/n, any other one holds both its ends
    and has L/(n − 1), as in :class:`~sciml.domain.Grid`; so 32 → 64 on the one and 33 → 65 on the other
    double it. Kernels, windows, patches and receptive fields keep their size in units of length, and
    the coarser grids that strides make keep their points, or are refined alike, as ``levels`` says.

    Args:
        module: takes and gives ``(B, C, *space)``. Its own code may concatenate, add and crop to the
            size of another field; padding and resizing must be layers.
        base_resolution: points along each axis that it was built, or trained, for; one number for one
            axis.
        periodic: whether each axis is.
        kernel: ``linear``, ``cubic`` or ``points``: see
            :class:`~sciml.surrogates.grid.operator.convolution.KernelConv`.
        levels: ``base``, or ``refined``: see
            :class:`~sciml.surrogates.grid.operator.refinement.Refinement`. Refined levels cost more and
            are further from the base: what a coarse grid of the base samples, they resolve.
        resample, finest: see :class:`Operator`.

    Raises:
        InputError: a layer that is tied to a number of points, by its name, and what to do.

    Good values: ``points`` for a network that was trained at the base alone: its error stays what it is
    (``workflows/resolution``). Kernel functions average over a spacing what the base samples at a
    point, once a convolution; where fields have waves of few spacings, that is another function
    than the one trained, and a network wants to be trained, or to go on, at several resolutions.
    Fails where: ``points`` sees nothing between the points that a kernel of the base takes, noise of a
    finer grid included.

    Source: Berner et al. 2025, arXiv 2506.10973.
    """
    base = (base_resolution,) if isinstance(base_resolution, int) else tuple(base_resolution)
    around = (periodic,) * len(base) if isinstance(periodic, bool) else tuple(periodic)
    require_known("unknown kernel", kernel, KERNELS)
    refinement = Refinement(base, around, levels)
    shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
    twin = copy.deepcopy(module, shared)
    return Operator(_converted(twin, refinement, kernel, "", {}), refinement, resample, finest)


def _converted(
    module: nn.Module, refinement: Refinement, kernel: str, name: str, done: dict
) -> nn.Module:
    """``module``, or the layer that takes its place; its children are replaced in it."""
    if id(module) in done:
        return done[id(module)]
    try:
        new = _layer(module, refinement, kernel)
    except InputError as error:
        raise InputError(f"layer '{name or type(module).__name__}': {error}") from error
    done[id(module)] = new
    if new is module:
        for child_name, child in list(module.named_children()):
            path = f"{name}.{child_name}" if name else child_name
            module._modules[child_name] = _converted(child, refinement, kernel, path, done)
        if isinstance(module, nn.TransformerEncoderLayer):
            # Its fast path would go around the attention put in.
            module.activation_relu_or_gelu = 0
    return new


def _layer(module: nn.Module, refinement: Refinement, kernel: str) -> nn.Module:
    for kinds, why in REFUSED.items():
        if isinstance(module, kinds):
            raise InputError(f"{type(module).__name__} is tied to a resolution: {why}")
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
        raise InputError(
            f"LayerNorm over {tuple(module.normalized_shape)} has a weight for each point; "
            "use GroupNorm(1, channels)"
        )
    if _pointwise(module):
        return module
    for kinds, rule in RULES.items():
        if isinstance(module, kinds):
            _same_axes(module, refinement)
            return rule(module, refinement, kernel)
    if isinstance(module, nn.GroupNorm) or (
        isinstance(module, _INSTANCE) and not module.track_running_stats
    ):
        return QuadratureGroupNorm(module, refinement)
    if isinstance(module, _ADAPTIVE):
        sizes = module.output_size
        if any(n != 1 for n in (sizes if isinstance(sizes, tuple) else (sizes,))):
            raise InputError(f"adaptive pooling to {sizes}: only to 1, a mean; use AvgPool")
        return Mean(refinement)
    mode = mode_of(module)
    if mode is not None:
        return KernelPad(pads_of(module), mode, refinement)
    return module


def _pointwise(module: nn.Module) -> bool:
    """A convolution of one point, of whatever dimension: networks flatten space for it."""
    return (
        isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        and set(module.kernel_size) == set(module.stride) == {1}
        and not any(p for p in module._reversed_padding_repeated_twice)
    )


def _same_axes(module: nn.Module, refinement: Refinement) -> None:
    name = type(module).__name__
    given = {"1": 1, "2": 2, "3": 3}.get(name[-2]) if name.endswith("d") else None
    if given not in (None, len(refinement.base)):
        raise InputError(
            f"{name} has {given} axes, the base {refinement.base} has {len(refinement.base)}"
        )


def _without_module(module: nn.Module, state: dict, prefix: str, local: dict) -> None:
    inner = f"{prefix}module."
    for key in [key for key in state if key.startswith(inner)]:
        state[prefix + key[len(inner) :]] = state.pop(key)


def _with_module(state: dict, prefix: str, *rest: object) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}module.{key[len(prefix) :]}"] = state.pop(key)
