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
    corners = np.vstack([np.zeros(3), np.eye(3)])
    tetrahedron = Mesh(corners, [[0, 1, 2, 3]], cell_type="tetrahedron")
    assert len(edges(tetrahedron)) == 12
    receivers = tetrahedron.edges[1]
    assert (np.diff(receivers) >= 0).all()


def test_equality_compares_contents():
    cells = [[0, 1, 2], [0, 2, 3]]
    assert Mesh(SQUARE, cells) == Mesh(SQUARE.copy(), np.array(cells))
    assert Mesh(SQUARE, cells) != Mesh(SQUARE, cells, "m")
    assert Mesh(SQUARE, cells) != Mesh(SQUARE + 1, cells)
    assert Particles([1, 8]) == Particles([1, 8]) != Particles([8, 1])
    assert Particles([1, 8], expected=[8, 6]) == Particles([1, 8])
    cell = np.eye(3)
    assert Particles([1], cell, (True,) * 3) == Particles([1], cell.copy(), (True,) * 3)
    assert Particles([1], cell) != Particles([1])
    assert Graph(3, [[0], [1]]) == Graph(3, [[0.0], [1.0]]) != Graph(4, [[0], [1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mesh(SQUARE, [[0, 1, 5]]), r"there are 4 nodes, counted from 0 \(−1 pads\)$"),
        (lambda: Mesh(SQUARE, [[1, 2, 4]]), "say start_index = 1"),
        (lambda: Mesh(SQUARE, [[0, 1, 1.5]]), "cells name node 1.5; expected whole numbers"),
        (lambda: Mesh(SQUARE, [[0, 1, np.nan]]), "cells name node nan"),
        (lambda: Mesh(SQUARE, [["a", "b", "c"]]), "cells of type <U1; expected whole numbers"),
        (lambda: Mesh(SQUARE * [1, np.inf], [[0, 1, 2]]), r"node 0 and 3 others at \[.*, nan\]"),
        (lambda: Mesh(SQUARE, [[0, 1, -2]]), "−1 pads"),
        (lambda: Mesh(SQUARE[:, 0], [[0, 1]]), r"expected \(n, 1 to 3\)"),
        (lambda: Particles([[1]]), r"expected \(n,\)"),
        (lambda: Particles([1], None, (True,) * 3), "give the lattice vectors"),
        (lambda: Particles([1], np.eye(2)), r"expected \(3, 3\)"),
        (lambda: Graph(3, [[0, 3], [1, 1]]), "there are 3"),
        (lambda: Graph(3, [0, 1]), r"expected \(2, E\)"),
        (lambda: Graph(3, [["a", "b"], ["b", "c"]]), "hold 'a'; expected whole numbers"),
        (lambda: Graph(3, [[0, 1.5], [1, 2]]), "hold 1.5; expected whole numbers"),
        (lambda: Graph(3, [[0, np.nan], [1, 2]]), "hold nan; expected whole numbers"),
        (lambda: Graph(3, [[True, False], [False, True]]), "hold True; expected whole numbers"),
        (lambda: Field("u", on="face"), "expected one of point, cell, edge, global"),
    ],
)
def test_domains_that_cannot_be(make, message):
    with pytest.raises(DomainError, match=message):
        make()


def test_field_shapes():
    grid, atoms = Grid((4, 5), ((0, 1),) * 2, ("open",) * 2), Particles([1] * 9)
    assert Field("u").shape(grid) == (4, 5)
    assert Field("energy", on="global").shape(atoms) == ()
    assert Field("position", components=3).shape(atoms) == (9, 3)
    assert Field("dipole", on="global", components=3).shape(atoms) == (3,)
    two = Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]])
    assert Field("flux", on="edge").shape(two) == (5,)
    assert Field("stress", on="cell", components=6).shape(two) == (2, 6)
    assert Field("flow", on="edge").shape(Graph(3, [[0, 1], [1, 2]])) == (2,)
    with pytest.raises(DomainError, match="'q' is on 'cell', where a domain of kind 'grid' has"):
        Field("q", on="cell").shape(grid)


CUBE = np.array([(x, y, z) for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))], float)


def test_hexahedra_have_twelve_edges_and_surfaces_none_across():
    cube = Mesh(CUBE, [range(8)], cell_type="hexahedron")
    assert len(cube.sides) == 12 and cube.topological_dimension == 3
    np.testing.assert_array_equal(np.linalg.norm(np.diff(CUBE[cube.sides], axis=1), axis=2), 1)
    floor = Mesh(CUBE, [[0, 1, 2, 3]], cell_type="quadrilateral")
    assert edges(floor) == both((0, 1), (1, 2), (2, 3), (3, 0))
    assert floor.topological_dimension == 2


def test_groups_by_indices_or_mask():
    mesh = Mesh(SQUARE, [[0, 1, 2, 3]], groups={"wall": [3, 0, 3], "inflow": SQUARE[:, 1] == 0})
    assert mesh.groups["wall"].tolist() == [0, 3] and mesh.groups["inflow"].tolist() == [0, 1]
    assert mesh != Mesh(SQUARE, [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("cells", "rest", "message"),
    [
        ([[0, 1, 2, 3]], {}, "say what they are"),
        ([[0, 1, 2, 3]], {"cell_type": "hexahedron"}, "cells of 4 corners; a hexahedron has 8"),
        ([[0, 1, 2, 3]], {"cell_type": "wedge"}, "cells of type 'wedge'"),
        ([[0, 1, 1]], {}, "names a node twice"),
        ([[0, 1, 2, 3]], {"cell_type": "tetrahedron"}, "cell 0 .* has no extent"),
        ([[0, 1, 3, 2, 4, 5, 7, 6]], {"cell_type": "hexahedron"}, "hexahedron 0 .* inside out"),
        ([[0, 1, 2]], {"groups": {"no word": [0]}}, "expected a word"),
        ([[0, 1, 2]], {"groups": {"wall": [8]}}, "names nodes 8 to 8; there are 8"),
        ([[0, 1, 2]], {"groups": {"wall": [0.5]}}, "expected indices of nodes, or a mask"),
    ],
)
def test_cells_and_groups_that_cannot_be(cells, rest, message):
    with pytest.raises(DomainError, match=message):
        Mesh(CUBE, cells, **rest)


def test_corners_that_bend_in_are_cells_and_crossed_ones_are_not():
    dart = np.array([(0, 0), (2, 0), (0.5, 0.5), (0, 2)], float)
    assert Mesh(dart, [[0, 1, 2, 3]]).cell_type == "quadrilateral"
    with pytest.raises(DomainError, match="inside out"):
        Mesh(SQUARE, [[0, 1, 3, 2]])


@pytest.mark.parametrize(
    ("cells", "pair"),
    [
        ([[0, 1, 2], [0, 1, 3]], r"cells 0 and 1 .* their edge \[0, 1\]"),  # a node moved across
        ([[0, 1, 2], [0, 2, 3], [2, 1, 0]], "cells 0 and 2 .*, or there twice"),
        ([[0, 1, 2, 3], [0, 1, 4, -1]], "cells 0 and 1"),
    ],
)
def test_cells_of_a_plane_do_not_lie_on_each_other(cells, pair):
    points = np.concatenate([SQUARE, [[0.5, 0.3]]])
    with pytest.raises(DomainError, match=pair) as caught:
        Mesh(points, cells)
    assert "\n" not in str(caught.value)
    # Which way around corners go is of no account, nor how many cells are at an edge in space.
    assert len(Mesh(SQUARE, [[0, 1, 2], [0, 3, 2]]).cells) == 2
    assert len(Mesh(np.pad(points, ((0, 0), (0, 1))), cells, cell_type="polygon").cells) == len(
        cells
    )


def test_polygons_without_extent_are_refused():
    with pytest.raises(DomainError, match=r"polygon 1 .* no extent: .*, or its sides cross"):
        Mesh(SQUARE, [[0, 1, 2, -1, -1], [0, 2, 1, 3, -1]])


@pytest.mark.parametrize("categories", [("a",), ("a", "a"), ("a b", "c")])
def test_categories_that_cannot_be(categories):
    with pytest.raises(DomainError, match="expected two words or more"):
        Field("kind", categories=categories)


def test_nearest_name():
    assert nearest("kapa", ["steps", "kappa"]) == "did you mean 'kappa'? known: kappa, steps"
    assert nearest("q", ["kappa"]) == "known: kappa"
