"""Two networks in the frame that moves along: characteristics, and the state on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates.option_types import fits
from sciml.surrogates.pinn.inverse import determinant, nearest, solved
from sciml.surrogates.pinn.network import Columns, JetNetwork
from sciml.surrogates.pinn.pinn import grid_of, joined, lattice
from sciml.surrogates.pinn.start import GivenStart
from sciml.surrogates.pinn.taylor import Word, product
from sciml.surrogates.scales import Scales
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import Traits

#: Labels along each axis from which the map back begins, by the number of axes.
LABELS = {1: 256, 2: 32}
#: What stands for a displacement that is periodic along the axes of the box that are.
AS_BOX = "as the box"
#: In a phase of training, J is taken for this at least where it is divided by.
LEAST = 0.02


@dataclass(frozen=True, slots=True)
class Jets:
    """Places and state on characteristics, with their derivatives, by word: columns of labels, then of
    scalars, time last. Places are in sides of the box, targets scaled.

    Args:
        places: X, ``(n, d)`` each.
        state: u, ``(n, targets)`` each.
        time: the column of time.
    """

    places: Mapping[Word, Tensor]
    state: Mapping[Word, Tensor]
    time: int

    @property
    def slope(self) -> Float[Tensor, "point d d"]:
        """∂X_l/∂ξ_j."""
        axes = self.places[()].shape[1]
        return torch.stack([self.places[j,] for j in range(axes)], dim=-1)  # (n, l, j)


class LPINN(nn.Module):
    """X(ξ, t) and u(ξ, t) with dX/dt = f and du/dt = ν ∇²u + s along it: u(x, t) = u(ξ, t) where
    X(ξ, t) = x.

    X = ξ + v D(ξ, t), with D = 0 at first, so that what is learned is smooth in ξ however far it is
    carried; ∇²u is taken in the frame of the box, ∂u/∂x = (∂X/∂ξ)⁻¹ ∂u/∂ξ. With the initial field
    ``initial`` both hold it exactly: X = ξ + v t D, u = u₀(ξ) + t N.

    Shapes: scalars ``(B, P)``, parameters and time, scaled; y ``(B, Q, d)`` or ``(Q, d)``, points from 0
    to 1 along each axis → ``(B, targets, Q)``; without y the points of the grid →
    ``(B, targets, *space)``. ``scales`` say what the units are.

    Args:
        places: network D.
        state: network of u, or N.
        grid, task: of the surrogate.
        periodic: of each axis, whether places are known up to whole sides.
        initial: the initial field, held exactly; ``None``: the objective asks for it.
        first: the first time.
        speed: v in sides a duration, or that for each unit of a parameter, ``{"speed_x": 0.16}``;
            ``None``: measured by the objective at its first call.
        margin: part of a side by which labels reach beyond the box, on axes that are not periodic.
        labels: along each axis, from which the map back begins.
        jacobian: diffusion in the frame of the box; ``False``: ∂²u/∂ξ², which is that of the publication
            and wrong unless all move alike. For comparison.

    When it fails: where characteristics meet, J = ∂X/∂ξ → 0, at a shock: a validation says when and
    where. With diffusion J stays above zero, and the narrower the front, the harder: for ν of
    0.01 of side times speed a PINN is as good and cheaper.

    Source: R. Mojgani, M. Balajewicz and P. Hassanzadeh, CMAME 404 (2023) 115810, arXiv 2205.02902. Two
    networks, the periodic displacement and the Jacobian differ from it.
    """

    pace: Tensor
    proportional: Tensor

    def __init__(
        self,
        places: JetNetwork,
        state: JetNetwork,
        grid: Grid,
        task: Task,
        periodic: Sequence[bool],
        initial: GivenStart | None = None,
        first: float = 0.0,
        speed: float | Mapping[str, float] | None = None,
        margin: float = 0.0,
        labels: int | None = None,
        jacobian: bool = True,
    ) -> None:
        super().__init__()
        labels = LABELS[grid.ndim] if labels is None else labels
        self.traits = Traits(
            any_resolution=True,
            pointwise=True,
            lagrangian=True,
            takes_scales=True,
            chosen={
                "labels": labels,
                "initial": {},
                "speed": 0.0,
                "displacement": AS_BOX,
            },
        )
        self.places, self.state = places, state
        self.grid, self.task, self.periodic = grid, task, tuple(periodic)
        self.initial, self.first, self.margin, self.jacobian = initial, first, margin, jacobian
        self.labels = labels
        # v; 0: not measured yet, taken for 1. And whether it is times a parameter, of each.
        of, pace = next(iter(speed.items())) if isinstance(speed, Mapping) else (None, speed)
        self.register_buffer("pace", torch.tensor(float(pace or 0.0)))
        self.register_buffer(
            "proportional", torch.tensor([1.0 * (n == of) for n in task.parameters])
        )

    def forward(
        self,
        scalars: Float[Tensor, "batch scalar"],
        y: Tensor | None = None,
        *,
        scales: Scales,
    ) -> Float[Tensor, "batch target *space"]:
        space = self.grid.shape if y is None else (y.shape[-2],)
        y = lattice(self.grid.shape, self._wraps, scalars) if y is None else y
        y = y.expand(scalars.shape[0], -1, -1)
        labels = self.feet(scalars, y, scales)
        repeated = joined(y, scalars)[:, y.shape[2] :]
        found = self.state_at(labels.flatten(0, 1), repeated, scales)
        return found.unflatten(0, y.shape[:2]).movedim(2, 1).unflatten(2, space)

    @property
    def _wraps(self) -> list[bool]:
        return [kind == "periodic" for kind in self.grid.boundary]

    @property
    def inside(self) -> tuple[float, float]:
        """Low and high end of labels on axes that are not periodic."""
        return -self.margin, 1.0 + self.margin

    def stretched(self, places: Tensor) -> Tensor:
        """Labels for points of the box from 0 to 1: with a margin they reach beyond it."""
        low, high = self.inside
        free = torch.tensor([not wraps for wraps in self.periodic], device=places.device)
        return torch.where(free, low + (high - low) * places, places)

    def lattice(self, like: Tensor) -> Float[Tensor, "label d"]:
        """Labels all over the box."""
        shape = (self.labels,) * self.grid.ndim
        return self.stretched(lattice(shape, self.periodic, like))

    def places_at(self, labels: Tensor, scalars: Tensor, scales: Scales) -> Tensor:
        """X ``(n, d)`` in sides of the box, at labels ``(n, d)``."""
        moved = self.places(torch.cat([labels, scalars], dim=1))
        return labels + self._pace(scalars, scales) * self._ramp(scalars, scales) * moved

    def state_at(self, labels: Tensor, scalars: Tensor, scales: Scales) -> Tensor:
        """u ``(n, targets)``, scaled, at labels ``(n, d)``."""
        found = self.state(torch.cat([labels, scalars], dim=1))
        if self.initial is None:
            return found
        return (
            self.initial(labels, scalars, scales, self.first) + self._ramp(scalars, scales) * found
        )

    def feet(self, scalars: Tensor, y: Float[Tensor, "batch point d"], scales: Scales) -> Tensor:
        """Labels of what is at y; see :func:`sciml.surrogates.pinn.inverse.solved`."""
        labels = self.lattice(y)
        batch, points, axes = y.shape
        with torch.no_grad():
            every = joined(labels, scalars)
            there = self.places_at(every[:, :axes], every[:, axes:], scales)
            begin = labels[nearest(there.unflatten(0, (batch, -1)), y, self.periodic)]
        repeated = joined(y, scalars)[:, axes:]

        def carried(at: Tensor, learned: bool) -> tuple[Tensor, Tensor]:
            places, slope = self.carried(at, repeated, scales)
            return self.places_at(at, repeated, scales) if learned else places, slope

        asked = y.reshape(-1, axes)
        reach = 4.0 / self.labels
        begin = begin.reshape(-1, axes)
        found = solved(carried, begin, asked, self.periodic, reach, self.inside)
        return found.unflatten(0, (batch, points))

    def jets(
        self,
        labels: Tensor,
        scalars: Tensor,
        scales: Scales,
        *,
        bent: bool = False,
    ) -> Jets:
        """X and u at labels with ∂/∂t; with ``bent`` also ∂/∂ξ, and ∂²/∂ξ² of all pairs of axes."""
        axes, time = labels.shape[1], labels.shape[1] + scalars.shape[1] - 1
        words: list[Word] = [(time,)]
        if bent:
            words += [(j,) for j in range(axes)]
            words += [(i, j) for i in range(axes) for j in range(i, axes)]
        places = self._place_jets(labels, scalars, scales, words)
        return Jets(places, self._state_jets(labels, scalars, scales, words), time)

    @torch.no_grad()
    def carried(self, labels: Tensor, scalars: Tensor, scales: Scales) -> tuple[Tensor, Tensor]:
        """X ``(n, d)`` in sides of the box, and ∂X/∂ξ ``(n, d, d)``."""
        words = [(j,) for j in range(labels.shape[1])]
        jets = self._place_jets(labels, scalars, scales, words)
        return jets[()], torch.stack([jets[word] for word in words], dim=-1)

    @torch.no_grad()
    def least(self, scalars: Tensor, scales: Scales) -> tuple[Tensor, Tensor]:
        """The least J of each sample, ``(B,)``, and the place where it is, in sides, ``(B, d)``."""
        axes, shape = self.grid.ndim, (len(scalars), -1)
        every = joined(self.lattice(scalars), scalars)
        places, slope = self.carried(every[:, :axes], every[:, axes:], scales)
        value, which = determinant(slope).unflatten(0, shape).min(dim=1)
        return value, places.unflatten(0, shape)[torch.arange(len(scalars)), which]

    def _pace(self, scalars: Tensor, scales: Scales) -> Tensor:
        """v of each row, ``(n, 1)``."""
        pace = torch.where(self.pace == 0, torch.ones_like(self.pace), self.pace)
        pace = pace.expand(scalars.shape[0])
        for column, values in enumerate(scales.parameters_of(scalars)):
            factor = self.proportional[column]
            pace = pace * (factor * values + (1.0 - factor))
        return pace[:, None]

    def _ramp(self, scalars: Tensor, scales: Scales) -> Tensor | float:
        """What makes start and places exact at the first time, parts of the duration; else 1."""
        if self.initial is None:
            return 1.0
        mean, deviation = scales.time
        return (scalars[:, -1:] * deviation + (mean - self.first)) / scales.duration

    def _ramped(
        self, scalars: Tensor, scales: Scales, time: int, jets: dict[Word, Tensor]
    ) -> dict[Word, Tensor]:
        if self.initial is None:
            return jets
        slope = scales.time[1] / scales.duration
        return product(self._ramp(scalars, scales), slope, time, jets)

    def _place_jets(
        self, labels: Tensor, scalars: Tensor, scales: Scales, words: Iterable[Word]
    ) -> dict[Word, Tensor]:
        time = labels.shape[1] + scalars.shape[1] - 1
        moved = self.places.jet(torch.cat([labels, scalars], dim=1), words)
        moved = self._ramped(scalars, scales, time, moved)
        pace = self._pace(scalars, scales)
        found = {word: pace * part for word, part in moved.items()}
        found[()] = labels + found[()]
        for axis in range(labels.shape[1]):
            if (axis,) in found:
                own = torch.zeros_like(labels)
                own[:, axis] = 1.0
                found[axis,] = own + found[axis,]
        return found

    def _state_jets(
        self, labels: Tensor, scalars: Tensor, scales: Scales, words: list[Word]
    ) -> dict[Word, Tensor]:
        time = labels.shape[1] + scalars.shape[1] - 1
        found = self.state.jet(torch.cat([labels, scalars], dim=1), words)
        if self.initial is None:
            return found
        found = self._ramped(scalars, scales, time, found)
        begun = self.initial.jets(labels, scalars, scales, self.first, words)
        return {word: part + begun[word] if word in begun else part for word, part in found.items()}


def build(
    setting: Setting,
    *,
    state: Sequence[int] = (50, 50, 50, 50),
    characteristics: Sequence[int] = (50, 50),
    activation: str = "tanh",
    harmonics: int = 1,
    displacement: str | None = None,
    initial: dict | None = None,
    first: float = 0.0,
    speed: float | dict | None = None,
    margin: float = 0.0,
    labels: int | None = None,
    jacobian: bool = True,
) -> LPINN:
    """An LPINN for a setting without inputs, in one dimension or two.

    Args:
        state, characteristics: widths of the layers of the two networks.
        activation: ``tanh``, ``sine`` or ``silu``.
        harmonics: waves of a periodic axis that they see.
        displacement: ``periodic`` or ``free``; ``None``: as each axis of the box is.
        initial: ``{equation: …, solution: …}``, with options of the solution: the initial field is held
            exactly. ``None``: the objective asks for it, at points of its source.
        first: the first time.
        speed: how far characteristics go, in sides a duration, or that for each unit of a parameter that
            it is proportional to, ``{speed_x: 0.16}``; ``None``: measured by an objective that knows an
            equation, and 1 for one that does not.
        margin: part of a side by which labels reach beyond the box, on axes that are not periodic.
        labels: along each axis, from which the map back to the box begins; ``None``: 256 on a line, 32
            on a plane.
        jacobian: ``False``: the uncorrected diffusion of the publication, for comparison.

    Raises:
        InputError: no grid, three dimensions, fields that go in, a task without time.
    """
    grid, task = grid_of("lpinn", setting), setting.task
    if grid.ndim not in LABELS:
        raise InputError(f"model 'lpinn': a box of {grid.ndim} axes; expected 1 or 2")
    if not task.time:
        raise InputError("model 'lpinn' follows characteristics in time; set task.time: true")
    if displacement not in (None, AS_BOX, "periodic", "free"):
        raise InputError(f"displacement={displacement!r}; expected periodic, free or null")
    if labels is not None and labels < 4:
        raise InputError(f"labels={labels}; expected 4 or more")
    if harmonics < 1:
        raise InputError(f"harmonics={harmonics}; expected 1 or more")
    if margin < 0:
        raise InputError(f"margin={margin}; expected a part of a side, 0 or more")
    if isinstance(speed, dict):
        [(of, _)] = speed.items() if len(speed) == 1 else [(None, None)]
        if of not in task.parameters or not fits(speed[of], float):
            raise InputError(
                f"speed={speed}; expected a number, or one for each unit of one parameter of the task "
                f"({', '.join(task.parameters) or 'it has none'}): {{speed_x: 0.16}}"
            )
    scalars, outputs = setting.channels
    wraps = [kind == "periodic" for kind in grid.boundary]
    periodic = wraps if displacement in (None, AS_BOX) else [displacement == "periodic"] * grid.ndim
    start = None if not initial else GivenStart(initial, grid, task)
    columns = (Columns(periodic, scalars, harmonics) for _ in range(2))
    return LPINN(
        JetNetwork(next(columns), characteristics, grid.ndim, activation, still=True),
        JetNetwork(next(columns), state, outputs, activation, still=start is not None),
        grid,
        task,
        periodic,
        start,
        first,
        speed,
        margin,
        labels,
        jacobian,
    )
