"""Models that are equivariant by construction: averages over a group of symmetries of their grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, replace
from typing import final

import torch
from torch import Tensor

from sciml.domain import Domain, Field
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates.batch import Batch
from sciml.surrogates.symmetry.symmetries import Symmetries, space_of

#: One step ahead: from a batch to its outputs, ``(B, *space)`` by target.
Step = Callable[[Batch], dict[str, Tensor]]


@final
@dataclass(frozen=True, slots=True)
class Symmetrization:
    """f̄(x) = 1/|G| Σ_g g⁻¹ f(g x): the Reynolds operator over a finite group G.

    f̄ commutes with every g, f̄(g x) = g f̄(x), to rounding, whatever f is and however it was
    trained. Where f commutes already, f̄ is f. Where the truth commutes, the mean squared error of f̄
    over data whose distribution G preserves is that of f less the variance of g⁻¹ f(g x) over G.

    Shapes: inputs ``(B, H, *space)``, static fields ``(B, *space)`` and outputs ``(B, *space)``, all in
    physical units, in 1 to 3 dimensions; for a model that is asked at points, outputs ``(B, P)``.

    Cost: |G| calls of the model: 2 to 8 for ``flips``, 8 for ``square``, 48 for ``cube``, times the
    number of points along the periodic axes for ``translations``. They come one after the other, so
    memory is that of one call without gradients, and of all with them.

    Fails where: what acts on the fields is not symmetric (a forcing or a coefficient that depends on
    x and is no input, gravity, walls that differ): f̄ is symmetric all the same, and wrong. Parameters
    are not transformed. A field that answers symmetric causes by breaking the symmetry (a vortex
    that sheds left or right) is averaged away. Points that lie at the ends of an axis on one side and
    off them on the other are not mirrored into each other, unless the axis is taken for periodic.

    Args:
        symmetries: G, and the laws of the fields that are no scalars.
        task: whose fields they are.
        domain: the grid.
        fields: what is known of the fields, their parity above all; see :meth:`Symmetries.told`.

    Raises:
        InputError: no grid, a grid without that symmetry, laws that do not fit the fields, a field of
            which nobody says what it is.

    Source: Yarotsky, Constr. Approx. 55 (2022), arXiv 1804.10306, sec. 2; Puny et al., ICLR 2022,
    arXiv 2110.03336, sec. 2, where the frame is the whole group.
    """

    symmetries: Symmetries
    task: Task
    domain: Domain | None
    fields: InitVar[Sequence[Field]] = ()

    def __post_init__(self, fields: Sequence[Field]) -> None:
        if self.domain is None or self.domain.kind != "grid":
            found = "without a domain" if self.domain is None else f"on a {self.domain.kind}"
            raise InputError(
                f"symmetrize: a surrogate {found}; expected one on a grid, the only domain whose "
                "points have these symmetries"
            )
        self.symmetries.require_sphere(self.domain)
        if self.symmetries.swaps and len(set(self.domain.boundary)) > 1:
            raise InputError(
                f"symmetrize: exchange of axes between boundaries {', '.join(self.domain.boundary)}; "
                "expected the same at all axes, or take 'flips'"
            )
        self._require(self.domain.shape)
        told = self.symmetries.told_on(self.domain, self.task, fields)
        object.__setattr__(self, "symmetries", told)

    def __call__(self, step: Step, batch: Batch) -> dict[str, Tensor]:
        """The average of what ``step`` gives for ``batch``."""
        group, periodic = self.symmetries, self._periodic
        spans = batch.inputs or batch.static
        shape = space_of(batch, self.domain.ndim) if spans else self.domain.shape
        if shape != self.domain.shape:
            self._require(shape)
        elements = group.elements(shape, periodic)
        first = 2 if self.task.bundle > 1 else 1
        total: dict[str, Tensor] = {}
        for element in elements:
            outputs = step(group.batch(element, batch, periodic, shape))
            turned = [periodic[p] for p in element.order]
            back = group.fields(element.inverse, outputs, turned, first, "at" in batch.geometry)
            total = {n: total[n] + back[n] if total else back[n] for n in back}
        return {n: found / len(elements) for n, found in total.items()}

    @property
    def _periodic(self) -> list[bool]:
        return [kind == "periodic" for kind in self.domain.boundary]

    def _require(self, shape: tuple[int, ...]) -> None:
        """Refuse ``shape`` points on the box if they lack the symmetry."""
        grid = replace(self.domain, shape=shape)
        # On the CPU: a study is checked on torch's meta device, which has no values.
        spacing = torch.tensor(grid.spacing, dtype=torch.float64, device="cpu")
        self.symmetries.require_grid(shape, self._periodic, spacing)
