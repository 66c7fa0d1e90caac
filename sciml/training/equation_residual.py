"""How far a surrogate is from an equation, at points in space, time and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import isfinite, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sciml.equations.equation import LAPLACIAN, Equation, called
from sciml.equations.named import equation as named
from sciml.errors import InputError, nearest
from sciml.surrogates.batch import Batch
from sciml.surrogates.normalizer import TIME
from sciml.surrogates.option_types import fits
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import traits_of
from sciml.training.conditions import solution_of
from sciml.training.derivatives import (
    HIGHEST,
    Columns,
    Taylor,
    asked,
    columns_of,
    derivatives,
    deviation,
    length,
)
from sciml.training.label_residual import (
    LabelResidual,
    measure_pace,
    require_first,
    require_same_start,
)
from sciml.training.linear_part import LinearPart

#: Part by which the two ends of a periodic model may differ: rounding of float32 in a network.
PERIODIC = 1e-3
#: Constants below zero would make the past of what is the future.
DIFFUSIVITIES = ("nu", "kappa")


class EquationResidual:
    """Mean squares of r(u) inside a box, of u − u₀ at the first time, of u − u_wall on its sides.

    Without units: u and r are divided by the deviation of the field, r besides by the lengths of its
    first derivative (∂u/∂t: the deviation of time; ∂²u/∂x²: the side, squared).

    Args:
        equation: or its name, one of :data:`sciml.equations.named.EQUATIONS`.
        parameters: constants of the equation that are not parameters of the task.
        solution: what holds at the first time and on the sides: an exact solution, by name, or
            ``{"name": …, option: value}``, or data or functions: see
            :func:`~sciml.training.conditions.solution_of`. An option that is a parameter of the task
            varies with the points. ``None``: only the equation is asked for.

    Shapes: batches of :class:`~sciml.training.collocation_source.CollocationSource`, inputs
    ``{"interior": (n, d), "initial": (m, d), "boundary": (k, d)}``: columns are the axes of the grid,
    time where the task has it, parameters of the task.

    Gives ``{"equation": …, "initial": …, "boundary": …, "flux": …, "seam": …}``, the last two of normal
    derivatives on the sides, and of how a model continues across a periodic axis. Of a model of
    characteristics, whose points are labels, ``{"characteristics": …, "state": …, "initial": …}``: see
    :class:`~sciml.training.label_residual.LabelResidual`.

    Raises:
        InputError: an unknown equation or solution; constants that nobody gives; in use: a model that
            cannot be asked at points, initial fields that are not periodic where the box is.
    """

    def __init__(
        self,
        equation: str | Equation,
        parameters: Mapping[str, float] | None = None,
        solution: Any = None,
    ) -> None:
        self.equation = named(equation) if isinstance(equation, str) else equation
        self.parameters = dict(parameters or {})
        self.solution, self.options = solution_of(self.equation, solution)
        self._looked_at = False
        #: With the numbers that it was found with, ``None`` for what varies with the points.
        self._linear: tuple[dict[str, Any], LinearPart] | None = None
        constants = self.equation.constants
        allowed = (*constants, *self.equation.defaults)
        for name, value in self.parameters.items():
            if name not in allowed:
                there = nearest(name, allowed) if allowed else "it has none"
                raise InputError(f"equation '{self.equation.name}': no constant '{name}'; {there}")
            if not fits(value, float) or not isfinite(value):
                raise InputError(
                    f"equation '{self.equation.name}': {name}={value!r}; expected a finite number"
                )

    def losses(self, setting: Setting) -> tuple[str, ...]:
        """Names of what it may give, to a model of characteristics the last two."""
        held = ("initial", "boundary", "flux") if self.solution is not None else ()
        return ("equation", *held, "seam", "characteristics", "state")

    def require(self, setting: Setting) -> None:
        """That a task asks for what the equation is about.

        Raises:
            InputError: fields that are not among its targets, inputs, constants that nobody gives.
        """
        task, name = setting.task, self.equation.name
        for wanted in self.equation.fields:
            if wanted not in task.targets:
                raise InputError(
                    f"equation '{name}' is about '{wanted}', which is no target; "
                    f"expected it among task.targets, {list(task.targets)}"
                )
        if task.history or task.static or task.forcing:
            raise InputError(
                f"equation '{name}' at points: a task with fields as inputs; expected history: 0, "
                "with parameters and time alone"
            )
        if not task.time and any("t" in by for _, by in self.equation.derivatives.values()):
            raise InputError(f"equation '{name}' varies in time; set task.time: true")
        for constant in self.equation.constants:
            if constant not in (*self.parameters, *task.parameters):
                raise InputError(
                    f"equation '{name}' needs '{constant}'; give it as parameters: {{{constant}: …}}, "
                    "or as one of task.parameters"
                )
            if constant in DIFFUSIVITIES and self.parameters.get(constant, 0.0) < 0.0:
                raise InputError(
                    f"equation '{name}': {constant}={self.parameters[constant]:g}; expected 0 or "
                    "more, as nothing runs backward in time"
                )
        self._require_axes(setting)

    def _require_axes(self, setting: Setting) -> None:
        """That all axes of a box are in the equation: it would hold on each line by itself."""
        named = {axis for _, by in self.equation.derivatives.values() for axis in by} - {"t"}
        if named and setting.axes and {*setting.axes} != named:
            raise InputError(
                f"equation '{self.equation.name}' is one along {', '.join(sorted(named))}; got a box "
                f"along {', '.join(sorted(setting.axes))}"
            )

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        if not self._looked_at:
            self._look_at(model, batch)
            self._looked_at = True
        losses = {}
        for group, points in batch.inputs.items():
            squares = self.pointwise(model, group, points)
            losses |= {name: square.mean() for name, square in squares.items()}
        return losses

    def pointwise(self, model: nn.Module, group: str, points: Tensor) -> dict[str, Tensor]:
        """The square of each residual at each point, ``(n,)`` by the name of the loss, its mean.

        Args:
            group: ``interior``, ``initial``, ``boundary``, ``flux`` or ``seam``.
            points: ``(n, columns)``; of ``flux`` with the normal behind.
        """
        axes = model.domain.ndim
        columns = columns_of(model, points[:, :-axes] if group == "flux" else points)
        if traits_of(model.model).lagrangian:
            if group == "initial" and self.solution is None:
                return {}
            along = LabelResidual(self.equation)
            held = partial(self.held, model, group)
            return along(model, group, columns, self._given, held)
        if group == "interior":
            found = self._residuals(model, columns)
            return {name: residual.square() for name, residual in found.items()}
        if group == "seam":
            return {group: self._jump(model, points)}
        if self.solution is None:
            return {}
        if group == "flux":
            return {group: self._flux(model, columns, points[:, -axes:])}
        return {group: self._off(model, group, columns)}

    def _look_at(self, model: nn.Module, batch: Batch) -> None:
        """Refuse, before the first step, what model and points cannot be; measure what is left to it."""
        self.require_model(model)
        if "seam" not in batch.inputs:
            require_periodic(model, batch)
        self.require_points(model, batch)
        if self.solution is not None:
            self._require_periodic_start(model, batch)
        if traits_of(model.model).lagrangian:
            require_first(model)
            columns = columns_of(model, batch.inputs["interior"])
            columns["t"] = torch.full_like(columns["t"], model.model.first)
            held = partial(self.held, model, "initial") if self.solution is not None else None
            measure_pace(model, self.equation, columns, self._given, held)
            if held is not None:
                require_same_start(model, columns, held)

    def require_points(self, model: nn.Module, batch: Batch) -> None:
        """Raises :class:`InputError` for points behind a shock, or where diffusion is below zero."""
        self._require_times(model, batch)
        diffusion = self.equation.diffusion
        if diffusion is not None:
            columns = columns_of(model, batch.inputs["interior"])
            least = torch.as_tensor(called(diffusion, self._given(columns))).min()
            if least < 0:
                raise InputError(
                    f"equation '{self.equation.name}': diffusion of {float(least):g} among the points; "
                    "expected 0 or more, as nothing runs backward in time"
                )

    def require_model(self, model: nn.Module) -> None:
        """Raises :class:`InputError` for a model of characteristics, where the equation has none, or is
        not about all targets."""
        if not traits_of(model.model).lagrangian:
            return
        LabelResidual(self.equation)
        others = [name for name in model.task.targets if name not in self.equation.fields]
        if others:
            raise InputError(
                f"targets {', '.join(others)}: equation '{self.equation.name}' is not about them, and "
                "model 'lpinn' would carry them along its characteristics; remove them, or take model "
                "'pinn'"
            )

    def _require_periodic_start(self, model: nn.Module, batch: Batch) -> None:
        """That initial fields continue themselves across the sides of axes that are periodic."""
        grid, points = model.domain, batch.inputs["interior"][:16]
        if model.task.time:
            points = points.detach().clone()
            points[:, grid.ndim] = batch.inputs["interior"][:, grid.ndim].min().detach()
        for axis, (name, boundary) in enumerate(zip(grid.dims, grid.boundary, strict=True)):
            if boundary != "periodic":
                continue
            ends = []
            for side in grid.extent[axis]:
                there = points.detach().clone()
                there[:, axis] = side
                ends.append(self.held(model, "initial", columns_of(model, there)))
            for field, low in ends[0].items():
                off, size = (ends[1][field] - low).abs().max(), deviation(model, field)
                if off > PERIODIC * size:
                    raise InputError(
                        f"'{field}' at the first time differs by {float(off):.3g} from one side of "
                        f"{name} to the other, which is periodic; expected a field that continues "
                        "itself, or a side that is not periodic"
                    )

    def _require_times(self, model: nn.Module, batch: Batch) -> None:
        """That points lie before a solution ends, as at the first shock."""
        if self.solution is None or self.solution.ends is None or not model.task.time:
            return
        columns = {
            n: c.detach().cpu() for n, c in columns_of(model, batch.inputs["interior"]).items()
        }
        sides = dict(zip(model.domain.dims, model.domain.extent, strict=True))
        given = self.equation.given_to(
            self.solution, {**self.parameters, **self.options, **columns}
        )
        ends = torch.as_tensor(self.solution.ends(sides, **given))
        late = (columns["t"] > ends).nonzero()
        if len(late):
            last, first = float(columns["t"].max()), float(ends.min())
            raise InputError(
                f"equation '{self.equation.name}': points up to t={last:g}, and its first shock is at "
                f"t={first:g}; expected times before, or viscosity ('burgers')"
            )

    def _residuals(self, model: nn.Module, columns: Columns) -> Columns:
        equation, words = self.equation, self.equation.derivatives
        twice = [(equation.fields[0], 2 * axis) for axis in model.domain.dims]
        bent = twice if equation.has_laplacian else []
        given: dict[str, Any] = self._given(columns)
        summed = self._summed(model, given, twice)
        asked_for = {name: word for name, word in words.items() if name not in summed}
        whole = [] if LAPLACIAN in summed else bent
        if summed:
            form: dict[str, Any] = {}
            for name, weight in summed.items():
                for _, by in twice if name == LAPLACIAN else [words[name]]:
                    form[by] = form[by] + weight if by in form else weight
            derive = Taylor(model, columns, [*asked_for.values(), *whole], form)
            given |= dict.fromkeys(summed, torch.zeros_like(columns[model.domain.dims[0]]))
        else:
            derive = derivatives(model, columns, [*words.values(), *bent])
        given |= {name: derive(of, by) for name, (of, by) in asked_for.items()}
        if whole:
            given[LAPLACIAN] = sum(derive(of, by) for of, by in whole)
        first = next(iter((*words.values(), *reversed(bent))), (equation.fields[0], ""))
        wanted = {name: derive(name, "") for name in equation.fields}
        needed = equation.arguments
        found = equation.residual(**{n: v for n, v in (wanted | given).items() if n in needed})
        if summed:
            found = found + derive.form(equation.fields[0])
        found = dict(found) if isinstance(found, Mapping) else {"equation": found}
        scale = deviation(model, first[0]) / prod(length(model, axis) for axis in first[1])
        return {name: residual / scale for name, residual in found.items()}

    def _summed(
        self, model: nn.Module, given: Mapping[str, Any], twice: list[tuple[str, str]]
    ) -> Mapping[str, Tensor | float]:
        """Weights of derivatives that go as one sum, where a model gives such and it saves some."""
        words = self.equation.derivatives.values()
        if not traits_of(model.model).forms or any(len(by) > HIGHEST for _, by in words):
            return {}
        known = {n: given[n] for n in self.equation.arguments if n in given}
        numbers = {n: None if isinstance(v, Tensor) else v for n, v in known.items()}
        if self._linear is None or self._linear[0] != numbers:
            self._linear = (numbers, LinearPart(self.equation, given))
        linear = self._linear[1]
        terms = len(linear.names)
        if LAPLACIAN in linear.names:
            terms += len(twice) - 1
        return linear.weights(given) if terms > 1 else {}

    def _off(self, model: nn.Module, group: str, columns: Columns) -> Tensor:
        """The square of u minus what it is to be, in deviations of each field, the mean over fields."""
        outputs, wanted = asked(model, columns), self.held(model, group, columns)
        fields = self.equation.fields
        off = [(outputs[n] - wanted[n]) / deviation(model, n) for n in fields]
        return sum(one.square() for one in off) / len(fields)

    def _flux(self, model: nn.Module, columns: Columns, normal: Tensor) -> Tensor:
        """The square of n·∇(u − u_wall), in deviations over the side along n, the mean over fields."""
        dims, fields = model.domain.dims, self.equation.fields
        derive = derivatives(model, columns, [(name, axis) for name in fields for axis in dims])
        leaves = {name: c.detach().requires_grad_() for name, c in columns.items()}
        try:
            with torch.enable_grad():
                values = self._value(model, self.solution.value, leaves)
                slopes = {
                    name: torch.autograd.grad(
                        values[name].sum(), [leaves[axis] for axis in dims], materialize_grads=True
                    )
                    for name in fields
                }
        except RuntimeError as error:
            raise InputError(
                f"equation '{self.equation.name}': points for 'flux', and a solution that has no "
                "gradient; expected points for 'boundary'"
            ) from error
        # One length for all parts of a normal, or it would point elsewhere in a box that is no square.
        sides = torch.stack([normal[:, k] * length(model, axis) for k, axis in enumerate(dims)])
        along, total = torch.linalg.vector_norm(sides, dim=0), torch.zeros_like(normal[:, 0])
        for name in fields:
            off = sum(
                normal[:, k] * (derive(name, axis) - slopes[name][k]) for k, axis in enumerate(dims)
            )
            total = total + (along * off / deviation(model, name)).square()
        return total / len(fields)

    def _jump(self, model: nn.Module, points: Tensor) -> Tensor:
        """The squares of what u and ∂u/∂x differ by across periodic axes, without units."""
        grid, fields = model.domain, self.equation.fields
        wrapped = [k for k, side in enumerate(grid.boundary) if side == "periodic"]
        found = []
        for turn, k in enumerate(wrapped):
            axis, ends = grid.dims[k], []
            for side in grid.extent[k]:
                there = points[turn :: len(wrapped)].detach().clone()
                there[:, k] = side
                words = [(name, by) for name in fields for by in ("", axis)]
                derive = derivatives(model, columns_of(model, there), words)
                ends.append({word: derive(*word) for word in words})
            jumps = [
                (ends[1][name, by] - ends[0][name, by])
                * ((length(model, axis) if by else 1.0) / deviation(model, name))
                for name, by in ends[0]
            ]
            found.append(sum(jump.square() for jump in jumps) / len(fields))
        return torch.cat(found)

    @torch.no_grad()
    def held(self, model: nn.Module, group: str, columns: Columns) -> Mapping[str, Tensor]:
        """What holds at the first time, or on the sides."""
        known = {name: c.detach() for name, c in columns.items()}
        solution = self.solution
        special = solution.start if group == "initial" else solution.wall
        at = solution.start_at if group == "initial" and special is not None else None
        if at is not None and (known["t"] != at).any():
            special = None
        return self._value(model, special or solution.value, known)

    def _value(self, model: nn.Module, value: Any, known: Columns) -> Mapping[str, Tensor]:
        """Fields that hold at places; those of numpy as tensors."""
        sides = dict(zip(model.domain.dims, model.domain.extent, strict=True))
        ends = zip(model.domain.dims, model.domain.boundary, strict=True)
        known_of = {"periodic": tuple(axis for axis, end in ends if end == "periodic")}
        given = {**known_of, **self.options, **self._given(known)}
        given = self.equation.given_to(self.solution, given)
        found = value(known, known.get("t", 0.0), sides, **given)
        like = known[model.domain.dims[0]]
        return {
            n: torch.as_tensor(v, dtype=like.dtype, device=like.device).expand_as(like)
            for n, v in found.items()
        }

    def _given(self, columns: Columns) -> dict[str, Any]:
        """All that is known by name: constants, parameters of the points, coordinates."""
        return {**self.equation.defaults, **self.parameters, **columns}


def measure(surrogate: nn.Module, objective: EquationResidual, batch: Batch) -> None:
    """Scaling and bounds of a surrogate that sees no data, from points: of time and parameters by where
    these lie, of fields by what holds at the first time and on the sides, where that is known."""
    objective._require_times(surrogate, batch)
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for group, points in batch.inputs.items():
        if group in ("flux", "seam"):
            continue  # slopes, and what nothing is known of
        columns = columns_of(surrogate, points.double())
        if surrogate.task.time:
            found.setdefault(("time", TIME), []).append(columns["t"])
        for name in surrogate.task.parameters:
            found.setdefault(("parameter", name), []).append(columns[name])
        if group != "interior" and objective.solution is not None:
            for name, values in objective.held(surrogate, group, columns).items():
                found.setdefault(("field", name), []).append(values)
    values = {key: torch.cat(parts).detach().cpu().numpy() for key, parts in found.items()}
    surrogate.normalizer.take(values)
    surrogate.bounds.take(values)


@torch.no_grad()
def require_periodic(model: nn.Module, batch: Batch) -> None:
    """That a model continues itself across the sides of axes that are periodic, where no points are."""
    grid = model.domain
    points = next(iter(batch.inputs.values()))[:16]
    for axis, (name, boundary) in enumerate(zip(grid.dims, grid.boundary, strict=True)):
        if boundary != "periodic":
            continue
        ends = []
        for side in grid.extent[axis]:
            there = points.clone()
            there[:, axis] = side
            ends.append(torch.cat([*asked(model, columns_of(model, there)).values()]))
        low, high = ends
        if (high - low).abs().max() > PERIODIC * low.abs().max().clamp(min=1.0):
            raise InputError(
                f"model {type(model.model).__name__} is not periodic along {name}, as the domain is; "
                f"expected one that sees cos and sin of {name}, such as 'deeponet', or a side that is "
                "not periodic"
            )
