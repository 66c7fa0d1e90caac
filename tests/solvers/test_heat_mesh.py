"""Heat on meshes: triangulations, matrices, states of rest, what is refused."""

import numpy as np
import pytest
from programs import load, made, march, started

from sciml.errors import InputError
from sciml.parallel.linear_elements import mass_and_stiffness
from sciml.solver.flags import parse

HOLES = [(0.5, 0.5, 0.15), (0.3, 0.7, 0.2), (0.7, 0.35, 0.05), (0.31, 0.62, 0.17)]


def areas(mesh):
    a, b, c = np.moveaxis(mesh.points[mesh.cells], 1, 0)
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    return 0.5 * np.abs(ux * vy - uy * vx)


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("spacing", [0.08, 0.04])
def test_triangles_cover_the_plate(hole, spacing):
    """All of the square but the polygon of the hole, each node in use, no slivers."""
    x, y, radius = hole
    run = made("heat_mesh", hole_x=x, hole_y=y, radius=radius, spacing=spacing, seed=7)
    mesh, corners = run.mesh, len(run.mesh.groups["hole"])
    polygon = 0.5 * corners * radius**2 * np.sin(2.0 * np.pi / corners)
    assert areas(mesh).sum() == pytest.approx(1.0 - polygon, rel=1e-12)
    assert len(np.unique(mesh.cells)) == mesh.size
    sides = np.linalg.norm(np.diff(mesh.points[mesh.cells][:, [0, 1, 2, 0]], axis=1), axis=2)
    assert (4.0 * np.sqrt(3.0) * areas(mesh) / (sides**2).sum(1)).min() > 0.35  # 1 if equilateral


def test_groups_are_the_rim():
    """Sides that belong to one triangle alone join nodes of one group."""
    mesh = made("heat_mesh", spacing=0.06, hole_x=0.4).mesh
    pairs = np.sort(np.concatenate([mesh.cells[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))]))
    sides, times = np.unique(pairs, axis=0, return_counts=True)
    rim = sides[times == 1]
    for nodes in mesh.groups.values():
        mine = np.isin(rim, nodes)
        assert (mine[:, 0] == mine[:, 1]).all() and mine[:, 0].sum() == len(nodes)
    points, (outer, hole) = mesh.points, mesh.groups.values()
    assert set(rim.ravel()) == {*outer, *hole}
    assert ((points[outer] == 0.0) | (points[outer] == 1.0)).any(axis=1).all()
    np.testing.assert_allclose(np.linalg.norm(points[hole] - [0.4, 0.5], axis=1), 0.15)


def test_each_seed_and_each_hole_has_a_mesh_of_its_own():
    one, same = made("heat_mesh", seed=1).mesh, made("heat_mesh", seed=1).mesh
    others = [made("heat_mesh", seed=2).mesh, made("heat_mesh", seed=1, radius=0.16).mesh]
    assert one == same and all(one != other for other in others)
    starts = [started("heat_mesh", seed=s, plate=4, initial="random", pieces=3) for s in (1, 2)]
    assert starts[0].mesh == starts[1].mesh and (starts[0].u != starts[1].u).any()
    np.testing.assert_array_equal(starts[0].bent, starts[1].bent)
    assert len({mesh.size for mesh in (one, *others)}) > 1


def test_matrices_are_those_of_their_integrals():
    """Exact for linear functions: ∫ 1, ∫ x y, ∫ κ |∇(2x − 3y)|²."""
    mesh = made("heat_mesh", spacing=0.07).mesh
    kappa = np.random.default_rng(0).uniform(1.0, 2.0, len(mesh.cells))
    mass, stiffness = mass_and_stiffness(mesh.points, mesh.cells, kappa)
    x, y = mesh.points.T
    one = np.ones(mesh.size)
    assert one @ mass @ one == pytest.approx(areas(mesh).sum())
    middles = 0.5 * (mesh.points[mesh.cells] + np.roll(mesh.points[mesh.cells], 1, axis=1))
    wanted = (areas(mesh) / 3.0 * middles.prod(-1).T).sum()  # exact for quadratic functions
    assert x @ mass @ y == pytest.approx(wanted)
    u = 2.0 * x - 3.0 * y
    assert u @ stiffness @ u == pytest.approx((kappa * areas(mesh)).sum() * 13.0)
    assert np.abs(stiffness @ one).max() < 1e-12
    assert abs(stiffness - stiffness.T).max() < 1e-14


def test_a_plane_stays():
    """Linear in x and y, held so on the rim: at rest for one κ, and exact for linear elements."""
    plane = {
        "initial": lambda run: lambda: run.mesh.points @ [20.0, -30.0],
        "held": lambda run: lambda t: (run.mesh.points @ [20.0, -30.0])[: run.free],
    }
    run = march("heat_mesh", replaced=plane, steps=20, scheme="crank-nicolson")
    np.testing.assert_allclose(run.fields["u"][-1], run.fields["u"][0], atol=1e-11)


def test_heat_that_is_made_goes_out_at_the_rim():
    """At rest ∫ q is what flows out, and no node is colder than the rim."""
    run = started("heat_mesh", heating=50.0, t_hole=300.0, dt=1.0, contrast=1.0)
    for n in range(60):
        run.step(n)
    _, stiffness = mass_and_stiffness(run.mesh.points, run.mesh.cells, run.kappa)
    made_here = 50.0 * (run.mass @ np.ones(run.mesh.size))
    out = (made_here - stiffness @ run.u)[: run.free]
    assert out.sum() == pytest.approx(made_here.sum(), rel=1e-9)
    assert run.u.min() == 300.0 and run.u[run.free :].min() > 300.0
    assert np.ptp(run.kappa) > 0.3 * run.given.kappa


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--spacing 0.2 --hole_x 0.3 --radius 0.2", "the hole comes within 0.1 m of a side"),
        ("--radius 0.3", "radius=0.3 is out of range"),
        ("--hole_y 0.1", "hole_y=0.1 is out of range"),
        ("--scheme rk4", "scheme=rk4; expected one of backward-euler"),
    ],
)
def test_bad_input_is_one_line(words, message):
    cls = load("heat_mesh")
    with pytest.raises(InputError) as caught:
        cls(parse(cls, words.split()))
    assert message in str(caught.value) and "\n" not in str(caught.value)
