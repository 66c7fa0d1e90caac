"""For solver programs: blocks, halos, Fourier series, sums, solves, random fields, logging."""

from sciml.parallel.conjugate_gradient import ConjugateGradient
from sciml.parallel.covariance import LaplacianPower, Matern, SquaredExponential
from sciml.parallel.decomposition import Decomposition
from sciml.parallel.diffusion import Diffusion
from sciml.parallel.fourier import Fourier
from sciml.parallel.gather import Gather
from sciml.parallel.gaussian_field import GaussianField
from sciml.parallel.halo import Halo
from sciml.parallel.log import rank_logger
from sciml.parallel.multigrid import Multigrid
from sciml.parallel.nine_point import NinePoint
from sciml.parallel.random_field import PiecewiseField, SmoothField
from sciml.parallel.reduce import Sum
from sciml.parallel.row_elimination import RowElimination
from sciml.parallel.stencil import free_points, shifted

__all__ = [
    "ConjugateGradient",
    "Decomposition",
    "Diffusion",
    "Fourier",
    "Gather",
    "GaussianField",
    "Halo",
    "LaplacianPower",
    "Matern",
    "Multigrid",
    "NinePoint",
    "PiecewiseField",
    "RowElimination",
    "SmoothField",
    "SquaredExponential",
    "Sum",
    "free_points",
    "rank_logger",
    "shifted",
]
