"""Potentials that were exported, in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn

from sciml.domain.wire import fields_from_wire, fields_to_wire
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import program_file
from sciml.surrogates.batch import Batch
from sciml.surrogates.particles.mace.edges import PairedNeighbours
from sciml.surrogates.particles.neighbours import Complete, Nearest, Neighbours
from sciml.surrogates.potential import Potential
from sciml.surrogates.scope import Scope, scope_from_wire, scope_to_wire
from sciml.surrogates.setting import Setting
from sciml.surrogates.structure import Structure

if TYPE_CHECKING:
    from sciml.surrogates.physical_model import PhysicalModel

#: Entries of a batch that a program is given, in this order.
GIVEN = ("inputs", "parameters", "time", "static", "geometry", "structure")
#: Structures that a program may want, by name.
STRUCTURES = {kind.__name__: kind for kind in (Neighbours, Nearest, Complete, PairedNeighbours)}

Values = dict[str, Tensor] | Tensor


@final
class PotentialProgram:
    """Energy, forces and stress by a program that :meth:`Surrogate.export` wrote, compiled or not.

    >>> PotentialProgram.load("ethanol.pt2")(batch)        # doctest: +SKIP

    Args:
        run: takes what ``GIVEN`` names.
        said: what the file says of it.
        name: of the file, for messages.

    Raises:
        InputError: a program of something else.
    """

    def __init__(self, run: Callable[..., Any], said: Mapping[str, Any], name: str) -> None:
        if not said.get("potential"):
            raise InputError(f"{name}: a program of no potential; expected energies of positions")
        self._run, self._dtypes, self._name = run, said["dtypes"], name
        #: What it takes is made of weights on this device.
        self.device = torch.device(said["device"])
        self.task = Task.of(said["task"])
        self.fields = tuple(fields_from_wire(said["fields"]))
        self.domain = None if said["domain"] is None else scope_from_wire(said["domain"])
        self.setting = Setting(self.task, self.domain, self.fields)
        own = Potential(**said["potential"])
        self.potential = own
        self.structures = tuple(_structure(one, name) for one in said["structures"])

    @classmethod
    def load(cls, path: str | Path) -> PotentialProgram:
        """The program in a file. A compiled one is native code, which loading runs: load your own.

        Raises:
            InputError: no program, or one that :meth:`Surrogate.export` did not write.
        """
        run, said = program_file.read(path)
        return cls(run, said, str(path))

    def parameters(self) -> Iterator[nn.Parameter]:
        """None that anybody could change."""
        return iter(())

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Targets as of the surrogate that was exported; stress says nothing where there is no cell."""
        batch = celled(batch, self.task)
        return self._run(*(self._suited(name, getattr(batch, name)) for name in GIVEN))

    def _suited(self, entry: str, values: Values) -> Values:
        """In the dtype with which it was written, which a program does not look at."""
        said = self._dtypes[entry]
        if isinstance(values, Tensor):
            return values.to(self.device, getattr(torch, said)).contiguous()
        if lacking := said.keys() - values.keys():
            raise InputError(f"{self._name}: no '{min(lacking)}' in {entry} of a batch")
        return {
            n: values[n].to(self.device, getattr(torch, dtype)).contiguous()
            for n, dtype in said.items()
        }


def described(surrogate: PhysicalModel, batch: Batch) -> dict[str, Any]:
    """What a file says of a program on particles: of a potential, for :class:`PotentialProgram`."""
    scope = surrogate.domain if isinstance(surrogate.domain, Scope) else None
    found = {}
    for structure in surrogate.structures:
        name = type(structure).__name__
        known = STRUCTURES.get(name) is type(structure)
        found[name] = asdict(structure) if known else None
    return {
        "task": asdict(surrogate.task),
        "fields": fields_to_wire(surrogate.fields),
        "domain": None if scope is None else scope_to_wire(scope),
        "potential": None if surrogate.potential is None else asdict(surrogate.potential),
        "structures": [[name, options] for name, options in found.items()],
        "dtypes": {name: dtypes_of(getattr(batch, name)) for name in GIVEN},
        "device": str(batch.time.device),
    }


def celled(batch: Batch, task: Task) -> Batch:
    """With a cell of length 1 where there is none, so that one program serves molecules and crystals."""
    geometry = batch.geometry
    if "cell" in geometry:
        return batch
    d = len(geometry["periodic"])
    cell = torch.eye(d, dtype=torch.float64, device=batch.time.device).repeat(batch.size, 1, 1)
    return replace(batch, geometry={**geometry, "cell": cell})


def dtypes_of(values: Values) -> Any:
    """Names of dtypes, by the names of tensors."""
    if isinstance(values, Tensor):
        return str(values.dtype).removeprefix("torch.")
    return {name: dtypes_of(t) for name, t in values.items()}


def _structure(said: list[Any], name: str) -> Structure:
    kind, options = said
    if options is None or kind not in STRUCTURES:
        raise InputError(
            f"{name}: wants {kind}, which its model derives from particles; expected "
            f"{', '.join(STRUCTURES)}: use the surrogate that was exported"
        )
    return STRUCTURES[kind](**options)
