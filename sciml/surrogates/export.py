"""A surrogate as a program of tensors, for ``torch.export.load`` or compiled.

That of a potential is in :mod:`sciml.surrogates.export_particles`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from sciml.domain import Grid
from sciml.domain.wire import fields_to_wire
from sciml.errors import DomainError
from sciml.surrogates import program_file
from sciml.surrogates.batch import Batch, weights_dtype
from sciml.surrogates.example import batch_of
from sciml.surrogates.export_particles import first_line, of_particles
from sciml.surrogates.potential_program import celled, described, dtypes_of
from sciml.surrogates.scope import scope_to_wire
from sciml.surrogates.traits import traits_of

if TYPE_CHECKING:
    from sciml.surrogates.physical_model import PhysicalModel

#: Entries of a batch that a program on a grid is given, in this order; forcing where there is some.
NAMES = ("inputs", "parameters", "time", "static", "forcing")
#: Points of an example at which a model is asked.
POINTS = 5


def export(
    surrogate: PhysicalModel, path: str | Path, batch: Batch | None, *, compiled: bool
) -> None:
    """See :meth:`~sciml.surrogates.surrogate.Surrogate.export`."""
    program_file.require_name(path)
    asked = batch is None and _can_be_asked(surrogate)
    batch = batch_of(surrogate) if batch is None else batch
    if batch.kind == "particles":
        if surrogate.potential is not None:
            batch = celled(batch, surrogate.task)
            surrogate = surrogate.deriving(stress=batch.geometry["cell"].shape[-1] == 3)
        program, said = of_particles(surrogate, batch), described(surrogate, batch)
    elif batch.kind == "grid":
        program = _of_grid(surrogate, batch, asked=asked)
        said = {"task": asdict(surrogate.task), "fields": fields_to_wire(surrogate.fields)}
        said["dtypes"] = {name: dtypes_of(getattr(batch, name)) for name in NAMES}
        if isinstance(surrogate.domain, Grid):
            said["domain"] = scope_to_wire(surrogate.domain)
    else:
        raise DomainError(f"export: a {batch.kind}; only grids and particles can be exported")
    (program_file.write_compiled if compiled else program_file.write)(program, path, said)


def _can_be_asked(surrogate: PhysicalModel) -> bool:
    """Whether a program may be asked at points; changes are added to whole fields."""
    whole = surrogate.increment or surrogate.task.unroll > 1 or surrogate.masks
    grid = isinstance(surrogate.setting.scope, Grid) and surrogate.symmetrization is None
    return traits_of(surrogate.model).pointwise and grid and not whole


def _of_grid(surrogate: PhysicalModel, batch: Batch, *, asked: bool) -> ExportedProgram:
    # Sizes of one would be taken for constants.
    example = _repeat(batch) if batch.size == 1 else batch
    samples = Dim("samples", min=1)
    args: tuple[Any, ...] = (example.inputs, example.parameters, example.time, example.static)
    args += (example.forcing,) if example.forcing else ()
    whole = torch.utils._pytree.tree_map(lambda t: {0: samples}, args)
    shapes, points = dict(zip(NAMES, whole, strict=False)), {}
    if asked:
        low, high = torch.tensor(surrogate.setting.scope.extent, dtype=torch.float64).T
        part = torch.linspace(0.1, 0.9, POINTS, dtype=torch.float64)[:, None]
        points["at"] = (low + part * (high - low)).to(example.time)
        shapes["at"] = {0: Dim("points", min=1)}
    training = surrogate.training
    try:
        plain = _Plain(surrogate).eval()
        return torch.export.export(plain, args, points, dynamic_shapes=shapes, strict=False)
    except (RuntimeError, torch._dynamo.exc.UserError) as error:
        raise DomainError(
            f"export: {type(surrogate.model).__name__} cannot be written down for any number of samples "
            f"({first_line(error)}); expected sizes by x.shape, and no decisions by values"
        ) from error
    finally:
        surrogate.train(training)


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
        at: Tensor | None = None,
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
        if at is not None:
            low, high = at.new_tensor(self.surrogate.setting.scope.extent).unbind(1)
            own = weights_dtype(self.surrogate) or at.dtype
            batch = replace(batch, geometry={"at": ((at - low) / (high - low)).to(own)})
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
