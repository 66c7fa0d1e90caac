"""Incompressible flow in the plane by Taylor–Hood elements of ngsolve, on one rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from sciml.parallel.side_middles import SideMiddles


@final
class TaylorHood:
    """∂u/∂t + (u·∇)u = ν ∇²u − ∇p, ∇·u = 0; u of order k, p of order k − 1, both continuous.

    The velocity is held on some sides; on the others ν ∂u/∂n = p n (*do nothing*). Time steps are of
    second order, SBDF2: (3 u⁺ − 4 u + u⁻) / 2 dt − ν ∇²u⁺ + ∇p⁺ = −2 (u·∇)u + (u⁻·∇)u⁻, the first one
    Euler's. The matrix on the left is factorized once (LDLᵀ, sparse).

    Forces are residuals: what the momentum equations of the nodes at a body lack, added up. They
    converge twice as fast as integrals of stresses over its surface (Babuška, Miller; John, *Int. J.
    Numer. Meth. Fluids* 44, 2004).

    Args:
        mesh: of ngsolve.
        viscosity: ν.
        order: k, 2 or more.
        held: the velocity, a pair of numbers or functions of ngsolve, by name of a side.
        body: the side whose forces are wanted.
        middles: of the sides of the triangles, which are nodes as well; ``None``: they are not.
        start: the velocity at the start; ``None``: creeping flow, which has no inertia.


    When it fails: the nonlinear term is explicit; steps longer than about h / (k² |u|) blow up.
    """

    def __init__(
        self,
        mesh: Any,
        viscosity: float,
        order: int,
        held: Mapping[str, tuple[Any, Any]],
        body: str,
        middles: SideMiddles | None = None,
        start: tuple[Any, Any] | None = None,
    ) -> None:
        import ngsolve as ng

        self.mesh = mesh
        ng.SetNumThreads(1)  # several would add up in any order, and no run would be like another
        velocity = ng.VectorH1(mesh, order=order, dirichlet="|".join(held))
        self.space = velocity * ng.H1(mesh, order=order - 1)
        (u, p), (v, q) = self.space.TnT()
        inner, grad = ng.InnerProduct, ng.Grad
        # The last term makes pivots of the pressure's zeros.
        stokes = viscosity * inner(grad(u), grad(v)) - ng.div(u) * q - ng.div(v) * p - 1e-10 * p * q
        self._stokes = ng.BilinearForm(stokes * ng.dx, symmetric=True).Assemble().mat
        self._mass = ng.BilinearForm(inner(u, v) * ng.dx, symmetric=True).Assemble().mat
        self._convection = ng.BilinearForm(self.space, nonassemble=True)
        self._convection += inner(grad(u) * u, v) * ng.dx
        self._flow, given = ng.GridFunction(self.space), ng.GridFunction(self.space)
        sides = mesh.BoundaryCF({name: ng.CF(value) for name, value in held.items()}, ng.CF((0, 0)))
        self._flow.components[0].Set(sides, definedon=mesh.Boundaries("|".join(held)))
        now = self.now = self._flow.vec
        self._last, self._lack, self._right = (now.CreateVector() for _ in range(3))
        self._carried, self._carried_last, self._scratch = (now.CreateVector() for _ in range(3))
        self._lack.data = -1.0 * self._stokes * now
        now.data += self._inverse(self._stokes) * self._lack
        self._lack.data = self._stokes * now
        if start is not None:
            given.components[0].Set(ng.CF(start))
            free = np.array(self.space.FreeDofs())
            now.FV().NumPy()[free] = given.vec.FV().NumPy()[free]
        self._matrix = self._solve = None
        self._middles = middles
        spaces = velocity.components[0], self.space.components[1]
        self._bends = [None if middles is None else middles.bends(space) for space in spaces]
        self._pulls = []
        for pull in ((1, 0), (0, 1)):
            given.components[0].Set(ng.CF(pull), definedon=mesh.Boundaries(body))
            given.components[1].vec[:] = 0.0
            self._pulls.append(given.vec.CreateVector(copy=True))

    def _inverse(self, matrix: Any) -> Any:
        return matrix.Inverse(self.space.FreeDofs(), inverse="sparsecholesky")

    def _implicit(self, rate: float) -> Any:
        """rate × mass + Stokes."""
        matrix = self._stokes.CreateMatrix()
        matrix.AsVector().data = self._stokes.AsVector() + rate * self._mass.AsVector()
        return matrix

    def advance(self, dt: float) -> None:
        """One step; all are of one length."""
        now, right = self.now, self._right
        self._convection.Apply(now, self._carried)
        if self._matrix is None:
            matrix = self._implicit(1.0 / dt)
            solve = self._inverse(matrix)
            right.data = (1.0 / dt) * (self._mass * now) - self._carried
            self._matrix = self._implicit(1.5 / dt)
            self._solve = self._inverse(self._matrix)
        else:
            matrix, solve = self._matrix, self._solve
            self._scratch.data = (2.0 / dt) * now - (0.5 / dt) * self._last
            right.data = self._mass * self._scratch
            right.data -= 2.0 * self._carried - self._carried_last
        self._last.data, self._carried_last.data = now, self._carried
        self._lack.data = right - matrix * now
        now.data += solve * self._lack
        self._lack.data = matrix * now - right

    @property
    def moved(self) -> Any:
        """The velocity as a function of ngsolve."""
        return self._flow.components[0]

    def velocity(self) -> np.ndarray:
        """At the nodes; ``(nodes, 2)``."""
        return self._at_nodes(self.moved.vec.FV().NumPy().reshape(2, -1), self._bends[0]).T

    def pressure(self) -> np.ndarray:
        """At the nodes; ``(nodes,)``."""
        return self._at_nodes(self._flow.components[1].vec.FV().NumPy(), self._bends[1])

    def _at_nodes(self, values: np.ndarray, bends: np.ndarray | None) -> np.ndarray:
        """From the coefficients of hierarchical bases, those of corners first."""
        if self._middles is None:
            return values[..., : self.mesh.nv].copy()
        return self._middles.values(values, bends, self.mesh.nv)

    def at(self, points: np.ndarray) -> np.ndarray:
        """(u_x, u_y, p) anywhere inside; ``(n, 3)``."""
        moved, pressure = self._flow.components
        places = [self.mesh(*point) for point in np.asarray(points).tolist()]
        return np.array([[*moved(place), pressure(place)] for place in places])

    def force(self) -> np.ndarray:
        """On the body, by density and length across the plane; ``(2,)``."""
        return np.array([-self._lack.InnerProduct(pull) for pull in self._pulls])
