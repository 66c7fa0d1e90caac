"""Flow past a cylinder: meshes, what is held, forces, and the benchmark of Schäfer and Turek."""

import importlib.util
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from programs import load, made, march, started

from sciml.errors import DivergedError, InputError
from sciml.share import find
from sciml.solver.flags import parse
from sciml.solver.mpirun import environment

if find_spec("ngsolve") is None:  # ours import it, and keep it to itself
    pytest.skip("needs the extra 'mesh'", allow_module_level=True)

COARSE = {"spacing": 0.16, "refinement": 3}


def benchmark():
    spec = importlib.util.spec_from_file_location(
        "schaefer_turek", find("workflows/cylinder_flow/benchmark.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_seed_has_a_mesh_of_its_own():
    run = made("cylinder", **COARSE, cylinder_x=0.5, cylinder_y=0.25, radius=0.08)
    mesh, groups = run.mesh, run.mesh.groups
    assert {*groups} == {"inflow", "outflow", "wall", "cylinder"} and mesh.cell_type == "triangle"
    assert {*np.unique(mesh.cells)} == {*range(mesh.size)}
    x, y = mesh.points.T
    assert not x[groups["inflow"]].any() and (x[groups["outflow"]] == 2.2).all()
    np.testing.assert_allclose(np.abs(y[groups["wall"]] - 0.205), 0.205)
    kinds = ("interior", "outflow", "inflow", "wall", "cylinder")
    assert run.static[0].categories == kinds
    assert (run.node_type[groups["wall"]] == 3).all() and (run.node_type == 1).sum() > 2
    inside = np.setdiff1d(np.arange(mesh.size), np.concatenate([*groups.values()]))
    assert {*np.flatnonzero(run.node_type == 0)} == {*inside}
    away = np.hypot(x - 0.5, y - 0.25)
    np.testing.assert_allclose(away[groups["cylinder"]], 0.08, rtol=1e-3)  # as far as cells bend
    assert (away < 0.0801).sum() == len(groups["cylinder"])
    # The groups together are the boundary: nodes of sides that one cell has.
    sides = np.sort(mesh.cells[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    once, count = np.unique(sides, axis=0, return_counts=True)
    assert {*np.concatenate([*groups.values()])} == {*once[count == 1].ravel()}
    np.testing.assert_allclose(mesh.points[[run.front, run.back]], [[0.42, 0.25], [0.58, 0.25]])
    at = mesh.sides[np.isin(mesh.sides, groups["cylinder"]).all(axis=1)]
    assert np.linalg.norm(np.diff(mesh.points[at], axis=1), axis=2).max() < 0.16 / 6 * 1.1
    same = {"cylinder_x": 0.5, "cylinder_y": 0.25, "radius": 0.08}
    assert mesh == made("cylinder", **COARSE, **same).mesh
    assert mesh != made("cylinder", **COARSE, **same, seed=1).mesh
    corners = made("cylinder", **COARSE, **same, nodes="corners").mesh
    assert len(mesh.cells) == 4 * len(corners.cells) and mesh.size == corners.size + len(
        corners.sides
    )
    np.testing.assert_allclose(mesh.points[: corners.size], corners.points, atol=0)


def test_what_is_held_stays_and_what_comes_in_goes_out():
    run = march("cylinder", **COARSE, speed=1.2, steps=6, every=3)
    velocity, groups = run.fields["velocity"], run.program.mesh.groups
    assert max(abs(velocity[:, groups[name]]).max() for name in ("wall", "cylinder")) < 1e-14
    y = run.program.mesh.points[groups["inflow"], 1]
    parabola = 4 * 1.2 * y * (0.41 - y) / 0.41**2
    for state in velocity[:, groups["inflow"]]:
        np.testing.assert_allclose(state[:, 0], parabola, atol=1e-12)
        np.testing.assert_allclose(state[:, 1], 0.0, atol=1e-12)
    flow = run.program.flow
    y, weights = np.polynomial.legendre.leggauss(60)
    for x in (0.05, 1.0, 2.19):
        through = flow.at(np.stack([np.full(60, x), 0.205 * (1 + y)], axis=1))[:, 0]
        assert 0.205 * weights @ through == pytest.approx(2 / 3 * 1.2 * 0.41, rel=1e-2)


def test_forces_are_those_of_the_stresses():
    """At the surface, added up there: less accurate, and the same."""
    import ngsolve as ng

    run = started("cylinder", spacing=0.06, speed=0.3, spinup=0.1)
    velocity, pressure = run.flow.moved, run.flow._flow.components[1]
    normal, bend = ng.specialcf.normal(2), ng.BoundaryFromVolumeCF(ng.Grad(velocity))
    stress = run.given.nu * bend * normal - pressure * normal
    outward = ng.CF((ng.x - 0.2, ng.y - 0.2)) * normal  # that way, or into the cylinder
    *found, way = (
        ng.Integrate(values, run.triangles, definedon=run.triangles.Boundaries("cylinder"))
        for values in (stress[0], stress[1], outward)
    )
    force = run.flow.force()
    np.testing.assert_allclose(np.sign(way) * np.array(found), force, atol=2e-3 * force[0])
    assert run.state()["drag"] == pytest.approx(2 * force[0] / (0.2**2 * 0.1))


@pytest.mark.parametrize("order", [2, 3])
def test_middles_of_sides_have_the_values_of_the_elements(order):
    run = march("cylinder", **COARSE, order=order, steps=1)
    mesh, flow = run.program.mesh, run.program.flow
    inside = np.flatnonzero(run.program.node_type == 0)
    expected = flow.at(mesh.points[inside])
    np.testing.assert_allclose(run.fields["velocity"][-1, inside], expected[:, :2], atol=1e-10)
    np.testing.assert_allclose(run.fields["pressure"][-1, inside], expected[:, 2], atol=1e-10)
    assert (inside >= flow.mesh.nv).sum() > 50


def test_a_state_is_the_same_however_it_is_reached():
    whole = march("cylinder", **COARSE, steps=4, every=1)
    late = march("cylinder", **COARSE, steps=2, every=1, spinup=0.02)
    for name, values in whole.fields.items():
        np.testing.assert_array_equal(values[2:], late.fields[name])
    assert whole.times.tolist() == pytest.approx([0, 0.01, 0.02, 0.03, 0.04])


def test_the_steady_flow_is_the_published_one():
    """2D-1; the lift, a thousandth of the drag, takes a finer mesh."""
    module = benchmark()
    _, found = module.measured("2D-1", spacing=0.05, order=2)
    for name in ("c_D", "L_a", "Δp"):
        low, high = module.RANGES["2D-1"][name]
        assert low - 1e-4 < found[name] < high + 1e-4, found


@pytest.mark.slow
@pytest.mark.parametrize("case", ["2D-1", "2D-2"])
def test_all_figures_are_the_published_ones(case):
    module, before = benchmark(), None
    for spacing in (0.05, 0.035):
        before, found = module.measured(case, before, spacing=spacing)
    for name, (low, high) in module.RANGES[case].items():
        if case == "2D-2" and name == "c_L":
            # Its mean is below 0: the maximum stays a hundredth below the range, half the span does not.
            assert low <= 0.5 * (found[name] - found["c_L min"]) <= high and found[name] > 0.98, (
                found
            )
        else:
            assert low <= found[name] <= high, (name, found)


BAD = (
    (
        "--cylinder_y 0.39",
        r"the cylinder at \(0.2, 0.39\) m of radius 0.05 m does not lie in the ch",
    ),
    (
        "--cylinder_x 5",
        "does not lie in the channel of 2.2 m × 0.41 m; expected x from 0.05 to 2.15",
    ),
    ("--radius 0.3", "move it, or give a smaller radius"),
    ("--radius nan", "radius"),
    ("--spacing 0", "spacing=0"),
    ("--spacing nan", "spacing"),
    ("--spacing -1", "spacing=-1"),
    ("--spacing 2e-4", "triangles; expected 2e.06 at most"),
    ("--length nan", "length"),
    ("--length inf", "length=inf; expected a finite number"),
    ("--cylinder_y 0.35999999", "netgen makes no mesh of the channel: 'meshing failed'; spacing="),
    ("--order 4", "order=4"),
)


@pytest.mark.parametrize(("words", "line"), BAD)
def test_a_mesh_that_cannot_be_is_one_line(words, line):
    cls = load("cylinder")
    with pytest.raises(InputError, match=line) as caught:
        cls(parse(cls, words.split()))
    assert "\n" not in str(caught.value)


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ngsolve", None)
    with pytest.raises(InputError, match=r"ngsolve is not there; .*'sciml-surrogates\[mesh\]'"):
        made("cylinder")


def test_what_is_too_coarse_or_too_fast_says_so():
    run = started("cylinder", **COARSE, substeps=1, dt=0.1)
    assert "at the cylinder, whose boundary layer is some 0.01 m" in run.warnings.all()[0].message
    assert "1 substeps, of which some" in run.warnings.all()[1].message
    with pytest.raises(DivergedError, match="of 1 substeps; give more by --substeps"):
        for n in range(200):
            run.step(n)
    assert not started("cylinder", spacing=0.1, speed=0.1).warnings.all()


def test_a_rank_loads_no_torch():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import cylinder;"
        "from sciml.solver.flags import parse; from types import SimpleNamespace as N;"
        "run = cylinder.Cylinder(parse(cylinder.Cylinder, ['--spacing', '0.12']));"
        "run.start(N(rank=0, size=1)); run.step(0);"
        "print({'torch', 'xarray', 'pydantic', 'pandas', 'matplotlib'} & set(sys.modules));"
        "from ctypes import CDLL; print(hasattr(CDLL(None), 'cblas_sgemm_batch'))"
    )
    folder = str(find("solvers/cylinder.py").parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True,
                          env=environment(), timeout=300, check=True)  # fmt: skip
    # Its OpenBLAS is not offered to others: torch would take products from it, and crash.
    assert done.stdout.split() == ["set()", "False"]
