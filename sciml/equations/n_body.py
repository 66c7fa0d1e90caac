"""Bodies that act on each other by a force that falls with the square of their distance.

m_i d²r_i/dt² = F_i = k Σ_j c_i c_j (r_i − r_j) / (|r_i − r_j|² + ε²)^{3/2}: charges c of one sign repel
each other for k > 0; gravity has c = m and k < 0. ε softens close encounters. Without dimensions.

Energy Σ_i (m_i |v_i|² + c_i φ_i) / 2, φ_i = k Σ_{j≠i} c_j / √(|r_i − r_j|² + ε²), momentum Σ m_i v_i and
angular momentum stay as they are.

Source: charged bodies as a benchmark: V. G. Satorras, E. Hoogeboom, M. Welling, arXiv:2102.09844, 5.1;
how leapfrog keeps all that: E. Hairer, C. Lubich, G. Wanner, Acta Numerica 12 (2003) 399.
"""

from __future__ import annotations

import numpy as np


def forces(
    positions: np.ndarray,
    charges: np.ndarray,
    strength: float,
    softening: float = 0.0,
    rows: slice = slice(None),
) -> tuple[np.ndarray, np.ndarray]:
    """F and φ of some bodies, by all of them.

    Each row is added up in one order, whatever the others are: bitwise the same in any selection.

    Args:
        positions: r, ``(n, d)``.
        charges: c, ``(n,)``.
        strength: k.
        softening: ε.
        rows: of which bodies.

    Returns:
        ``(rows, d)`` and ``(rows,)``.
    """
    along = np.ascontiguousarray(positions.T)
    apart = along[:, rows, None] - along[:, None]  # (d, rows, n)
    squared = (apart * apart).sum(0) + softening**2
    # No body acts on itself.
    squared[np.arange(len(squared)), np.arange(len(positions))[rows]] = np.inf
    # Not a power: only roots and quotients are rounded alike wherever they stand in an array.
    inverse = 1.0 / np.sqrt(squared)
    potentials = strength * charges * inverse
    pulls = (potentials * inverse * inverse * apart).sum(-1)
    return charges[rows, None] * pulls.T, potentials.sum(-1)


def energy(
    velocities: np.ndarray, masses: np.ndarray, charges: np.ndarray, potentials: np.ndarray
) -> float:
    """Σ (m |v|² + c φ) / 2, of all bodies."""
    return kinetic_energy(velocities, masses) + 0.5 * float((charges * potentials).sum())


def kinetic_energy(velocities: np.ndarray, masses: np.ndarray) -> float:
    """Σ m |v|² / 2."""
    return 0.5 * float((masses[:, None] * velocities**2).sum())
