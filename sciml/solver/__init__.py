"""What a solver program is, and the main that runs it under mpirun."""

from sciml.solver.declare import Option, Parameter
from sciml.solver.program import Program
from sciml.solver.run import main
from sciml.solver.sampling import sample_seed

__all__ = ["Option", "Parameter", "Program", "main", "sample_seed"]
