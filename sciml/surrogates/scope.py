"""Where a surrogate was trained, as far as its building and use need it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from sciml.domain import Domain, Graph, Grid, Mesh, Particles
from sciml.domain.wire import domain_from_wire, domain_to_wire
from sciml.errors import DomainError, InputError

#: A mesh with so many times more nodes, or fewer, than those of the training is warned of.
FAR_IN_SIZE = 4


@dataclass(frozen=True, slots=True)
class Scope:
    """The kind of meshes, graphs or particles, which differ from each other.

    A grid is small and says all of itself: its scope is the :class:`~sciml.domain.Grid`.

    Args:
        kind: ``"mesh"``, ``"graph"`` or ``"particles"``.
        ndim: coordinates of a point; 0 of a graph.
        cell_types: of meshes.
        groups: names of groups of nodes that some had.
        species: kinds of particles, ascending.
        periodic: along which lattice vectors.
        least, most: points of the smallest and the largest.
        units: of lengths.
    """

    kind: str
    ndim: int = 0
    cell_types: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    species: tuple[int, ...] = ()
    periodic: tuple[bool, ...] = ()
    least: int = 0
    most: int = 0
    units: str = "1"

    @classmethod
    def of(cls, domain: Domain) -> Grid | Scope:
        """The scope of one domain."""
        size = {"least": domain.size, "most": domain.size}
        match domain:
            case Grid():
                return domain
            case Mesh():
                ndim, groups = domain.points.shape[1], tuple(sorted(domain.groups))
                return cls("mesh", ndim, (domain.cell_type,), groups, units=domain.units, **size)
            case Graph():
                return cls("graph", **size)
            case Particles():
                species = tuple(sorted({int(s) for s in domain.species}))
                return cls(
                    "particles",
                    len(domain.periodic),
                    species=species,
                    periodic=domain.periodic,
                    units=domain.units,
                    **size,
                )

    def joined(self, other: Scope) -> Scope:
        """The scope of both.

        Raises:
            DomainError: two kinds, dimensions or units.
        """
        for what in ("kind", "ndim", "units"):
            one, two = getattr(self, what), getattr(other, what)
            if one != two:
                raise DomainError(
                    f"domains of {what} {one!r} and {two!r} in one training; expected one: train on each"
                )
        return replace(
            self,
            cell_types=_both(self.cell_types, other.cell_types),
            groups=_both(self.groups, other.groups),
            species=_both(self.species, other.species),
            periodic=tuple(a or b for a, b in zip(self.periodic, other.periodic, strict=True)),
            least=min(self.least, other.least),
            most=max(self.most, other.most),
        )

    def require(self, domain: Domain) -> None:
        """Refuse a domain unlike all those of the training.

        Raises:
            InputError: another dimension; cells or species that were not there.
        """
        given = Scope.of(domain)
        if given.kind != self.kind:
            raise InputError(f"dataset lives on a {given.kind}; the surrogate on a {self.kind}")
        if given.ndim != self.ndim:
            raise InputError(
                f"dataset lives in {given.ndim} dimensions; the surrogate was trained in {self.ndim}"
            )
        for what, there, known in (
            ("cells of type", given.cell_types, self.cell_types),
            ("species", given.species, self.species),
        ):
            new = [str(one) for one in there if one not in known]
            if new:
                raise InputError(
                    f"dataset has {what} {', '.join(new)}; the surrogate was trained on "
                    f"{', '.join(map(str, known))}: train on them too, or set surrogate.domain = None "
                    "to go on regardless"
                )

    def far_in_size(self, domain: Domain) -> str:
        """In words, that a mesh has many more or fewer nodes than those of the training had."""
        if self.kind != "mesh" or not self.most:
            return ""
        if self.least <= FAR_IN_SIZE * domain.size and domain.size <= FAR_IN_SIZE * self.most:
            return ""
        return (
            f"dataset has a mesh of {domain.size} nodes; the surrogate was trained on {self.least} to "
            f"{self.most}: what it learned of neighbours belongs to their distances; train on such "
            "meshes, too"
        )


def _both(one: tuple[Any, ...], two: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted({*one, *two}))


@contextmanager
def widened(surrogate: Any, domain: Domain) -> Iterator[None]:
    """Within, a surrogate takes a domain with cells or species that it has not seen."""
    seen = getattr(surrogate, "domain", None)
    if not isinstance(seen, Scope) or seen.kind != domain.kind:
        yield
        return
    surrogate.domain = seen.joined(Scope.of(domain))
    try:
        yield
    finally:
        surrogate.domain = seen


def scope_of(domain: Domain | Scope | None) -> Grid | Scope | None:
    """The scope of a domain; of a scope, itself."""
    return domain if domain is None or isinstance(domain, Scope) else Scope.of(domain)


def scope_ahead(domain: Domain | Scope | None) -> Grid | Scope | None:
    """The scope of a domain, and of others of its source: what a model is built for."""
    found = scope_of(domain)
    if isinstance(domain, Particles) and domain.expected:
        found = replace(found, species=_both(found.species, domain.expected))
    return found


def joined(domains: Iterable[Domain]) -> Grid | Scope | None:
    """The scope of all of several domains of one kind; of grids, the first."""
    found: Grid | Scope | None = None
    for domain in domains:
        one = Scope.of(domain)
        found = one if found is None else found.joined(one) if isinstance(found, Scope) else found
    return found


def scope_to_wire(scope: Grid | Scope) -> dict[str, Any]:
    """As plain data."""
    return domain_to_wire(scope) if isinstance(scope, Grid) else {"scope": asdict(scope)}


def scope_from_wire(wire: Mapping[str, Any]) -> Grid | Scope:
    """Inverse of :func:`scope_to_wire`."""
    if "scope" not in wire:
        return Scope.of(domain_from_wire(wire))
    try:
        said = {k: tuple(v) if isinstance(v, list) else v for k, v in wire["scope"].items()}
        return Scope(**said)
    except (TypeError, AttributeError) as error:
        raise DomainError(f"scope cannot be read: {error}") from error
