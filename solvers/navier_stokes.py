"""Two-dimensional flow: ``mpirun -n 2 python navier_stokes.py --nu 1e-4 --dt 5e-3 --out ns.nc``."""

import numpy as np

from sciml.domain import Field
from sciml.equations import navier_stokes as ns
from sciml.parallel import GaussianField, LaplacianPower
from sciml.solver import (
    Option,
    Parameter,
    SpectralProgram,
    initial_option,
    main,
    orders,
    scheme_option,
)

SCHEME = scheme_option("etdrk4", "etdrk2", "ars-443", "cn-heun")


class NavierStokes(SpectralProgram):
    """Incompressible flow on a periodic square, by its vorticity; Fourier in space.

    ∂ω/∂t + u·∇ω = ν ∇²ω + f. Fields: w (y, x). The defaults are the FNO specification:
    ω₀ ~ N(0, σ² (−Δ + τ²)^−α), τ = 7, α = 5/2, σ² = 7³ (their paper prints 7^{3/2}, its σ), on the
    unit square, with its force. So draws the authors' generator of 2022; that of the published data,
    2020, gave real and imaginary parts unit variance each, which is 2σ²: ``generator=2020``.
    Decaying turbulence: ``forcing=none`` with τ of 2π times the wave number that holds most energy
    and α = 4 or so. ``initial=vortices`` are those of Taylor and Green. The step is limited by
    advection: about dt < 0.95 h / max|u| with etdrk4.
    """

    name = "navier-stokes"
    equation = "∂ω/∂t + u·∇ω = ν ∇²ω + f, ∇²ψ = −ω, u = (∂ψ/∂y, −∂ψ/∂x)"
    fields = (Field("w", "s-1", "vorticity", parity="pseudoscalar"),)
    parameters = (
        Parameter("nu", 1e-3, 1e-7, 1.0, "m2 s-1", "viscosity"),
        Parameter("amplitude", 1.0, 0.0, 1e3, "1", "factor of the initial field"),
        Parameter("force", 0.1, 0.0, 1e3, "s-2", "size of the force"),
        Parameter("drift", 0.0, -1e3, 1e3, "m s-1", "mean flow along x and y"),
    )
    options = (
        Option("shape", (64, 64), low=4, help="points along y and x"),
        Option("length", 1.0, low=1e-9, help="side of the square in m"),
        Option("dt", 5e-3, low=1e-12, help="time step in s"),
        SCHEME,
        Option("forcing", "fno", ("fno", "kolmogorov", "none"), help="kind of the force"),
        Option("waves", 4, low=1, help="of the Kolmogorov force and of vortices, along a side"),
        initial_option("gaussian", "vortices"),
        Option("tau", 7.0, low=1e-9, help="inverse correlation length (gaussian)"),
        Option("alpha", 2.5, low=1.01, help="smoothness (gaussian)"),
        Option("variance", 343.0, low=1e-30, help="factor of the covariance (gaussian)"),
        Option("modes", 64, low=2, help="shortest wave, in waves along a side (gaussian)"),
        Option("generator", 2022, (2022, 2020), help="2020: twice the variance (gaussian)"),
    )
    order_time = orders(SCHEME)
    units = "m"

    def __init__(self, given):
        super().__init__(given)
        if given.initial == "vortices":
            self.check_waves("waves", given.waves)
        elif given.forcing == "kolmogorov":
            self.check_waves("waves", given.waves, 0)

    def linear(self):
        f = self.fourier
        ky, kx = f.k
        per_k2 = np.divide(1.0, f.k2, out=np.zeros(f.shape), where=f.k2 > 0.0)
        # Of ψ = ω / k², the velocity; and of products, the curl of their divergence.
        self.to_u, self.to_v = 1j * ky * per_k2, -1j * kx * per_k2
        self.of_uv, self.of_squares = (kx**2 - ky**2).astype(complex), (kx * ky).astype(complex)
        # Waves that look like a mean on these points: in a periodic flow there is none.
        self.u[:, f.k2 == 0.0] = 0.0
        self.f = self.force()
        self.work = np.empty((1, *f.shape), complex)
        self.x, self.y, self.xy = (np.empty((1, *f.work.shape)) for _ in range(3))
        return -self.given.nu * f.k2

    def nonlinear(self, t, u, out):
        """−u·∇ω + f, as (∂²/∂y² − ∂²/∂x²)(uv) + ∂²/∂x∂y (u² − v²) + f: four transforms, not five.

        C. Basdevant, J. Comput. Phys. 50 (1983) 209.
        """
        f, x, y, work = self.fourier, self.x, self.y, self.work
        f.inverse(np.multiply(self.to_u, u, out=work), x)
        f.inverse(np.multiply(self.to_v, u, out=work), y)
        if self.given.drift:
            x += self.given.drift
            y += self.given.drift
        f.forward(np.multiply(x, y, out=self.xy), out=out)
        np.multiply(out, self.of_uv, out=out)
        np.multiply(x, x, out=x)
        np.multiply(y, y, out=y)
        f.forward(np.subtract(x, y, out=x), out=work)
        np.multiply(work, self.of_squares, out=work)
        np.subtract(out, work, out=out)
        if self.f is not None:
            np.add(out, self.f, out=out)

    def speed(self):
        u, v = (self.fourier.inverse(to * self.u[0]) for to in (self.to_u, self.to_v))
        return np.hypot(u + self.given.drift, v + self.given.drift).max()

    def points(self, work):
        return np.ix_(*(self.grid.coordinates(i)[work.slices[i]] for i in (0, 1)))

    def force(self):
        given = self.given
        if given.forcing == "none" or given.force == 0.0:
            return None
        y, x = self.points(self.fourier.work)
        if given.forcing == "fno":
            values = 10.0 * given.force * ns.fno_force(x / given.length, y / given.length)
        else:
            values = ns.kolmogorov_force(y, given.waves, given.length, given.force) + 0.0 * x
        return self.fourier.forward(values[None])

    def initial(self, work):
        given = self.given
        if given.initial == "vortices":
            y, x = self.points(work)
            flow = ns.taylor_green(x, y, 0.0, given.nu, length=given.length, waves=given.waves)
            return given.amplitude * flow
        twice = 2.0 if given.generator == 2020 else 1.0
        covariance = LaplacianPower(twice * given.variance, given.tau, given.alpha)
        field = GaussianField(given.seed, 2, covariance, modes=given.modes, drop_mean=True)
        return given.amplitude * field.on(self.grid, work)


if __name__ == "__main__":
    main(NavierStokes)
