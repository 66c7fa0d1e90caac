"""J = ∂X/∂ξ of a surrogate over the times and parameters of its training: where characteristics meet,
and where in the box none arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sciml.surrogates.batch import Batch, weights_dtype
from sciml.surrogates.bounds import PARAMETER, TIME
from sciml.surrogates.pinn.inverse import wrapped
from sciml.surrogates.pinn.lpinn import LEAST
from sciml.surrogates.pinn.pinn import joined, lattice
from sciml.surrogates.traits import traits_of

#: Times that are looked at, and places on each axis of the outline of a box.
TIMES, OUTLINE = 41, 5
#: Parts of a side: what is further away from all characteristics is not reached by one.
NEAR = 0.02


@dataclass(frozen=True, slots=True)
class Watch:
    """The least J of an LPINN, and when there is a shock.

    Args:
        least: of J, over labels, times and parameters.
        place, time, parameters: where and when that is.
        lost: the first time at which J falls below 0.02, where characteristics meet; ``None``: never.
        shock: that time, or the one at which J would be 0 if it went on falling as it does at the last
            times, if that is at most a duration behind them; ``None``: no shock is seen.
        apart: of sides that are not periodic, the place that is furthest from all characteristics, the
            distance in parts of a side, and since when there are such; ``None``: they reach all places.
    """

    least: float
    place: Mapping[str, float]
    time: float
    parameters: Mapping[str, float]
    lost: float | None
    shock: float | None
    apart: tuple[Mapping[str, float], float, float] | None = None

    @property
    def figures(self) -> dict[str, float]:
        """For a validation."""
        found = {"least_jacobian": self.least}
        return found if self.shock is None else {**found, "shock_time": self.shock}

    @property
    def words(self) -> list[str]:
        """A line where characteristics meet, and one where none arrives."""
        return [*self._meet, *self._leave]

    @property
    def _leave(self) -> list[str]:
        if self.apart is None:
            return []
        place, away, time = self.apart
        at = ", ".join(f"{name}={value:.3g}" for name, value in place.items())
        return [
            f"characteristics leave places from t={time:.3g} on, most at {at}, {away:.2g} of a side: "
            "what comes in there is unknown, and the nearest is predicted; let labels begin further "
            f"out, margin: {away:.2g} more, or take model 'pinn'"
        ]

    @property
    def _meet(self) -> list[str]:
        if self.lost is None:
            return []
        at = [f"{name}={value:.3g}" for name, value in (*self.place.items(), ("t", self.time))]
        at += [f"{name}={value:.3g}" for name, value in self.parameters.items()]
        return [
            f"characteristics meet from t={self.lost:.3g} on: J = {self.least:.2g} at {', '.join(at)}; "
            "what comes later is no solution: end before that time, take more diffusion, or model 'pinn'"
        ]


@torch.no_grad()
def watched(surrogate: nn.Module) -> Watch | None:
    """J of a surrogate; ``None`` where it is no LPINN, or has no times yet.

    Parameters are taken in the middle of their ranges, and one at a time at both ends.
    """
    if not traits_of(getattr(surrogate, "model", surrogate)).lagrangian:
        return None
    span = surrogate.bounds.of(TIME, TIME)
    if span is None:
        return None
    model, names = surrogate.model, surrogate.task.parameters
    ranges = [surrogate.bounds.of(PARAMETER, name) or (0.0, 0.0) for name in names]
    middle = [0.5 * (low + high) for low, high in ranges]
    rows = [middle]
    for i, ends in enumerate(ranges):
        rows += [[*middle[:i], end, *middle[i + 1 :]] for end in ends if ends[0] < ends[1]]
    like = next(model.parameters())
    times = torch.linspace(*span, TIMES, dtype=torch.float64)
    values, places, apart = [], [], []
    for row in rows:
        parameters = torch.tensor([row], dtype=torch.float64).expand(TIMES, -1)
        batch = Batch({}, parameters=parameters, time=times[:, None], size=TIMES).to(like.device)
        scalars = surrogate.scalars(batch, 0).to(weights_dtype(model))
        value, place = model.least(scalars, surrogate.scales)
        values.append(value.cpu().double())
        places.append(place.cpu().double())
        apart += _apart(surrogate, scalars)
    value = torch.stack(values)  # (rows, times)
    row, when = divmod(int(value.argmin()), TIMES)
    lost = [_crossing(times, one, LEAST) for one in value]
    soon = [t for t in lost if t is not None]
    shocks = soon or [t for t in (_ahead(times, one) for one in value) if t is not None]
    return Watch(
        float(value[row, when]),
        _named(surrogate, places[row][when]),
        float(times[when]),
        dict(zip(names, rows[row], strict=True)),
        min(soon, default=None),
        min(shocks, default=None),
        _furthest(surrogate, times, apart),
    )


def _apart(surrogate: nn.Module, scalars: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of the outline of a box, ``(points, d)``, how far each is from all places of labels, ``(times,
    points)``; nothing where all axes are periodic."""
    model = surrogate.model
    if all(model.periodic):
        return []
    outline = lattice((OUTLINE,) * model.grid.ndim, model.periodic, scalars)
    free = torch.tensor([not wraps for wraps in model.periodic], device=scalars.device)
    outline = outline[(free & ((outline == 0) | (outline == 1))).any(dim=1)]
    y = outline.expand(len(scalars), -1, -1)
    labels = model.feet(scalars, y, surrogate.scales).flatten(0, 1)
    places = model.places_at(labels, joined(y, scalars)[:, y.shape[2] :], surrogate.scales)
    away = wrapped(places - y.flatten(0, 1), model.periodic).abs().amax(dim=1)
    return [(outline.cpu().double(), away.unflatten(0, y.shape[:2]).cpu().double())]


def _furthest(
    surrogate: nn.Module, times: Tensor, apart: list[tuple[Tensor, Tensor]]
) -> tuple[dict[str, float], float, float] | None:
    found = []
    for outline, away in apart:
        late = (away > NEAR).any(dim=1).nonzero()
        if len(late):
            point = int(away.amax(dim=0).argmax())
            found.append((float(away.max()), outline[point], float(times[late[0]])))
    if not found:
        return None
    away, place, _ = max(found, key=lambda one: one[0])
    return _named(surrogate, place), away, min(time for *_, time in found)


def _named(surrogate: nn.Module, place: Tensor) -> dict[str, float]:
    grid = surrogate.domain
    found: dict[str, Any] = {}
    for i, (axis, (low, high)) in enumerate(zip(grid.dims, grid.extent, strict=True)):
        part = float(place[i])
        part = part % 1.0 if surrogate.model.periodic[i] else part
        found[axis] = low + (high - low) * part
    return found


def _crossing(times: Tensor, values: Tensor, level: float) -> float | None:
    """When values first fall below a level, along a straight line between two times."""
    below = (values < level).nonzero()
    if not len(below):
        return None
    k = int(below[0])
    if k == 0:
        return float(times[0])
    part = (values[k - 1] - level) / (values[k - 1] - values[k])
    return float(times[k - 1] + part * (times[k] - times[k - 1]))


def _ahead(times: Tensor, values: Tensor) -> float | None:
    """When values would be zero if they went on as at the last two times; within a duration."""
    fall = float(values[-2] - values[-1])
    if fall <= 0:
        return None
    wait = float(values[-1]) / fall * float(times[-1] - times[-2])
    return float(times[-1]) + wait if wait <= float(times[-1] - times[0]) else None
