"""Who is near whom, as structures that models name: by a cutoff, by number, or all of them.

All give ``neighbours (2, E)``, sources and receivers, both directions of each pair, sorted by receiver,
which count on through the molecules of a batch. Where particles may repeat, ``shift (E, d)``, in
float64 and in the units of the positions, is what is added to x_source − x_receiver: the lattice vectors
by which the source is moved. :func:`~sciml.surrogates.particles.edges.vectors` adds them up. A model
takes ``*, neighbours, shift=None, **others``. Particles without neighbours are no receivers. Those
that are nowhere, such as a rollout comes to that diverges, have no neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from sciml.domain import Domain, Particles
from sciml.errors import DomainError, InputError
from sciml.surrogates.structure import POINT, DomainStructure, FrameStructure, Part, Structure

#: Part of the median distance of neighbours within which two atoms are taken to be at one place.
TOO_NEAR = 1e-3

#: Cutoffs that are so many times as long as the particles lie apart are searched by a tree.
WIDE = 3.0

#: Cutoffs from the middle of all beyond which a particle is nowhere: searches count in whole numbers.
FAR = 1e6

#: Receivers, sources, and by how many of each lattice vector the source is moved.
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
Cell = np.ndarray | None


@final
@dataclass(frozen=True, slots=True)
class Neighbours(FrameStructure):
    """Pairs of particles closer than ``cutoff``, through the walls of a periodic cell, too.

    Any cell, periodic along any of its vectors, and cutoffs above its width: a particle is then its own
    neighbour, by its images. Found by vesin where it is installed, else by a tree of scipy's.

    Args:
        cutoff: in the units of the positions.
        positions: the field that says where they are.
        near: part of the median distance of neighbours within which two are taken to be at one place,
            which is refused; 0: bodies may come as close as they like.

    Raises:
        InputError: a cutoff that is no length; a periodic cell without a volume.
    """

    cutoff: float
    positions: str = "positions"
    near: float = TOO_NEAR

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < np.inf:
            raise InputError(f"neighbours: cutoff={self.cutoff}; expected a length above 0")

    def parts(self, positions: np.ndarray, cell: Cell, periodic: Sequence[bool]) -> dict[str, Part]:
        return _parts(_within(positions, cell, periodic, self.cutoff), cell, positions.shape[1])

    def wrong(self, positions: np.ndarray, parts: Mapping[str, Part]) -> str:
        return _wrong(positions, parts, self.near)


@final
@dataclass(frozen=True, slots=True)
class Nearest(FrameStructure):
    """The ``count`` nearest of each particle, or all others where there are fewer.

    In a periodic cell images count as particles, and all are found. Who is nearest changes from one
    moment to the next, so that what is computed of them jumps: no energies of molecules.

    Args:
        count: neighbours of each.
        positions: the field that says where they are.

    Raises:
        InputError: no neighbours.
    """

    count: int
    positions: str = "positions"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"neighbours: count={self.count}; expected 1 or more")

    def parts(self, positions: np.ndarray, cell: Cell, periodic: Sequence[bool]) -> dict[str, Part]:
        x = np.asarray(positions, np.float64)
        n, d = x.shape
        pairs, enough = _nothing(d), False
        finite = x[np.isfinite(x).all(axis=1)]
        if len(finite) > 1 or (any(periodic) and len(finite)):
            reach, whole = _reaches(finite, cell, periodic, self.count)
            while not enough:
                pairs = _within(x, cell, periodic, reach)
                found = np.bincount(pairs[0], minlength=n)[np.isfinite(x).all(axis=1)]
                enough, reach = found.min() >= self.count or reach >= whole, 1.5 * reach
        receiver, source, image = pairs
        gap = x[source] - x[receiver] + (image @ cell if any(periodic) else 0.0)
        order = np.lexsort((source, (gap**2).sum(axis=1), receiver))
        # The place of each pair among those of its receiver.
        first = np.searchsorted(receiver[order], receiver[order])
        kept = order[np.arange(len(order)) - first < self.count]
        return _parts((receiver[kept], source[kept], image[kept]), cell, d)

    def wrong(self, positions: np.ndarray, parts: Mapping[str, Part]) -> str:
        return _wrong(positions, parts, 0.0)


@final
@dataclass(frozen=True, slots=True)
class Complete(DomainStructure):
    """All pairs of different particles, made once for a simulation; ``neighbours`` alone.

    Raises:
        DomainError: no particles, or such as repeat, of whose pairs there is no end.
    """

    def parts(self, domain: Domain) -> dict[str, Part]:
        if not isinstance(domain, Particles) or any(domain.periodic):
            kind = "periodic particles" if isinstance(domain, Particles) else f"a {domain.kind}"
            raise DomainError(
                f"all pairs of {kind}; expected particles in open space: set a cutoff"
            )
        receiver, source = np.nonzero(~np.eye(domain.size, dtype=bool))
        return {"neighbours": Part(np.stack([source, receiver]), 1, POINT)}


def neighbourhood(
    model: str,
    cutoff: float | None,
    nearest: int | None,
    positions: str = "positions",
    near: float = TOO_NEAR,
) -> Structure:
    """The structure that options of a model mean: within a cutoff, so many, or all.

    Raises:
        InputError: both are given.
    """
    if cutoff is not None and nearest is not None:
        raise InputError(f"{model}: cutoff={cutoff} and nearest={nearest}; expected one of them")
    if cutoff is not None:
        return Neighbours(float(cutoff), positions, near)
    return Complete() if nearest is None else Nearest(nearest, positions)


def _wrong(positions: np.ndarray, parts: Mapping[str, Part], near: float) -> str:
    """Who is nowhere, or at the place of another: within a part of what is usual."""
    x = np.asarray(positions, np.float64)
    [nowhere] = np.nonzero(~np.isfinite(x).all(axis=1))
    if len(nowhere):
        i = nowhere[0]
        return f"particle {i} is at {x[i].tolist()}; expected finite positions"
    source, receiver = parts["neighbours"].values
    gaps = np.linalg.norm(x[source] - x[receiver] + parts["shift"].values, axis=1)
    if not len(gaps) or (gap := gaps[k := gaps.argmin()]) > (least := near * np.median(gaps)):
        return ""
    i, j = sorted((int(source[k]), int(receiver[k])))
    who = f"particles {i} and {j} are" if i != j else f"particle {i} and its image are"
    wanted = f"none nearer than {least:.3g}" if least else "each at a place of its own"
    return f"{who} {gap:.3g} apart; expected {wanted}: leave the frame out"


def _within(positions: np.ndarray, cell: Cell, periodic: Sequence[bool], cutoff: float) -> Pairs:
    """Pairs closer than ``cutoff``, sorted by receiver, source and image."""
    x = np.asarray(positions, np.float64)
    d = x.shape[1]
    if len(finite := x[np.isfinite(x).all(axis=1)]):
        x = x - np.sort(finite, axis=0)[(len(finite) - 1) // 2]
    there = (np.abs(x) < FAR * cutoff).all(axis=1)
    lattice = _completed(np.asarray(cell, np.float64), periodic) if any(periodic) else np.eye(d)
    # Vesin walks through as many empty boxes as fit in a cutoff, also where nothing repeats.
    span = np.ptp(x[there], axis=0) if there.any() else np.zeros(d)
    if not any(periodic) and span.any():
        cutoff = min(cutoff, 1.01 * float(np.linalg.norm(span)))
    wide = any(periodic) and not all(periodic) and cutoff > WIDE * span.max()
    find = _by_tree if d > 3 or wide else _by_vesin
    receiver, source, image = find(x[there], lattice, tuple(periodic), cutoff)
    if not there.all():
        own = np.flatnonzero(there)
        receiver, source = own[receiver], own[source]
    order = np.lexsort((*image.T, source, receiver))
    return receiver[order], source[order], image[order]


def _by_vesin(x: np.ndarray, cell: np.ndarray, periodic: Sequence[bool], cutoff: float) -> Pairs:
    try:
        from vesin import NeighborList
    except ImportError:
        return _by_tree(x, cell, periodic, cutoff)
    more = 3 - x.shape[1]
    if more:
        x, cell = np.pad(x, ((0, 0), (0, more))), np.pad(cell, (0, more))
        cell[-more:, -more:] = np.eye(more)
        periodic = (*periodic, *(False,) * more)
    # One thread: the trainer's feeder has no more, and molecules are small.
    search = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    receiver, source, image = search.compute(x, cell, periodic, "ijS")
    image = image.astype(np.int64)[:, : 3 - more]
    return receiver.astype(np.int64), source.astype(np.int64), image


def _by_tree(x: np.ndarray, cell: np.ndarray, periodic: Sequence[bool], cutoff: float) -> Pairs:
    from scipy.spatial import cKDTree

    n, d = x.shape
    # Into the cell first: a particle may have left it by many lengths.
    repeats = np.asarray(periodic)
    home = np.zeros((n, d), np.int64)
    if repeats.any() and n:
        home = -(np.floor(np.linalg.solve(cell.T, x.T).T) * repeats).astype(np.int64)
    x = x + home @ cell
    # Distance of opposite walls: 1 / |reciprocal vector|.
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    counts = np.where(repeats, np.ceil(cutoff / heights), 0).astype(int)
    axes = [np.arange(-c, c + 1) for c in counts]
    images = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    if not n:
        return _nothing(d)
    low, high = x.min(axis=0) - cutoff, x.max(axis=0) + cutoff
    near, number, point = [], [], []
    for k, shift in enumerate(images @ cell):
        moved = x + shift
        [inside] = np.nonzero(((moved >= low) & (moved <= high)).all(axis=1))
        near.append(moved[inside])
        number.append(np.full(len(inside), k))
        point.append(inside)
    image, source = images[np.concatenate(number)], np.concatenate(point)
    found = cKDTree(x).sparse_distance_matrix(
        cKDTree(np.concatenate(near)), cutoff, output_type="coo_matrix"
    )
    receiver, source, image = found.row.astype(np.int64), source[found.col], image[found.col]
    # One way of each pair, and then both: of those at the cutoff rounding may have found one alone.
    order = np.sign(source - receiver)
    for along in image.T:
        order = np.where(order == 0, np.sign(along), order)
    once = order > 0
    receiver, source, image = receiver[once], source[once], image[once]
    image = image + home[source] - home[receiver]
    there, back = (receiver, source, image), (source, receiver, -image)
    return tuple(map(np.concatenate, zip(there, back, strict=True)))


def _completed(cell: np.ndarray, periodic: Sequence[bool]) -> np.ndarray:
    """The cell, with vectors along which nothing repeats replaced by normal ones: they may be zero."""
    repeats = np.asarray(periodic)
    kept = cell[repeats]
    if not np.isfinite(kept).all() or np.linalg.matrix_rank(kept) < len(kept):
        raise InputError(
            f"neighbours: periodic along {kept.tolist()}; expected lattice vectors that span a volume"
        )
    found = cell.copy()
    found[~repeats] = np.linalg.svd(kept)[2][len(kept) :]
    return found


def _reaches(
    x: np.ndarray, cell: Cell, periodic: Sequence[bool], count: int
) -> tuple[float, float]:
    """A cutoff with about ``count`` neighbours, and one beyond which there are no more."""
    d = x.shape[1]
    span = np.linalg.norm(np.ptp(x, axis=0)) or 1.0
    if not any(periodic):
        return 1.1 * span * min(1.0, (count / len(x)) ** (1 / d)), 1.01 * span
    longest = np.linalg.norm(np.asarray(cell)[np.asarray(periodic)], axis=1).max()
    return longest * (count / len(x)) ** (1 / sum(periodic)), np.inf


def _nothing(d: int) -> Pairs:
    none = np.zeros(0, np.int64)
    return none, none, np.zeros((0, d), np.int64)


def _parts(pairs: Pairs, cell: Cell, d: int) -> dict[str, Part]:
    receiver, source, image = pairs
    # A cell that repeats nowhere may be none, and its images are all zero.
    shift = np.zeros((len(image), d)) if cell is None else image @ np.asarray(cell, np.float64)
    edges = np.stack([source, receiver])
    return {"neighbours": Part(edges, 1, POINT), "shift": Part(shift)}
