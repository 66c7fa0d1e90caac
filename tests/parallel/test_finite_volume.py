"""Reconstruction, Riemann flux and boundaries by themselves, against what they must give."""

from types import SimpleNamespace

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.equations.cells import cell_means
from sciml.errors import InputError
from sciml.parallel import Decomposition, FiniteVolume, Ghosts, Halo, Transport
from sciml.parallel.kernels import central, riemann, weno

ALONE = SimpleNamespace(rank=0, size=1)


def reconstruct(q, axis):
    """Left and right values on the faces along an axis of a plane; q has a halo of 3."""
    ny, nx = q.shape[0] - 6, q.shape[1] - 6
    shape = (1, ny + 1, nx) if axis == 0 else (1, ny, nx + 1)
    left, right = np.zeros((2, *shape))
    (weno.faces_y, weno.faces_x)[axis](np.ascontiguousarray(q)[None], left, right)
    return left[0], right[0]


@pytest.mark.parametrize("axis", [0, 1])
def test_parabolas_are_reconstructed_exactly(axis):
    h = 0.1
    y, x = h * np.arange(-3, 11), h * np.arange(-3, 12)
    along = cell_means(lambda s: 2.0 - s + 3.0 * s**2, (y, x)[axis], h)
    q = along[:, None] + 0.0 * x if axis == 0 else along + 0.0 * y[:, None]
    faces = (y, x)[axis][3:-3]
    faces = np.append(faces, faces[-1] + h) - 0.5 * h
    wanted = 2.0 - faces + 3.0 * faces**2
    for side in reconstruct(q, axis):
        np.testing.assert_allclose(
            side, np.broadcast_to(np.expand_dims(wanted, 1 - axis), side.shape), rtol=1e-12
        )


def test_fifth_order_where_smooth():
    errors = []
    for n in (20, 40, 80):
        h = 1.0 / n
        x = h * np.arange(-3, n + 3)
        q = np.broadcast_to(cell_means(lambda s: np.exp(np.sin(2 * np.pi * s)), x, h), (7, n + 6))
        left, right = reconstruct(q, 1)
        wanted = np.exp(np.sin(2 * np.pi * (h * np.arange(n + 1) - h / 2)))
        errors.append(max(np.abs(left - wanted).max(), np.abs(right - wanted).max()))
    rates = np.log2(np.array(errors[:-1]) / errors[1:])
    assert rates[-1] > 4.7, (errors, rates)


def test_no_oscillation_at_a_jump():
    x = np.arange(-3, 20)
    q = np.broadcast_to(np.where(x < 9, 1.0, 0.0), (7, 23))
    for side in reconstruct(q, 1):
        assert side.min() > -1e-3 and side.max() < 1.0 + 1e-3


def test_hll():
    rng = np.random.default_rng(0)
    left, right, f_left, f_right = rng.standard_normal((4, 2, 3, 5))

    def flux(left, right, f_left, f_right, slow, fast):
        out = f_left.copy()
        speeds = (np.full(out.shape[1:], s) for s in (slow, fast))
        riemann.hll(left, right, out, f_right, *speeds)
        return out

    # All waves to one side: the state they come from decides. Equal states: their own flux.
    np.testing.assert_array_equal(flux(left, right, f_left, f_right, 1.0, 2.0), f_left)
    np.testing.assert_allclose(flux(left, right, f_left, f_right, -2.0, -1.0), f_right, rtol=1e-14)
    np.testing.assert_allclose(flux(left, left, f_left, f_left, -1.0, 2.0), f_left, rtol=1e-14)
    wanted = (2 * f_left + f_right - 2 * (right - left)) / 3
    np.testing.assert_allclose(flux(left, right, f_left, f_right, -1.0, 2.0), wanted, rtol=1e-13)
    np.testing.assert_array_equal(flux(left, right, f_left, f_right, 0.0, 0.0), f_left)


def line(kind, boundary="open"):
    grid = Grid((8,), ((0.0, 7.0),), (boundary,))
    halo = Halo(ALONE, Decomposition(grid, 1, 3))
    q = np.zeros((2, *halo.shape))
    q[:, 3:-3] = np.arange(1.0, 9.0), np.arange(11.0, 19.0)
    Ghosts(halo, grid, kind, (1,)).fill(q)
    return q


def test_open_ends_repeat_and_walls_mirror():
    q = line("open")
    assert q[0, :3].tolist() == [1.0] * 3 and q[0, -3:].tolist() == [8.0] * 3
    assert q[1, :3].tolist() == [11.0] * 3
    q = line("wall")
    assert q[0, :3].tolist() == [3.0, 2.0, 1.0] and q[0, -3:].tolist() == [8.0, 7.0, 6.0]
    assert q[1, :3].tolist() == [-13.0, -12.0, -11.0] and q[1, -3:].tolist() == [
        -18.0,
        -17.0,
        -16.0,
    ]
    assert (line("wall", "periodic")[:, :3] == 0.0).all()


def test_what_does_not_fit_is_refused():
    grid = Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    halo = Halo(ALONE, Decomposition(grid, 1))
    with pytest.raises(InputError, match="halo of width 1, 2 axes; expected width 3"):
        FiniteVolume(halo, grid.spacing, None, None)
    with pytest.raises(InputError, match="expected one of open, wall"):
        Ghosts(halo, grid, "periodic")
    with pytest.raises(InputError, match=r"\(3,\) on the faces across axis 1; expected \(8, 9\)"):
        Transport(halo, grid.spacing, (1.0, np.ones(3)))
    wide = Halo(ALONE, Decomposition(grid, 1, 2))
    with pytest.raises(InputError, match="halo of width 2"):
        Transport(wide, grid.spacing, (1.0, 1.0))


def test_centered_fluxes_against_arrays():
    rng = np.random.default_rng(0)
    u, ay, ax, vy, vx = (
        rng.standard_normal(shape) for shape in ((7, 9), (6, 7), (5, 8), (6, 7), (5, 8))
    )
    flux_y = ay * np.diff(u, axis=0)[:, 1:-1] - vy * (u[1:] + u[:-1])[:, 1:-1]
    flux_x = ax * np.diff(u, axis=1)[1:-1] - vx * (u[:, 1:] + u[:, :-1])[1:-1]
    wanted = np.diff(flux_y, axis=0) + np.diff(flux_x, axis=1)
    out = np.zeros((5, 7))
    central.transport_2d(u, ay, ax, vy, vx, out)
    np.testing.assert_allclose(out, wanted, atol=1e-13)
    central.transport_2d(u, ay, ax, 0 * vy, 0 * vx, out)
    still = np.zeros((5, 7))
    central.diffusion_2d(u, ay, ax, still)
    np.testing.assert_allclose(still, out, atol=1e-13)
    row = np.zeros(7)
    central.transport_1d(u[3].copy(), ax[2].copy(), vx[2].copy(), row)
    np.testing.assert_allclose(row, np.diff(flux_x, axis=1)[2], atol=1e-13)
