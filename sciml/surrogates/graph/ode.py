"""x(T) of dx/dt = f(t, x; state): fixed steps by tableaux, adaptive and implicit ones by torchdiffeq."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, isfinite, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sciml.errors import DivergedError, InputError, require_known

#: A vector field. It is pure: of what it computes with it holds parameters alone, and all other tensors,
#: such as attention weights, come as ``state``, where derivatives reach them.
VectorField = Callable[[float | Tensor, Tensor, Mapping[str, Any]], Tensor]


@dataclass(frozen=True, slots=True)
class Tableau:
    """An explicit Runge–Kutta method: k_i = f(t + c_i h, x + h Σ_j a_ij k_j), x ← x + h Σ_i b_i k_i.

    Args:
        a: a row a stage after the first.
        b: weights of the stages.
        order: of its error at the end.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    @property
    def c(self) -> tuple[float, ...]:
        return (0.0, *map(sum, self.a))


TABLEAUX = {
    "euler": Tableau((), (1.0,), 1),
    "midpoint": Tableau(((0.5,),), (0.0, 1.0), 2),
    "rk4": Tableau(((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4),
}
#: Of torchdiffeq, those that choose their steps, and those that are given one.
ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive_heun", "fehlberg2")
GIVEN_STEP = ("implicit_adams", "explicit_adams")
METHODS = (*TABLEAUX, *ADAPTIVE, *GIVEN_STEP)


@dataclass(frozen=True)
class Integration:
    """How a vector field is integrated from 0 to T.

    Args:
        time: T.
        step: of methods that are given one, made to go into T a whole number of times; ``None``: 1, or
            T where that is less. Adaptive ones take no notice of it.
        method: of :data:`METHODS`: ``euler``, ``midpoint``, ``rk4``; of torchdiffeq (the extra
            ``graph``) ``dopri5`` and its like, ``implicit_adams``, ``explicit_adams``.
        adjoint: whether steps are computed again on the way back instead of kept: memory for the states
            alone. Of the methods that are tableaux gradients are the same to rounding; of torchdiffeq's
            they are those of the continuous adjoint equation, right as far as the integration is.
        rtol, atol: of adaptive methods.

    Raises:
        InputError: T or a step that is no time, a step larger than T, an unknown method.

    When it fails: explicit methods are stable for steps up to 2 (Euler, midpoint) or 2.79 (RK4) over the
    largest rate of decay. What grows beyond all bounds is refused, see :meth:`__call__`.

    Source: E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, Springer
    1993, section II.1.
    """

    time: float
    step: float | None = None
    method: str = "rk4"
    adjoint: bool = False
    rtol: float = 1e-5
    atol: float = 1e-6

    def __post_init__(self) -> None:
        if not (self.time > 0 and isfinite(self.time)):
            raise InputError(f"time={self.time}; expected a time above 0")
        require_known("unknown method", self.method, METHODS)
        if self.step is None:
            object.__setattr__(self, "step", min(1.0, float(self.time)))
        if not self.step > 0:
            raise InputError(f"step={self.step}; expected a time above 0")
        if self.step > self.time and self.method not in ADAPTIVE:
            raise InputError(
                f"step={self.step:g} is larger than time={self.time:g}; expected a part of it"
            )

    @property
    def steps(self) -> int:
        """Of a method that is given its step."""
        return max(1, ceil(self.time / self.step - 1e-9))

    def __call__(
        self, field: VectorField, x: Tensor, state: Mapping[str, Any], name: str = "field"
    ) -> Tensor:
        """x(T).

        Args:
            field: f. Its parameters, if it is a module, and tensors of ``state`` get gradients.
            x: x(0), of any shape.
            state: what f computes with besides.
            name: of the model, for messages.

        Raises:
            DivergedError: a state that is not finite, or 1/ε times as large as the start and as ones
                everywhere: no digit of the start is left in it. Time and norm are named.
            InputError: torchdiffeq is wanted and not installed.
        """
        advance = _by_tableau if self.method in TABLEAUX else _by_torchdiffeq
        found = advance(self, field, x, state, name)
        if not torch.compiler.is_compiling() and not x.is_meta and _is_lost(found, x):
            raise _diverged(self, field, x, state, name, found)
        return found


def _by_tableau(
    how: Integration, field: VectorField, x: Tensor, state: Mapping[str, Any], name: str
) -> Tensor:
    table, h = TABLEAUX[how.method], how.time / how.steps
    for n in range(how.steps):
        if how.adjoint and torch.is_grad_enabled():
            x = checkpoint(_step, table, field, n * h, h, x, state, use_reentrant=False)
        else:
            x = _step(table, field, n * h, h, x, state)
    return x


def _step(
    table: Tableau, field: VectorField, t: float, h: float, x: Tensor, state: Mapping[str, Any]
) -> Tensor:
    slopes: list[Tensor] = []
    for row, c in zip(((), *table.a), table.c, strict=True):
        at = x
        for weight, slope in zip(row, slopes, strict=True):
            if weight:
                at = at + (h * weight) * slope
        slopes.append(field(t + c * h, at, state))
    for weight, slope in zip(table.b, slopes, strict=True):
        if weight:
            x = x + (h * weight) * slope
    return x


def _by_torchdiffeq(
    how: Integration, field: VectorField, x: Tensor, state: Mapping[str, Any], name: str
) -> Tensor:
    try:
        from torchdiffeq import odeint, odeint_adjoint
    except ModuleNotFoundError as error:
        raise InputError(
            f"method '{how.method}' is torchdiffeq's, which is not installed; pip install "
            f"'sciml-surrogates[graph]', or take one of {', '.join(TABLEAUX)}"
        ) from error
    last: list[tuple[Tensor, Tensor]] = []

    def seen(t: Tensor, at: Tensor, state: Mapping[str, Any]) -> Tensor:
        last[:] = [(t, at)]
        return field(t, at, state)

    given: dict[str, Any] = {"method": how.method, "rtol": how.rtol, "atol": how.atol}
    if how.method in GIVEN_STEP:
        given["options"] = {"step_size": how.time / how.steps}
    ends = torch.tensor([0.0, how.time], dtype=x.dtype, device=x.device)
    try:
        if not (how.adjoint and torch.is_grad_enabled()):
            return odeint(lambda t, at: seen(t, at, state), x, ends, **given)[-1]
        held = tuple(field.parameters()) if isinstance(field, nn.Module) else ()
        names = [n for n, v in state.items() if isinstance(v, Tensor) and v.requires_grad]

        def run(start: Tensor, tensors: Sequence[Tensor]) -> Tensor:
            cut = {**state, **dict(zip(names, tensors, strict=True))}
            reached = (*held, *tensors)
            flow = partial(seen, state=cut)
            return odeint_adjoint(flow, start, ends, adjoint_params=reached, **given)[-1]

        return _Adjoint.apply(run, len(names), x, *(state[n] for n in names), *held)
    except AssertionError as error:  # a step that has become too small
        t, at = last[0]
        raise _words(how, name, float(t.detach()), at, x) from error


class _Adjoint(torch.autograd.Function):
    """torchdiffeq's adjoint with the state's tensors cut off from what they were computed of.

    It asks for gradients of all parameters of the field, and would count twice those by way of tensors
    that were computed of them, as attention weights are.
    """

    @staticmethod
    def forward(ctx, run, count, x, *others):
        start = x.detach().requires_grad_()
        tensors = [t.detach().requires_grad_() for t in others[:count]]
        with torch.enable_grad():
            ctx.end = run(start, tensors)
        ctx.leaves = (start, *tensors, *others[count:])
        return ctx.end.detach()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, above):
        return None, None, *torch.autograd.grad(ctx.end, ctx.leaves, above, allow_unused=True)


def _is_lost(found: Tensor, start: Tensor) -> bool:
    norm, before = _norm(found), max(_norm(start), sqrt(start.numel()))
    return not isfinite(norm) or norm * torch.finfo(start.dtype).eps > before


def _norm(x: Tensor) -> float:
    return float(x.detach().double().norm())


def _diverged(
    how: Integration,
    field: VectorField,
    x: Tensor,
    state: Mapping[str, Any],
    name: str,
    found: Tensor,
) -> DivergedError:
    """What is said of an integration that is computed once more, to see where it goes wrong."""
    if how.method not in TABLEAUX:
        return _words(how, name, how.time, found, x)
    table, h, start = TABLEAUX[how.method], how.time / how.steps, x.detach()
    with torch.no_grad():
        at = start
        for n in range(how.steps):
            after = _step(table, field, n * h, h, at, state)
            if _is_lost(after, start):
                return _words(how, name, (n + 1) * h, after, start)
            at = after
    return _words(how, name, how.time, at, start)


def _words(how: Integration, name: str, t: float, x: Tensor, start: Tensor) -> DivergedError:
    finer = "rtol, atol" if how.method in ADAPTIVE else f"step ({how.step:g})"
    return DivergedError(
        f"{name}: the integration diverges: norm {_norm(x):.3g} at t={t:.4g} of {how.time:g}, "
        f"{_norm(start):.3g} at the start; lower {finer}, time or the learning rate"
    )
