"""Multiple-input operator network: a branch for each input function."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.deeponet.combination import combine, groups, networks, widths
from sciml.surrogates.deeponet.deeponet import own_points
from sciml.surrogates.deeponet.networks import Features, dense, trunk_of
from sciml.surrogates.deeponet.sensors import Sensors, sensors_of
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose


class MIONet(nn.Module):
    """G(u_1, …, u_q)(y) = Σ_k b¹_k(u_1) ⋯ b^q_k(u_q) t_k(y) + b_0.

    Shapes: u a list of q tensors ``(B, m_i)``, or ``(B, C, *space)`` with ``sensors``. y and
    outputs as in :class:`~sciml.surrogates.deeponet.deeponet.DeepONet`.

    Args:
        branches: sizes of the layers of each branch; all end alike.
        trunk, outputs, strategy, activation, periodic, harmonics: as there.
        sensors: for fields on a grid; ``channels`` says which belong to which branch.
        channels: channels of each branch, in their order; the scalars are those of the last one,
            if ``sensors`` has any.

    Raises:
        InputError: another number of input functions, or of their values; sizes that do not fit.

    Fails where the inputs act together in more ways than p products can say; a DeepONet on all of
    them at once has no such limit, and needs more functions to learn from.

    Source: Jin, Meng, Lu, SIAM J. Sci. Comput. 44 (2022) A3490, arXiv 2202.06137, eq. (2.19).
    """

    #: Its sensors are those of one grid; ask it at other points.
    traits = Traits(any_resolution=False, pointwise=True)

    def __init__(
        self,
        branches: Sequence[Sequence[int]],
        trunk: Sequence[int],
        outputs: int = 1,
        strategy: str = "split_both",
        activation: str = "relu",
        periodic: Sequence[bool] | None = None,
        harmonics: int = 1,
        sensors: Sensors | None = None,
        channels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if not branches:
            raise InputError("MIONet: no branches; expected one for each input function")
        self.groups = groups(strategy, outputs, [b[-1] for b in branches], trunk[-1])
        self.inputs = tuple(int(b[0]) for b in branches)
        self.sensors, self.channels = sensors, tuple(channels)
        self.features = Features((False,) * trunk[0] if periodic is None else periodic, harmonics)
        self.branches = nn.ModuleList(
            networks(lambda b=b: dense(b, activation, last=False), strategy, outputs)
            for b in branches
        )
        self.trunk = networks(lambda: trunk_of(self.features, trunk, activation), strategy, outputs)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, u: Sequence[Tensor] | Tensor, y: Tensor | None = None) -> Tensor:
        left, right, basis = self.groups
        parts = self._parts(u)
        coefficients = self.branches[0](parts[0])
        for branch, part in zip(self.branches[1:], parts[1:], strict=True):
            coefficients = coefficients * branch(part)
        space: tuple[int, ...] | None = None
        if y is None:
            y, space = own_points(u, self.sensors if isinstance(u, Tensor) else None)
        functions = self.trunk(self.features(y))
        out = combine(
            coefficients.view(-1, left, basis),
            functions.view(*y.shape[:-1], right, basis),
            self.bias,
        )
        return out if space is None else out.unflatten(2, space)

    def _parts(self, u: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """The input of each branch, ``(B, m_i)``."""
        if not isinstance(u, Tensor):
            parts = list(u)
        elif u.ndim == 2 or self.sensors is None:
            parts = [u]
        else:
            fields, scalars = self.sensors.measure(u)
            counts = self.channels[: len(self.channels) - bool(self.sensors.scalars)]
            parts = [part.flatten(1) for part in fields.split(counts, dim=1)] if counts else []
            if self.sensors.scalars:
                parts.append(scalars)
        shapes = [tuple(p.shape) for p in parts]
        if [s[1:] for s in shapes] != [(m,) for m in self.inputs]:
            raise InputError(
                f"input functions of shapes {shapes}; expected {len(self.inputs)} with "
                f"{', '.join(map(str, self.inputs))} values"
            )
        return parts


def build(
    setting: Setting,
    *,
    branch: Sequence[int] = (128, 128),
    trunk: Sequence[int] = (128, 128),
    basis: int = 128,
    strategy: str = "split_branch",
    activation: str = "gelu",
    sensors: Sequence[int] | int | None = None,
    harmonics: int = 1,
) -> MIONet:
    """A MIONet for a setting: a branch for each input field with its history, for each
    static field and each forcing, and one for parameters and time together.

    Args:
        branch, trunk: widths of the hidden layers.
        basis: basis functions an output.
        sensors: along each axis, among the points of the grid; ``None``: all points.

    Raises:
        InputError: no grid, no inputs, more sensors than points.
    """
    domain, task = setting.grid("mionet"), setting.task
    layout = sensors_of("mionet", setting, sensors)
    outputs = len(task.targets)
    left, right = widths(strategy, outputs, basis)
    fields = [*(task.history for _ in task.inputs), *(1 for _ in (*task.static, *task.forcing))]
    count = prod(layout.counts)
    sizes = [n * count for n in fields]
    if layout.scalars:
        fields.append(layout.scalars)
        sizes.append(layout.scalars)
    model = MIONet(
        [(m, *branch, left) for m in sizes],
        (domain.ndim, *trunk, right),
        outputs,
        strategy,
        activation,
        layout.periodic,
        harmonics,
        layout,
        fields,
    )
    return chose(model, sensors=list(layout.counts))
