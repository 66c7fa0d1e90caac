"""Deep operator network whose trunk is the basis of the training outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.deeponet.deeponet import flat_input
from sciml.surrogates.deeponet.interpolation import interpolate
from sciml.surrogates.deeponet.networks import dense
from sciml.surrogates.deeponet.sensors import Sensors, sensors_of
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits, chose


class PODDeepONet(nn.Module):
    """G(u)(y) = φ_0(y) + Σ_k b_k(u) φ_k(y), φ_0 the mean of the training outputs, φ_k their leading
    proper orthogonal modes, times the standard deviations of their coefficients.

    So the coefficients that the branch gives have unit variance. Mean and modes are buffers, saved
    and loaded with the weights. They come from data, by :meth:`fit_basis`, before the first step.

    Shapes: u and y as in :class:`~sciml.surrogates.deeponet.deeponet.DeepONet`. Between the points
    of the grid the modes are interpolated linearly.

    Args:
        branch: sizes of its layers; the last is ``outputs`` times the number of modes.
        space: shape of the grid of the outputs.
        outputs: number of output functions, each with modes of its own.
        activation: ``relu``, ``gelu``, ``silu`` or ``tanh``.
        periodic: axes that are; none by default.
        sensors: for input fields on a grid.

    Raises:
        InputError: no basis yet; sizes that do not fit; inputs with another number of values.

    Good values: as many modes as hold all but 1e-4 of the variance; see :attr:`held`. Fails as
    DeepONet does, and where training outputs are few: what they do not span it cannot give.

    Source: Lu et al., CMAME 393 (2022) 114778, arXiv 2111.05512, section 3.1.3.
    """

    #: Its sensors are those of one grid; ask it at other points.
    traits = Traits(any_resolution=False, pointwise=True)

    mean: Tensor
    modes: Tensor
    fitted: Tensor
    held: Tensor

    def __init__(
        self,
        branch: Sequence[int],
        space: Sequence[int],
        outputs: int = 1,
        activation: str = "relu",
        periodic: Sequence[bool] | None = None,
        sensors: Sensors | None = None,
    ) -> None:
        super().__init__()
        if outputs < 1 or branch[-1] % outputs:
            raise InputError(
                f"PODDeepONet: {branch[-1]} coefficients for {outputs} outputs; expected as many "
                "for each"
            )
        self.inputs = int(branch[0])
        self.space = tuple(int(n) for n in space)
        self.periodic = (False,) * len(self.space) if periodic is None else tuple(periodic)
        self.sensors = sensors
        self.branch = dense(branch, activation, last=False)
        self.basis = branch[-1] // outputs
        self.traits = replace(type(self).traits, basis=self.basis)
        self.register_buffer("mean", torch.zeros(outputs, *self.space))
        self.register_buffer("modes", torch.zeros(outputs, self.basis, *self.space))
        #: Part of the variance of each training output that lies in the span of the modes.
        self.register_buffer("held", torch.zeros(outputs))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        # Asked at every call: the buffer would have to be read back from the device.
        self._fitted = False

    @torch.no_grad()
    def fit_basis(self, outputs: Float[Tensor, "sample output *space"]) -> None:
        """Take mean and modes of training outputs, scaled as the model shall give them.

        Raises:
            InputError: another shape, or fewer samples than modes.
        """
        if outputs.shape[1:] != self.mean.shape:
            raise InputError(
                f"POD basis: outputs of shape {tuple(outputs.shape[1:])}; "
                f"expected {tuple(self.mean.shape)}"
            )
        rank = min(len(outputs) - 1, self.mean[0].numel())
        if rank < self.basis:
            raise InputError(
                f"POD basis: {self.basis} modes from {len(outputs)} samples of "
                f"{self.mean[0].numel()} points; give more samples (online: raise the buffer's "
                f"watermark) or set basis to at most {max(rank, 0)}"
            )
        snapshots = outputs.to("cpu", torch.float64).flatten(2)
        mean = snapshots.mean(0)
        for k, deviations in enumerate((snapshots - mean).unbind(1)):  # (sample, point)
            _, values, rows = torch.linalg.svd(deviations, full_matrices=False)
            spread = values[: self.basis, None] / len(outputs) ** 0.5
            modes = spread * rows[: self.basis]
            self.modes[k] = modes.unflatten(1, self.space).to(self.modes)
            part = values[: self.basis].square().sum() / values.square().sum().clamp(min=1e-300)
            self.held[k] = float(part)
        self.mean.copy_(mean.unflatten(1, self.space).to(self.mean))
        self.fitted.fill_(True)
        self._fitted = True

    def forward(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        if not self._fitted:
            raise InputError(
                "PODDeepONet has no basis yet; call model.fit_basis(outputs) before the first step "
                "(sciml.fit and studies do)"
            )
        coefficients = self.branch(flat_input(u, self.sensors, self.inputs))
        coefficients = coefficients.unflatten(1, (-1, self.basis))  # (B, n, p)
        if y is None and (u.ndim == 2 or tuple(u.shape[2:]) == self.space):
            out = self._sum(coefficients, self.mean.flatten(1), self.modes.flatten(2))
            return out.unflatten(2, self.space)
        space: tuple[int, ...] | None = None
        if y is None:
            y, space = self.sensors.asked(u)
        mean = interpolate(self.mean, y, self.periodic)  # (n, *points)
        modes = interpolate(self.modes, y, self.periodic)  # (n, p, *points)
        if y.ndim == 3:
            return torch.einsum("bnk,nkbp->bnp", coefficients, modes) + mean.transpose(0, 1)
        out = self._sum(coefficients, mean, modes)
        return out if space is None else out.unflatten(2, space)

    @staticmethod
    def _sum(coefficients: Tensor, mean: Tensor, modes: Tensor) -> Tensor:
        """(B, n, p), (n, P), (n, p, P) → (B, n, P); one product of matrices an output."""
        if len(mean) == 1:
            return torch.addmm(mean, coefficients[:, 0], modes[0]).unsqueeze(1)
        return torch.baddbmm(mean.unsqueeze(1), coefficients.transpose(0, 1), modes).transpose(0, 1)

    def _load_from_state_dict(self, state: dict, prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state, prefix, *args)
        self._fitted = bool(state.get(f"{prefix}fitted", self._fitted))


def build(
    setting: Setting,
    *,
    branch: Sequence[int] = (128, 128),
    basis: int = 32,
    activation: str = "gelu",
    sensors: Sequence[int] | int | None = None,
) -> PODDeepONet:
    """A POD-DeepONet for a setting.

    Args:
        branch: widths of the hidden layers.
        basis: modes an output.
        sensors: along each axis, among the points of the grid; ``None``: all points.

    Raises:
        InputError: no grid, no inputs, more sensors or modes than points.
    """
    domain, task = setting.grid("pod_deeponet"), setting.task
    layout = sensors_of("pod_deeponet", setting, sensors)
    if not 1 <= basis <= domain.size:
        raise InputError(
            f"model 'pod_deeponet': basis={basis} on {domain.size} points; expected 1 to as many"
        )
    outputs = len(task.targets)
    model = PODDeepONet(
        (layout.width, *branch, outputs * basis),
        domain.shape,
        outputs,
        activation,
        layout.periodic,
        layout,
    )
    return chose(model, sensors=list(layout.counts))
