"""An energy of positions and its forces among the fields of a task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.domain import Field
from sciml.surrogates.setting import Setting


@dataclass(frozen=True, slots=True)
class Potential:
    """E(x), and F = −∂E/∂x, where a task on particles has them within one frame.

    The energy is the target that is one number a frame, positions the input of vectors on particles,
    forces the target of vectors as long. Of several, those called ``energy``, ``positions`` and
    ``forces`` are meant.

    Args:
        energy: in the units of force times length.
        positions: the input.
        forces: ``""``: no target.
    """

    energy: str
    positions: str
    forces: str = ""

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
        return cls(energy.name, positions.name, "" if forces is None else forces.name)

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


def _one(fields: Iterable[Field], name: str) -> Field | None:
    """The only one, or the one of that name."""
    known = list(fields)
    return next((f for f in known if f.name == name), known[0] if len(known) == 1 else None)
