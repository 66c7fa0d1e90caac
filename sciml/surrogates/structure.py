"""What models want derived from a domain or a frame: neighbours, hops, encodings, coarsenings.

A model names its structures in its :class:`~sciml.surrogates.traits.Traits`. They are made in the thread
that feeds it, those of a domain once and kept, and reach it by keyword, joined over the batch as points
are. After transforms of torch_geometric, whose ``Data.__inc__`` is what :attr:`Part.counts` is here.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import final

import numpy as np
import torch
from torch import Tensor

from sciml.domain import Domain, Graph, Mesh, Particles
from sciml.domain.names import LATTICE
from sciml.errors import DomainError, InputError
from sciml.samples import Sample
from sciml.samples.recent import Recent

#: Bytes of structures of domains that are kept; beyond, those used longest ago are made anew.
KEPT = 1 << 29
POINT = "point"


@dataclass(frozen=True, slots=True)
class Part:
    """One array of a structure, and how those of several samples become one.

    Args:
        values: the array.
        axis: along which they are joined.
        counts: what its whole numbers count: ``"point"``, another part (its rows), or ``""``: they are
            no places, and stay. Negative ones stay, too.
    """

    values: np.ndarray
    axis: int = 0
    counts: str = ""


class DomainStructure(ABC):
    """Derived from a domain alone. A frozen dataclass: equal ones are made once."""

    @abstractmethod
    def parts(self, domain: Domain) -> dict[str, Part]:
        """Arrays by the keyword with which the model gets them.

        Raises:
            DomainError: a kind of domain that has none.
        """


class FrameStructure(ABC):
    """Derived from where particles are, and made anew for each frame.

    Args:
        positions: the field that says where.
    """

    positions: str

    @abstractmethod
    def parts(
        self, positions: np.ndarray, cell: np.ndarray | None, periodic: Sequence[bool]
    ) -> dict[str, Part]:
        """Arrays by keyword, of one frame.

        Args:
            positions: ``(n, d)``.
            cell: lattice vectors, one a row, or none.
            periodic: along which of them.
        """


Structure = DomainStructure | FrameStructure


@final
@dataclass(frozen=True, slots=True)
class Hops(DomainStructure):
    """Pairs of nodes at most ``k`` edges apart, sorted by receiver: ``hops (2, E)``.

    Args:
        k: edges.
        itself: whether a node is among its own.
    """

    k: int = 2
    itself: bool = False

    def parts(self, domain: Domain) -> dict[str, Part]:
        from scipy.sparse import csr_array, eye_array

        if not isinstance(domain, Mesh | Graph):
            raise DomainError(f"hops on a {domain.kind}; expected a mesh or a graph")
        source, receiver = domain.edges
        n = domain.size
        ones = np.ones(len(source), bool)
        step = csr_array((ones, (receiver, source)), shape=(n, n))
        step = (step + eye_array(n, dtype=bool, format="csr")).astype(bool)
        reached = step
        for _ in range(self.k - 1):
            reached = (reached @ step).astype(bool)
        if not self.itself:
            reached = reached.tolil()
            reached.setdiag(False)
        receivers, sources = reached.tocsr().sorted_indices().nonzero()
        edges = np.stack([sources, receivers]).astype(np.int64)
        return {"hops": Part(edges, 1, POINT)}


@final
@dataclass(frozen=True, slots=True)
class Neighbours(FrameStructure):
    """Pairs of particles closer than ``cutoff``, through the walls of a periodic cell, too.

    ``neighbours (2, E)``, sources and receivers, sorted by receiver; ``shift (E, d)``, what is added to
    x_source − x_receiver: the lattice vectors by which the source is moved. Any cell, and cutoffs above
    its width; both directions of each pair.

    Args:
        cutoff: in the units of the positions.
        positions: the field that says where they are.

    Raises:
        InputError: a cutoff that is no length.
    """

    cutoff: float
    positions: str = "positions"

    def __post_init__(self) -> None:
        if not 0 < self.cutoff < np.inf:
            raise InputError(f"neighbours: cutoff={self.cutoff}; expected a length above 0")

    def parts(
        self, positions: np.ndarray, cell: np.ndarray | None, periodic: Sequence[bool]
    ) -> dict[str, Part]:
        from scipy.spatial import cKDTree

        x = np.asarray(positions, np.float64)
        n, d = x.shape
        shifts = _images(cell, periodic, self.cutoff, d)
        # Into the cell first: a particle may have left it by many lengths.
        home = np.zeros_like(x)
        if any(periodic):
            fractions = np.linalg.solve(cell.T, x.T).T
            home = -(np.floor(fractions) * np.asarray(periodic)) @ cell
        images = (x + home)[None] + shifts[:, None]
        tree, own = cKDTree(images.reshape(-1, d)), cKDTree(x + home)
        pairs = own.sparse_distance_matrix(tree, self.cutoff, output_type="coo_matrix")
        receiver, source, image = pairs.row, pairs.col % n, pairs.col // n
        same = (receiver == source) & (shifts[image] == 0).all(axis=1)
        order = np.lexsort((image, source, receiver))
        order = order[~same[order]]
        receiver, source, image = receiver[order], source[order], image[order]
        shift = shifts[image] + home[source] - home[receiver]
        edges = np.stack([source, receiver]).astype(np.int64)
        return {"neighbours": Part(edges, 1, POINT), "shift": Part(shift)}


def _images(
    cell: np.ndarray | None, periodic: Sequence[bool], cutoff: float, dimension: int
) -> np.ndarray:
    """Shifts of all images of a cell that come within ``cutoff`` of it, ``(images, d)``."""
    if not any(periodic):
        return np.zeros((1, dimension))
    # Distance of opposite walls: 1 / |reciprocal vector|.
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    counts = [ceil(cutoff / h) if p else 0 for h, p in zip(heights, periodic, strict=True)]
    axes = [np.arange(-c, c + 1) for c in counts]
    whole = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dimension)
    return whole @ cell


_kept: Recent[tuple[Domain, dict[str, Part]]] = Recent(
    KEPT, size=lambda held: sum(part.values.nbytes for part in held[1].values())
)
_lock = threading.Lock()


def _parts_of(structure: DomainStructure, domain: Domain) -> dict[str, Part]:
    # By identity, since all frames of a simulation share the one object; it is held, so that no other
    # takes its number.
    with _lock:
        return _kept.get((structure, id(domain)), lambda: (domain, structure.parts(domain)))[1]


def structures_of(samples: Sequence[Sample], structures: Sequence[Structure]) -> dict[str, Tensor]:
    """The structures of some samples, put together.

    Raises:
        DomainError: domains that have none; two parts of one name; sizes that cannot be joined.
        InputError: no field with the positions.
    """
    each: list[dict[str, Part]] = []
    for sample in samples:
        domain, found = sample.simulation.domain, {}
        for structure in structures:
            if isinstance(structure, DomainStructure):
                parts = _parts_of(structure, domain)
            else:
                parts = structure.parts(*_frame(structure, sample))
            if twice := found.keys() & parts.keys():
                raise DomainError(f"structures: two give '{min(twice)}'; expected one")
            found |= parts
        each.append(found)
    return _joined(each, [sample.simulation.domain.size for sample in samples])


def moved(
    structures: Sequence[Structure], batch: Mapping[str, Tensor], positions: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Structures of frames after particles have moved, as :func:`structures_of` gives them.

    Args:
        structures: of which those of frames are made anew.
        batch: geometry: ``ptr``, ``periodic``, ``cell`` where there are cells.
        positions: by the name of their field, ``(N, d)``.
    """
    frames = [s for s in structures if isinstance(s, FrameStructure)]
    if not frames:
        return {}
    ptr, periodic = batch["ptr"].tolist(), batch["periodic"].tolist()
    cells = batch["cell"].detach().cpu().numpy() if "cell" in batch else [None] * (len(ptr) - 1)
    each: list[dict[str, Part]] = [{} for _ in cells]
    for structure in frames:
        given = positions[structure.positions]
        x = given.detach().cpu().numpy()
        for i, cell in enumerate(cells):
            each[i] |= structure.parts(x[ptr[i] : ptr[i + 1]], cell, periodic)
    joined = _joined(each, np.diff(ptr).tolist())
    return {name: t.to(given.device) for name, t in joined.items()}


def _frame(
    structure: FrameStructure, sample: Sample
) -> tuple[np.ndarray, np.ndarray | None, Sequence[bool]]:
    domain = sample.simulation.domain
    fields = sample.inputs[-1].fields if sample.inputs else {}
    if not isinstance(domain, Particles) or structure.positions not in fields:
        raise InputError(
            f"model: it looks for neighbours by the field '{structure.positions}', on "
            f"a {domain.kind} with the fields {', '.join(fields)}; expected particles and that field"
        )
    cell = domain.cell
    if LATTICE in fields:
        cell = np.asarray(fields[LATTICE], np.float64).reshape((len(domain.periodic),) * 2)
    return fields[structure.positions], cell, domain.periodic


def _joined(each: Sequence[Mapping[str, Part]], sizes: Sequence[int]) -> dict[str, Tensor]:
    starts = {POINT: np.cumsum([0, *sizes])}
    for name in each[0]:
        rows = [found[name].values.shape[found[name].axis] for found in each]
        starts[name] = np.cumsum([0, *rows])
    joined = {}
    for name, first in each[0].items():
        arrays = [found[name].values for found in each]
        if first.counts:
            offsets = starts[first.counts]
            arrays = [np.where(a < 0, a, a + o) for a, o in zip(arrays, offsets, strict=False)]
        try:
            joined[name] = _tensor(np.concatenate(arrays, axis=first.axis))
        except ValueError as error:
            shapes = ", ".join(str(a.shape) for a in arrays[:4])
            raise DomainError(
                f"structures: '{name}' of shapes {shapes} cannot be joined along axis {first.axis}"
            ) from error
    return joined


def _tensor(array: np.ndarray) -> Tensor:
    whole = array.dtype.kind in "iub"
    return (
        torch.from_numpy(array)
        if whole
        else torch.as_tensor(array, dtype=torch.get_default_dtype())
    )
