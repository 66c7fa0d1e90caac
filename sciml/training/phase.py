"""A stretch of training with one optimizer; a run is a list of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError, nearest, require_known
from sciml.surrogates.option_types import require_types
from sciml.training.eager import eager

if TYPE_CHECKING:  # a study has phases, and no need of torch
    import torch
    from torch import nn

#: Precisions of a phase. Not bfloat16, in which weights stand still: see ``autocast``.
PRECISIONS = ("float32", "float64")
#: Steps of the warm-up of SOAP at most, where nothing is said.
WARMUP = 300


@dataclass(frozen=True, slots=True)
class Phase:
    """Adam then L-BFGS, warm-up then decay, energies then forces: each a phase.

    Args:
        optimizer: ``adamw``, ``adam``, ``amsgrad``, ``sgd``, ``soap`` (Adam in the eigenbases of
            Shampoo, of pytorch-optimizer; it suits residuals of equations) or ``lbfgs``.
        lr: peak learning rate; for L-BFGS the first trial step, usually 1; for SOAP 3e-3 is usual, with
            the schedule ``cosine``. SOAP's first step only measures and leaves the weights.
        schedule: ``constant``, ``cosine`` (to ``final``·lr), ``step`` (×``gamma`` every
            ``every`` steps), ``exponential`` (to ``final``·lr) or ``onecycle`` (along
            cosines up from ``start``·lr over the part ``rise`` of the steps, then down to
            ``final``·lr, as torch's ``OneCycleLR``).
        steps: optimizer steps. Neither ``steps`` nor ``epochs``: until the source ends.
        epochs: passes over the source instead of steps.
        until: the phase ends early when the weighted loss falls below this.
        warmup: steps over which lr rises linearly from 0; ``None``: 0, of ``soap`` a tenth of the steps,
            300 at most, since the directions of its first steps are measured on few gradients.
        weights: factor of each named loss; 1 where there is none.
        balance: steps after which factors of the losses are measured anew, so that their gradients have
            the same length: see :class:`~sciml.training.balance.Balance`; with L-BFGS, with each new
            batch. They multiply the weights; 0: no factors.
        batch_size: samples a step, of a mix by the name of the source; ``None``: as the source was made.
        dtype: of weights and losses, ``float32`` or ``float64``; ``None``: as they are. Moments of the
            optimizer begin anew with each phase in any case.
        weight_decay: of the optimizer; decoupled with ``adamw`` and ``soap``.
        clip: largest norm of the gradient.
        final: last lr as a part of the peak.
        start, rise: of the ``onecycle`` schedule: first lr as a part of the peak, and the part of
            the steps over which it rises. torch's ``pct_start``, ``div_factor`` and
            ``final_div_factor`` are rise, 1/start and start/final.
        gamma, every: of the ``step`` schedule.
        momentum: of ``sgd``.
        betas: of ``adamw``, ``adam``, ``amsgrad`` and ``soap``: how much of the means of gradients and
            of their squares is kept in a step; ``None``: the optimizer's own, of Adam 0.9 and 0.999.
        iterations: L-BFGS iterations in one step, each with its line search.
        redraw: L-BFGS works on a frozen batch; draw a new one every so many steps, 0: never.

    Raises:
        InputError: unknown names, or numbers that no phase can have.
    """

    optimizer: str = "adamw"
    lr: float = 1e-3
    schedule: str = "constant"
    steps: int | None = None
    epochs: int | None = None
    until: float | None = None
    warmup: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    balance: int = 0
    batch_size: int | Mapping[str, int] | None = None
    dtype: str | None = None
    weight_decay: float = 0.0
    clip: float | None = None
    final: float = 0.0
    start: float = 1 / 25
    rise: float = 0.3
    gamma: float = 0.5
    every: int = 100
    momentum: float = 0.0
    betas: Sequence[float] | None = None
    iterations: int = 20
    redraw: int = 0

    def __post_init__(self) -> None:
        require_types("phase", self)
        require_known("unknown optimizer", self.optimizer, OPTIMIZERS)
        if self.optimizer == "soap" and find_spec("pytorch_optimizer") is None:
            raise InputError(
                "optimizer 'soap' needs pytorch-optimizer: pip install 'sciml-surrogates[pinn]'"
            )
        require_known("unknown schedule", self.schedule, SCHEDULES)
        if self.dtype is not None and self.dtype not in PRECISIONS:
            raise InputError(f"unknown dtype '{self.dtype}'; {nearest(self.dtype, PRECISIONS)}")
        sizes = self.batch_size
        for size in (
            sizes.values() if isinstance(sizes, Mapping) else () if sizes is None else (sizes,)
        ):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise InputError(f"phase: batch_size={sizes!r}; expected whole numbers, 1 or more")
        if self.steps is not None and self.epochs is not None:
            raise InputError(f"phase: steps={self.steps} and epochs={self.epochs}; give one")
        for name in ("steps", "epochs", "lr", "every", "iterations", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"phase: {name}={value}; expected more than 0")
        for name in ("warmup", "weight_decay", "final", "redraw", "balance"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"phase: {name}={value}; expected 0 or more")
        if not 0 <= self.momentum < 1:
            raise InputError(f"phase: momentum={self.momentum}; expected 0 to below 1")
        if self.betas is not None:
            if self.optimizer in ("sgd", "lbfgs"):
                raise InputError(f"phase: optimizer '{self.optimizer}' has no betas; remove them")
            if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
                raise InputError(
                    f"phase: betas={self.betas!r}; expected two numbers from 0 to below 1: [0.9, 0.95]"
                )
        for name in ("start", "rise"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"phase: {name}={getattr(self, name)}; expected above 0, up to 1")

    @classmethod
    def of(cls, plain: Phase | Mapping[str, Any]) -> Phase:
        """A phase from the keys of a study file.

        Raises:
            InputError: an unknown key, with the nearest one.
        """
        if not isinstance(plain, Mapping):
            return plain
        known = [f.name for f in fields(cls)]
        require_known("phase has no key", plain, known)
        return cls(**plain)

    @property
    def frozen(self) -> bool:
        """Whether the phase keeps its batch: line searches need the same loss at every call."""
        return self.optimizer == "lbfgs"

    @property
    def draws(self) -> int | None:
        """How often a batch is drawn; ``None`` where the end of the source decides."""
        if self.steps is None or not self.frozen:
            return self.steps
        return -(-self.steps // self.redraw) if self.redraw else 1

    def length(self, epoch_steps: int | None) -> int | None:
        """Number of steps, ``None`` where the end of the source decides.

        Raises:
            InputError: epochs of a source without, or a schedule whose end nobody knows.
        """
        if self.epochs is not None:
            if epoch_steps is None:
                raise InputError(
                    f"phase: epochs={self.epochs}, but the source has no epochs; give steps"
                )
            return self.epochs * epoch_steps
        if self.steps is None and self.schedule in ENDING:
            raise InputError(
                f"phase: schedule '{self.schedule}' needs to know its end; give steps or epochs"
            )
        return self.steps

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over all parameters of ``model`` that require gradients."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        if not parameters:
            raise InputError("model has no parameters that require gradients; nothing to train")
        import torch

        return OPTIMIZERS[self.optimizer](torch.optim, self, parameters)

    def rate(self, step: int, steps: int | None) -> float:
        """Learning rate of ``step``, counted from 0, out of ``steps``."""
        warmup = self._warmup(steps)
        rise = min(1.0, (step + 1) / (warmup + 1)) if warmup else 1.0
        left = None if steps is None else max(1, steps - warmup)
        return self.lr * rise * SCHEDULES[self.schedule](self, max(0, step - warmup), left)

    def _warmup(self, steps: int | None) -> int:
        if self.warmup is not None:
            return self.warmup
        if self.optimizer != "soap" or self.schedule == "onecycle":  # which rises by itself
            return 0
        return WARMUP if steps is None else min(WARMUP, steps // 10)


def phases_of(
    plain: Phase | Mapping[str, Any] | Iterable[Phase | Mapping[str, Any]],
) -> list[Phase]:
    """Phases from one or several, given as such or as keys of a study file."""
    if isinstance(plain, Phase | Mapping):
        return [Phase.of(plain)]
    return [Phase.of(p) for p in plain]


def _lbfgs(optim: Any, phase: Phase, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if phase.weight_decay:
        raise InputError("phase: lbfgs has no weight_decay; add a penalty to the objective")
    if phase.clip is not None:
        raise InputError("phase: lbfgs has no clip: its line search needs the gradient itself")
    return eager(optim.LBFGS)(
        parameters,
        lr=phase.lr,
        max_iter=phase.iterations,
        # torch's default, 5/4 an iteration, cuts line searches short: with one iteration a step
        # the weights would never move.
        max_eval=25 * phase.iterations,
        line_search_fn="strong_wolfe",
    )


def _soap(optim: Any, phase: Phase, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    from pytorch_optimizer import SOAP

    class Soap(SOAP):
        """Its bases are laid out as a checkpoint gives them back, so that products round alike."""

        @staticmethod
        def get_orthogonal_matrix(mat: Any) -> Any:
            return _contiguous(SOAP.get_orthogonal_matrix(mat))

        def get_orthogonal_matrix_qr(self, *args: Any, **keywords: Any) -> Any:
            return _contiguous(super().get_orthogonal_matrix_qr(*args, **keywords))

    if any(p.is_complex() for p in parameters):
        raise InputError("phase: soap has no complex weights, and the model has; use adamw")
    return Soap(parameters, lr=phase.lr, weight_decay=phase.weight_decay, **_betas(phase))


def _betas(phase: Phase) -> dict[str, tuple[float, ...]]:
    return {} if phase.betas is None else {"betas": tuple(phase.betas)}


def _contiguous(matrices: list[Any]) -> list[Any]:
    return [m.contiguous() if len(m) else m for m in matrices]


def _onecycle(phase: Phase, step: int, steps: int | None) -> float:
    """The peak is the last step of the rise, ``final`` the last of all."""
    peak = max(0.0, phase.rise * steps - 1)
    if step < peak:
        start, end, part = phase.start, 1.0, step / peak
    else:
        start, end, part = 1.0, phase.final, min(1.0, (step - peak) / max(1.0, steps - 1 - peak))
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _fusable(parameters: list[nn.Parameter]) -> bool | None:
    """Whether one kernel can update all parameters: the arithmetic is the same in one pass over each,
    where torch's default on a CPU is a dozen operations a parameter. ``None``: torch decides.

    The kernel goes through memory without a look at strides: moments that come back from a checkpoint
    are contiguous, and would be those of other entries of a parameter that is not."""
    able = all(
        p.is_floating_point() and p.is_contiguous() and p.device.type in ("cpu", "cuda")
        for p in parameters
    )
    return True if able else None


#: From ``torch.optim``, a phase and parameters.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda optim, s, p: eager(optim.AdamW)(
        p, lr=s.lr, weight_decay=s.weight_decay, fused=_fusable(p), **_betas(s)
    ),
    "adam": lambda optim, s, p: eager(optim.Adam)(
        p, lr=s.lr, weight_decay=s.weight_decay, fused=_fusable(p), **_betas(s)
    ),
    "amsgrad": lambda optim, s, p: eager(optim.Adam)(
        p, lr=s.lr, weight_decay=s.weight_decay, amsgrad=True, fused=_fusable(p), **_betas(s)
    ),
    "sgd": lambda optim, s, p: eager(optim.SGD)(
        p, lr=s.lr, momentum=s.momentum, weight_decay=s.weight_decay
    ),
    "soap": _soap,
    "lbfgs": _lbfgs,
}

#: Factor on the peak learning rate at a step out of all; warm-up is taken off before.
SCHEDULES: dict[str, Callable[[Phase, int, int | None], float]] = {
    "constant": lambda s, step, steps: 1.0,
    "cosine": lambda s, step, steps: (
        s.final + (1 - s.final) * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2
    ),
    "step": lambda s, step, steps: s.gamma ** (step // s.every),
    "exponential": lambda s, step, steps: max(s.final, 1e-3) ** (step / steps),
    "onecycle": _onecycle,
}

#: Schedules that are stretched over the whole phase.
ENDING = ("cosine", "exponential", "onecycle")
