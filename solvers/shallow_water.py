"""Shallow water: ``mpirun -n 2 python shallow_water.py --radius 0.4 --out water.nc``."""

import numpy as np

from sciml.domain import Field, Grid
from sciml.equations import shallow_water as equation
from sciml.equations.cells import box_means
from sciml.errors import InputError
from sciml.parallel import Decomposition, FiniteVolume, Ghosts, Halo, SmoothField
from sciml.solver import Option, Parameter, Program, initial_option, initial_state, is_file, main
from sciml.solver.integrators import Integrator


class ShallowWater(Program):
    """Shallow water over a flat bed by WENO5 finite volumes, the HLL flux and SSP Runge–Kutta.

    ∂h/∂t + ∇·(h v) = 0, ∂(h v)/∂t + ∇·(h v⊗v + ½ g h² 1) = 0 on a square about the origin, periodic,
    with walls, or open. Fields: h, u, v (y, x): means of the depth over cells, and velocities from
    means of the momentum. ``initial=radial`` with open boundaries is PDEBench's dam break: 2 m inside
    of the radius, 1 m outside, g = 1, side 5. Water is kept but for what leaves. The bed stays wet:
    where the depth comes near 0 the run is refused. Steps are limited to 1 / Σ (|v| + √(g h)) / Δ.
    """

    name = "shallow-water"
    equation = "∂h/∂t + ∇·(h v) = 0, ∂(h v)/∂t + ∇·(h v⊗v + ½ g h² 1) = 0"
    fields = (
        Field("h", "m", "depth", parity="scalar"),
        Field("u", "m s-1", "velocity along x", parity="x"),
        Field("v", "m s-1", "velocity along y", parity="y"),
    )
    parameters = (
        Parameter("gravity", 1.0, 1e-3, 100.0, "m s-2", "gravity"),
        Parameter("depth", 1.0, 1e-3, 1e3, "m", "outside, or the mean (smooth)"),
        Parameter("height", 2.0, 1e-3, 1e3, "m", "depth inside of the dam (radial, dam)"),
        Parameter(
            "radius", 0.5, 1e-3, 1e3, "m", "of the dam (radial), of the fastest ring (vortex)"
        ),
        Parameter("x0", 0.0, -1e3, 1e3, "m", "center, or place of the dam, along x"),
        Parameter("y0", 0.0, -1e3, 1e3, "m", "center along y"),
        Parameter("amplitude", 0.1, 0.0, 0.2, "1", "of the depth, relative to its mean (smooth)"),
        Parameter("strength", 0.5, -10.0, 10.0, "m s-1", "largest velocity (vortex)"),
        Parameter(
            "wind", 0.0, -10.0, 10.0, "m s-1", "velocity along x and y of all water (vortex)"
        ),
    )
    options = (
        Option("shape", (128, 128), low=6, help="cells along y and x"),
        Option("length", 5.0, low=1e-9, help="side of the square in m"),
        Option("dt", 5e-3, low=1e-12, help="time step in s"),
        Option("scheme", "ssp-rk3", ("ssp-rk3",), help="time stepping"),
        Option("boundary", "open", ("open", "wall", "periodic"), help="on all four sides"),
        initial_option("radial", "dam", "vortex", "smooth", help="state"),
        Option("slope", 3.0, help="fall of the energy from octave to octave (smooth)"),
        Option("modes", 6, low=1, help="shortest wave, in waves along a side (smooth)"),
    )
    order_space = 2
    order_time = {"ssp-rk3": 3}

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        half, kind = given.length / 2, given.boundary
        inset = [0.0 if kind == "periodic" else half / n for n in given.shape]
        extent = tuple((i - half, half - i) for i in inset)
        # Cells reach half a spacing beyond the outermost centers, to the wall.
        kinds = ("open" if kind == "wall" else kind,) * 2
        self.grid = Grid(given.shape, extent, kinds, "m")
        deepest = max(given.depth, given.height if given.initial in ("radial", "dam") else 0.0)
        if not is_file(given.initial):
            self.check_step(0.0, np.array([[deepest], [0.0], [0.0]]))

    def check_step(self, t, q):
        """Refuse a time step that is too long for the state at time t, and a dry bed."""
        if not q[0].min() > 0.0:
            raise InputError(
                f"depth {q[0].min():.3g} m at t={t:.4g} s; expected a wet bed: raise --depth"
            )
        speeds = equation.fastest(q, self.given.gravity)
        limit = equation.stable_step(speeds, self.grid.spacing)
        if self.dt > limit:
            raise InputError(
                f"dt={self.dt:g} s exceeds {limit:.4g} s, the stable limit at t={t:.4g} s with waves "
                f"up to {max(speeds):.4g} m/s; lower --dt"
            )

    def domain(self):
        return self.grid

    def start(self, comm):
        g, kind = self.given.gravity, self.given.boundary
        halo = Halo(comm, Decomposition(self.grid, comm.size, FiniteVolume.width))
        own = initial_state(self, comm, halo.block)
        start = self.initial(halo.block) if own is None else equation.conserved(own)
        self.q = np.ascontiguousarray(start)
        self.rate = FiniteVolume(
            halo,
            self.grid.spacing,
            lambda q, axis: equation.flux(q, axis, g),
            lambda left, right, axis: equation.wave_speeds(left, right, axis, g),
            fields=3,
            ghosts=Ghosts(halo, self.grid, "wall" if kind == "wall" else "open", equation.ALONG),
        )
        self.integrator = Integrator(
            self.given.scheme, lambda t, q, out: self.rate(q, out), self.dt
        )
        return halo.block

    def initial(self, block):
        """Means of (h, hu, hv) over the cells of the block at time 0."""
        given = self.given
        if given.initial == "smooth":
            f = SmoothField(given.seed, 2, slope=given.slope, modes=given.modes)
            h = given.depth * (1.0 + given.amplitude * f.on(self.grid, block, cells=True))
            return np.stack([h, 0.0 * h, 0.0 * h])

        def state(y, x):
            y, x = y - given.y0, x - given.x0
            if given.boundary == "periodic":
                # From the nearest image of the center.
                y, x = (p - given.length * np.round(p / given.length) for p in (y, x))
            match given.initial:
                case "radial":
                    inside = x * x + y * y < given.radius**2
                case "dam":
                    inside = (x < 0.0) & (y == y)
                case "vortex":
                    whirl = equation.vortex(
                        y, x, given.strength, given.radius, given.depth, given.gravity
                    )
                    return equation.conserved(
                        whirl + np.array([0, 1, 1])[:, None, None] * given.wind
                    )
            h = np.where(inside, given.height, given.depth)
            return np.stack([h, 0.0 * h, 0.0 * h])

        points = [self.grid.coordinates(axis)[part] for axis, part in enumerate(block.slices)]
        return box_means(state, points, self.grid.spacing)

    def state(self):
        h, hu, hv = self.q
        return {"h": h, "u": hu / h, "v": hv / h}

    def step(self, n):
        self.check_step(n * self.dt, self.q)
        self.integrator.advance(n * self.dt, self.q)
        return (n + 1) * self.dt


if __name__ == "__main__":
    main(ShallowWater)
