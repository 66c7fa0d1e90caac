"""A learned multigrid V-cycle, linear unless it is normed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sciml.surrogates.grid.stencil import Prolongation, Stencil, halved_grid, surround

RESTRICTIONS = ("f", "residual")


class SmoothingStep(nn.Module):
    """A smoothing step u ← u + S(f − A u); the one from u = 0 is u = S f and needs no A."""

    def __init__(
        self, u: int, f: int, boundary: Sequence[str], bias: bool, operator: bool = True
    ) -> None:
        super().__init__()
        self.A = Stencil(u, f, boundary, bias=bias) if operator else None
        self.S = Stencil(f, u, boundary, bias=bias)


class CycleLevel(nn.Module):
    """One grid: steps on the way down and on the way up, and the ways to and from the next grid.

    ``R`` and ``Pi`` bring f and u to the next grid and ``P`` brings u back; the coarsest grid has
    none of them.
    """

    def __init__(self, pre: Sequence[SmoothingStep], post: Sequence[SmoothingStep]) -> None:
        super().__init__()
        self.pre, self.post = nn.ModuleList(pre), nn.ModuleList(post)
        self.R: Stencil | None = None
        self.Pi: Stencil | None = None
        self.P: Prolongation | None = None
        self.norm: PointNorm | None = None


class PointNorm(nn.Module):
    """Mean 0 and variance 1 over all channels and points of a sample, then a weight and bias a point."""

    def __init__(self, channels: int, space: Sequence[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, *space))
        self.bias = nn.Parameter(torch.zeros(channels, *space))

    def forward(self, x: Tensor) -> Tensor:
        if x.stride(1) > 1:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias)
        # Channels last: the weights are turned, which are smaller than a batch of fields.
        weight, bias = self.weight.movedim(0, -1), self.bias.movedim(0, -1)
        return F.layer_norm(x.movedim(1, -1), weight.shape, weight, bias).movedim(-1, 1)


class VCycle(nn.Module):
    """u = W f: one V-cycle for A u = f from u = 0, in which every stencil is learned.

    On each grid from the finest on, u ← u + S(f − A u), ``pre`` times; then u ← Π u and either
    f ← R f or f ← R(f − A u) on the next one. On the way back, u ← u + P u_coarse, and
    u ← u + S(f − A u), ``post`` times. A, S, Π, R are stencils of 3 points an axis, each step with
    its own A and S; P has 3 points where the axis is odd, 4 elsewhere.

    Shapes: f ``(B, given, *space)`` → u ``(B, widths[0], *space)``, 1 to 3 dimensions, any size
    with two points on every grid but the coarsest.

    Args:
        given: channels of f on the finest grid; on the others they are in proportion to ``widths``.
        widths: channels of u, one entry for each grid.
        smoothing: ``(pre, post)`` steps, one entry for each grid.
        boundary: of each axis: ``zeros``, ``circular`` or ``reflect``.
        restriction: ``f`` or ``residual``. The residual takes the A of the last step before it.
        interior: the points of a zeros axis are those between its walls: see
            :func:`~sciml.surrogates.grid.stencil.halved`.
        bias: whether A and S have biases.
        norm: norm u over channels and points after each way up, with a weight for each point.
        shape: points of the grid that the weights are made for. It chooses the points of P, 4
            everywhere without it, and the grid of a norm. Without a norm any other grid is taken, too.

    With A the 5-point Laplacian, S = 4/5 of its diagonal's inverse, R the full weighting of the
    residual, P bilinear and Π = 0, this is classical multigrid: cycles V(1,1) and V(2,2) reduce the
    error by 0.36 and 0.18, on n² interior points for n = 23, 31, 63, 95, 127, and on periodic 64².
    An even number of points between zeros does not nest: one wall moves with each grid. There those
    weights can diverge (by 1.9 a cycle at 64²); learned ones have to make up for it.

    Source: He, Liu, Xu, ICLR 2024, arXiv 2310.19809; Brandt, Math. Comp. 31 (1977).
    """

    def __init__(
        self,
        given: int,
        widths: Sequence[int],
        smoothing: Sequence[tuple[int, int]],
        boundary: Sequence[str],
        restriction: str = "f",
        interior: bool = False,
        bias: bool = False,
        norm: bool = False,
        shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.boundary = tuple(boundary)
        self.residual = restriction == "residual"
        self.levels = nn.ModuleList()
        rights = [max(1, round(given * width / widths[0])) for width in widths]
        space = tuple(shape) if shape is not None else None
        for k, (u, f, (pre, post)) in enumerate(zip(widths, rights, smoothing, strict=True)):
            bottom = k == len(widths) - 1
            level = CycleLevel(
                [
                    SmoothingStep(
                        u, f, boundary, bias, operator=k > 0 or i > 0 or self._asks(pre, bottom)
                    )
                    for i in range(pre)
                ],
                [SmoothingStep(u, f, boundary, bias) for _ in range(post)],
            )
            self.levels.append(level)
            if bottom:
                break
            level.Pi = Stencil(u, widths[k + 1], boundary, 2, interior)
            level.R = Stencil(f, rights[k + 1], boundary, 2, interior)
            kernel = [4] * len(self.boundary) if space is None else [3 + (n + 1) % 2 for n in space]
            level.P = Prolongation(widths[k + 1], u, boundary, kernel, interior)
            if norm:
                level.norm = PointNorm(u, space)
            if space is not None:
                space = halved_grid(space, boundary, interior)

    def _asks(self, pre: int, bottom: bool) -> bool:
        """Whether the residual asks for the A of the first step."""
        return self.residual and pre == 1 and not bottom

    def forward(self, f: Float[Tensor, "batch given *space"]) -> Float[Tensor, "batch u *space"]:
        u, passed = None, []
        for level in self.levels:
            f_around = None
            for step in level.pre:
                if u is None:
                    f_around = surround(f, self.boundary)
                    u = step.S(f_around)
                else:
                    u = self._smooth(step, u, f)
            passed.append((u, f))
            if level.R is None:
                break
            u_around = surround(u, self.boundary)
            if self.residual:
                f_around = surround(f - level.pre[-1].A(u_around), self.boundary)
            elif f_around is None:
                f_around = surround(f, self.boundary)
            u, f = level.Pi(u_around), level.R(f_around)
        for level, (above, f) in zip(reversed(self.levels), reversed(passed), strict=True):
            if level.P is not None:
                u = level.P(u, above.shape[2:]).add_(above)
                if level.norm is not None:
                    u = level.norm(u)
            for step in level.post:
                u = self._smooth(step, u, f)
        return u

    # Sums are written into what a convolution has just given: nothing else needs that.
    def _smooth(self, step: SmoothingStep, u: Tensor, f: Tensor) -> Tensor:
        residual = f - step.A(surround(u, self.boundary))
        return step.S(surround(residual, self.boundary)).add_(u)
