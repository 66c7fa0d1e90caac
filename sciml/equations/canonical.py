"""Samples of exp(−E(x) / kT), the canonical distribution, of particles with an energy E and forces −∇E.

Units are of the caller: x a length, E and kT an energy, masses and times such that m x² / t² is one.

Sources: BAOAB by B. Leimkuhler and C. Matthews, arXiv:1203.5428, whose positions have the least error of
the splittings of Langevin dynamics; displacements along normal modes as in J. S. Smith, O. Isayev,
A. E. Roitberg, arXiv:1610.08935, here with normal deviates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np

from sciml.errors import InputError

#: E and −∇E ``(n, d)`` at x ``(n, d)``.
Acting = Callable[[np.ndarray], tuple[float, np.ndarray]]

#: Displacement for second derivatives, as a part of a unit of length: errors of 1e-4 by the fourth
#: derivatives of a bond, and of 1e-6 by forces that are good to 1e-8.
STEP = 5e-3
#: Part of the stiffest mode's curvature below which a mode is none that a parabola describes.
FLAT = 1e-6


@final
class Langevin:
    """m dv = F dt − γ m v dt + √(2 γ m kT) dW, in steps of BAOAB.

    Half a kick, half a drift, exact decay of the velocity and noise, half a drift, half a kick. With
    γ = 0 that is the velocity Verlet method. Samples of x have an error of dt².

    Args:
        acting: energy and forces.
        x: positions at the start, ``(n, d)``; velocities are drawn.
        masses: ``(n,)``.
        thermal: kT.
        friction: γ.
        dt: time step.
        draws: of the noise.

    Attributes:
        x, v, forces, energy: as they are now.
    """

    def __init__(
        self,
        acting: Acting,
        x: np.ndarray,
        masses: np.ndarray,
        thermal: float,
        friction: float,
        dt: float,
        draws: np.random.Generator,
    ) -> None:
        self._acting, self._dt, self._draws = acting, dt, draws
        self._mass = masses[:, None]
        self._spread = np.sqrt(thermal / self._mass)
        self._kept = np.exp(-friction * dt)
        self.x = np.array(x, np.float64)
        self.v = self._spread * draws.standard_normal(self.x.shape)
        self.energy, self.forces = acting(self.x)

    def advance(self, steps: int) -> None:
        half, new = 0.5 * self._dt, np.sqrt(1.0 - self._kept**2)
        for _ in range(steps):
            self.v += half * self.forces / self._mass
            self.x += half * self.v
            noise = self._draws.standard_normal(self.x.shape)
            self.v = self._kept * self.v + new * self._spread * noise
            self.x += half * self.v
            self.energy, self.forces = self._acting(self.x)
            self.v += half * self.forces / self._mass


@final
class NormalModes:
    """x = x₀ + Σ_k ξ_k √(kT / κ_k) e_k / √m, with κ and e of the Hessian at rest and normal ξ.

    Translations and rotations are left out. Independent each time; exact while E is a parabola.

    Args:
        acting: energy and forces.
        rest: x₀, where forces vanish, ``(n, 3)``.
        masses: ``(n,)``.
        thermal: kT.
        draws: of ξ.

    Attributes:
        rest: x₀.
        x, forces, energy: of the last sample; at first at rest.
        frequencies: √κ_k of the modes, ascending: 3n − 6 of them, 3n − 5 on a line.

    Raises:
        InputError: a saddle, where E falls along a mode.
    """

    def __init__(
        self,
        acting: Acting,
        rest: np.ndarray,
        masses: np.ndarray,
        thermal: float,
        draws: np.random.Generator,
    ) -> None:
        self._acting, self.rest, self._draws = acting, np.array(rest, np.float64), draws
        root = np.repeat(np.sqrt(masses), 3)
        weighted = hessian(acting, self.rest) / np.outer(root, root)
        rigid = _rigid_motions(self.rest, masses)
        free = np.eye(len(root)) - rigid @ rigid.T
        curvatures, modes = np.linalg.eigh(free @ weighted @ free)
        # What is projected out has curvature 0, and lies among the others where some are negative.
        inner = np.einsum("im,ij,jm->m", modes, free, modes) > 0.5
        curvatures, modes = curvatures[inner], modes[:, inner]
        if len(curvatures) and curvatures[0] <= FLAT * curvatures[-1]:
            raise InputError(
                f"normal modes: the energy does not rise along {int((curvatures <= 0).sum()) or 1} of "
                f"{len(curvatures)}; expected a minimum: start nearer to one, or sample by dynamics"
            )
        self.frequencies = np.sqrt(curvatures)
        self._reach = modes / root[:, None] * (np.sqrt(thermal) / self.frequencies)
        self.x = self.rest
        self.energy, self.forces = acting(self.x)

    def advance(self, steps: int) -> None:
        """A new sample, however many steps."""
        amplitudes = self._draws.standard_normal(self._reach.shape[1])
        self.x = self.rest + (self._reach @ amplitudes).reshape(-1, 3)
        self.energy, self.forces = self._acting(self.x)


def hessian(acting: Acting, x: np.ndarray, step: float = STEP) -> np.ndarray:
    """∂²E/∂x², ``(n d, n d)``, symmetric, by central differences of forces: 2 n d evaluations."""
    rows = []
    for i in range(x.size):
        away = np.zeros(x.size)
        away[i] = step
        away = away.reshape(x.shape)
        rows.append((acting(x - away)[1] - acting(x + away)[1]).ravel() / (2.0 * step))
    found = np.array(rows)
    return 0.5 * (found + found.T)


def at_rest(acting: Acting, x: np.ndarray, least: float) -> np.ndarray:
    """Where no component of a force is above ``least``, downhill from x.

    Raises:
        InputError: none found.
    """
    from scipy.optimize import minimize

    start, _ = acting(x)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        energy, forces = acting(flat.reshape(x.shape))
        return energy - start, -forces.ravel()

    found = minimize(value, x.ravel(), jac=True, method="BFGS", options={"gtol": least})
    # Energies of limited accuracy stop a line search early.
    if np.abs(found.jac).max() > 10.0 * least:
        raise InputError(
            f"no rest: forces of {np.abs(found.jac).max():.2g} are left after {found.nit} steps; "
            "expected a structure nearer to a minimum"
        )
    return found.x.reshape(x.shape)


def _rigid_motions(x: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Orthonormal translations and rotations, weighted by the masses, ``(3 n, 6)``; 5 on a line."""
    root = np.sqrt(masses)[:, None]
    from_centre = x - (masses[:, None] * x).sum(0) / masses.sum()
    motions = [root * axis for axis in np.eye(3)]
    motions += [root * np.cross(axis, from_centre) for axis in np.eye(3)]
    left, sizes, _ = np.linalg.svd(
        np.stack([m.ravel() for m in motions], axis=1), full_matrices=False
    )
    return left[:, sizes > 1e-6 * sizes[0]]
