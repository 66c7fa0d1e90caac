"""Deep operator network: branch and trunk."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.deeponet.basis_cache import BasisCache
from sciml.surrogates.deeponet.combination import combine, groups, in_units, networks, widths
from sciml.surrogates.deeponet.contraction import folded, folds
from sciml.surrogates.deeponet.networks import Dense, Features, Stacked, dense, trunk_of
from sciml.surrogates.deeponet.sensors import Sensors, sensors_of
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose
from sciml.surrogates.units import Units


class DeepONet(nn.Module):
    """G(u)(y) = Σ_k b_k(u(x_1), …, u(x_m)) t_k(y) + b_0.

    Shapes: u ``(B, m)``, the values of each function at the sensors, or ``(B, C, *space)`` with
    ``sensors``. y ``(P, d)``, the same points for all functions (aligned: one product of matrices)
    → ``(B, out, P)``; y ``(B, P, d)``, points of its own for each (unaligned) → ``(B, out, P)``;
    no y, with ``sensors``: at every point of the grid of u → ``(B, out, *space)``.

    Args:
        branch: sizes of its layers, from the m numbers of a function to the coefficients. The last
            layer is linear.
        trunk: from the d coordinates to the basis functions. The last layer is activated, too. The first
            one begins with its bends spread over coordinates from 0 to 1, see
            :func:`~sciml.surrogates.deeponet.networks.spread`: scale yours to that.
        outputs: number of output functions.
        strategy: what several outputs share: ``independent`` (nothing: a pair of networks each),
            ``split_both``, ``split_branch`` (they share the trunk) or ``split_trunk``. The last
            layers are then as wide as all groups together.
        stacked: a network of its own for each coefficient, hidden layers ``branch[1:-1]``.
        activation: ``relu``, ``gelu``, ``silu`` or ``tanh``.
        periodic: coordinates that are, from 0 to 1; their cosines and sines go into the trunk.
        harmonics: how many of these.
        sensors: for fields on a grid.

    Raises:
        InputError: sizes that do not fit together; inputs with another number of values, or on a
            grid that has no points at the sensors.

    Good values: the paper's [m, 40, 40] and [d, 40, 40] for ordinary equations; 100 to 200 basis
    functions for partial ones. Fails where solutions are carried along (advection, shocks): the
    output lies in the span of the p basis functions, whatever the input; FNO or a U-Net is better
    there.

    Source: Lu et al., Nature Machine Intelligence 3 (2021) 218, arXiv 1910.03193, eqs. (1) and (2).
    """

    #: It can be asked at points, ``forward(u, y)``, and scales what the sensors see, and the basis in
    #: place of its sums; its sensors are those of one grid.
    traits = Traits(any_resolution=False, pointwise=True, takes_units=True)

    def __init__(
        self,
        branch: Sequence[int],
        trunk: Sequence[int],
        outputs: int = 1,
        strategy: str = "split_both",
        stacked: bool = False,
        activation: str = "relu",
        periodic: Sequence[bool] | None = None,
        harmonics: int = 1,
        sensors: Sensors | None = None,
    ) -> None:
        super().__init__()
        self.groups = groups(strategy, outputs, [branch[-1]], trunk[-1])
        self.inputs = int(branch[0])
        self.sensors = sensors
        self.features = Features((False,) * trunk[0] if periodic is None else periodic, harmonics)
        self.branch = networks(
            lambda: (
                Stacked(branch, activation) if stacked else dense(branch, activation, last=False)
            ),
            strategy,
            outputs,
        )
        self.trunk = networks(lambda: trunk_of(self.features, trunk, activation), strategy, outputs)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._remembered = BasisCache()

    def forward(
        self,
        u: Tensor,
        y: Tensor | None = None,
        given: Units | None = None,
        units: Units | None = None,
    ) -> Tensor:
        left, right, basis = self.groups
        values = flat_input(u, self.sensors, self.inputs, given)
        space: tuple[int, ...] | None = None
        if y is None:
            y, space = own_points(u, self.sensors)
        functions = self._functions(y).view(*y.shape[:-1], right, basis)
        bias = self.bias
        if self._folds(functions, values.shape[0]):
            functions, bias = in_units(units, functions, bias)
            out = folded(self.branch.inner(values), self.branch[-1], left, functions, bias)
        else:
            coefficients = self.branch(values).view(-1, left, basis)
            if y.ndim == 3:  # fewer outputs than coefficients, as a rule
                out = combine(coefficients, functions, bias)
                out = out if units is None else units.physical(out)
            else:
                if left == len(bias):
                    coefficients, bias = in_units(units, coefficients, bias)
                else:
                    functions, bias = in_units(units, functions, bias)
                out = combine(coefficients, functions, bias)
        return out if space is None or len(space) == 1 else out.unflatten(2, space)

    def _folds(self, functions: Tensor, batch: int) -> bool:
        """Whether the last layer of the branch is taken into the basis."""
        return (
            functions.ndim == 3
            and isinstance(self.branch, Dense)
            and not torch.compiler.is_exporting()  # a choice by size would fix that size
            and folds(self.branch[-1], self.groups[0], functions, self.bias, batch)
        )

    def _functions(self, y: Tensor) -> Tensor:
        """The trunk at y."""
        if self.training or y.ndim > 2:
            return self.trunk(self.features(y))
        return self._remembered(lambda y: self.trunk(self.features(y)), y, self.trunk.weights())


def flat_input(
    u: Tensor, sensors: Sensors | None, width: int, given: Units | None = None
) -> Tensor:
    """``(B, width)``: fields at the sensors, then scalars.

    Args:
        given: units of the fields; they are scaled where they are measured.
    """
    if u.ndim > 2 and sensors is not None:
        fields, scalars = sensors.measure(u)
        fields = fields if given is None else given.scaled(fields)
        u = torch.cat([fields.flatten(1), scalars], dim=1) if sensors.scalars else fields.flatten(1)
    if u.ndim != 2 or u.shape[1] != width:
        raise InputError(
            f"input functions of shape {tuple(u.shape)}; expected (functions, {width}), "
            "a value for each sensor"
        )
    return u


def own_points(u: Tensor, sensors: Sensors | None) -> tuple[Tensor, tuple[int, ...]]:
    """The points of the grid of ``u``, and its shape."""
    if sensors is None:
        raise InputError("no points y to evaluate at; give y of shape (points, coordinates)")
    return sensors.asked(u)


def build(
    setting: Setting,
    *,
    branch: Sequence[int] = (128, 128),
    trunk: Sequence[int] = (128, 128),
    basis: int = 128,
    strategy: str = "split_branch",
    stacked: bool = False,
    activation: str = "gelu",
    sensors: Sequence[int] | int | None = None,
    harmonics: int = 1,
) -> DeepONet:
    """A DeepONet for a setting: fields at the sensors, parameters and time go into the
    branch, coordinates from 0 to 1 into the trunk.

    Args:
        branch, trunk: widths of the hidden layers.
        basis: basis functions an output.
        sensors: along each axis, among the points of the grid; ``None``: all points.

    Raises:
        InputError: no grid, no inputs, more sensors than points.
    """
    domain, task = setting.grid("deeponet"), setting.task
    layout = sensors_of("deeponet", setting, sensors)
    outputs = len(task.targets)
    left, right = widths(strategy, outputs, basis)
    model = DeepONet(
        (layout.width, *branch, left),
        (domain.ndim, *trunk, right),
        outputs,
        strategy,
        stacked,
        activation,
        layout.periodic,
        harmonics,
        layout,
    )
    return chose(model, sensors=list(layout.counts))
