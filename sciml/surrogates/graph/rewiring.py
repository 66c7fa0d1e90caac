"""Edges between nodes that diffusion joins, in place of those that came."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from sciml.errors import InputError

#: Entries below this part of the threshold are dropped on the way, which keeps the matrix sparse.
_DROPPED = 0.002


def rewired(
    edge_index: Int[np.ndarray, "2 edge"],
    nodes: int,
    restart: float = 0.15,
    threshold: float = 0.01,
) -> Int[np.ndarray, "2 pair"]:
    """Pairs for which S_uv > threshold, S = c Σ_k (1 − c)^k (D^−½ A D^−½)^k: personalised PageRank.

    Edges are taken both ways, and pairs come both ways; no node is joined with itself. Walks that carry
    less than a 500th of the threshold are cut off.

    Args:
        restart: c; small: far nodes are joined, too.
        threshold: of S.

    Raises:
        InputError: numbers that are not between 0 and 1.

    When it fails: where degrees are large, no entry of S may be above the threshold: nodes are then
    alone.

    Source: J. Gasteiger, S. Weißenberger, S. Günnemann, Diffusion improves graph learning, NeurIPS 2019,
    arXiv 1911.05485; in GRAND (arXiv 2106.10934) as *nl-rw*.
    """
    from scipy.sparse import coo_array, diags_array, eye_array

    for what, given in (("restart", restart), ("threshold", threshold)):
        if not 0 < given < 1:
            raise InputError(f"rewiring: {what}={given}; expected a number between 0 and 1")
    source, receiver = np.asarray(edge_index)
    both = coo_array(
        (np.ones(2 * len(source)), (np.append(source, receiver), np.append(receiver, source))),
        shape=(nodes, nodes),
    ).tocsr()
    both.data[:] = 1.0
    both.setdiag(0.0)
    over = 1.0 / np.sqrt(np.maximum(both.sum(axis=1), 1.0))
    walk = (1.0 - restart) * (diags_array(over) @ both @ diags_array(over)).tocsr()
    term = restart * eye_array(nodes, format="csr")
    total = term
    while term.nnz:
        term = (walk @ term).tocsr()
        term.data[term.data < _DROPPED * threshold] = 0.0
        term.eliminate_zeros()
        total = total + term
    total.setdiag(0.0)
    # Walks that were cut off may have been counted one way alone.
    total = (total + total.T).tocoo() / 2
    large = total.data > threshold
    return np.stack([total.col[large], total.row[large]]).astype(np.int64)
