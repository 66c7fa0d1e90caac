"""Pieces of a mesh, each with what lies around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Int

from sciml.domain.mesh import Mesh
from sciml.errors import DomainError, InputError


@final
@dataclass(frozen=True, eq=False)
class MeshPiece(Mesh):
    """Nodes of a mesh that are its own, and those around them, whose values are seen.

    Args:
        whole: the mesh.
        nodes: of the whole, of each node.
        owned: which of them are its own.
        kept_cells, kept_sides: of the whole, of each cell and side.
    """

    whole: Mesh | None = None
    nodes: Int[np.ndarray, " node"] | None = None
    owned: Bool[np.ndarray, " node"] | None = None
    kept_cells: Int[np.ndarray, " cell"] | None = None
    kept_sides: Int[np.ndarray, " side"] | None = None

    def part_of(self, values: np.ndarray, on: str) -> np.ndarray:
        """Values of the whole, on points, cells, edges or global, as the piece has them."""
        kept = {"point": self.nodes, "cell": self.kept_cells, "edge": self.kept_sides}
        return values[kept[on]] if on in kept else values


def cut(mesh: Mesh, count: int, halo: int) -> list[MeshPiece]:
    """A mesh in pieces of about as many nodes, with few edges between them.

    Args:
        count: pieces; METIS makes them.
        halo: edges that a model sees far: what it computes at a piece's own nodes is then what it
            computes there on the whole mesh, and so are gradients.

    Raises:
        InputError: no pymetis; fewer nodes than pieces.
    """
    if not 1 <= count <= mesh.size:
        raise InputError(
            f"a mesh of {mesh.size} nodes in {count} pieces; expected 1 to {mesh.size}"
        )
    owner = _owners(mesh, count)
    source, receiver = mesh.edges
    pieces = []
    for number in np.unique(owner):
        own = owner == number
        near = own.copy()
        # One more than is seen: cells beside the outermost edges are then there.
        for _ in range(halo + 1):
            before = near.sum()
            near[source[near[receiver]]] = True
            if near.sum() == before:
                break
        pieces.append(_piece(mesh, near, own))
    return pieces


def _piece(
    mesh: Mesh, near: Bool[np.ndarray, " node"], own: Bool[np.ndarray, " node"]
) -> MeshPiece:
    nodes = np.flatnonzero(near)
    place = np.full(mesh.size + 1, -1)  # its last entry is that of −1, which pads
    place[nodes] = np.arange(len(nodes))
    there = np.append(near, True)
    kept = np.flatnonzero(there[mesh.cells].all(axis=1))
    sides = mesh.sides
    cells = place[mesh.cells[kept]]
    piece = MeshPiece(
        mesh.points[nodes],
        cells,
        mesh.units,
        mesh.cell_type,
        {name: place[g][place[g] >= 0] for name, g in mesh.groups.items()},
        whole=mesh,
        nodes=nodes,
        owned=own[nodes],
        kept_cells=kept,
    )
    # Nodes are in the order of the whole, and so are sides.
    key = sides[:, 0] * mesh.size + sides[:, 1]
    mine = nodes[piece.sides]
    object.__setattr__(
        piece, "kept_sides", np.searchsorted(key, mine[:, 0] * mesh.size + mine[:, 1])
    )
    return piece


def _owners(mesh: Mesh, count: int) -> Int[np.ndarray, " node"]:
    """The piece of each node."""
    try:
        import pymetis
    except ImportError as error:
        raise InputError(
            "pieces of a mesh need pymetis: pip install 'sciml-surrogates[mesh]'"
        ) from error
    if count == 1:
        return np.zeros(mesh.size, np.int64)
    source, receiver = mesh.edges
    starts = np.searchsorted(receiver, np.arange(mesh.size + 1))
    adjacency = pymetis.CSRAdjacency(starts.tolist(), source.tolist())
    try:
        _, owner = pymetis.part_graph(count, adjacency)
    except RuntimeError as error:
        raise DomainError(f"METIS cannot cut a mesh of {mesh.size} nodes: {error}") from error
    return np.asarray(owner, np.int64)
