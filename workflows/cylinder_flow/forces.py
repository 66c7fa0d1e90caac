"""Drag, lift and Strouhal number from velocities at the nodes of a mesh, such as those of a rollout."""

import numpy as np
import xarray as xr

from sciml.domain import Mesh
from sciml.domain.inference import domain_of
from sciml.domain.layout import layout_of, times_of
from sciml.errors import InputError

#: ∫ φ_a φ_b over a triangle of area 1; φ_a is linear, 1 at corner a and 0 at the others.
MASS = (np.ones((3, 3)) + np.eye(3)) / 12.0
#: A lift that swings by less than this either way does not swing.
LEAST = 0.02
#: Periods that differ by more than this, relative to their mean, are none.
SPREAD = 0.25


def forces(
    flow: xr.Dataset, nu: float, mean_speed: float, diameter: float, body: str = "cylinder"
) -> tuple[np.ndarray, np.ndarray]:
    """Drag and lift coefficients are what the momentum of the fluid around a body lacks, 2 F / (ū² d).

    F = −∫ ν ∇u:∇w + (∂u/∂t + (u·∇)u)·w − p ∇·w dx, of any w that is e_x (of the drag; e_y of the lift)
    at the body and 0 on all other sides. Fields are linear in each triangle, integrals over triangles
    exact; the derivative in time is that of a cubic spline through ∫ u·w of all frames. With
    ``pressure``, w is linear, too, and 0 at all nodes but the body's. Without, w is the curl of χ y (of
    −χ x), where χ falls from 1 at the body to 0 at the nearest side: its divergence is 0, and nobody
    needs the pressure; it is less accurate.

    Args:
        flow: one simulation over time: ``velocity`` and maybe ``pressure`` (by density) at the nodes of
            a mesh of triangles.
        nu: kinematic viscosity, m² s⁻¹.
        mean_speed: ū of the inflow, m s⁻¹; of a parabola, 2/3 of its greatest one.
        diameter: d, m.
        body: group of the nodes of the body.

    Returns:
        Drag and lift, ``(time,)`` each; NaN from the first frame that is not finite.

    Raises:
        InputError: no mesh of triangles, no such group, no velocity, fewer than three frames, several
            simulations.

    When it fails: where the velocity at the body is not 0; in frames after a sudden start, which have no
    derivative. Source: V. John, *Int. J. Numer. Meth. Fluids* 44, 2004.
    """
    mesh, times, velocity, pressure = _read(flow, body)
    around = mesh.points[mesh.groups[body]]
    weights = _at_body(mesh, body) if pressure is not None else _curls(mesh, around)
    near = (weights[mesh.cells] != 0).any(axis=(1, 2, 3))
    cells = mesh.cells[near]
    areas, slopes = _triangles(mesh.points[cells])
    w = weights[cells]  # triangle, corner, drag or lift, component
    bent = np.einsum("mcj,mcpi->mpij", slopes, w)
    carried = np.einsum("m,ab,mbpi->mapi", areas, MASS, w)
    found, momenta = np.full((2, len(times), 2), np.nan)
    finite = np.isfinite(velocity).all(axis=(1, 2))
    if pressure is not None:
        finite &= np.isfinite(pressure).all(axis=1)
    count = len(times) if finite.all() else int(finite.argmin())
    for n in range(count):
        u = velocity[n][cells]
        gradient = np.einsum("mcj,mci->mij", slopes, u)
        found[n] = -nu * np.einsum("m,mij,mpij->p", areas, gradient, bent)
        found[n] -= np.einsum("mij,maj,mapi->p", gradient, u, carried, optimize=True)
        momenta[n] = np.einsum("mai,mapi->p", u, carried)
        if pressure is not None:
            mean = pressure[n][cells].mean(axis=1)
            found[n] += np.einsum("m,m,mpii->p", areas, mean, bent)
    found[:count] -= _rates(momenta[:count], times[:count])
    drag, lift = 2.0 * found.T / (mean_speed**2 * diameter)
    return drag, lift


def strouhal(lift: np.ndarray, dt: float, mean_speed: float, diameter: float) -> float:
    """The Strouhal number is f d / ū; f counts how often the lift rises through its middle.

    NaN where no vortices are shed: a lift that is not finite, swings by less than ``LEAST`` either way
    or dies away, fewer than two periods, or periods that differ by more than ``SPREAD``. What comes
    before the flow sheds is for the caller to cut off.
    """
    lift = np.asarray(lift, dtype=np.float64)
    if len(lift) < 4 or not np.isfinite(lift).all():
        return np.nan
    swing, later = (0.5 * np.ptp(part) for part in (lift, lift[len(lift) // 2 :]))
    if later < max(LEAST, 0.5 * swing):
        return np.nan
    lift = lift - 0.5 * (lift.max() + lift.min())
    rises, below = [], False
    for n, value in enumerate(lift):
        below |= value < -0.25 * swing  # what only trembles about the middle does not rise
        if below and value >= 0.0:
            rises.append(n - value / (value - lift[n - 1]))
            below = False
    periods = np.diff(rises)
    if len(periods) < 2 or periods.std() > SPREAD * periods.mean():
        return np.nan
    return float(diameter / (periods.mean() * dt * mean_speed))


def _read(ds, body):
    """Mesh, times, velocity ``(time, node, 2)`` and pressure ``(time, node)`` or ``None``."""
    mesh = domain_of(ds)
    if not isinstance(mesh, Mesh) or mesh.cell_type != "triangle" or mesh.points.shape[1] != 2:
        found = mesh.cell_type + " mesh" if isinstance(mesh, Mesh) else mesh.kind
        raise InputError(f"forces on a {found}; expected a mesh of triangles in a plane")
    if body not in mesh.groups:
        raise InputError(
            f"no group of nodes '{body}'; there are {', '.join(mesh.groups) or 'none'}"
        )
    if "velocity" not in ds:
        raise InputError(f"no 'velocity'; there are {', '.join(map(str, ds.data_vars))}")
    layout = layout_of(ds, ["velocity"])
    if layout.sample is not None:
        if (count := ds.sizes[layout.sample]) > 1:
            raise InputError(
                f"forces of {count} simulations; expected one: ds.isel({layout.sample}=0)"
            )
        ds = ds.isel({layout.sample: 0})
    frames = 1 if layout.time is None else ds.sizes[layout.time]
    if frames < 3:
        raise InputError(f"forces of {frames} frames; expected three or more, for ∂u/∂t")
    order = [layout.time, *layout.space]
    velocity = ds["velocity"].transpose(*order, ...).values.astype(np.float64)
    pressure = None
    if "pressure" in ds:
        pressure = ds["pressure"].transpose(*order).values.astype(np.float64)
    return mesh, times_of(ds, layout), velocity, pressure


def _triangles(corners):
    """Areas, and gradients of the functions that are 1 at a corner, ``(triangle, corner, 2)``."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    twice = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    second = np.stack([b[:, 1], -b[:, 0]], axis=1) / twice[:, None]
    third = np.stack([-a[:, 1], a[:, 0]], axis=1) / twice[:, None]
    return 0.5 * np.abs(twice), np.stack([-second - third, second, third], axis=1)


def _at_body(mesh, body):
    """w at the nodes, ``(node, drag or lift, component)``: 1 at those of the body."""
    weights = np.zeros((mesh.size, 2, 2))
    weights[mesh.groups[body]] = np.eye(2)
    return weights


def _curls(mesh, around):
    """w at the nodes, ``(node, drag or lift, component)``: without divergence."""
    low, high = around.min(axis=0), around.max(axis=0)
    radius, center = 0.5 * (high - low).max(), 0.5 * (low + high)
    sides = np.concatenate([center - mesh.points.min(axis=0), mesh.points.max(axis=0) - center])
    x = mesh.points - center
    away = np.linalg.norm(x, axis=1)
    s = np.clip((away - radius) / (sides.min() - radius), 0.0, 1.0)
    falls = 1.0 - s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
    slope = -30.0 * (s * (1.0 - s)) ** 2 / (sides.min() - radius) / away
    # The curl of χ y is (χ + χ' y² / r, −χ' x y / r), that of −χ x is (−χ' x y / r, χ + χ' x² / r).
    tensor = np.sum(x**2, axis=1)[:, None, None] * np.eye(2) - x[:, :, None] * x[:, None, :]
    return falls[:, None, None] * np.eye(2) + slope[:, None, None] * tensor


def _rates(values, times):
    """Derivatives at the knots of a cubic spline whose outermost pieces are parabolas."""
    if len(times) < 3:
        return np.full_like(values, np.nan)
    h = np.diff(times)
    slopes = np.diff(values, axis=0) / h[:, None]
    matrix = np.diag(np.ones(len(times)))
    right = np.empty_like(values)
    matrix[0, 1] = matrix[-1, -2] = 1.0
    right[[0, -1]] = 2.0 * slopes[[0, -1]]
    inner = np.arange(1, len(times) - 1)
    matrix[inner, inner - 1], matrix[inner, inner + 1] = h[1:], h[:-1]
    matrix[inner, inner] = 2.0 * (h[1:] + h[:-1])
    right[inner] = 3.0 * (h[1:, None] * slopes[:-1] + h[:-1, None] * slopes[1:])
    return np.linalg.solve(matrix, right)
