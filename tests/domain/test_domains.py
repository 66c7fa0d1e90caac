"""Domains: sizes, coordinates, edges, equality, and what they refuse."""

import numpy as np
import pytest

from sciml.domain import Field, Graph, Grid, Mesh, Particles
from sciml.errors import DomainError, nearest

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])


def test_grid_coordinates_and_spacing():
    grid = Grid((4, 5), ((0, 1), (-1, 1)), ("periodic", "dirichlet"), "m")
    assert grid.spacing == (0.25, 0.5) and grid.size == 20 and grid.dims == ("y", "x")
    np.testing.assert_allclose(grid.coordinates(0), [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(grid.coordinates(1), [-1, -0.5, 0, 0.5, 1])
    assert grid == Grid([4, 5], [[0, 1], [-1, 1]], ["periodic", "dirichlet"], "m")
    assert hash(grid) == hash(Grid((4, 5), ((0, 1), (-1, 1)), ("periodic", "dirichlet"), "m"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (((), (), ()), "1 to 3 axes"),
        (((4, 4), ((0, 1),), ("open", "open")), "one entry of each"),
        (((1,), ((0, 1),), ("open",)), "at least 2 points"),
        (((4,), ((1, 1),), ("open",)), "high > low"),
        (((4,), ((0, float("nan")),), ("open",)), "high > low"),
        (((4,), ((0, 1),), ("absorbing",)), "expected one of periodic"),
    ],
)
def test_grids_that_cannot_be(args, message):
    with pytest.raises(DomainError, match=message):
        Grid(*args)


def edges(mesh):
    return {tuple(pair) for pair in mesh.edges.T.tolist()}


def both(*pairs):
    return {pair for a, b in pairs for pair in ((a, b), (b, a))}


def test_mesh_edges_are_the_sides_of_the_cells():
    assert edges(Mesh(SQUARE, [[0, 1, 2, 3]])) == both((0, 1), (1, 2), (2, 3), (3, 0))
    triangles = Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]])
    assert edges(triangles) == both((0, 1), (1, 2), (2, 0), (2, 3), (3, 0))
    padded = Mesh(np.vstack([SQUARE, [[2, 0.5]]]), [[0, 1, 2, 3], [1, 4, 2, -1]])
    assert edges(padded) == both((0, 1), (1, 2), (2, 3), (3, 0), (1, 4), (4, 2))
    assert edges(Mesh([[0.0], [1.0], [2.0]], [[0, 1], [1, 2]])) == both((0, 1), (1, 2))


def test_tetrahedra_have_six_edges():
    tetrahedron = Mesh(np.vstack([np.zeros(3), np.eye(3)]), [[0, 1, 2, 3]])
    assert len(edges(tetrahedron)) == 12
    receivers = tetrahedron.edges[1]
    assert (np.diff(receivers) >= 0).all()


def test_equality_compares_contents():
    cells = [[0, 1, 2], [0, 2, 3]]
    assert Mesh(SQUARE, cells) == Mesh(SQUARE.copy(), np.array(cells))
    assert Mesh(SQUARE, cells) != Mesh(SQUARE, cells, "m")
    assert Mesh(SQUARE, cells) != Mesh(SQUARE + 1, cells)
    assert Particles([1, 8]) == Particles([1, 8]) != Particles([8, 1])
    cell = np.eye(3)
    assert Particles([1], cell, (True,) * 3) == Particles([1], cell.copy(), (True,) * 3)
    assert Particles([1], cell) != Particles([1])
    assert Graph(3, [[0], [1]]) == Graph(3, [[0], [1]]) != Graph(4, [[0], [1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mesh(SQUARE, [[0, 1, 4]]), "there are 4 nodes"),
        (lambda: Mesh(SQUARE, [[0, 1, -2]]), "−1 pads"),
        (lambda: Mesh(SQUARE[:, 0], [[0, 1]]), r"expected \(n, 1 to 3\)"),
        (lambda: Particles([[1]]), r"expected \(n,\)"),
        (lambda: Particles([1], None, (True,) * 3), "give the lattice vectors"),
        (lambda: Particles([1], np.eye(2)), r"expected \(3, 3\)"),
        (lambda: Graph(3, [[0, 3], [1, 1]]), "there are 3"),
        (lambda: Graph(3, [0, 1]), r"expected \(2, E\)"),
        (lambda: Field("u", on="face"), "expected 'point' or 'global'"),
    ],
)
def test_domains_that_cannot_be(make, message):
    with pytest.raises(DomainError, match=message):
        make()


def test_field_shapes():
    assert Field("u").shape((4, 5)) == (4, 5)
    assert Field("energy", on="global").shape((9,)) == ()
    assert Field("position", space=3).shape((9,)) == (9, 3)
    assert Field("dipole", on="global", space=3).shape((9,)) == (3,)


def test_nearest_name():
    assert nearest("kapa", ["steps", "kappa"]) == "did you mean 'kappa'? known: kappa, steps"
    assert nearest("q", ["kappa"]) == "known: kappa"
