"""What a model says of itself, so that whoever calls it need not ask around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from torch import nn

from sciml.surrogates.structure import Structure

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Traits:
    """The attribute ``traits`` of a model, of its class or its own.

    Args:
        any_resolution: it is one operator at every resolution; ``False``: predictions on other grids
            are refused; ``None``: not said.
        pointwise: it can be asked at points, ``model(x, y)``.
        takes_units: it scales by itself, given :class:`~sciml.surrogates.units.Units`.
        basis: samples that it must see before its first step, to make a basis of them.
        chosen: values of the options that were left to it (``None``), so that it can be built again.
        differentiates: it gives a gradient of what it computes, as forces are of an energy: gradients
            are enabled wherever it is called.
        jets: it gives its derivatives, ``model.jets(scalars, y, words)``; see
            :class:`~sciml.surrogates.pinn.pinn.PINN`.
        forms: of these it also gives weighted sums, ``jets(…, form)``.
        lagrangian: it works along characteristics, where residuals have another form; see
            :class:`~sciml.surrogates.pinn.lpinn.LPINN`.
        takes_scales: it is given ``scales=``, (μ, σ) of parameters, time and targets by name.
        conserves: its outputs add up to nothing; increments are then scaled and not shifted, so that a
            field that they are added to keeps its mass.
        species: of particles that it was built for; ``None``: any.
        reach: edges that a node sees far; ``None``: all of a domain, or not said.
        groups: of the nodes of a mesh, that it sees.
        structures: what it wants derived from domains and frames; see
            :mod:`sciml.surrogates.structure`.
    """

    any_resolution: bool | None = None
    pointwise: bool = False
    takes_units: bool = False
    basis: int = 0
    chosen: Mapping[str, Any] = field(default_factory=dict)
    differentiates: bool = False
    jets: bool = False
    forms: bool = False
    lagrangian: bool = False
    takes_scales: bool = False
    conserves: bool = False
    species: tuple[int, ...] | None = None
    reach: int | None = None
    groups: tuple[str, ...] = ()
    structures: tuple[Structure, ...] = ()


def traits_of(model: nn.Module) -> Traits:
    """What a model says of itself; a plain module says nothing."""
    return getattr(model, "traits", None) or Traits()


def chose(model: Model, **options: Any) -> Model:
    """The model, which says what was chosen for options left to it."""
    model.traits = replace(traits_of(model), chosen=options)
    return model
