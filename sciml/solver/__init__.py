"""What a solver program is, and the main that runs it under mpirun."""

from sciml.lazy import lazy

# Loaded when first used: a program needs few of them, and each of its ranks pays.
_HOMES = {
    "COMPLEX": "combinations",
    "DrivenProgram": "driven_program",
    "Integrator": "integrators",
    "METHODS": "integrators",
    "Option": "declaration",
    "Parameter": "declaration",
    "Program": "program",
    "RandomInput": "random_input",
    "SpectralProgram": "spectral",
    "TrajectoryProgram": "trajectory",
    "initial_fields": "initial_states",
    "initial_option": "declaration",
    "initial_state": "initial_states",
    "input_parameters": "random_input",
    "is_file": "declaration",
    "main": "run",
    "orders": "spectral",
    "sample_seed": "sample_seeds",
    "scheme_option": "spectral",
    "stationary_field": "random_input",
    "trajectory_options": "trajectory",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
