"""What a solver program is, and the main that runs it under mpirun."""

from sciml.solver.declare import Option, Parameter
from sciml.solver.program import Program
from sciml.solver.run import main

__all__ = ["Option", "Parameter", "Program", "main"]
