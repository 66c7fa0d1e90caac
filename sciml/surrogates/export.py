"""A surrogate as a program of tensors, for ``torch.export.load``.

That of a potential is in :mod:`sciml.surrogates.export_particles`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sciml.errors import DomainError
from sciml.surrogates.batch import Batch
from sciml.surrogates.export_particles import of_particles

if TYPE_CHECKING:
    from sciml.surrogates.physical_model import PhysicalModel


def export(surrogate: PhysicalModel, path: str | Path, batch: Batch) -> None:
    """See :meth:`~sciml.surrogates.surrogate.Surrogate.export`."""
    if batch.kind == "particles":
        torch.export.save(of_particles(surrogate, batch), path)
        return
    if batch.kind != "grid":
        raise DomainError(f"export: a {batch.kind}; only grids and particles can be exported")
    # Sizes of one would be taken for constants.
    example = _repeat(batch) if batch.size == 1 else batch
    samples = torch.export.Dim("samples", min=1)
    args = (example.inputs, example.parameters, example.time, example.static)
    args += (example.forcing,) if example.forcing else ()
    shapes = torch.utils._pytree.tree_map(lambda t: {0: samples}, args)
    training = surrogate.training
    try:
        plain = _Plain(surrogate).eval()
        program = torch.export.export(plain, args, dynamic_shapes=shapes, strict=False)
    finally:
        surrogate.train(training)
    torch.export.save(program, path)


class _Plain(nn.Module):
    """The surrogate as a function of tensors alone."""

    def __init__(self, surrogate: PhysicalModel) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.masks = {n: torch.from_numpy(m)[None, None] for n, m in surrogate.masks.items()}

    def forward(
        self,
        inputs: dict[str, Tensor],
        parameters: Tensor,
        time: Tensor,
        static: dict[str, Tensor],
        forcing: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        batch = Batch(
            inputs=inputs,
            parameters=parameters,
            time=time,
            static=static,
            forcing=forcing or {},
        )
        if self.masks:
            batch = replace(batch, masks=self.masks)
        return self.surrogate(batch)


def _repeat(batch: Batch) -> Batch:
    def twice(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {n: torch.cat([t, t]) for n, t in tensors.items()}

    return Batch(
        inputs=twice(batch.inputs),
        parameters=torch.cat([batch.parameters] * 2),
        time=torch.cat([batch.time] * 2),
        static=twice(batch.static),
        forcing=twice(batch.forcing),
        size=2,
    )
