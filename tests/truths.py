"""What solvers are held to beside residuals: exact solutions, energies, rates of equations."""

from collections.abc import Sequence
from math import atan, atanh, cos, inf, pi, prod, sqrt
from typing import Any

import numpy as np

from sciml.equations import heat
from sciml.equations.array import namespace
from sciml.errors import InputError


def allen_cahn_uniform(start: Any, time: float, rate: float) -> Any:
    """u(t) where it is the same everywhere: u₀ / √(u₀² + (1 − u₀²) e^{−2rt})."""
    return start / (start**2 + (1.0 - start**2) * namespace(time).exp(-2.0 * rate * time)) ** 0.5


def allen_cahn_front(distance: Any, diffusivity: float, rate: float) -> Any:
    """tanh(d / √(2D/r)): a straight front at rest.

    Args:
        distance: d from it, positive where u = 1.
        diffusivity: D.
        rate: r.
    """
    return namespace(distance).tanh(distance * (0.5 * rate / diffusivity) ** 0.5)


def allen_cahn_energy(u: Any, gradient_squared: Any, diffusivity: float, rate: float) -> Any:
    """Density ½D|∇u|² + ¼r(1 − u²)²; its integral falls."""
    return 0.5 * diffusivity * gradient_squared + 0.25 * rate * (1.0 - u * u) ** 2


def darcy_flux(a: Any, gradient: Sequence[Any]) -> tuple[Any, ...]:
    """q = −a ∇u, a component an axis; arguments broadcast."""
    return tuple(-a * slope for slope in gradient)


def darcy_residual(divergence: Any, f: Any) -> Any:
    """∇·q − f with q = −a ∇u, zero for a solution; arguments broadcast."""
    return divergence - f


def darcy_manufactured_coefficient(points: Sequence[Any]) -> Any:
    """a = 1 + ½ Π_i cos(π x_i) on the unit box; see :func:`darcy_manufactured_solution`."""
    return 1.0 + 0.5 * prod(namespace(x).cos(pi * x) for x in points)


def darcy_manufactured_solution(points: Sequence[Any]) -> Any:
    """u = Π_i sin(π x_i): zero on the boundary of the unit box.

    Args:
        points: x_i along each axis, arrays that broadcast against each other (``np.ix_``).
    """
    return prod(namespace(x).sin(pi * x) for x in points)


def darcy_manufactured_source(points: Sequence[Any]) -> Any:
    """f = −∇·(a ∇u) = π² d (a u + ½ Π_i sin(π x_i) cos(π x_i)) in d dimensions, for the two
    functions above."""
    d = len(points)
    mixed = prod(namespace(x).sin(pi * x) * namespace(x).cos(pi * x) for x in points)
    a, u = darcy_manufactured_coefficient(points), darcy_manufactured_solution(points)
    return pi**2 * d * (a * u + 0.5 * mixed)


def darcy_harmonic_mean(values: Sequence[float], widths: Sequence[float]) -> float:
    """Σ d_i / Σ (d_i / a_i): what a stack of layers conducts across them.

    Args:
        values: a_i > 0 of each layer.
        widths: d_i > 0.

    Raises:
        InputError: other than one width a layer.
    """
    if len(values) != len(widths) or not values:
        raise InputError(
            f"{len(values)} layers with {len(widths)} widths; expected one width for each layer"
        )
    return sum(widths) / sum(d / a for a, d in zip(values, widths, strict=True))


def darcy_layered_solution(
    x: Any, values: Sequence[float], widths: Sequence[float], ends: tuple[float, float]
) -> Any:
    """u across layers that begin at x = 0, without a source: linear in each, with one flux.

    The flux is −ā (u_1 − u_0) / Σ d_i with the harmonic mean ā.

    Args:
        x: position across the layers.
        values, widths: of the layers, in order; see :func:`darcy_harmonic_mean`.
        ends: u before the first and behind the last layer.
    """
    q = darcy_harmonic_mean(values, widths) * (ends[0] - ends[1]) / sum(widths)
    u, start = ends[0] + 0.0 * x, 0.0
    for a, d in zip(values, widths, strict=True):
        inside = namespace(x).clip(x - start, 0.0, d)
        u = u - q / a * inside
        start += d
    return u


#: (F, k) of six patterns, as The Well names them (Ohana et al., NeurIPS 2024, arXiv:2412.00568).
GRAY_SCOTT_REGIMES: dict[str, tuple[float, float]] = {
    "gliders": (0.014, 0.054),
    "bubbles": (0.098, 0.057),
    "maze": (0.029, 0.057),
    "worms": (0.058, 0.065),
    "spirals": (0.018, 0.051),
    "spots": (0.030, 0.062),
}


def gray_scott_reaction(u: Any, v: Any, feed: float, kill: float) -> tuple[Any, Any]:
    """Rates of u and v without diffusion."""
    uvv = u * v * v
    return feed * (1.0 - u) - uvv, uvv - (feed + kill) * v


def gray_scott_steady_states(feed: float, kill: float) -> list[tuple[float, float]]:
    """Homogeneous states (u, v) whose reaction rates are zero: (1, 0), and two more if
    F ≥ 4 (F + k)²."""
    states = [(1.0, 0.0)]
    inside = 1.0 - 4.0 * (feed + kill) ** 2 / feed
    if inside >= 0.0:
        for sign in (-1.0, 1.0):
            u = 0.5 * (1.0 + sign * sqrt(inside))
            states.append((u, feed * (1.0 - u) / (feed + kill)))
    return states


def heat_fourier_solution(
    coefficients: dict[tuple[int, ...], complex],
    points: Sequence[Any],
    time: Any,
    length: Sequence[float],
    kappa: float,
) -> Any:
    """Σ_m exp(−κ|k_m|²t) Re(c_m exp(i k_m·x)): the solution of a given Fourier series.

    Args:
        coefficients: c_m by mode m; the initial field is Σ_m Re(c_m exp(i k_m·x)).
        points, time, length, kappa: as for :func:`periodic_mode`.

    Raises:
        InputError: no coefficients.
    """
    if not coefficients:
        raise InputError("fourier_solution: no coefficients; expected at least one mode")
    total: Any = 0.0
    for mode, c in coefficients.items():
        cosine = heat.periodic_mode(points, time, mode, length, kappa)
        minus_sine = heat.periodic_mode(points, time, mode, length, kappa, pi / 2.0)
        total = total + c.real * cosine + c.imag * minus_sine
    return total


def heat_manufactured_conductivity(x: Any, y: Any) -> Any:
    """κ = (1 + x y) / 10, of :func:`heat_manufactured_solution`."""
    return 0.1 * (1.0 + x * y)


def heat_manufactured_solution(x: Any, y: Any, time: Any) -> Any:
    """u = exp(−t) sin(3 x + 2 y), with ∂u/∂t = ∇·(κ ∇u) + q, κ the conductivity, q the heating."""
    angle = 3.0 * x + 2.0 * y
    return namespace(angle).exp(-1.0 * time) * namespace(angle).sin(angle)


def heat_manufactured_heating(x: Any, y: Any, time: Any) -> Any:
    """q = ∂u/∂t − ∇κ·∇u − κ ∇²u of :func:`heat_manufactured_solution`."""
    angle = 3.0 * x + 2.0 * y
    slope = namespace(angle).exp(-1.0 * time) * namespace(angle).cos(angle)
    u = heat_manufactured_solution(x, y, time)
    return (13.0 * heat_manufactured_conductivity(x, y) - 1.0) * u - 0.1 * (
        3.0 * y + 2.0 * x
    ) * slope


def helmholtz_phase_error(k: float, spacing: float, distance: float = 1.0) -> float:
    """Radians by which waves along an axis are late over a distance: k (k h)⁴ / 480.

    That is of compact fourth-order differences on nine points. In other directions it is less. The
    error of a solution grows with it, however many points there are to a wavelength ("pollution").
    """
    return k * (k * spacing) ** 4 / 480.0 * distance


def helmholtz_standing_wave(y: Any, k: float) -> Any:
    """u = −cos(k y) / (k sin k) on [0, 1]: without a source, u' = 0 at 0 and 1 at 1."""
    lib = namespace(y)
    return -lib.cos(k * y) / (k * lib.sin(lib.zeros_like(y) + k))


def helmholtz_manufactured_solution(points: Sequence[Any], mode: Sequence[int]) -> Any:
    """u = Π_i cos(π m_i x_i): no slope at the walls of the unit box.

    Args:
        points: x_i along each axis, arrays that broadcast against each other (``np.ix_``).
        mode: half waves m_i along each axis.
    """
    return prod(namespace(x).cos(pi * m * x) for x, m in zip(points, mode, strict=True))


def helmholtz_manufactured_source(points: Sequence[Any], mode: Sequence[int], k: Any) -> Any:
    """f = (π² |m|² − k²) u for that solution; k may vary in space."""
    return (pi**2 * sum(m * m for m in mode) - k * k) * helmholtz_manufactured_solution(
        points, mode
    )


def korteweg_de_vries_hamiltonian(u: Any, u_x: Any) -> Any:
    """Density u_x²/2 − u³; its integral is conserved."""
    return 0.5 * u_x**2 - u**3


def kuramoto_sivashinsky_energy_rate(
    mean_u_x_squared: Any, mean_u_xx_squared: Any, nu: float
) -> Any:
    """d⟨u²/2⟩/dt = ⟨u_x²⟩ − ν ⟨u_xx²⟩ on a periodic line; the nonlinear term conserves energy."""
    return mean_u_x_squared - nu * mean_u_xx_squared


def lorenz_divergence(sigma: float, beta: float) -> float:
    """−(σ + 1 + β), at which the logarithm of every volume in phase space changes."""
    return -(sigma + 1.0 + beta)


def lorenz_fixed_points(rho: float, beta: float) -> list[tuple[float, float, float]]:
    """(0, 0, 0), and for ρ > 1 (±√(β (ρ − 1)), ±√(β (ρ − 1)), ρ − 1)."""
    points = [(0.0, 0.0, 0.0)]
    if rho > 1.0:
        r = sqrt(beta * (rho - 1.0))
        points += [(r, r, rho - 1.0), (-r, -r, rho - 1.0)]
    return points


def lorenz_rates_at_rest(sigma: float, rho: float, beta: float) -> tuple[float, float, float]:
    """Rates at which small disturbances of (0, 0, 0) grow: two in the plane of X and Y, largest first
    (with Y = (1 + rate/σ) X), and −β along Z."""
    root = sqrt((sigma - 1.0) ** 2 + 4.0 * sigma * rho)
    return (-(sigma + 1.0) + root) / 2.0, (-(sigma + 1.0) - root) / 2.0, -beta


def n_body_circular_speed(distance: float, mass: float, strength: float) -> float:
    """Speed of either of two bodies of one mass on a circle about their middle, so far from each other,
    where ``strength`` is |k| c²: v² = |k| c² / (2 m R)."""
    return sqrt(strength / (2.0 * mass * distance))


def pendulum_energy(s1: Any, s2: Any, k: float) -> Any:
    """½ s2² + k (1 − cos s1) in s⁻²; it changes at the rate u s2."""
    return 0.5 * s2 * s2 + k * (1.0 - namespace(s1).cos(s1))


def pendulum_period(angle: float, k: float) -> float:
    """Time of one swing, let go at rest at ``angle``, without torque: 4 K(sin ½ angle) / √k.

    By the arithmetic–geometric mean, 2π / (√k · agm(1, cos ½ angle)).

    Raises:
        InputError: |angle| ≥ π or k ≤ 0, where there is no swing.
    """
    if not (abs(angle) < pi and k > 0.0):
        raise InputError(f"pendulum: angle={angle:g}, k={k:g}; expected |angle| < π and k > 0")
    a, b = 1.0, cos(0.5 * angle)
    while a - b > 1e-15 * a:
        a, b = 0.5 * (a + b), sqrt(a * b)
    return 2.0 * pi / (sqrt(k) * a)


def riccati_residual(s: Any, s_t: Any, u: Any) -> Any:
    """ds/dt + s² − u, zero for a solution; arguments broadcast."""
    return s_t + s * s - u


def riccati_constant_input(t: Any, u: float, start: float) -> Any:
    """s(t) for constant u: (start · C + u S) / (C + start · S), with C = cosh ct, S = sinh(ct) / c and
    c = √u; cos and sin where u < 0.

    Args:
        t: times from 0 on, before :func:`riccati_blow_up`.
        u: the input.
        start: s at time 0.
    """
    lib, c = namespace(t), sqrt(abs(u))
    if u > 0.0:
        even, odd = lib.cosh(c * t), lib.sinh(c * t) / c
    elif u < 0.0:
        even, odd = lib.cos(c * t), lib.sin(c * t) / c
    else:
        even, odd = 1.0 + 0.0 * t, t
    return (start * even + u * odd) / (even + start * odd)


def riccati_blow_up(u: float, start: float) -> float:
    """Time at which s(t) goes to −∞ for constant u; infinite if it never does."""
    c = sqrt(abs(u))
    if u < 0.0:
        # cos ct + (start / c) sin ct = 0.
        return (pi / 2.0 + atan(start / c)) / c
    if start >= -c:
        return inf
    if u == 0.0:
        return -1.0 / start
    # tanh ct = −c / start.
    return atanh(-c / start) / c


def schroedinger_energy(psi: Any, psi_x: Any, kappa: float) -> Any:
    """Density ½|∂ψ/∂x|² − ½κ|ψ|⁴; its integral is conserved."""
    return 0.5 * abs(psi_x) ** 2 - 0.5 * kappa * abs(psi) ** 4


def shallow_water_dam_break(
    x: np.ndarray, time: float, left: float, right: float, gravity: float
) -> tuple[np.ndarray, np.ndarray]:
    """(h, u) after a dam at x = 0 between depths left > right > 0 has gone at time 0: a fan, a
    plateau and a bore.

    Args:
        x: positions.
        time: t > 0.
        left, right: depths.
        gravity: g.

    Raises:
        InputError: left > right > 0 does not hold.

    Source: J. J. Stoker, Water Waves, Interscience 1957, sec. 10.8.
    """
    if not left > right > 0.0:
        raise InputError(
            f"dam break: depths {left:g} and {right:g}; expected left > right > 0 (turn the axis for "
            "a dam on the other side)"
        )
    c = np.sqrt(gravity * left)

    def surplus(middle: float) -> float:
        bore = (middle - right) * np.sqrt(0.5 * gravity * (1.0 / middle + 1.0 / right))
        return bore - 2.0 * (c - np.sqrt(gravity * middle))

    low, high = right, left
    while high - low > 1e-15 * left:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if surplus(middle) < 0.0 else (low, middle)
    middle = 0.5 * (low + high)
    speed = 2.0 * (c - np.sqrt(gravity * middle))
    bore = middle * speed / (middle - right)
    s = x / time
    fan_u, fan_h = 2.0 / 3.0 * (c + s), (2.0 * c - s) ** 2 / (9.0 * gravity)
    regions = [s <= -c, s < speed - np.sqrt(gravity * middle), s < bore]
    return (
        np.select(regions, [left, fan_h, middle], right),
        np.select(regions, [0.0, fan_u, speed], 0.0),
    )


def kovasznay(x, y, nu, exp=np.exp, cos=np.cos, sin=np.sin):
    """A steady flow of Navier and Stokes behind a lattice, doi:10.1017/S0305004100023999."""
    rate = 0.5 / nu - np.sqrt(0.25 / nu**2 + 4.0 * np.pi**2)
    decay = exp(rate * x)
    along, across = 2.0 * np.pi * y, rate / (2.0 * np.pi)
    return 1.0 - decay * cos(along), across * decay * sin(along)
