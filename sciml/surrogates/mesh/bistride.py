"""Coarser meshes of a mesh, every second front of a wave that starts in its middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sciml.domain import Domain, Graph, Mesh
from sciml.errors import DomainError, InputError
from sciml.surrogates.graph.links import Links, links_of, undirected
from sciml.surrogates.graph.on_domain import away_of
from sciml.surrogates.mesh.ties import farthest
from sciml.surrogates.structure import POINT, DomainStructure, Part


@dataclass(frozen=True, eq=False, slots=True)
class CoarserMesh:
    """A coarser mesh, and how it hangs together with the finer one.

    Args:
        kept: its nodes, by their places in the finer one.
        fine, coarse: pairs of a finer node and a node that is kept and is the same, or next to it.
        links: of nodes that are kept.
        shares: of each pair, 1 over how many the coarse node has; and the fine one.
        away: of a mesh, from the receiver to the source of each link.
    """

    kept: Int[Tensor, " coarse"]
    fine: Int[Tensor, " pair"]
    coarse: Int[Tensor, " pair"]
    links: Links
    shares: tuple[Tensor, Tensor]
    away: Float[Tensor, "link d"] | None = None

    def down(self, h: Float[Tensor, "fine c"]) -> Float[Tensor, "coarse c"]:
        """Means of a node and its neighbours."""
        return _means(h, self.fine, self.coarse, self.shares[0], len(self.kept))

    def up(self, h: Float[Tensor, "coarse c"], nodes: int) -> Float[Tensor, "fine c"]:
        """Means of the neighbours that are kept, and the node itself."""
        return _means(h, self.coarse, self.fine, self.shares[1], nodes)


@dataclass(frozen=True, slots=True)
class BiStride(DomainStructure):
    """Coarser meshes, one of the other: ``kept_0``, ``fine_0``, ``coarse_0``, ``coarse_links_0``, ….

    Of meshes ``coarse_away_0``, … besides, see :class:`CoarserMesh`.

    From the middle of each piece a wave goes along the edges; nodes of its fronts 0, 2, 4, … are kept.
    So each node is kept or next to one that is, whatever the mesh; kept nodes at most two edges apart
    are joined. No coordinates are looked at but for the middle, and cells not at all.

    Args:
        levels: meshes, each some half of the one before.
        loops: join each node with itself.
        undirected: take every edge both ways.

    Raises:
        InputError: levels below 1.
        DomainError: no mesh or graph.

    When it fails: a graph has no middle, and the order of its nodes decides; where many edges meet in a
    node, as in wheels, a coarse mesh has many more an edge.

    Source: Y. Cao et al., Efficient Learning of Mesh-Based Physical Simulation with Bi-Stride
    Multi-Scale Graph Neural Network, ICML 2023, arXiv 2210.02573, section 3 (seeds are the nodes closest
    to the middle, as there; transfers are means, not learned, as there).
    """

    levels: int = 2
    loops: bool = False
    undirected: bool = False

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise InputError(f"levels={self.levels}; expected 1 or more")

    def parts(self, domain: Domain) -> dict[str, Part]:
        from scipy.sparse import csr_array, eye_array

        if not isinstance(domain, Mesh | Graph):
            raise DomainError(f"edges of a {domain.kind}; expected a mesh or a graph")
        edges, n = torch.from_numpy(domain.edges), domain.size
        source, receiver = (undirected(edges) if self.undirected else edges).numpy()
        ones = np.ones(len(source), bool)
        near = csr_array((ones, (receiver, source)), shape=(n, n)).astype(bool)
        points = domain.points if isinstance(domain, Mesh) else None
        found, above = {}, POINT
        for level in range(self.levels):
            step = (near + eye_array(near.shape[0], dtype=bool, format="csr")).astype(bool)
            kept = _every_second(near, points)
            # Rows are kept nodes, columns finer ones that are the same, or next to them.
            coarse, fine = step[kept].nonzero()
            near = (step[kept] @ step[:, kept]).astype(bool)
            if not self.loops:
                near.setdiag(False)
                near.eliminate_zeros()
            pairs = torch.from_numpy(np.stack(near.nonzero()[::-1]).astype(np.int64))
            links = links_of(pairs, len(kept))
            name = f"kept_{level}"
            found[name] = Part(kept, counts=above)
            found[f"fine_{level}"] = Part(fine.astype(np.int64), counts=above)
            found[f"coarse_{level}"] = Part(coarse.astype(np.int64), counts=name)
            joined = torch.stack([links.source, links.receiver]).numpy()
            found[f"coarse_links_{level}"] = Part(joined, 1, name)
            found[f"coarse_back_{level}"] = Part(
                links.outgoing.numpy(), counts=f"coarse_links_{level}"
            )
            if points is not None:
                points = points[kept]
                found[f"coarse_away_{level}"] = Part(away_of(points, *joined))
            above = name
        return found

    def taken(
        self, structures: dict[str, Tensor], nodes: int, symmetric: bool
    ) -> list[CoarserMesh]:
        """The levels again, of what :meth:`parts` gave; their entries are removed."""
        found = []
        for level in range(self.levels):
            kept, fine, coarse, pairs, back = (
                structures.pop(f"{name}_{level}")
                for name in ("kept", "fine", "coarse", "coarse_links", "coarse_back")
            )
            order = torch.arange(pairs.shape[1], device=pairs.device)
            links = Links(pairs[0], pairs[1], len(kept), order, back, symmetric, self.loops)
            shares = tuple(
                1.0 / torch.bincount(ends, minlength=count).clamp(min=1).index_select(0, ends)
                for ends, count in ((coarse, len(kept)), (fine, nodes))
            )
            away = structures.pop(f"coarse_away_{level}", None)
            found.append(CoarserMesh(kept, fine, coarse, links, shares, away))
            nodes = len(kept)
        return found


def levels_of_layers(layers: int, levels: int) -> list[int]:
    """The level of each layer, down to the coarsest and up again, each as long as the others.

    >>> levels_of_layers(10, 2)
    [0, 0, 1, 1, 2, 2, 1, 1, 0, 0]

    Raises:
        InputError: too few layers to come back.
    """
    stages = 2 * levels + 1
    if layers < stages:
        raise InputError(
            f"{levels} coarser levels with {layers} layers; expected {stages} layers or more, one on "
            "each level down and up"
        )
    return [levels - abs(levels - layer * stages // layers) for layer in range(layers)]


def walked(
    h: Tensor,
    layers: Sequence[int],
    levels: Sequence[CoarserMesh],
    apply: Callable[[int, int, Tensor], Tensor],
) -> Tensor:
    """Layers one after the other, each on its level; what comes up is added to what went down there.

    Args:
        layers: the level of each; see :func:`levels_of_layers`.
        levels: of coarser meshes; none where all layers are on the mesh itself.
        apply: (layer, level, features there) → features.
    """
    now, above = 0, []
    for layer, level in enumerate(layers):
        if level > now:
            above.append(h)
            h = levels[now].down(h)
        elif level < now:
            fine = above.pop()
            h = fine + levels[level].up(h, len(fine))
        now, h = level, apply(layer, level, h)
    return h


def on_levels(values: Tensor | None, levels: Sequence[CoarserMesh]) -> list[Tensor | None]:
    """Values of nodes, and those of the nodes that are kept, on each level."""
    found = [values]
    for level in levels:
        found.append(None if values is None else found[-1].index_select(0, level.kept))
    return found


def _means(h: Tensor, at: Tensor, to: Tensor, share: Tensor, nodes: int) -> Tensor:
    each = h.index_select(0, at) * share[:, None].to(h.dtype)
    return h.new_zeros(nodes, h.shape[1]).index_add(0, to, each)


def _every_second(near, points: np.ndarray | None) -> np.ndarray:
    """Nodes an even number of edges from the middle of their piece, ascending."""
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    count, label = connected_components(near, directed=False)
    depth = np.zeros(len(label), np.int64)
    first = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[first], np.arange(count + 1))
    for piece in np.flatnonzero(np.diff(bounds) > 1):
        inside = first[bounds[piece] : bounds[piece + 1]]
        seed = inside[0]
        if points is not None:
            away = np.linalg.norm(points[inside] - points[inside].mean(axis=0), axis=1)
            seed = inside[farthest(-away, points[inside])]
        order, before = breadth_first_order(near, seed, directed=False)
        for node in order[1:]:
            depth[node] = depth[before[node]] + 1
    return np.flatnonzero(depth % 2 == 0)
