"""What a solver program is, and the main that runs it under mpirun."""

from sciml.solver.combinations import COMPLEX
from sciml.solver.declaration import Option, Parameter, initial_option, is_file
from sciml.solver.driven_program import DrivenProgram
from sciml.solver.initial_state import initial_fields, initial_state
from sciml.solver.integrators import METHODS, Integrator
from sciml.solver.program import Program
from sciml.solver.random_input import RandomInput, input_parameters, stationary_field
from sciml.solver.run import main
from sciml.solver.sample_seed import sample_seed
from sciml.solver.spectral import SpectralProgram, orders, scheme_option
from sciml.solver.trajectory import TrajectoryProgram, trajectory_options

__all__ = [
    "COMPLEX",
    "METHODS",
    "DrivenProgram",
    "Integrator",
    "Option",
    "Parameter",
    "Program",
    "RandomInput",
    "SpectralProgram",
    "TrajectoryProgram",
    "initial_fields",
    "initial_option",
    "initial_state",
    "input_parameters",
    "is_file",
    "main",
    "orders",
    "sample_seed",
    "scheme_option",
    "stationary_field",
    "trajectory_options",
]
