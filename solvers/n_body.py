"""Charged or gravitating bodies: ``mpirun -n 2 python n_body.py --law gravity --out n_body.nc``."""

import numpy as np

from sciml.domain import Field, Particles
from sciml.equations import n_body
from sciml.errors import DivergedError
from sciml.parallel import Rows
from sciml.solver import Option, Parameter, Program, initial_fields, initial_option, main

#: Part of the kinetic energy by which the energy may move before the data are warned of.
DRIFT = 1e-2


class NBody(Program):
    """Bodies in open space that repel or attract each other, symplectic in time.

    m d²r_i/dt² = F_i = k Σ_j c_i c_j (r_i − r_j) / (|r_i − r_j|² + ε²)^{3/2}: charges c = ±1, drawn with
    equal chances, with k = strength; or gravity, c = m and k = −strength. Positions start from a normal
    distribution, velocities with one speed in random directions. Fields: positions, velocities, forces
    (particle, 3), energy (one a frame); static: charge, mass. Without dimensions.

    Each rank has a run of the bodies and adds up the forces on them; all ranks hold all positions.
    Leapfrog (kick, drift, kick) and symplectic Euler keep the momentum to rounding, and an energy near
    the true one for ever, while no encounter is closer than dt resolves: what it is off by is warned of.
    ``clip`` holds each component of a force below a bound; where it does, neither is kept.

    ``--scheme symplectic-euler`` with every 100th step is the benchmark of Satorras and others,
    arXiv:2102.09844, from frame 30 to 40 there, which is frame 31 to 41 here. ``--law gravity --bodies
    100 --softening 0.1`` is that of arXiv:2110.02905.
    """

    name = "n-body"
    equation = "m d²r_i/dt² = k Σ_j c_i c_j (r_i − r_j) / (|r_i − r_j|² + ε²)^{3/2}"
    kind = "particles"
    fields = (
        Field("positions", "1", "positions", components=3),
        Field("velocities", "1", "velocities", components=3),
        Field("forces", "1", "forces", components=3),
        Field("energy", "1", "kinetic and potential energy", on="global"),
    )
    static = (Field("charge", "1", "charge, of which gravity has none"), Field("mass", "1", "mass"))
    parameters = (
        Parameter("strength", 1.0, 0.0, 1e3, "1", "of the force, k"),
        Parameter("speed", 0.5, 0.0, 1e3, "1", "of each body at the start"),
        Parameter(
            "spread", 1.0, 1e-3, 1e3, "1", "standard deviation of each coordinate at the start"
        ),
        Parameter("softening", 0.0, 0.0, 10.0, "1", "ε"),
    )
    options = (
        Option("bodies", 5, low=2, help="how many"),
        Option("law", "charged", ("charged", "gravity"), help="what acts between them"),
        Option("dt", 1e-3, low=1e-12, help="time step"),
        initial_option("random", help="positions, velocities, charge and mass"),
        Option("scheme", "leapfrog", ("leapfrog", "symplectic-euler"), help="time stepping"),
        Option("clip", 100.0, low=0.0, help="largest component of a force; 0: any"),
    )
    order_space = None
    order_time = {"leapfrog": 2, "symplectic-euler": 1}
    time_units = "1"

    def __init__(self, given):
        self.given, self.dt = given, given.dt
        self.k = given.strength if given.law == "charged" else -given.strength
        self.particles = Particles(np.zeros(given.bodies, int))

    def domain(self):
        return self.particles

    def start(self, comm):
        self.rows, self.lead = Rows(comm, self.particles), comm.rank == 0
        own = initial_fields(self, comm, (*self.fields[:2], *self.static))
        state = self.initial() if own is None else own.values()
        self.r, self.v, self.charge, self.mass = state
        self.c = self.charge if self.given.law == "charged" else self.mass
        self.act()
        self.energy_at_start = self.energy()
        return self.rows.block

    def initial(self):
        """Positions, velocities (bodies, 3), charges and masses (bodies,) at time 0."""
        given = self.given
        draws = np.random.default_rng(given.seed)
        signs = draws.choice([-1.0, 1.0], given.bodies)
        r = given.spread * draws.standard_normal((given.bodies, 3))
        v = draws.standard_normal((given.bodies, 3))
        v *= given.speed / np.linalg.norm(v, axis=1, keepdims=True)
        charged = given.law == "charged"
        return r, v, signs if charged else np.zeros(given.bodies), np.ones(given.bodies)

    def state(self):
        own = self.rows.own
        return {
            "positions": self.r[own],
            "velocities": self.v[own],
            "forces": self.f[own],
            "energy": np.float64(self.energy()),
            "charge": self.charge[own],
            "mass": self.mass[own],
        }

    def energy(self):
        return n_body.energy(self.v, self.mass, self.c, self.potential)

    def step(self, n):
        """Kick by half a step, drift, kick by half a step; or kick, drift."""
        dt, m = self.dt, self.mass[:, None]
        leapfrog = self.given.scheme == "leapfrog"
        self.v += (0.5 * dt if leapfrog else dt) / m * self.f
        self.r += dt * self.v
        self.act()
        if leapfrog:
            self.v += 0.5 * dt / m * self.f
        self.check_energy()
        return (n + 1) * dt

    def act(self):
        """Forces and potentials where the bodies are now: those of its own bodies by each rank."""
        own = self.rows.own
        f, potential = n_body.forces(self.r, self.c, self.k, self.given.softening, own)
        acting = self.rows.whole(np.column_stack([f, potential]))
        self.f, self.potential = acting[:, :3], acting[:, 3]
        largest = np.abs(self.f).max()
        if largest > self.given.clip > 0.0:
            self.f = self.f.clip(-self.given.clip, self.given.clip)
            if self.lead:
                said = (
                    f"a force of {largest:.3g} is held at {self.given.clip:g}: momentum is not kept"
                )
                self.warn("forces clipped", said, largest)

    def check_energy(self):
        kinetic = n_body.kinetic_energy(self.v, self.mass)
        drift = abs(self.energy() - self.energy_at_start) / max(kinetic, 1e-300)
        if not np.isfinite(drift):
            raise DivergedError("two bodies came too close")
        if drift > DRIFT and self.lead:
            said = (
                f"the energy is off by {drift:.2g} of the kinetic one: an encounter closer than the "
                f"steps resolve; lower --dt (now {self.dt:g}), or soften it by --softening"
            )
            self.warn("energy drift", said, drift)


if __name__ == "__main__":
    main(NBody)
