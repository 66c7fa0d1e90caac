"""Where a field lives: grids, meshes, particles, graphs."""

from sciml.domain.block import Block
from sciml.domain.field import Field
from sciml.domain.graph import Graph
from sciml.domain.grid import Grid
from sciml.domain.mesh import Mesh
from sciml.domain.particles import Particles
from sciml.domain.wire import Domain

__all__ = ["Block", "Domain", "Field", "Graph", "Grid", "Mesh", "Particles"]
