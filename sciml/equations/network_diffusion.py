"""Diffusion along the edges of a network: du_i/dt = Σ_j w_ij (u_j − u_i), or du/dt = −L u.

w_ij = w_ji is the conductance of the edge between nodes i and j (s⁻¹), L the graph Laplacian, symmetric
and positive semidefinite. The sum of u stays in each connected piece of the network, and
u(t) = exp(−L t) u(0) tends to the mean there.

Source: F. R. K. Chung, Spectral Graph Theory, AMS 1997, chapters 1 and 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def laplacian(nodes: int, edges: np.ndarray, conductance: np.ndarray) -> Any:
    """L as a sparse matrix, rows sorted.

    Args:
        nodes: how many.
        edges: ``(2, E)``, each in both directions.
        conductance: w, ``(E,)``, of one value in both directions.
    """
    from scipy.sparse import coo_array

    sources, receivers = edges
    weights = coo_array((conductance, (receivers, sources)), shape=(nodes, nodes))
    degrees = np.bincount(receivers, conductance, nodes)
    along = np.arange(nodes)
    matrix = (coo_array((degrees, (along, along)), shape=(nodes, nodes)) - weights).tocsr()
    matrix.sort_indices()
    return matrix


def fastest_decay(nodes: int, edges: np.ndarray, conductance: np.ndarray) -> float:
    """A bound on the largest eigenvalue of L: twice the largest sum of conductances at a node."""
    return 2.0 * float(np.bincount(edges[1], conductance, nodes).max())
