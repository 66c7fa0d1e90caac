"""Whom a node attends to: neighbours near and far, nodes that all see, and others by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from sciml.domain import Domain, Graph, Mesh
from sciml.domain.names import NO_GROUPS
from sciml.errors import DomainError, InputError, require_known
from sciml.surrogates.graph.links import Links, links_of, undirected
from sciml.surrogates.mesh.ties import farthest
from sciml.surrogates.structure import POINT, DomainStructure, Part


@dataclass(frozen=True, slots=True)
class Neighbourhoods(DomainStructure):
    """Pairs of nodes that attend to each other, for each dilation: ``near_0 (2, E)``,
    ``back_0 (E,)``, ``near_1``, ….

    With dilation d and k hops a node sees itself and the nodes at a distance of d, 2d, …, k d edges: a
    dilated sliding window, with d = 1 the K-hop power of the adjacency. Those below are in all of them.

    Args:
        hops: k.
        dilations: d, one after the other; layers take them in turn.
        random_edges: other nodes that a node is joined with, both ways, drawn once a mesh.
        global_nodes: nodes that see all others and that all see, spread over the mesh: each the farthest
            from those before.
        global_groups: groups of nodes of a mesh, likewise: all of them.
        undirected: take every edge both ways.
        seed: of what is drawn.

    Raises:
        InputError: numbers that cannot be; a group that the mesh does not have.
        DomainError: no mesh or graph.

    When it fails: in a plane there are some 6 d nodes at distance d, 3 k² within k: far windows cost as
    they see. A group of many nodes costs twice its size for each node. Of graphs, whose nodes have no
    places, what is drawn depends on the order of the nodes.

    Source: P. Garnier et al., 2025, arXiv 2508.18051, section 3: dilated sliding windows, global
    attention; random edges and global nodes after M. Zaheer et al., Big Bird, 2020, arXiv 2007.14062.
    """

    hops: int = 1
    dilations: tuple[int, ...] = (1,)
    random_edges: int = 0
    global_nodes: int = 0
    global_groups: tuple[str, ...] = ()
    undirected: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.dilations or min(self.hops, *self.dilations) < 1:
            raise InputError(
                f"hops={self.hops}, dilations={list(self.dilations)}; expected 1 or more of edges"
            )
        if min(self.random_edges, self.global_nodes) < 0:
            raise InputError(
                f"random_edges={self.random_edges}, global_nodes={self.global_nodes}; expected 0 or more"
            )

    @property
    def everywhere(self) -> bool:
        """Whether nodes see others that are anywhere."""
        return bool(self.random_edges or self.global_nodes or self.global_groups)

    def far(self, layer: int) -> int:
        """Edges that a node sees far in a layer."""
        return self.hops * self.dilations[layer % len(self.dilations)]

    def parts(self, domain: Domain) -> dict[str, Part]:
        found = {}
        for number, links in enumerate(self.of(domain)):
            pairs = torch.stack([links.source, links.receiver])
            found[f"near_{number}"] = Part(pairs.numpy(), 1, POINT)
            found[f"back_{number}"] = Part(links.outgoing.numpy(), counts=f"near_{number}")
        return found

    def of(self, domain: Domain) -> list[Links]:
        """Links for each dilation."""
        if not isinstance(domain, Mesh | Graph):
            raise DomainError(f"edges of a {domain.kind}; expected a mesh or a graph")
        n, edges = domain.size, torch.from_numpy(domain.edges)
        if self.undirected:
            edges = undirected(edges)
        rings = _rings(edges.numpy(), n, self.hops * max(self.dilations))
        extra = np.concatenate([self._random(domain), self._global(domain)], axis=1)
        found = []
        for d in self.dilations:
            far = [np.empty((2, 0), np.int64), *(rings[k * d - 1] for k in range(1, self.hops + 1))]
            pairs = np.concatenate([*far, extra, extra[::-1]], axis=1)
            found.append(links_of(with_loops(torch.from_numpy(pairs), n), n))
        return found

    def taken(self, structures: dict[str, Tensor], nodes: int, symmetric: bool) -> list[Links]:
        """The links again, of what :meth:`parts` gave; their entries are removed."""
        found = []
        for number in range(len(self.dilations)):
            pairs, back = structures.pop(f"near_{number}"), structures.pop(f"back_{number}")
            order = torch.arange(pairs.shape[1], device=pairs.device)
            found.append(Links(pairs[0], pairs[1], nodes, order, back, symmetric, True))
        return found

    def _random(self, domain: Mesh | Graph) -> Int[np.ndarray, "2 pair"]:
        """Drawn among the ranks of places, so that the order of the nodes does not matter."""
        n = domain.size
        rank = np.lexsort(domain.points.T) if isinstance(domain, Mesh) else np.arange(n)
        rng = np.random.default_rng((self.seed, n))
        one = np.repeat(np.arange(n), self.random_edges)
        return rank[np.stack([rng.integers(0, n, len(one)), one])].astype(np.int64)

    def _global(self, domain: Mesh | Graph) -> Int[np.ndarray, "2 pair"]:
        groups = getattr(domain, "groups", {})
        if self.global_groups and not groups and isinstance(domain, Mesh):
            raise InputError(f"global_groups: no group '{self.global_groups[0]}'; {NO_GROUPS}")
        require_known("global_groups: no group", self.global_groups, groups)
        chosen = [np.asarray(groups[name]) for name in self.global_groups]
        if self.global_nodes:
            chosen.append(_spread(domain, self.global_nodes, self.seed))
        nodes = np.unique(np.concatenate([np.empty(0, np.int64), *chosen]))
        every = np.arange(domain.size)
        return np.stack([np.repeat(nodes, len(every)), np.tile(every, len(nodes))])


def receptive_field(links: Sequence[Links], layers: int, node: int) -> Int[np.ndarray, " node"]:
    """After how many layers each node has reached ``node``; −1: not by ``layers``.

    A dense answer is a model that sees all; compare with how far what happens goes in one step.

    Args:
        links: of layers, which take them in turn, as :meth:`Neighbourhoods.of` gives them.
        layers: of the model.
        node: the one that looks.
    """
    reached = np.full(links[0].nodes, -1)
    # The last layer looks first: it sees what the one before had gathered.
    seen = np.zeros(len(reached), bool)
    seen[node] = True
    reached[node] = 0
    for layer in reversed(range(layers)):
        one = links[layer % len(links)]
        seen[one.source.numpy()[seen[one.receiver.numpy()]]] = True
        reached[seen & (reached < 0)] = layers - layer
    return reached


def with_loops(edges: Int[Tensor, "2 edge"], nodes: int) -> Int[Tensor, "2 more"]:
    """Edges, each once, and one from each node to itself."""
    own = torch.arange(nodes, device=edges.device)
    place = torch.cat([edges[1] * nodes + edges[0], own * (nodes + 1)]).unique()
    return torch.stack([place % nodes, place // nodes])


def _rings(edges: np.ndarray, nodes: int, most: int) -> list[np.ndarray]:
    """Pairs at a distance of 1, 2, …, ``most`` edges."""
    from scipy.sparse import csr_array, eye_array

    ones = np.ones(edges.shape[1], bool)
    step = csr_array((ones, (edges[1], edges[0])), shape=(nodes, nodes))
    seen = now = eye_array(nodes, dtype=bool, format="csr")
    found = []
    for _ in range(most):
        within = ((now @ step) + seen).astype(bool)
        now = (within > seen).tocsr()
        seen = within
        receiver, source = now.nonzero()
        found.append(np.stack([source, receiver]).astype(np.int64))
    return found


def _spread(domain: Mesh | Graph, count: int, seed: int) -> np.ndarray:
    """Nodes far from each other; of a graph, which has no places, by chance."""
    if isinstance(domain, Graph):
        rng = np.random.default_rng((seed, domain.size))
        return rng.permutation(domain.size)[:count]
    far = np.linalg.norm(domain.points - domain.points.mean(axis=0), axis=1)
    chosen = []
    for _ in range(min(count, domain.size)):
        chosen.append(farthest(far, domain.points))
        to_it = np.linalg.norm(domain.points - domain.points[chosen[-1]], axis=1)
        far = np.minimum(far, to_it) if len(chosen) > 1 else to_it
    return np.array(chosen)
