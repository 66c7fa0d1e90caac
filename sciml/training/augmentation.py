"""Symmetries of the equation as more data: reflections, quarter turns, translations of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sciml.domain.names import grid_dims
from sciml.errors import InputError, nearest
from sciml.surrogates.batch import Batch

#: Dimensions of the grids that each name is for; ``None``: all.
SYMMETRIES: dict[str, int | None] = {"flips": None, "square": 2, "cube": 3, "translations": None}


@dataclass(frozen=True, slots=True)
class Element:
    """x'_i = s_i x_{p(i)} + shift_i: what is done to the axes of one batch, ``(z, y, x)``.

    Args:
        order: p, the old axis that each new one is.
        signs: s, −1 where an axis is reflected.
        shifts: in points, along the new axes.
    """

    order: tuple[int, ...]
    signs: tuple[int, ...]
    shifts: tuple[int, ...]

    @property
    def determinant(self) -> int:
        """+1 for rotations, −1 for reflections."""
        sign, order = 1, list(self.order)
        for i in range(len(order)):
            while order[i] != i:
                j = order[i]
                order[i], order[j] = order[j], order[i]
                sign = -sign
        for s in self.signs:
            sign *= s
        return sign


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Each batch, as it is drawn, under one random element of a group of symmetries.

    Inputs, targets, static fields and the spacing go together. Scalar fields go to new points. A
    vector field v goes to v'_i(x') = s_i v_{p(i)}(x): its components change places and signs. A
    pseudoscalar, such as vorticity in the plane, changes its sign under reflections besides.

    Whether the equation, its coefficients and its boundaries have the symmetry is for the user to
    know: an advection velocity that is a parameter, gravity, or a forcing that depends on x have
    not. Parameters are not transformed. On a periodic axis a reflection is x → L − x.

    Args:
        symmetries: ``flips``: reflections of each axis; ``square`` and ``cube``: those and exchanges
            of axes (the dihedral group of 8, the octahedral group of 48), on grids with equal
            axes alone; ``translations``: by whole points along periodic axes.
        vectors: names of the components by axis, ``{"x": "vx", "y": "vy"}``, one entry a vector field.
            On a line, ``{"x": "u"}`` is a field that changes its sign with x, as in Burgers' and
            Kuramoto's and Sivashinsky's equations.
        pseudoscalars: names of fields.

    Raises:
        InputError: unknown names; fields off a grid, a grid of another dimension, axes that differ.

    Source: Brandstetter, Welling, Worrall, ICML 2022, arXiv 2202.07643.
    """

    symmetries: Sequence[str] = ()
    vectors: Sequence[Mapping[str, str]] = ()
    pseudoscalars: Sequence[str] = ()

    def __post_init__(self) -> None:
        given = (self.symmetries,) if isinstance(self.symmetries, str) else tuple(self.symmetries)
        object.__setattr__(self, "symmetries", given)
        object.__setattr__(self, "vectors", tuple(dict(v) for v in self.vectors))
        object.__setattr__(self, "pseudoscalars", tuple(self.pseudoscalars))
        if not given:
            raise InputError(f"augment: no symmetries; expected some of {', '.join(SYMMETRIES)}")
        for name in given:
            if name not in SYMMETRIES:
                raise InputError(f"augment: unknown symmetry '{name}'; {nearest(name, SYMMETRIES)}")
        fields = [*self.pseudoscalars, *(f for v in self.vectors for f in v.values())]
        for name in fields:
            if fields.count(name) > 1:
                raise InputError(f"augment: field '{name}' has two laws; name it once")
        for axis in (a for v in self.vectors for a in v):
            if axis not in grid_dims(3):
                raise InputError(
                    f"augment: component along '{axis}' of a vector; expected x, y or z, such as "
                    "{x: vx, y: vy}"
                )

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        if "spacing" not in batch.geometry:
            raise InputError(
                f"augment: fields on a domain of kind '{batch.kind}'; expected a grid, the only one "
                "whose points have these symmetries"
            )
        return self.apply(self.draw(batch), batch)

    def draw(self, batch: Batch) -> Element:
        """A random element that fits the grid of the batch; from torch's global generator."""
        periodic = batch.geometry["periodic"].tolist()
        d = len(periodic)
        for name in self.symmetries:
            if SYMMETRIES[name] not in (None, d):
                raise InputError(
                    f"augment: '{name}' on a grid of {d} axes; expected {SYMMETRIES[name]}, or take "
                    "'flips'"
                )
        swaps = any(SYMMETRIES[name] for name in self.symmetries)
        flips = swaps or "flips" in self.symmetries
        shape = _space(batch, d)
        if swaps:
            _require_square(batch, shape, periodic)
        order = tuple(torch.randperm(d).tolist()) if swaps else tuple(range(d))
        signs = tuple((1 - 2 * torch.randint(0, 2, (d,))).tolist()) if flips else (1,) * d
        shifts = (0,) * d
        if "translations" in self.symmetries:
            if not any(periodic):
                raise InputError(
                    "augment: 'translations' on a grid without a periodic axis; remove it"
                )
            shifts = tuple(
                int(torch.randint(0, n, ())) if wraps else 0
                for n, wraps in zip(shape, periodic, strict=True)
            )
        return Element(order, signs, shifts)

    def apply(self, element: Element, batch: Batch) -> Batch:
        """The batch under one element."""
        periodic = batch.geometry["periodic"].tolist()
        order = list(element.order)
        geometry = {
            **batch.geometry,
            "spacing": batch.geometry["spacing"][:, order],
            "periodic": batch.geometry["periodic"][order],
        }
        return replace(
            batch,
            inputs=self._fields(element, batch.inputs, periodic, 2),
            targets=self._fields(element, batch.targets, periodic, 2),
            static=self._fields(element, batch.static, periodic, 1),
            geometry=geometry,
        )

    def _fields(
        self, element: Element, fields: dict[str, Tensor], periodic: list[bool], first: int
    ) -> dict[str, Tensor]:
        """Fields whose axes of space begin at ``first``; values that belong to no point stay."""
        found = {}
        for name, values in fields.items():
            if values.ndim == first:
                found[name] = values
                continue
            source, sign = self._law(element, name)
            if source not in fields:
                raise InputError(
                    f"augment: '{name}' becomes '{source}' under an exchange of axes, which is not "
                    f"beside it among {', '.join(fields)}; add it to the task, or take 'flips'"
                )
            moved = _moved(fields[source], element, periodic, first)
            found[name] = moved if sign > 0 else -moved
        return found

    def _law(self, element: Element, name: str) -> tuple[str, int]:
        """Field that a field's new values come from, and their sign."""
        dims = grid_dims(len(element.order))
        for vector in self.vectors:
            for axis, component in vector.items():
                if component != name:
                    continue
                if axis not in dims:
                    raise InputError(
                        f"augment: '{name}' is a component along '{axis}', yet the axes of the grid "
                        f"are {', '.join(dims)}"
                    )
                i = dims.index(axis)
                before = dims[element.order[i]]
                if before not in vector:
                    raise InputError(
                        f"augment: the vector with component '{name}' along '{axis}' has none along "
                        f"'{before}', with which it changes places; name it, or take 'flips'"
                    )
                return vector[before], element.signs[i]
        return name, element.determinant if name in self.pseudoscalars else 1


def _space(batch: Batch, d: int) -> tuple[int, ...]:
    """Points along each axis."""
    for fields, first in ((batch.inputs, 2), (batch.targets, 2), (batch.static, 1)):
        for values in fields.values():
            if values.ndim == first + d:
                return tuple(values.shape[first:])
    raise InputError("augment: no field on the grid among inputs and targets; remove augment")


def _require_square(batch: Batch, shape: Sequence[int], periodic: Sequence[bool]) -> None:
    spacing = batch.geometry["spacing"]
    alike = torch.allclose(spacing, spacing[:, :1].expand_as(spacing), rtol=1e-5, atol=0.0)
    if len(set(shape)) > 1 or len(set(periodic)) > 1 or not alike:
        spaced = ", ".join(f"{h:g}" for h in spacing[0].tolist())
        raise InputError(
            f"augment: exchange of axes of a grid of {tuple(shape)} points, spacing {spaced}, "
            f"periodic {tuple(periodic)}; expected equal axes, or take 'flips'"
        )


def _moved(values: Tensor, element: Element, periodic: list[bool], first: int) -> Tensor:
    """Values at their new points."""
    values = values.permute(*range(first), *(first + p for p in element.order))
    flipped = [i for i, sign in enumerate(element.signs) if sign < 0]
    if flipped:
        values = values.flip([first + i for i in flipped])
    # On a periodic axis x → L − x maps point 0 to itself: one point on from the reversed order.
    shifts = [
        shift + (sign < 0 and periodic[p])
        for shift, sign, p in zip(element.shifts, element.signs, element.order, strict=True)
    ]
    if any(shifts):
        values = values.roll(shifts, [first + i for i in range(len(shifts))])
    return values.contiguous()
