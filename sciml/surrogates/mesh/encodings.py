"""Where a node is: among the others, by the graph alone; and in space, by turns of queries and keys."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sciml.domain import Domain, Graph, Mesh
from sciml.domain.pieces import MeshPiece
from sciml.errors import DomainError, InputError, require_known
from sciml.surrogates.mesh.ties import ALONG
from sciml.surrogates.structure import DomainStructure, Part

ENCODINGS = ("", "laplacian", "random_walk")

#: Nodes of a component up to which all its eigenvectors are computed.
_DENSE = 600


@dataclass(frozen=True, slots=True)
class NodeEncoding(DomainStructure):
    """Where nodes are among the others, by the edges alone: ``encoding (N, size)``.

    Args:
        kind: ``laplacian`` or ``random_walk``.
        size: numbers a node.

    Raises:
        InputError: an unknown kind, a size below 1.
    """

    kind: str
    size: int = 8

    def __post_init__(self) -> None:
        require_known("unknown encoding", self.kind, ENCODINGS[1:])
        if self.size < 1:
            raise InputError(f"encoding: size={self.size}; expected 1 or more")

    def parts(self, domain: Domain) -> dict[str, Part]:
        if not isinstance(domain, Mesh | Graph):
            raise DomainError(f"edges of a {domain.kind}; expected a mesh or a graph")
        if isinstance(domain, MeshPiece):  # where nodes are in the whole
            [part] = self.parts(domain.whole).values()
            return {"encoding": Part(part.values[domain.nodes])}
        points = domain.points if isinstance(domain, Mesh) else None
        if self.kind == "laplacian":
            found = laplacian(domain.edges, domain.size, self.size, points)
        else:
            found = random_walk(domain.edges, domain.size, self.size)
        return {"encoding": Part(found.astype(np.float32))}


def laplacian(
    edges: Int[np.ndarray, "2 edge"],
    nodes: int,
    size: int,
    points: Float[np.ndarray, "node d"] | None = None,
) -> Float[np.ndarray, "node size"]:
    """Eigenvectors of I − D^−½ A D^−½ for the smallest eigenvalues above 0, times √n, of each component.

    Edges are taken both ways. An eigenvector has two signs: it grows along the coordinates, without any
    its largest entry is positive, so that the order of the nodes does not matter; where eigenvalues are
    equal, it does. 0 where a component has fewer.

    Source: V. Dwivedi and X. Bresson, A Generalization of Transformer Networks to Graphs, 2020, arXiv
    2012.09699.
    """
    from scipy.sparse import diags_array, eye_array
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import eigsh

    both = _adjacency(edges, nodes)
    count, label = connected_components(both, directed=False)
    found = np.zeros((nodes, size))
    for one in range(count):
        inside = np.flatnonzero(label == one)
        n = len(inside)
        if n < 2:
            continue
        part = both[inside][:, inside]
        over = diags_array(1.0 / np.sqrt(part.sum(axis=1)))
        matrix = eye_array(n) - over @ part @ over
        if n <= _DENSE or size + 1 >= n:
            vectors = np.linalg.eigh(matrix.toarray())[1][:, 1 : size + 1]
        else:
            # About a point below 0, where the matrix has an inverse.
            start = np.random.default_rng(0).standard_normal(n)
            values, vectors = eigsh(matrix.tocsc(), k=size + 1, sigma=-1e-2, v0=start)
            vectors = vectors[:, np.argsort(values)][:, 1:]
        if points is None:
            sign = vectors.max(axis=0) + vectors.min(axis=0)
        else:  # neither odd nor even about any middle: an eigenvector of a regular mesh is one of them
            along = (points[inside] - points[inside].mean(axis=0)) @ ALONG[: points.shape[1]]
            sign = np.exp(along / np.abs(along).max()) @ vectors
        found[inside, : vectors.shape[1]] = vectors * np.where(sign < 0, -1, 1) * math.sqrt(n)
    return found


def random_walk(
    edges: Int[np.ndarray, "2 edge"], nodes: int, size: int
) -> Float[np.ndarray, "node size"]:
    """How likely a walk is back where it began after 1, …, ``size`` steps. Edges are taken both ways.

    Source: V. Dwivedi et al., Graph Neural Networks with Learnable Structural and Positional
    Representations, ICLR 2022, arXiv 2110.07875.
    """
    from scipy.sparse import diags_array, eye_array

    both = _adjacency(edges, nodes)
    step = diags_array(1.0 / np.maximum(both.sum(axis=1), 1.0)) @ both
    far, found = [eye_array(nodes, format="csr"), step.tocsr()], []
    for k in range(1, size + 1):
        a, b = k // 2, k - k // 2  # half of a walk, and the other half, which is back
        if b == len(far):
            far.append((far[-1] @ step).tocsr())
        found.append(far[a].multiply(far[b].T).sum(axis=1))
    return np.stack(found, axis=1)


def _adjacency(edges: Int[np.ndarray, "2 edge"], nodes: int):
    from scipy.sparse import coo_array

    source, receiver = np.concatenate([edges, edges[::-1]], axis=1)
    both = coo_array((np.ones(len(source)), (receiver, source)), shape=(nodes, nodes)).tocsr()
    both.setdiag(0.0)
    both.eliminate_zeros()
    both.data[:] = 1.0
    return both


def rotations(channels: int, ndim: int) -> Float[Tensor, "d pair"]:
    """Turns of each pair of channels by a coordinate from −1 to 1: π, … 64 π, each axis its own pairs.

    Raises:
        InputError: fewer pairs of channels than axes.
    """
    pairs = channels // 2
    if pairs < ndim:
        raise InputError(
            f"rope: {channels} channels a head for {ndim} coordinates; expected {2 * ndim} or more: a "
            "larger width, or fewer heads"
        )
    rates = torch.zeros(ndim, pairs)
    for axis in range(ndim):
        own = torch.arange(axis, pairs, ndim)
        rates[axis, own] = math.pi * 64 ** (torch.arange(len(own)) / max(len(own) - 1, 1))
    return rates


def rotated(x: Float[Tensor, "node head c"], turns: Float[Tensor, "node pair"]) -> Tensor:
    """Pairs of channels turned by angles, of all heads alike; a product of two sees their difference.

    Source: J. Su et al., RoFormer, 2021, arXiv 2104.09864.
    """
    pairs = turns.shape[1]
    a, b, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
    cos, sin = turns.cos()[:, None], turns.sin()[:, None]
    return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], dim=-1)
