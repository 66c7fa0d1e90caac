"""What models want derived from a domain or a frame: neighbours, hops, encodings, coarsenings.

A model names its structures in its :class:`~sciml.surrogates.traits.Traits`. They are made in the thread
that feeds it and kept, those of frames as long as there is room, and reach it by keyword, joined over
the batch as points are. Those of particles: :mod:`sciml.surrogates.particles.neighbours`. After
transforms of torch_geometric, whose ``Data.__inc__`` is what :attr:`Part.counts` is here.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from sciml.domain import Domain, Graph, Mesh, Particles
from sciml.domain.names import LATTICE
from sciml.errors import DomainError, InputError
from sciml.samples import Sample
from sciml.samples.recent import Recent
from sciml.surrogates.batch import Batch, lattice_of

#: Bytes of structures of domains, and of frames, that are kept; beyond, those used longest ago are made
#: anew.
KEPT, KEPT_OF_FRAMES = 1 << 29, 1 << 27
POINT = "point"


class BadFrame(DomainError):
    """Particles that cannot be where a frame has them.

    Args:
        simulation, frame: which.
        wrong: in words.
    """

    def __init__(self, simulation: int, frame: int, wrong: str) -> None:
        self.simulation, self.reason = simulation, f"frame {frame}: {wrong}"
        super().__init__(f"simulation {simulation}, {self.reason}")


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

    #: Whether it has coordinates along the axes of space, which do not turn with a mesh.
    by_axes: ClassVar[bool] = False

    @abstractmethod
    def parts(self, domain: Domain) -> dict[str, Part]:
        """Arrays by the keyword with which the model gets them.

        Raises:
            DomainError: a kind of domain that has none.
        """


class FrameStructure(ABC):
    """Derived from where particles are. A frozen dataclass: that of the same places is made once.

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

    def wrong(self, positions: np.ndarray, parts: Mapping[str, Part]) -> str:
        """What is wrong with data, and what to do; what a rollout comes to is not asked."""
        return ""


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


_kept: Recent[tuple[Domain, dict[str, Part]]] = Recent(
    KEPT, size=lambda held: sum(part.values.nbytes for part in held[1].values())
)
_kept_of_frames: Recent[dict[str, Part]] = Recent(
    KEPT_OF_FRAMES, size=lambda parts: sum(part.values.nbytes for part in parts.values())
)
_lock = threading.Lock()


def _parts_of(structure: DomainStructure, domain: Domain) -> dict[str, Part]:
    # By identity, since all frames of a simulation share the one object; it is held, so that no other
    # takes its number.
    with _lock:
        return _kept.get((structure, id(domain)), lambda: (domain, structure.parts(domain)))[1]


def _parts_at(structure: FrameStructure, sample: Sample) -> dict[str, Part]:
    positions, cell, periodic = _frame(structure, sample)

    def made() -> dict[str, Part]:
        parts = structure.parts(positions, cell, periodic)
        if wrong := structure.wrong(positions, parts):
            raise BadFrame(*sample.key, wrong)
        return parts

    # By what is in them: a frame that is read from a file is another object each time.
    places = hashlib.blake2b(np.ascontiguousarray(positions))
    places.update(b"" if cell is None else np.ascontiguousarray(cell))
    key = structure, positions.shape, positions.dtype.str, tuple(periodic), places.digest()
    with _lock:
        return _kept_of_frames.get(key, made)


def structures_of(samples: Sequence[Sample], structures: Sequence[Structure]) -> dict[str, Tensor]:
    """The structures of some samples, put together.

    Raises:
        DomainError: domains that have none; two parts of one name; sizes that cannot be joined.
        BadFrame: particles that cannot be where they are.
        InputError: no field with the positions.
    """
    each: list[dict[str, Part]] = []
    for sample in samples:
        domain, found = sample.simulation.domain, {}
        for structure in structures:
            if isinstance(structure, DomainStructure):
                parts = _parts_of(structure, domain)
            else:
                parts = _parts_at(structure, sample)
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


def onward(batch: Batch, inputs: Mapping[str, Tensor], structures: Sequence[Structure]) -> Batch:
    """The batch with other inputs, and cells and structures of frames that are those of these."""
    geometry, structure = batch.geometry, batch.structure
    if LATTICE in inputs:
        geometry = {**geometry, "cell": lattice_of(inputs[LATTICE])}
    if structure:
        last = {name: values[:, -1] for name, values in inputs.items()}
        structure = structure | moved(structures, geometry, last)
    return replace(batch, inputs=dict(inputs), geometry=geometry, structure=structure)


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
            joined[name] = torch.from_numpy(np.concatenate(arrays, axis=first.axis))
        except ValueError as error:
            shapes = ", ".join(str(a.shape) for a in arrays[:4])
            raise DomainError(
                f"structures: '{name}' of shapes {shapes} cannot be joined along axis {first.axis}"
            ) from error
    return joined
