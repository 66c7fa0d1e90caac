"""For solver programs: blocks, halos, operators, Fourier series, solves, random fields, logging."""

from sciml.parallel.conjugate_gradient import ConjugateGradient
from sciml.parallel.covariance import LaplacianPower, Matern, SquaredExponential
from sciml.parallel.decomposition import Decomposition
from sciml.parallel.diffusion import Diffusion
from sciml.parallel.finite_volume import FiniteVolume
from sciml.parallel.fourier import Fourier
from sciml.parallel.gather import Gather
from sciml.parallel.gaussian_field import GaussianField
from sciml.parallel.ghosts import Ghosts
from sciml.parallel.halo import Halo
from sciml.parallel.laplacian import Laplacian
from sciml.parallel.log import rank_logger
from sciml.parallel.multigrid import Multigrid
from sciml.parallel.nine_point import NinePoint
from sciml.parallel.random_field import PiecewiseField, SmoothField
from sciml.parallel.reduce import Sum
from sciml.parallel.row_elimination import RowElimination
from sciml.parallel.rows import Rows
from sciml.parallel.stencil import free_points, shifted
from sciml.parallel.transport import Transport, face_means, face_points

__all__ = [
    "ConjugateGradient",
    "Decomposition",
    "Diffusion",
    "FiniteVolume",
    "Fourier",
    "Gather",
    "GaussianField",
    "Ghosts",
    "Halo",
    "Laplacian",
    "LaplacianPower",
    "Matern",
    "Multigrid",
    "NinePoint",
    "PiecewiseField",
    "RowElimination",
    "Rows",
    "SmoothField",
    "SquaredExponential",
    "Sum",
    "Transport",
    "face_means",
    "face_points",
    "free_points",
    "rank_logger",
    "shifted",
]
