"""Where a surrogate was trained, as far as its building and use need it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sciml.domain import Domain, Graph, Grid, Mesh, Particles
from sciml.domain.wire import domain_from_wire, domain_to_wire
from sciml.errors import DomainError, InputError

#: A mesh with so many times more nodes, or fewer, than those of the training is warned of; so is one
#: that is so many times longer, or shorter.
FAR_IN_SIZE = 4
#: Units that say nothing.
UNKNOWN = ("", "1")


@dataclass(frozen=True, slots=True)
class Scope:
    """The kind of meshes, graphs or particles, which differ from each other.

    A grid is small and says all of itself: its scope is the :class:`~sciml.domain.Grid`.

    Args:
        kind: ``"mesh"``, ``"graph"`` or ``"particles"``.
        ndim: coordinates of a point; 0 of a graph.
        cell_types: of meshes.
        groups: names of groups of nodes that some had. common: that all had.
        species: kinds of particles, ascending.
        periodic: along which lattice vectors.
        least, most: points of the smallest and the largest.
        shortest, longest: the longest side of meshes, in ``units``; 0: not known.
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
    common: tuple[str, ...] = ()
    shortest: float = 0.0
    longest: float = 0.0

    @classmethod
    def of(cls, domain: Domain) -> Grid | Scope:
        """The scope of one domain."""
        size = {"least": domain.size, "most": domain.size}
        match domain:
            case Grid():
                return domain
            case Mesh():
                ndim, groups = domain.points.shape[1], tuple(sorted(domain.groups))
                long = float(np.ptp(domain.points, axis=0).max()) if domain.size else 0.0
                size |= {"units": domain.units, "shortest": long, "longest": long}
                return cls("mesh", ndim, (domain.cell_type,), groups, common=groups, **size)
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
            common=tuple(name for name in self.common if name in other.common),
            species=_both(self.species, other.species),
            periodic=tuple(a or b for a, b in zip(self.periodic, other.periodic, strict=True)),
            least=min(self.least, other.least),
            most=max(self.most, other.most),
            shortest=min(self.shortest, other.shortest),
            longest=max(self.longest, other.longest),
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

    def doubts(self, domain: Domain, seen: Collection[str] = ()) -> list[str]:
        """In words, in what a mesh is unlike those of the training: nodes, lengths, groups.

        Args:
            seen: groups that a model sees.
        """
        if self.kind != "mesh" or not self.most:
            return []
        given, found = Scope.of(domain), []
        if not _near(domain.size, self.least, self.most):
            found.append(
                f"dataset has a mesh of {domain.size} nodes; the surrogate was trained on {self.least} "
                f"to {self.most}: what it learned of neighbours belongs to their distances; train on "
                "such meshes, too"
            )
        if given.units != self.units and not {given.units, self.units} & {*UNKNOWN}:
            found.append(
                f"dataset has a mesh in {given.units}; the surrogate was trained on meshes in "
                f"{self.units}: convert its coordinates"
            )
        elif self.longest and not _near(given.longest, self.shortest, self.longest):
            found.append(
                f"dataset has a mesh {given.longest:.3g} long; the surrogate was trained on "
                f"{self.shortest:.3g} to {self.longest:.3g}: are its coordinates in another unit? "
                "Convert them, or train on such meshes, too"
            )
        if lacking := [name for name in self.common if name in seen and name not in given.groups]:
            new = [name for name in given.groups if name not in self.groups]
            others = f", and with {', '.join(new)}, which none had" if new else ""
            found.append(
                f"dataset has a mesh without the group {', '.join(lacking)}, which all meshes of the "
                f"training had{others}: the model takes it that no node is in it; rename it, or add it"
            )
        return found


def _near(value: float, least: float, most: float) -> bool:
    return least <= FAR_IN_SIZE * value and value <= FAR_IN_SIZE * most


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
