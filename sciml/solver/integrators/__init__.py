"""Time integrators: methods as tables of coefficients, and the one engine that steps them."""

from sciml.solver.integrators.engine import Integrator
from sciml.solver.integrators.methods import METHODS

__all__ = ["METHODS", "Integrator"]
