"""What a task gives of particles and wants of them, sorted by how it turns with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.domain.names import LATTICE
from sciml.errors import InputError
from sciml.surrogates.particles.neighbours import TOO_NEAR
from sciml.surrogates.potential import Potential
from sciml.surrogates.setting import Setting

#: A number a sample, a number a particle, a vector a particle, a vector a sample.
SUM, NUMBER, VECTOR, VECTOR_SUM = "sum", "number", "vector", "vector sum"


@dataclass(frozen=True, slots=True)
class ParticleInputs:
    """Inputs of one batch.

    Args:
        x: positions ``(N, d)``, in their units.
        numbers: ``(N, S)``: species, a channel each, static numbers, numbers that move, parameters; at
            least one, of ones.
        vectors: ``(N, V, d)``, such as velocities.
        pairing: the static numbers among them, whose products say how a pair acts on each other.
        owner: the sample of each particle.
        samples: how many.
    """

    x: Tensor
    numbers: Tensor
    vectors: Tensor
    pairing: Tensor
    owner: Tensor
    samples: int


@dataclass(frozen=True, slots=True)
class ParticleFields:
    """Inputs and targets of a task on particles, by what they are.

    The positions are the input of that name, or else the first of vectors. Targets with as many
    components as there are axes are vectors, those without any numbers; where they are one a frame,
    they are sums over particles. Forces and stress beside an energy are derived of it and not wanted.

    Args:
        ndim: axes of space.
        inputs: names in the order of the task; which of them are vectors.
        positions: name of the input.
        static: names, and of which the values are vectors.
        paired: static numbers with one channel.
        species: atomic numbers or indices, a channel each; empty: particles are all alike.
        parameters: how many.
        wanted: what each target is.
        counts: of numbers and vectors that come in.
        atoms: whether there is an energy of positions.
    """

    ndim: int
    inputs: tuple[tuple[str, bool], ...]
    positions: str
    static: tuple[tuple[str, bool], ...]
    paired: tuple[str, ...]
    species: tuple[int, ...]
    parameters: int
    wanted: Mapping[str, str]
    counts: tuple[int, int]
    atoms: bool = False

    @classmethod
    def of(
        cls, model: str, setting: Setting, species: Sequence[int] | None = None
    ) -> ParticleFields:
        """Those of a setting.

        Args:
            model: its name, for messages.
            species: those that may come; ``None``: those of the setting.

        Raises:
            InputError: no particles; a task without positions, with several frames, or with targets of
                another kind.
        """
        scope, task = setting.scope, setting.task
        if getattr(scope, "kind", None) != "particles":
            kind = "no domain" if scope is None else f"a {scope.kind}"
            raise InputError(f"model '{model}': got {kind}; expected particles")
        if task.history != 1 or task.bundle != 1 or task.time:
            raise InputError(
                f"model '{model}': history={task.history}, bundle={task.bundle}, time={task.time}; "
                "expected one frame in and one out"
            )
        d = scope.ndim
        inputs = tuple((n, _vector(setting, n, d)) for n in task.inputs if n != LATTICE)
        vectors = [name for name, vector in inputs if vector]
        if not vectors:
            raise InputError(
                f"model '{model}': inputs {', '.join(task.inputs)} without a vector of {d} components "
                "for each particle; expected positions"
            )
        positions = "positions" if "positions" in vectors else vectors[0]
        static = tuple((n, _vector(setting, n, d)) for n in task.static)
        atoms = Potential.of(setting) is not None
        if species is None:
            species = scope.species if len(scope.species) > 1 or atoms else ()
        numbers = sum(setting.width(n) for n, vector in (*inputs, *static) if not vector)
        numbers += len(species) + len(task.parameters)
        return cls(
            ndim=d,
            inputs=inputs,
            positions=positions,
            static=static,
            paired=tuple(n for n, vector in static if not vector and setting.width(n) == 1),
            species=tuple(sorted({*species})),
            parameters=len(task.parameters),
            wanted=_wanted(model, setting, d),
            counts=(max(numbers, 1), len(vectors) - 1 + sum(vector for _, vector in static)),
            atoms=atoms,
        )

    @property
    def near(self) -> float:
        """Part of the distance of neighbours within which two are at one place: only atoms keep away
        from each other."""
        return TOO_NEAR if self.atoms else 0.0

    def number(self, *kinds: str) -> int:
        """How many targets are of these kinds."""
        return sum(kind in kinds for kind in self.wanted.values())

    @property
    def numbers_out(self) -> int:
        return self.number(SUM, NUMBER)

    @property
    def vectors_out(self) -> int:
        return self.number(VECTOR, VECTOR_SUM)

    def seen(
        self,
        fields: Sequence[Tensor],
        species: Tensor,
        ptr: Tensor,
        owner: Tensor,
        parameters: Tensor | None,
        others: Mapping[str, Tensor],
    ) -> ParticleInputs:
        """Inputs of a batch, as models are called with them.

        Raises:
            InputError: a species that the model was not built for.
        """
        named = {name: field for (name, _), field in zip(self.inputs, fields, strict=True)}
        x = named.pop(self.positions)
        n = x.shape[0]  # len() would fix it in a program that is exported
        named |= {name: others[name].to(x.dtype) for name, _ in self.static}
        is_vector = dict((*self.inputs, *self.static))
        numbers, vectors = [self._kinds(species, x.dtype)], []
        for name, values in named.items():
            rows = values if values.shape[0] == n else values[owner]
            (vectors if is_vector[name] else numbers).append(rows.reshape(n, -1))
        if self.parameters:
            numbers.append(parameters.to(x.dtype)[owner])
        found = torch.cat(numbers, dim=1)
        paired = [others[name].to(x.dtype).reshape(-1, 1) for name in self.paired]
        paired = [values if values.shape[0] == n else values[owner] for values in paired]
        return ParticleInputs(
            x=x,
            numbers=found if found.shape[1] else x.new_ones(n, 1),
            vectors=torch.stack(vectors, dim=1) if vectors else x.new_zeros(n, 0, self.ndim),
            pairing=torch.cat(paired, dim=1) if paired else x.new_zeros(n, 0),
            owner=owner,
            samples=ptr.shape[0] - 1,
        )

    def given(
        self, numbers: Tensor | None, vectors: Tensor | None, seen: ParticleInputs
    ) -> dict[str, Tensor]:
        """Targets by name, of ``numbers (N, numbers_out)`` and ``vectors (N, vectors_out, d)``."""
        found, places = {}, {"numbers": 0, "vectors": 0}
        for name, kind in self.wanted.items():
            row = "numbers" if kind in (SUM, NUMBER) else "vectors"
            values = (numbers if row == "numbers" else vectors)[:, places[row]]
            places[row] += 1
            if kind in (SUM, VECTOR_SUM):
                empty = values.new_zeros((seen.samples, *values.shape[1:]))
                values = empty.index_add(0, seen.owner, values)
            found[name] = values
        return found

    def _kinds(self, species: Tensor, dtype: torch.dtype) -> Tensor:
        known = torch.tensor(self.species, device=species.device, dtype=species.dtype)
        hot = species[:, None] == known
        if torch.compiler.is_compiling():  # a program cannot refuse them
            return torch.where(hot.any(dim=1, keepdim=True), hot.to(dtype), torch.nan)
        if self.species and not species.is_meta:
            strange = species[~hot.any(dim=1)]
            if len(strange):
                new = ", ".join(map(str, strange.unique().tolist()))
                raise InputError(
                    f"species {new} of particles; the model was built for "
                    f"{', '.join(map(str, self.species))}: name all in its option species"
                )
        return hot.to(dtype)


def _vector(setting: Setting, name: str, d: int) -> bool:
    field = setting.field(name)
    return field.on == "point" and field.components == d


def _wanted(model: str, setting: Setting, d: int) -> dict[str, str]:
    potential, found = Potential.of(setting), {}
    for name in setting.task.targets:
        if potential is not None and name in potential.derived:
            continue
        field = setting.field(name)
        kinds = {
            ("global", 0): SUM,
            ("point", 0): NUMBER,
            ("point", d): VECTOR,
            ("global", d): VECTOR_SUM,
        }
        if field.categories or (field.on, field.components) not in kinds:
            raise InputError(
                f"model '{model}': target '{name}' with {setting.width(name)} components; expected "
                f"numbers or vectors of {d}, for each particle or for each frame"
            )
        found[name] = kinds[field.on, field.components]
    return found
