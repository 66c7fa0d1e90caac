"""Graphs without geometry: citation networks, reaction networks, connectivity alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sciml.domain.names import NODE
from sciml.errors import DomainError


def places(edges: ArrayLike) -> np.ndarray:
    """``edges`` as int64: places of nodes.

    Raises:
        DomainError: names, or numbers that are not whole.
    """
    given = np.asarray(edges)
    with np.errstate(invalid="ignore"):  # NaN has no whole number
        numbers = given.dtype.kind in "iuf" or not given.size
        whole = given.astype(np.int64) if numbers else np.zeros(given.shape, np.int64)
    wrong = (given[given != whole] if numbers else given).ravel().tolist()
    if wrong:
        raise DomainError(
            f"graph: edges hold {wrong[0]!r}; expected whole numbers, the places of sources and "
            "receivers among the nodes, not their names"
        )
    return whole


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes and directed edges ``source → receiver``.

    Args:
        nodes: number of nodes.
        edges: int64 ``(2, E)``, row 0 sources, row 1 receivers.
    """

    kind: ClassVar[str] = "graph"

    nodes: int
    edges: np.ndarray

    def __post_init__(self) -> None:
        edges = places(self.edges)
        if edges.ndim != 2 or edges.shape[0] != 2:
            raise DomainError(f"graph: edges {edges.shape}; expected (2, E), sources and receivers")
        if edges.size and (edges.min() < 0 or edges.max() >= self.nodes):
            raise DomainError(
                f"graph: edges name nodes {edges.min()} to {edges.max()}; there are {self.nodes}, "
                "counted from 0 (in files from edges.attrs['start_index'])"
            )
        object.__setattr__(self, "edges", edges)

    @property
    def dims(self) -> tuple[str, ...]:
        return (NODE,)

    @property
    def point_shape(self) -> tuple[int, ...]:
        return (self.nodes,)

    def shape_of(self, on: str) -> tuple[int, ...] | None:
        """Shape of a scalar field there; ``()`` if it is global, ``None`` where there is none."""
        return {"point": self.point_shape, "global": (), "edge": self.edges.shape[1:]}.get(on)

    @property
    def size(self) -> int:
        return self.nodes

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Graph)
            and self.nodes == other.nodes
            and np.array_equal(self.edges, other.edges)
        )

    __hash__ = None
