"""Learning of an energy by itself and by the forces that are its gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.errors import require_known
from sciml.surrogates.batch import Batch
from sciml.surrogates.potential import Potential
from sciml.surrogates.setting import Setting
from sciml.training.losses import mse
from sciml.training.objective import compared


class EnergyForces:
    """mean ((Ê − E) / nσ)² of energies a particle, and mean ((F̂ − F) / σ)² of each component of a force.

    Stress, where it is a target, likewise, by its own root mean square. σ is the root mean square of the
    forces where the model has a normalizer, so that units do not matter; of a model without, 1. The
    difference is taken in the precision of the data. A surrogate derives forces from its energy itself,
    F = −∂E/∂x; of any other model that gives energies alone they are derived here.

    Args:
        energy, forces: names of the targets.
        positions: name of the input. ``""``: those of the surrogate, or ``energy``, ``forces`` and
            ``positions``.

    Gives ``{"energy": …, "forces": …, "stress": …}``, of which those that are targets: weight them in
    the phase.

    Raises:
        InputError: in use: fields that the task does not have.
    """

    def __init__(self, energy: str = "", forces: str = "", positions: str = "") -> None:
        self.given = Potential(energy, positions, forces)

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        names = self._names(getattr(model, "potential", None))
        pulled = names.forces in batch.targets
        positions = batch.inputs[names.positions] if pulled else None
        if pulled and getattr(model, "potential", None) is None:
            positions.requires_grad_()
        outputs = dict(model(batch))
        if pulled and names.forces not in outputs:
            again = torch.is_grad_enabled()
            energy = outputs[names.energy]
            outputs[names.forces] = names.forces_of(energy, positions, again=again)
        derived = {"forces": names.forces, "stress": names.stress}
        derived = {loss: name for loss, name in derived.items() if name in batch.targets}
        seen = {
            name: compared(model, name, outputs[name], batch.targets[name], batch, whole=False)
            for name in (names.energy, *derived.values())
        }
        error = seen[names.energy].error
        particles = torch.diff(batch.geometry["ptr"]).to(error.dtype)[:, None]
        found = {"energy": (error / particles).square().mean()}
        return found | {loss: mse(seen[name])[0] for loss, name in derived.items()}

    def losses(self, setting: Setting) -> tuple[str, ...]:
        """Names of what it gives."""
        names = self._names(Potential.of(setting))
        derived = {"forces": names.forces, "stress": names.stress}
        return ("energy", *(n for n, name in derived.items() if name in setting.task.targets))

    def require(self, setting: Setting) -> None:
        """Raises :class:`InputError` for fields that the task does not have."""
        names, task = self._names(Potential.of(setting)), setting.task
        wanted = [("target", names.energy, task.targets), ("input", names.positions, task.inputs)]
        if self.given.forces:
            wanted.append(("target", names.forces, task.targets))
        for what, name, known in wanted:
            require_known(f"objective 'energy_forces': no {what}", name, known)

    def _names(self, known: Potential | None) -> Potential:
        usual = Potential("energy", "positions", "forces") if known is None else known
        given = self.given
        return Potential(
            given.energy or usual.energy,
            given.positions or usual.positions,
            given.forces or usual.forces,
            usual.stress,
        )
