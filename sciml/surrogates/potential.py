"""An energy of positions and its forces among the fields of a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sciml.domain import Field
from sciml.domain.extxyz import VOIGT
from sciml.domain.names import LATTICE
from sciml.errors import InputError
from sciml.surrogates.batch import Batch, lattice_of
from sciml.surrogates.setting import Setting


@dataclass(frozen=True, slots=True)
class Potential:
    """E(x), F = −∂E/∂x and σ = (∂E/∂ε) / V, where a task on particles has them within one frame.

    The energy is the target that is one number a frame, positions the input of vectors on particles,
    forces the target of vectors as long. Of several, those called ``energy``, ``positions`` and
    ``forces`` are meant. Stress is the target of that name, six numbers a frame in space: xx, yy, zz,
    yz, xz, xy, positive under tension, as ASE has it. ε strains positions, cell and the shifts of
    neighbours alike. A model that differentiates by positions itself gives stress, too.

    Args:
        energy: in the units of force times length.
        positions: the input.
        forces, stress: ``""``: no target.
    """

    energy: str
    positions: str
    forces: str = ""
    stress: str = ""

    @classmethod
    def of(cls, setting: Setting) -> Potential | None:
        """Those of a task; ``None`` where there is no energy, or it is in doubt which it is."""
        task, scope = setting.task, setting.scope
        if scope is None or scope.kind != "particles" or task.lead or task.history != 1:
            return None
        targets = [setting.field(name) for name in task.targets]
        positions = _one(
            (f for n in task.inputs if (f := setting.field(n)).on == "point" and f.components),
            "positions",
        )
        energy = _one(
            (f for f in targets if f.on == "global" and not f.components and not f.categories),
            "energy",
        )
        if positions is None or energy is None:
            return None
        width = positions.components
        forces = _one((f for f in targets if f.on == "point" and f.components == width), "forces")
        stress = next((f.name for f in targets if f.name == "stress" and f.components == 6), "")
        return cls(energy.name, positions.name, "" if forces is None else forces.name, stress)

    @property
    def derived(self) -> tuple[str, ...]:
        """Targets that follow from the energy."""
        return tuple(filter(None, (self.forces, self.stress)))

    def forces_of(self, energy: Tensor, positions: Tensor, *, again: bool) -> Tensor:
        """−∂E/∂x, ``(N, U, d)`` of positions ``(N, H, d)``, of which the last are now.

        Args:
            energy: ``(B, U)``; of each sample by its own positions alone.
            again: whether the forces are to be differentiated, as their loss is.
        """
        [gradient] = torch.autograd.grad(
            energy.sum(), positions, create_graph=again, materialize_grads=True
        )
        return -gradient[:, -1:]

    def watched(
        self, fields: Mapping[str, Tensor], batch: Batch
    ) -> tuple[dict[str, Tensor], Batch, tuple[Tensor, ...]]:
        """Fields and batch as a model is to see them, and what its energy is then differentiated by:
        positions; where stress is wanted a strain ``(B, d, d)`` of nothing.

        Raises:
            InputError: stress without a cell.
        """
        x = fields[self.positions]
        x = x if x.requires_grad else x.detach().requires_grad_()
        if not self.stress:
            return {**fields, self.positions: x}, batch, (x,)
        geometry, structure = batch.geometry, batch.structure
        if "cell" not in geometry and LATTICE not in fields:
            raise InputError(
                "stress of particles without a cell, whose volume is not known; drop it"
            )
        strain = x.new_zeros(batch.size, x.shape[-1], x.shape[-1], requires_grad=True)
        grown = (strain + strain.mT) / 2 + torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        owner = geometry["owner"]
        seen = {**fields, self.positions: x @ grown[owner]}
        if LATTICE in fields:
            seen[LATTICE] = (lattice_of(fields[LATTICE]) @ grown).flatten(1)[:, None]
        if "cell" in geometry:
            geometry = {**geometry, "cell": geometry["cell"].to(x.dtype) @ grown}
        if (shift := structure.get("shift")) is not None:
            of = owner[structure["neighbours"][1]]
            moved = (shift.to(x.dtype)[:, None] @ grown[of])[:, 0]
            structure = {**structure, "shift": moved}
        return seen, replace(batch, geometry=geometry, structure=structure), (x, strain)

    def derivatives(
        self, energy: Tensor, by: tuple[Tensor, ...], cell: Tensor | None, *, again: bool
    ) -> dict[str, Tensor]:
        """Forces ``(N, d)`` and stress ``(B, 6)`` by name.

        Args:
            energy: ``(B,)``.
            by: as of :meth:`watched`.
            cell: ``(B, d, d)``, where stress is wanted.
            again: whether they are to be differentiated, as their losses are.
        """
        slopes = torch.autograd.grad(energy.sum(), by, create_graph=again, materialize_grads=True)
        found = {self.forces: -slopes[0][:, -1]} if self.forces else {}
        if self.stress:
            # A compiler has no determinant of its own.
            a, b, c = cell.unbind(1)
            volume = (torch.linalg.cross(a, b) * c).sum(dim=1).abs()
            found[self.stress] = slopes[1][:, VOIGT[0], VOIGT[1]] / volume[:, None]
        return found


def _one(fields: Iterable[Field], name: str) -> Field | None:
    """The only one, or the one of that name."""
    known = list(fields)
    return next((f for f in known if f.name == name), known[0] if len(known) == 1 else None)
