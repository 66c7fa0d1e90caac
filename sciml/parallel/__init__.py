"""For solver programs: blocks, halos, operators, Fourier series, solves, random fields, logging."""

from sciml.lazy import lazy

# Loaded when first used: a program needs few of them.
_HOMES = {
    "ConjugateGradient": "conjugate_gradient",
    "Decomposition": "decomposition",
    "Diffusion": "diffusion",
    "FiniteVolume": "finite_volume",
    "Fourier": "fourier",
    "Gather": "gather",
    "GaussianField": "gaussian_field",
    "Ghosts": "ghosts",
    "GlobalSum": "reduce",
    "Halo": "halo",
    "Laplacian": "laplacian",
    "LaplacianPower": "covariance",
    "Matern": "covariance",
    "Multigrid": "multigrid",
    "NinePoint": "nine_point",
    "PiecewiseField": "random_field",
    "RowElimination": "row_elimination",
    "Rows": "rows",
    "SmoothField": "random_field",
    "SquaredExponential": "covariance",
    "Transport": "transport",
    "face_means": "transport",
    "face_points": "transport",
    "free_points": "stencil",
    "rank_logger": "log",
    "shifted": "stencil",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
