"""Multigrid neural operator."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.grid.boundary import CONVOLUTIONS
from sciml.surrogates.grid.channels_last import channels_last, convolve
from sciml.surrogates.grid.geometry import (
    expect_channels,
    expect_sizes,
    field_to_field,
    with_coordinates,
)
from sciml.surrogates.grid.stencil import BOUNDARIES, depth
from sciml.surrogates.grid.vcycle import RESTRICTIONS, VCycle
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose

#: What a stencil finds outside an axis, by the boundary condition of the domain.
OUTSIDE = {"periodic": "circular", "dirichlet": "zeros", "neumann": "reflect", "open": "zeros"}


class MgNO(nn.Module):
    """u ↦ H ∘ L_n ∘ … ∘ L_1 u, each L v = GELU(W v + B v), W a multigrid V-cycle over channels.

    W is a :class:`~sciml.surrogates.grid.vcycle.VCycle`, B a 1×1 convolution with bias and H one
    without. Nothing lifts before, nothing projects after.

    Shapes: x ``(B, in_channels, *space)`` → ``(B, out_channels, *space)`` in 1, 2 or 3 dimensions,
    any grid with two points along each axis of every level but the coarsest.

    Args:
        in_channels, out_channels: fields, static fields and scalars in; fields out.
        boundary: what stands outside each axis: ``zeros`` (Dirichlet), ``circular`` (periodic), or
            ``reflect`` (Neumann, mirrored about the end point).
        width: channels, one number or one for each level.
        levels: grids of a V-cycle; each has every second point of the one before.
        n_layers: layers L.
        smoothing: ``(pre, post)`` steps, one pair for all levels or one for each. ``None``: (1, 0),
            and (2, 0) on the coarsest.
        restriction: what a coarser grid gets: ``f`` as in the published code, or the ``residual``
            f − A u as in the paper, at the cost of another A on the finest grid.
        interior: for ``zeros`` axes without the points on the walls: odd axes are halved such that
            2^k − 1 points nest. Without it 2^k + 1 points do. Even axes do not care.
        bias: whether the steps have biases.
        norm: norm within each V-cycle, as the published code for Navier–Stokes does: a weight for
            each point, which ties the model to ``shape``, and W is not linear any more.
        positions: append the coordinates, from 0 to 1, as channels.
        residual_channels: for each output, the input channel that is added to it.
        shape: points of the grid that the weights are made for. Where an axis is odd the way up
            takes three points instead of four, and that is all; any other grid is taken, too.

    Raises:
        InputError: options that do not fit together; a grid too small for the levels, or not the
            one of the norms.

    Good values: 4 to 5 layers, width 24–32, levels down to a coarsest grid of 2 to 8 points an axis;
    Adam with one cycle up to 5e-4, batch 8, H1 loss. Parameters of the published ones: Darcy rough
    and multiscale at 256², 4 layers, width 24, 6 levels: 0.57 M; smooth at 211², 5 layers: 0.68 M;
    Navier–Stokes at 64², 5 layers, width 32, 5 levels, bias and norm: 2.9 M, of which 1.7 M norms.

    Fails where: a finer mesh is another operator. Stencils count points, not lengths: at twice the
    resolution the same levels reach half as far, and a trained A is the wrong one there, since
    differences scale with the mesh width. Train it at the resolution where it is used. With too
    few levels no point sees the far ones.

    Source: He, Liu, Xu, ICLR 2024, arXiv 2310.19809.
    """

    traits = Traits(any_resolution=False)  # its stencils count points

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        boundary: Sequence[str],
        width: Sequence[int] | int = 24,
        levels: int = 6,
        n_layers: int = 5,
        smoothing: Sequence[int] | Sequence[Sequence[int]] | None = None,
        restriction: str = "f",
        interior: bool = False,
        bias: bool = False,
        norm: bool = False,
        positions: bool = False,
        residual_channels: Sequence[int] | None = None,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.boundary = tuple(boundary)
        require_known("MgNO: unknown boundary", self.boundary, BOUNDARIES)
        if not 1 <= len(self.boundary) <= 3:
            raise InputError(f"MgNO: boundary {self.boundary}; expected one entry an axis, 1 to 3")
        require_known("MgNO: unknown restriction", restriction, RESTRICTIONS)
        expect_sizes("MgNO", n_layers=n_layers)
        if norm and shape is None:
            raise InputError("MgNO: norm without shape; its weights are those of one grid: give it")
        self.in_channels = in_channels
        self.levels, self.interior, self.positions = levels, interior, positions
        self.shape = None if shape is None else tuple(shape)
        self.fixed = norm
        self.residual_channels = None if residual_channels is None else list(residual_channels)
        widths, steps = _widths(width, levels), _smoothing(smoothing, levels)
        if self.shape is not None:
            self._fits(self.shape)
        given = in_channels + (len(self.boundary) if positions else 0)
        convolution = CONVOLUTIONS[len(self.boundary)]
        sizes = [given] + [widths[0]] * n_layers
        self.W = nn.ModuleList(
            VCycle(f, widths, steps, boundary, restriction, interior, bias, norm, shape)
            for f in sizes[:-1]
        )
        self.B = nn.ModuleList(convolution(f, widths[0], 1) for f in sizes[:-1])
        self.head = convolution(sizes[-1], out_channels, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch out *space"]:
        expect_channels("MgNO", x, self.in_channels, len(self.boundary))
        self._fits(x.shape[2:])
        added = None if self.residual_channels is None else x[:, self.residual_channels]
        if self.positions:
            x = with_coordinates(x, [kind == "circular" for kind in self.boundary])
        x = channels_last(x)
        here = [0] * len(self.boundary)
        for W, B in zip(self.W, self.B, strict=True):
            x = F.gelu(W(x).add_(convolve(x, B.weight, B.bias, 1, here)))
        x = convolve(x, self.head.weight, None, 1, here)
        return x if added is None else x + added

    def _fits(self, space: Sequence[int]) -> None:
        most = depth(space, self.boundary, self.interior)
        if self.levels > most:
            raise InputError(
                f"MgNO: grid {tuple(space)} is too small for {self.levels} levels; each halves "
                f"every axis: at most levels={most}"
            )
        if self.fixed and tuple(space) != self.shape:
            raise InputError(
                f"MgNO: grid {tuple(space)}; with norm it takes {self.shape} only: build it without"
            )


def build(
    setting: Setting,
    *,
    width: Sequence[int] | int = 24,
    levels: int | None = None,
    n_layers: int = 4,
    smoothing: Sequence[int] | Sequence[Sequence[int]] | None = None,
    restriction: str = "f",
    boundary: Sequence[str] | str | None = None,
    interior: bool = False,
    bias: bool = False,
    norm: bool = False,
    positions: bool = False,
    residual_input: bool = False,
) -> MgNO:
    """An MgNO for a setting.

    Args:
        levels: none for as many as leave two points along every axis, at most 6.
        boundary: none for that of the domain, see :data:`OUTSIDE`, with zeros where nothing is known
            (``open``); a name stands for every axis that is not periodic, a list for all axes.
        residual_input: add to each target its last input.

    Raises:
        InputError: no grid, no input fields, a grid too small for the levels, options that do not
            fit together, or a residual input without the targets among the inputs.
    """
    domain = field_to_field("mgno", setting)
    kinds = [OUTSIDE[condition] for condition in domain.boundary]
    if isinstance(boundary, str):
        kinds = [kind if kind == "circular" else boundary for kind in kinds]
    elif boundary is not None:
        kinds = list(boundary)
    if len(kinds) != domain.ndim:
        raise InputError(
            f"model 'mgno': boundary {boundary} on a grid of {domain.ndim} axes; expected one "
            f"entry an axis, of {', '.join(BOUNDARIES)}"
        )
    if levels is None:
        levels = max(1, min(6, depth(domain.shape, kinds, interior) - 1))
    added = None
    if residual_input:
        task = setting.task
        absent = [name for name in task.targets if name not in task.inputs]
        if absent or not task.history:
            raise InputError(
                f"model 'mgno': residual_input, but the inputs {list(task.inputs)} have no "
                f"{', '.join(absent or task.targets)}; only a target that goes in can be added"
            )
        added = [(task.inputs.index(name) + 1) * task.history - 1 for name in task.targets]
    given, wanted = setting.channels
    model = MgNO(
        given,
        wanted,
        kinds,
        width=width,
        levels=levels,
        n_layers=n_layers,
        smoothing=smoothing,
        restriction=restriction,
        interior=interior,
        bias=bias,
        norm=norm,
        positions=positions,
        residual_channels=added,
        shape=domain.shape,
    )
    pairs = [list(pair) for pair in _smoothing(smoothing, levels)]
    return chose(model, levels=levels, boundary=kinds, smoothing=pairs)


def _widths(width: Sequence[int] | int, levels: int) -> list[int]:
    widths = [width] * levels if isinstance(width, int) else list(width)
    if levels < 1 or len(widths) != levels or min(widths) < 1:
        raise InputError(f"MgNO: width {width} for {levels} levels; expected one number a level")
    return widths


def _smoothing(
    smoothing: Sequence[int] | Sequence[Sequence[int]] | None, levels: int
) -> list[tuple[int, int]]:
    if smoothing is None:
        return [(1, 0)] * (levels - 1) + [(2, 0)]
    if len(smoothing) == 2 and all(isinstance(steps, int) for steps in smoothing):
        smoothing = [smoothing] * levels
    pairs = [tuple(pair) for pair in smoothing if not isinstance(pair, int) and len(pair) == 2]
    if len(pairs) != levels or len(smoothing) != levels or any(a < 1 or b < 0 for a, b in pairs):
        raise InputError(
            f"MgNO: smoothing {smoothing} for {levels} levels; expected a pair (pre, post) a level, "
            "with at least one step on the way down"
        )
    return pairs
