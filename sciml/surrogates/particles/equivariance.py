"""How far a model on particles is from being equivariant, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sciml.domain.extxyz import VOIGT
from sciml.domain.names import LATTICE
from sciml.errors import DomainError
from sciml.surrogates.batch import Batch
from sciml.surrogates.physical_model import PhysicalModel
from sciml.surrogates.setting import Setting
from sciml.surrogates.structure import FrameStructure, moved

MOTIONS = ("rotation", "reflection", "translation", "permutation")


@torch.no_grad()
def equivariance_errors(
    surrogate: PhysicalModel, batch: Batch, seed: int = 0, trials: int = 1
) -> dict[str, float]:
    """max over targets of ‖f(g x) − g f(x)‖ / ‖f(x)‖, for rotations, reflections, translations and
    permutations g; in the dtype of the batch, in evaluation.

    Vectors and cells turn, positions move along; of targets that are inputs too f is the change, of
    energies what is left of them without their references. Structures are made anew. Within rounding
    the model is equivariant; PONITA's directions are too few for that, and its figure falls with more
    of them.

    Args:
        surrogate: on particles.
        batch: as the surrogate takes it.
        seed: of the motions.
        trials: motions of each kind, of which the largest error is given.

    Raises:
        DomainError: another kind of domain.
    """
    if batch.kind != "particles":
        raise DomainError(f"equivariance on a {batch.kind}; expected particles")
    training, generator = surrogate.training, torch.Generator().manual_seed(seed)
    surrogate.eval()
    worst = dict.fromkeys(MOTIONS, 0.0)
    plain = _change(surrogate, batch)
    for kind in MOTIONS * trials:
        motion = _Motion.of(kind, batch, surrogate, generator)
        found = _change(surrogate, motion.batch(batch, surrogate))
        for name, values in plain.items():
            wanted = motion.of_field(name, values, shifts=False)
            size = wanted.norm().clamp(min=torch.finfo(wanted.dtype).tiny)
            worst[kind] = max(worst[kind], float((found[name] - wanted).norm() / size))
    surrogate.train(training)
    return worst


def equivariance_lines(errors: Mapping[str, float]) -> list[str]:
    """What was measured, a line a motion."""
    return [f"{motion:12s} relative error {error:.1e}" for motion, error in errors.items()]


def _change(surrogate: PhysicalModel, batch: Batch) -> dict[str, Tensor]:
    """What comes out, less what went in, and less the references of energies."""
    found = {}
    for name, values in surrogate(batch).items():
        if name in batch.inputs:
            values = values - batch.inputs[name][:, -1:]
        normalizer = surrogate.normalizer
        offset = None if normalizer is None else normalizer.offset(name, batch)
        found[name] = values if offset is None else values - offset
    return found


@dataclass(frozen=True, slots=True)
class _Motion:
    """x ↦ Q x + t, of particles in another order."""

    setting: Setting
    places: frozenset[str]
    matrix: Tensor
    offset: Tensor
    order: Tensor

    @classmethod
    def of(
        cls, kind: str, batch: Batch, surrogate: PhysicalModel, generator: torch.Generator
    ) -> _Motion:
        setting, owner = surrogate.setting, batch.geometry["owner"].cpu()
        d, dtype = setting.scope.ndim, next(iter(batch.inputs.values())).dtype
        matrix, offset, order = torch.eye(d), torch.zeros(d), torch.arange(len(owner))
        if kind in ("rotation", "reflection"):
            drawn = torch.randn(d, d, generator=generator, dtype=torch.float64)
            matrix, _ = torch.linalg.qr(drawn)
            if (torch.linalg.det(matrix) < 0) != (kind == "reflection"):
                matrix = torch.cat([-matrix[:1], matrix[1:]])
        elif kind == "translation":
            offset = torch.randn(d, generator=generator, dtype=torch.float64)
        else:
            order = torch.argsort(owner + torch.rand(len(owner), generator=generator))
        frames = (s for s in surrogate.structures if isinstance(s, FrameStructure))
        places = {"positions", *(s.positions for s in frames)}
        if surrogate.potential is not None:
            places.add(surrogate.potential.positions)
        device = batch.geometry["owner"].device
        matrix, offset = matrix.to(device, dtype), offset.to(device, dtype)
        return cls(setting, frozenset(places), matrix, offset, order.to(device))

    def of_field(self, name: str, values: Tensor, *, shifts: bool) -> Tensor:
        """Values of a field, ``(N, …)`` or ``(B, …)``."""
        field, d = self.setting.field(name), len(self.matrix)
        values = values[self.order] if field.on == "point" else values
        turn = self.matrix.mT.to(values.dtype)
        if name == LATTICE:
            return (values.unflatten(-1, (d, d)) @ turn).flatten(-2)
        if name == "stress":
            places = torch.tensor([[0, 5, 4], [5, 1, 3], [4, 3, 2]], device=values.device)
            return (turn.mT @ values[..., places] @ turn)[..., VOIGT[0], VOIGT[1]]
        if field.components != d:
            return values
        values = values @ turn
        return values + self.offset if shifts and name in self.places else values

    def batch(self, batch: Batch, surrogate: PhysicalModel) -> Batch:
        geometry = {**batch.geometry, "species": batch.geometry["species"][self.order]}
        if "cell" in geometry:
            geometry["cell"] = geometry["cell"] @ self.matrix.mT.to(geometry["cell"].dtype)
        inputs = {n: self.of_field(n, v, shifts=True) for n, v in batch.inputs.items()}
        static = {n: self.of_field(n, v, shifts=False) for n, v in batch.static.items()}
        seen = replace(batch, inputs=inputs, static=static, geometry=geometry, targets={})
        last = {name: values[:, -1] for name, values in inputs.items()}
        anew = moved(surrogate.structures, geometry, last)
        return replace(seen, structure={**batch.structure, **anew})
