"""Symmetric positive definite systems on distributed fields."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciml.errors import ScimlError
from sciml.parallel.reduce import GlobalSum


class ConjugateGradient:
    """Solves A x = b by conjugate gradients, to ‖b − A x‖ ≤ tolerance · ‖b‖.

    Each rank holds its block of x and b. The residual is the one of the recurrence, which keeps
    falling below what the true residual can reach, about ε · cond(A): with tolerance 1e-14 that is
    the limit for cond(A) ≫ 100.

    Args:
        apply: ``apply(p, out)`` writes A p to ``out``; it fills halos by itself.
        total: global sums.
        shape: of the block.
        tolerance: of the residual, relative to ‖b‖.
        iterations: at most so many.
        precondition: ``precondition(r, out)`` writes M r to ``out``, M ≈ A⁻¹ symmetric and positive
            definite, such as a :class:`Multigrid`, for residuals of norm 1; the residual that is
            judged is not changed by it.

    Raises:
        ScimlError: from :meth:`solve`, not converged, or A is not positive definite.

    Source: M. R. Hestenes and E. Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409.
    """

    def __init__(
        self,
        apply: Callable[[np.ndarray, np.ndarray], None],
        total: GlobalSum,
        shape: tuple[int, ...],
        *,
        tolerance: float = 1e-14,
        iterations: int = 10_000,
        precondition: Callable[[np.ndarray, np.ndarray], None] | None = None,
    ) -> None:
        self._apply = apply
        self._total = total
        self._tolerance = tolerance
        self._iterations = iterations
        self._precondition = precondition
        self._r, self._p, self._ap, self._work = (np.zeros(shape) for _ in range(4))
        self._z = self._r if precondition is None else np.zeros(shape)

    def solve(self, b: np.ndarray, x: np.ndarray) -> int:
        """Overwrites ``x``, the first guess, with the solution; returns the number of iterations."""
        r, p, ap, work, total = self._r, self._p, self._ap, self._work, self._total
        self._apply(x, ap)
        np.subtract(b, ap, out=r)
        # An underflow of ‖b‖² (a field at rest) ends at once, with x as good as zero.
        bound = self._tolerance**2 * total.dot(b, b)
        rr = total.dot(r, r)
        p[...], rz = 0.0, 1.0
        for count in range(self._iterations):
            if rr <= bound:
                return count
            previous, rz = rz, self._direction(rr)
            np.multiply(p, rz / previous, out=p)
            np.add(p, self._z, out=p)
            self._apply(p, ap)
            curvature = total.dot(p, ap)
            if not curvature > 0.0:
                raise ScimlError(
                    f"conjugate gradients: p·Ap = {curvature} after {count} iterations; expected "
                    "a positive definite operator and finite values"
                )
            alpha = rz / curvature
            np.multiply(p, alpha, out=work)
            np.add(x, work, out=x)
            np.multiply(ap, alpha, out=work)
            np.subtract(r, work, out=r)
            rr = total.dot(r, r)
        raise ScimlError(
            f"conjugate gradients: relative residual {(rr / max(bound, 1e-300)) ** 0.5:.1e} times "
            f"the tolerance after {self._iterations} iterations; raise the tolerance, take "
            "shorter time steps, or give a preconditioner"
        )

    def _direction(self, rr: float) -> float:
        """z = M r / ‖r‖; returns r·z."""
        if self._precondition is None:
            return rr
        # At norm 1, whatever b is; the length of z, and with it that of p, does not matter.
        np.multiply(self._r, rr**-0.5, out=self._work)
        self._precondition(self._work, self._z)
        return self._total.dot(self._r, self._z)
