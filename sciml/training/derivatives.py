"""Derivatives of a surrogate at points: in Taylor mode where it has one, else nested reverse mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod

import torch
from torch import Tensor, nn

from sciml.surrogates.batch import Batch, dtype_for
from sciml.surrogates.normalizer import TIME
from sciml.surrogates.pinn.taylor import FORM
from sciml.surrogates.traits import traits_of

Columns = dict[str, Tensor]
#: A field, and a word of coordinates: ("u", "xx") is ∂²u/∂x².
Word = tuple[str, str]
#: Of second order, in Taylor mode.
HIGHEST = 2


def columns_of(model: nn.Module, points: Tensor) -> Columns:
    """Coordinates by name, each a leaf, so that one can be differentiated by without the others."""
    task = model.task
    names = [*model.domain.dims, *(["t"] if task.time else []), *task.parameters]
    parts = points.detach().unbind(1)
    return {n: c.clone().requires_grad_() for n, c in zip(names, parts, strict=True)}


def question(model: nn.Module, columns: Columns) -> Batch:
    """Points as a batch of so many samples, a point each.

    Args:
        model: a surrogate on a grid, whose task has no inputs.
        columns: as of :func:`columns_of`.
    """
    grid, task = model.domain, model.task
    places = [
        (columns[axis] - low) / (high - low)
        for axis, (low, high) in zip(grid.dims, grid.extent, strict=True)
    ]
    dtype = dtype_for(model) or torch.get_default_dtype()
    at = torch.stack(places, dim=-1).to(dtype)[:, None]
    n, none = len(at), at.new_zeros(len(at), 0)
    given = [columns[name] for name in task.parameters]
    return Batch(
        inputs={},
        parameters=torch.stack(given, dim=1) if given else none,
        time=columns["t"][:, None] if task.time else none.new_zeros(n, 1),
        geometry={
            "at": at,
            "periodic": torch.tensor([b == "periodic" for b in grid.boundary]),
        },
        size=n,
    )


def asked(model: nn.Module, columns: Columns) -> Columns:
    """Targets of a surrogate at points, ``(n,)`` each; arguments as of :func:`question`."""
    return {name: out[:, 0, 0] for name, out in model(question(model, columns)).items()}


def derivatives(
    model: nn.Module, columns: Columns, words: Iterable[Word]
) -> Callable[[str, str], Tensor]:
    """``derive(field, by)`` at points: ``derive("u", "xx")``, ``derive("u", "")`` the field itself.

    Args:
        model, columns: as of :func:`question`; in reverse mode columns are leaves with gradients.
        words: all that will be asked for.
    """
    words = [*words]
    if traits_of(model.model).jets and all(len(by) <= HIGHEST for _, by in words):
        return Taylor(model, columns, words)
    return Nested(columns, asked(model, columns))


class Nested:
    """∂ᵏu/∂x… at points in reverse mode, each computed once.

    Args:
        columns: coordinates by name, each a leaf that requires gradients.
        outputs: fields at them; of each point by itself.
    """

    def __init__(self, columns: Columns, outputs: Columns) -> None:
        self._columns = {name: c for name, c in columns.items() if len(name) == 1}
        self._found: dict[Word, Tensor] = {(n, ""): u for n, u in outputs.items()}

    def __call__(self, field: str, by: str) -> Tensor:
        if (field, by) not in self._found:
            u = self(field, by[:-1])
            # All of them at once: the way back through the network is the same.
            gradients = torch.autograd.grad(
                u.sum(), [*self._columns.values()], create_graph=True, materialize_grads=True
            )
            for axis, gradient in zip(self._columns, gradients, strict=True):
                self._found.setdefault((field, by[:-1] + axis), gradient)
        return self._found[field, by]


class Taylor:
    """∂ᵏu/∂x… at points by the model's own Taylor mode, all at once.

    What it sees is scaled, and so is what it gives: derivatives by physical coordinates are the
    deviation of the field over the lengths by which these are divided, times its own.

    Args:
        form: weights of derivatives, numbers or ``(n,)``, whose sum is asked for as well: see
            :meth:`form`. Of models that take one (``traits.forms``).
    """

    def __init__(
        self,
        model: nn.Module,
        columns: Columns,
        words: Iterable[Word],
        form: Mapping[str, Tensor | float] | None = None,
    ) -> None:
        self._model, task = model, model.task
        batch = question(model, columns)
        places, scalars = batch.geometry["at"][:, 0], model.scalars(batch, 0)
        order = [*model.domain.dims, *task.parameters, "t"]
        self._column = {name: order.index(name) for name in order}
        wanted = {self._word(by) for _, by in words} | {()}
        weights = {}
        for by, weight in (form or {}).items():
            weight = torch.as_tensor(weight, dtype=places.dtype, device=places.device)
            weight = (weight / prod(length(model, axis) for axis in by)).reshape(-1, 1)
            word = self._word(by)
            weights[word] = weights[word] + weight if word in weights else weight
        given = {"form": weights} if weights else {}
        self._jets = model.model.jets(scalars.to(places.dtype), places, wanted, **given)

    def __call__(self, field: str, by: str) -> Tensor:
        model = self._model
        values = self._jets[self._word(by)][:, model.task.targets.index(field)]
        if not by:
            scaled = model.normalizer is not None
            return model.normalizer.denormalize(field, values) if scaled else values
        return deviation(model, field) / prod(length(model, axis) for axis in by) * values

    def form(self, field: str) -> Tensor:
        """The sum of derivatives of a field that was asked for as a form."""
        model = self._model
        return deviation(model, field) * self._jets[FORM][:, model.task.targets.index(field)]

    def _word(self, by: str) -> tuple[int, ...]:
        return tuple(sorted(self._column[axis] for axis in by))


def deviation(model: nn.Module, name: str) -> float | Tensor:
    """Of a field, by which a surrogate scales it."""
    return 1.0 if model.normalizer is None else model.normalizer.numbers(name)[1]


def length(model: nn.Module, axis: str) -> float | Tensor:
    """By which a coordinate is divided before a model sees it: the deviation of time, a side."""
    if axis == "t":
        return 1.0 if model.normalizer is None else model.normalizer.numbers(TIME, "time")[1]
    low, high = model.domain.extent[model.domain.dims.index(axis)]
    return high - low
