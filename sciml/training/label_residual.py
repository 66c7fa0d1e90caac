"""How far a model of characteristics is from an equation, at labels in space, time and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi
from typing import Any

import torch
from torch import Tensor, nn

from sciml.equations.equation import Equation, called
from sciml.errors import InputError
from sciml.surrogates.bounds import TIME
from sciml.surrogates.pinn.inverse import determinant, inverse
from sciml.surrogates.pinn.lpinn import LEAST, Jets
from sciml.surrogates.scales import Scales
from sciml.training.derivatives import Columns, question

#: Factors of the losses, those of the publication (CMAME 404, 115810).
WEIGHTS = {"characteristics": 10.0, "state": 1.0, "initial": 1000.0}
#: Of deviations: by how much two initial fields may differ, computed twice in float32.
SAME = 1e-3
#: Part of the span of times by which random points may begin later than a start that is held.
GAP = 0.1
#: By name, all that is known at places: constants, parameters, coordinates.
Given = Callable[[Columns], Mapping[str, Any]]
#: The initial fields at places.
Held = Callable[[Columns], Mapping[str, Tensor]]


class LabelResidual:
    """10 |dX/dt − f|², (du/dt − ν ∇²u − s)² and, at the first time, 1000 (|X − ξ|² + (u − u₀)²).

    Without units: lengths in sides/2π, times in durations, u in its deviations, so that on [0, 2π) for
    t ≤ 1 they are those of the publication. ∂X/∂t − f is not divided by f: that costs a factor of two to
    five. ∇² is that of the box: with A = (∂X/∂ξ)⁻¹,

        ∂u/∂x_i = Σ_j A_ji u_j,    ∂²u/∂x_i² = Σ_jk A_ji A_ki (u_jk − Σ_l ∂u/∂x_l X_l,jk),

    and det ∂X/∂ξ taken for 0.02 where it is less, as it is now and then while X is learned.

    Args:
        equation: with a ``speed``.

    Raises:
        InputError: it has none.
    """

    def __init__(self, equation: Equation) -> None:
        if equation.speed is None:
            raise InputError(
                f"equation '{equation.name}' has no characteristic speed, and model 'lpinn' follows "
                "characteristics; take model 'pinn'"
            )
        self.equation = equation

    def losses(self) -> tuple[str, ...]:
        return tuple(WEIGHTS)

    def __call__(
        self, model: nn.Module, group: str, columns: Columns, given: Given, held: Held
    ) -> dict[str, Tensor]:
        """The square of each residual at each point, times its factor.

        Args:
            model: a surrogate around an :class:`~sciml.surrogates.pinn.lpinn.LPINN`.
            group: ``interior`` or ``initial``.
            columns: labels, times and parameters by name, ``(n,)`` each.
            given, held: of the objective.
        """
        network, scales = model.model, model.scales
        batch = question(model, columns)
        scalars = model.scalars(batch, 0)
        labels = network.stretched(batch.geometry["at"][:, 0].to(scalars.dtype))
        if group == "interior":
            found = self._inside(model, labels, scalars, scales, columns, given)
        elif group == "initial":
            if network.initial is not None:
                return {}
            found = self._start(model, labels, scalars, scales, columns, held)
        else:
            raise InputError(
                f"points for '{group}', and model 'lpinn' follows characteristics, which nothing holds "
                "at the sides; remove them, or take model 'pinn'"
            )
        return {name: WEIGHTS[name] * square for name, square in found.items()}

    def _inside(
        self,
        model: nn.Module,
        labels: Tensor,
        scalars: Tensor,
        scales: Scales,
        columns: Columns,
        given: Given,
    ) -> dict[str, Tensor]:
        network, equation = model.model, self.equation
        spreads = equation.diffusion is not None
        jets = network.jets(labels, scalars, scales, bent=spreads)
        known = {
            **given(columns),
            **placed(model, jets.places[()]),
            **fields(model, jets.state[()], scales),
        }
        duration, sides = scales.duration, _sides(model)
        speed = called(equation.speed, known)
        rates = jets.places[jets.time,] / scales.time[1]
        square = 0.0
        for i, axis in enumerate(model.domain.dims):
            carried = duration * (rates[:, i] - speed[axis] / sides[i])
            square = square + (2.0 * pi * carried).square()
        rate = jets.state[jets.time,] / scales.time[1]
        rest = torch.zeros_like(rate)
        if spreads:
            rest = called(equation.diffusion, known) * _laplacian(jets, sides, network.jacobian).T
            rest = rest.T
        if equation.reaction is not None:
            source = called(equation.reaction, known)
            rest = rest + (source / scales.fields[0][1])[:, None]
        return {
            "characteristics": square,
            "state": (duration * (rate - rest)).square().mean(dim=1),
        }

    def _start(
        self,
        model: nn.Module,
        labels: Tensor,
        scalars: Tensor,
        scales: Scales,
        columns: Columns,
        held: Held,
    ) -> dict[str, Tensor]:
        network = model.model
        moved = network.places_at(labels, scalars, scales) - labels
        square = (2.0 * pi * moved).square().sum(dim=1)
        wanted = held({**columns, **placed(model, labels, False)})
        found = network.state_at(labels, scalars, scales)
        for i, name in enumerate(model.task.targets):
            mean, deviation = scales.fields[i]
            square = square + (found[:, i] - (wanted[name] - mean) / deviation).square()
        return {"initial": square}


def require_first(model: nn.Module) -> None:
    """That nothing lies between the time at which a model holds an initial field and its first points.

    Raises:
        InputError: there no equation is asked for, and anything may happen.
    """
    network, span = model.model, model.bounds.of(TIME, TIME)
    if network.initial is None or span is None:
        return
    low, high = span
    if low - network.first > GAP * (high - low):
        raise InputError(
            f"model 'lpinn' holds its initial field at t={network.first:g}, and points begin at "
            f"t={low:g}; expected the same: first={low:g}, or time from {network.first:g} on"
        )


@torch.no_grad()
def require_same_start(model: nn.Module, columns: Columns, held: Held) -> None:
    """That a model which holds an initial field holds that of the objective.

    Raises:
        InputError: it holds another one.
    """
    network, scales = model.model, model.scales
    if network.initial is None:
        return
    batch = question(model, columns)
    scalars, places = model.scalars(batch, 0), batch.geometry["at"][:, 0]
    own = network.initial(places.to(scalars.dtype), scalars, scales, network.first)
    for i, (name, wanted) in enumerate(held(columns).items()):
        off = (own[:, i] - (wanted - scales.fields[i][0]) / scales.fields[i][1]).abs().max()
        if off > SAME:
            raise InputError(
                f"model 'lpinn' holds another initial '{name}' than the objective asks for, by "
                f"{float(off):.2g} of its deviation; expected initial: to name the equation, the "
                "solution and the options of the objective"
            )


@torch.no_grad()
def measure_pace(
    model: nn.Module, equation: Equation, columns: Columns, given: Given, held: Held | None
) -> None:
    """Tell a model how far its characteristics go, where nobody said it: the root mean square of the
    speed at the start, in sides a duration, times the parameters that it is proportional to.

    Args:
        columns: labels, times and parameters of some points.
        given, held: of the objective.
    """
    network, scales = model.model, model.scales
    if network.pace != 0:  # said, or measured before
        return

    def speed(**changed: Tensor) -> list[Tensor]:
        known = {**columns, **changed}
        started = (
            {name: torch.zeros(()) for name in equation.fields} if held is None else held(known)
        )
        found, count = called(equation.speed, {**given(known), **started}), len(columns["t"])
        return [torch.as_tensor(found[axis]).expand(count) for axis in model.domain.dims]

    once, ones = speed(), {}
    for position, name in enumerate(model.task.parameters):
        twice = speed(**{name: 2.0 * columns[name]})
        # Without a tolerance that has units; what does not move is proportional to nothing.
        pairs = [*zip(once, twice, strict=True)]
        if any(a.any() for a in once) and all(
            torch.allclose(b, 2.0 * a, atol=0.0) for a, b in pairs
        ):
            network.proportional[position] = 1.0
            ones[name] = torch.ones_like(columns[name])
    parts = zip(speed(**ones), _sides(model), strict=True)
    square = sum((scales.duration * part / side).square().mean() for part, side in parts)
    network.pace.fill_(float(square) ** 0.5)


def placed(model: nn.Module, places: Tensor, wrap: bool = True) -> Columns:
    """Coordinates by axis of places in sides of the box; into the box where axes are periodic."""
    found = {}
    for i, (axis, (low, high)) in enumerate(
        zip(model.domain.dims, model.domain.extent, strict=True)
    ):
        place = places[:, i]
        if wrap and model.model.periodic[i]:
            place = place - torch.floor(place.detach())
        found[axis] = low + (high - low) * place
    return found


def fields(model: nn.Module, state: Tensor, scales: Scales) -> Columns:
    """Targets in their units, by name."""
    return {
        name: scales.fields[i][0] + scales.fields[i][1] * state[:, i]
        for i, name in enumerate(model.task.targets)
    }


def _sides(model: nn.Module) -> list[float]:
    return [high - low for low, high in model.domain.extent]


def _laplacian(jets: Jets, sides: list[float], corrected: bool) -> Tensor:
    """∇²u of the scaled targets, ``(n, targets)``, from derivatives by labels in sides of the box."""
    axes, u, places = range(len(sides)), jets.state, jets.places
    if not corrected:
        return sum(u[i, i] / sides[i] ** 2 for i in axes)
    slope = jets.slope
    back = inverse(slope, determinant(slope).clamp(min=LEAST))
    # By places in sides of the box, (n, targets) for each axis.
    first = [sum(back[:, j, i, None] * u[j,] for j in axes) for i in axes]
    total = 0.0
    for i in axes:
        for j in axes:
            for k in axes:
                pair = (min(j, k), max(j, k))
                bend = sum(first[at] * places[pair][:, at, None] for at in axes)
                part = (back[:, j, i] * back[:, k, i])[:, None] * (u[pair] - bend)
                total = total + part / sides[i] ** 2
    return total
