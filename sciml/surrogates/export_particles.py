"""Surrogates of particles as programs: forces and stress are gradients that are written out in them.

``torch.export`` does not follow gradients that are taken within; what follows them is ``make_fx``, whose
graph of plain operations is then exported. It holds for any number of particles, pairs and samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx

from sciml.errors import DomainError
from sciml.surrogates.batch import Batch, weights_dtype
from sciml.surrogates.potential_program import GIVEN

if TYPE_CHECKING:
    from sciml.surrogates.physical_model import PhysicalModel

#: Part of the largest output by which a program may be off, by the dtype of weights: the order of sums.
SAME = {torch.float64: 1e-10, torch.float32: 1e-4}


def of_particles(surrogate: PhysicalModel, batch: Batch) -> ExportedProgram:
    """The program of a batch like this one; what it gives of another one has been compared.

    Raises:
        DomainError: a model whose sizes are fixed, or that decides by what it is given.
    """
    training = surrogate.training
    own = surrogate.potential
    forces = set() if own is None else {own.forces}
    on_points = {f.name for f in surrogate.fields if f.on == "point"} | forces
    example = _twice(batch)
    flat, tree = torch.utils._pytree.tree_flatten(_with_one_more(_arguments(example)))

    def plain(*tensors: Tensor) -> dict[str, Tensor]:
        given = dict(zip(GIVEN, torch.utils._pytree.tree_unflatten(tensors, tree), strict=True))
        size = given["geometry"]["ptr"].shape[0] - 1
        return surrogate(Batch(**given, on=batch.on, size=size, kind="particles"))

    try:
        surrogate.eval()
        # Sizes that are equal by chance, such as of a layer and of the batch, are not the same.
        apart = torch.fx.experimental._config.patch(use_duck_shape=False)
        with torch.no_grad(), _compiling(), apart:
            graph = make_fx(plain, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*flat)
        arguments = _arguments(example)
        # What cannot be proved of all sizes beforehand, such as that 8 n is the lesser of 8 n and 896 n,
        # the program asserts where it runs.
        program = torch.export.export(
            _Flat(graph, on_points),
            arguments,
            dynamic_shapes=_shapes(example),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        with torch.no_grad():
            known, found = surrogate(batch), program.module()(*_arguments(batch))
    except (RuntimeError, torch._dynamo.exc.UserError) as error:
        raise DomainError(
            f"export: {type(surrogate.model).__name__} cannot be written down for any number of "
            f"particles ({first_line(error)}); expected sizes by x.shape, and no decisions by values"
        ) from error
    finally:
        surrogate.train(training)
    may = SAME.get(weights_dtype(surrogate), 1e-4)
    for name, value in known.items():
        off = (found[name] - value).abs().max() if value.numel() else 0.0
        if not off <= may * max(float(value.abs().max()), 1.0):
            raise DomainError(
                f"export: the program gives '{name}' off by {float(off):.2g}; expected the same as the "
                f"surrogate: {type(surrogate.model).__name__} decides by what it is given"
            )
    return program


def first_line(error: BaseException) -> str:
    """What an error of torch says before it explains itself at length."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class _Flat(nn.Module):
    """A graph of a list of tensors, as a function of the entries of a batch."""

    def __init__(self, graph: nn.Module, on_points: set[str]) -> None:
        super().__init__()
        self.on_points = on_points
        self.operations = graph

    def forward(
        self,
        inputs: dict[str, Tensor],
        parameters: Tensor,
        time: Tensor,
        static: dict[str, Tensor],
        geometry: dict[str, Tensor],
        structure: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        given = _with_one_more((inputs, parameters, time, static, geometry, structure))
        found = self.operations(*torch.utils._pytree.tree_flatten(given)[0])
        # Lengths by axes of their own, which are taken for long ones; of a slice, and of a difference,
        # it would be asked whether it is 1.
        numbers = torch.arange(time.shape[0], device=time.device)
        points = torch.arange(geometry["owner"].shape[0], device=time.device)
        return {
            n: t.index_select(0, points if n in self.on_points else numbers)
            for n, t in found.items()
        }


def _with_one_more(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The entries of a batch with a sample of one particle behind, and its image 1 away twice.

    Sizes of 0 and 1 are special to a graph, which is written down for those above: one molecule, one
    atom, atoms without neighbours are then as all others.
    """
    inputs, parameters, time, static, geometry, structure = given
    count, samples = geometry["owner"].shape[0], time.shape[0]

    def longer(t: Tensor) -> Tensor:
        return torch.cat([t, t[:1]])

    more = {n: t if n == "periodic" else longer(t) for n, t in geometry.items()}
    more["ptr"] = torch.cat([geometry["ptr"], geometry["ptr"][-1:] + 1])
    more["owner"] = torch.cat([geometry["owner"], geometry["ptr"][:1] + samples])
    pairs = {n: torch.cat([t, t.new_ones(2, *t.shape[1:])]) for n, t in structure.items()}
    if "neighbours" in structure:
        own = structure["neighbours"].new_ones(2, 2) * count
        pairs["neighbours"] = torch.cat([structure["neighbours"], own], dim=1)
    named = ({n: longer(t) for n, t in fields.items()} for fields in (inputs, static))
    inputs, static = named
    return inputs, longer(parameters), longer(time), static, more, pairs


def _arguments(batch: Batch) -> tuple[Any, ...]:
    return tuple(getattr(batch, name) for name in GIVEN)


def _shapes(batch: Batch) -> tuple[Any, ...]:
    """Which axes are of any length."""
    particles, samples, edges = Dim("particles", min=1), Dim("samples", min=1), Dim("edges")
    overall = {name for name, place in batch.on.items() if place == "global"}
    length = {"ptr": {0: samples + 1}, "owner": {0: particles}, "species": {0: particles}}
    return (
        {n: {0: samples if n in overall else particles} for n in batch.inputs},
        {0: samples},
        {0: samples},
        {n: {0: samples if n in overall else particles} for n in batch.static},
        {n: length.get(n, {0: samples} if n == "cell" else {}) for n in batch.geometry},
        {n: {1: edges} if n == "neighbours" else {0: edges} for n in batch.structure},
    )


def _twice(batch: Batch) -> Batch:
    """Each sample again: sizes of one would be taken for constants."""
    count, size = len(batch.geometry["owner"]), batch.size
    more = {"owner": size, "ptr": count, "neighbours": count}

    def again(name: str, t: Tensor) -> Tensor:
        if name == "periodic":
            return t
        if name == "ptr":
            return torch.cat([t, t[1:] + count])
        return torch.cat([t, t + more.get(name, 0)], dim=1 if name == "neighbours" else 0)

    held = {
        name: {n: again(n, t) for n, t in getattr(batch, name).items()}
        for name in ("inputs", "static", "geometry", "structure")
    }
    parameters, time = again("parameters", batch.parameters), again("time", batch.time)
    return Batch(
        **held, parameters=parameters, time=time, on=batch.on, size=2 * size, kind=batch.kind
    )


@contextmanager
def _compiling() -> Iterator[None]:
    """Within, models do not look at values: ``torch.compiler.is_compiling()``."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before
