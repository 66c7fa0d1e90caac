"""What a solver program is, and the main that runs it under mpirun."""

from sciml.solver.declare import Option, Parameter
from sciml.solver.integrators import METHODS, Integrator
from sciml.solver.program import Program
from sciml.solver.run import main
from sciml.solver.sampling import sample_seed
from sciml.solver.spectral import SpectralProgram, orders, scheme_option

__all__ = [
    "METHODS",
    "Integrator",
    "Option",
    "Parameter",
    "Program",
    "SpectralProgram",
    "main",
    "orders",
    "sample_seed",
    "scheme_option",
]
