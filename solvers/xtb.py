"""Molecules by GFN2-xTB: ``mpirun -n 4 python xtb.py --molecules CH3CH2OH --out ethanol.nc``."""

import numpy as np
from scipy.spatial import cKDTree

from sciml.domain import Field, Particles
from sciml.domain.structures import structures
from sciml.equations.canonical import Langevin, NormalModes, at_rest
from sciml.equations.tight_binding import GFN2, require_tblite
from sciml.errors import InputError
from sciml.parallel import Rows
from sciml.solver import Option, Parameter, Program, main, sample_seed

#: Å from an atom to the next one beyond which it has left.
FAR = 3.0
#: Å between molecules side by side at the start: beyond any cutoff.
APART = 30.0
#: Largest component of a force of a molecule at rest [eV/Å].
REST = 1e-3


class XTB(Program):
    """Molecules at a temperature, with energies and forces of the tight-binding method GFN2-xTB.

    States are samples of exp(−E(x) / k_B T), positions (atom, 3), forces −∂E/∂x and the energy E:
    a task on them has ``lead: 0``. Each of ``--members`` is a molecule of its own, and state n is one
    of member n mod members, so that any number of ranks up to members gives the same states.

    ``--sampling langevin``: m dv = F dt − γ m v dt + √(2 γ m k_B T) dW, split as BAOAB (Leimkuhler and
    Matthews, arXiv:1203.5428), whose positions have an error of dt². It starts at the structure that is
    given, warms up for ``--warm-up`` steps, and keeps one in ``--stride``. ``normal-modes``: the
    structure is brought to rest, and displaced by the modes of its Hessian, classically, independently
    each time; right while E is a parabola, cheap beyond.

    ``--molecules`` names some of ASE's G2 set, or an extended XYZ file, each frame of which is a
    structure. ``--which n`` takes one of them, so that a design chooses a molecule, or where to
    start; a surrogate is then built for the elements of all, whichever comes first. By default all
    are there at once, 30 Å between one and the next, and the energy is their sum. Charge and spin are
    those of the G2 set, or of the file: of its atoms, or ``charge=1 multiplicity=2`` in comments.

    Good values: dt 0.5 fs with hydrogen; γ 0.01 to 0.1 per fs. Above some thousand K bonds break,
    which is warned of. Bannwarth, Ehlert, Grimme, doi:10.1021/acs.jctc.8b01176.
    """

    name = "xtb"
    equation = "m dv = −∇E dt − γ m v dt + √(2 γ m k_B T) dW"
    kind = "particles"
    fields = (
        Field("positions", "Å", "positions", components=3),
        Field("forces", "eV/Å", "forces", components=3),
        Field("energy", "eV", "energy of GFN2-xTB", on="global"),
    )
    parameters = (
        Parameter("temperature", 300.0, 1.0, 1e4, "K", "of the samples"),
        Parameter("friction", 0.02, 1e-5, 10.0, "fs-1", "of Langevin dynamics, γ"),
        Parameter("which", -1.0, -1.0, 1e9, "1", "structure, counted from 0, cut; below 0: all"),
    )
    options = (
        Option("molecules", "CH3CH2OH", help="G2 names, commas between them, or an .xyz file"),
        Option("sampling", "langevin", ("langevin", "normal-modes"), help="how samples are drawn"),
        Option("members", 4, low=1, help="molecules that are sampled in turn"),
        Option("dt", 0.5, low=1e-6, help="time step [fs]"),
        Option("stride", 20, low=1, help="time steps of a molecule between its samples"),
        Option("warm_up", 200, low=0, help="time steps before its first sample"),
        Option("accuracy", 0.1, low=1e-4, help="of xTB: 1 converges to 1e-6 Hartree, 0.1 to 1e-7"),
    )
    order_space = None
    order_time = {}
    steady = True

    def __init__(self, given):
        self.given = given
        require_tblite()
        known = structures(given.molecules)
        if (which := int(np.floor(given.which))) >= len(known):
            raise InputError(f"which={which}: {given.molecules} holds {len(known)}, counted from 0")
        self.structures = known if which < 0 else [known[which]]
        first, several = self.structures[0], len(self.structures) > 1
        if several and any(atoms.pbc.any() for atoms in self.structures):
            raise InputError("molecules: several, of which one repeats; take it alone, by --which")
        periodic = tuple((first.pbc & first.cell.mask()).tolist())
        if any(periodic) and given.sampling == "normal-modes":
            raise InputError(
                "sampling=normal-modes of atoms that repeat, whose rotations are no free motions; "
                "expected --sampling langevin"
            )
        cell = first.cell.complete().array if any(periodic) else None
        species = np.concatenate([atoms.numbers for atoms in self.structures])
        # Where a file has them they may be anywhere, and on top of each other.
        ends = [np.ptp(atoms.positions[:, 0]) for atoms in self.structures]
        begins = np.concatenate([[0.0], np.cumsum([end + APART for end in ends[:-1]])])
        self.aside = [
            begin * np.eye(3)[0] - (atoms.positions.min(axis=0) if several else 0.0)
            for begin, atoms in zip(begins, self.structures, strict=True)
        ]
        expected = np.unique(np.concatenate([atoms.numbers for atoms in known]))
        self.particles = Particles(species, cell, periodic, "Å", expected)

    def domain(self):
        return self.particles

    def start(self, comm):
        count = self.given.members * len(self.structures)
        if comm.size > count:
            raise InputError(
                f"{comm.size} ranks for {count} molecules; give --members {comm.size}, or use {count}"
            )
        self.comm, self.rows = comm, Rows(comm, self.particles)
        self.baths = {n: self.bath(n) for n in range(comm.rank, count, comm.size)}
        self.sample(self.given.warm_up)
        self.turn = 0
        return self.rows.block

    def bath(self, number):
        """A molecule that is sampled; it does not depend on the ranks."""
        from ase import units

        given, atoms = self.given, self.structures[number % len(self.structures)]
        thermal, masses = units.kB * given.temperature, atoms.get_masses()
        draws = np.random.default_rng(sample_seed(given.seed, number))
        acting = GFN2(atoms, given.accuracy)
        if given.sampling == "normal-modes":
            return NormalModes(
                acting, at_rest(acting, atoms.positions, REST), masses, thermal, draws
            )
        friction, dt = given.friction / units.fs, given.dt * units.fs
        return Langevin(acting, atoms.positions, masses, thermal, friction, dt, draws)

    def sample(self, steps):
        """A new sample of each molecule, on all ranks."""
        own = {}
        for number, bath in self.baths.items():
            bath.advance(steps)
            own[number] = bath.x, bath.forces, bath.energy
        parts = [own] if self.comm.size == 1 else self.comm.allgather(own)
        self.samples = {n: sample for part in parts for n, sample in part.items()}

    def step(self, n):
        self.turn = (n + 1) % self.given.members
        if self.turn == 0:
            self.sample(self.given.stride)
        return float(n + 1)

    def state(self):
        count, own = len(self.structures), self.rows.own
        sampled = [self.samples[self.turn * count + k] for k in range(count)]
        x = np.concatenate([x + aside for (x, *_), aside in zip(sampled, self.aside, strict=True)])
        forces = np.concatenate([forces for _, forces, _ in sampled])
        if self.comm.rank == 0:
            self.check_whole([x for x, *_ in sampled])
        energy = np.float64(sum(energy for *_, energy in sampled))
        return {"positions": x[own], "forces": forces[own], "energy": energy}

    def check_whole(self, molecules):
        away = 0.0
        for x in molecules:
            if len(x) > 1 and not any(self.particles.periodic):
                away = max(away, cKDTree(x).query(x, k=2)[0][:, 1].max())
        if away > FAR:
            said = f"an atom is {away:.3g} Å from all others at {self.given.temperature:g} K"
            self.warn("came apart", f"{said}: lower --temperature, or leave it out", away)


if __name__ == "__main__":
    main(XTB)
