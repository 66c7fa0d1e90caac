"""Molecular dynamics by a trained committee and by GFN2-xTB: energy drift and bond lengths.

``python workflows/molecules_online/dynamics.py --members DIR/5-0 DIR/5-1 --picoseconds 20 --out DIR/md``

Both begin at rest with the same random numbers, warm up by Langevin dynamics, and go on without
friction, from the same energy above rest, (3n − 3) kT of n atoms, as of springs. It stays but for errors
of the time step, and of forces that are no gradient. Pieces of a picosecond are kept; a run that was
ended goes on behind the last one, and one in which a bond has left half to one and a half of its length
ends there. Figure and numbers are made of whatever is there.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from ase import units
from ase.build import molecule

import sciml
from sciml.equations.canonical import Langevin, at_rest
from sciml.equations.tight_binding import GFN2
from sciml.surrogates import Surrogate

#: Time step [fs], steps between two that are kept, steps of warming up, and friction [1/fs] therein.
DT, KEPT, WARM, FRICTION = 0.5, 10, 2000, 0.05
#: Steps of a piece.
PIECE = 2000
#: Lengths of a bond, in those at rest, beyond which the molecule has broken.
BROKEN = (0.5, 1.5)
#: Bins of the histograms of bond lengths.
BINS = 60


class Trained:
    """E and forces of a committee."""

    def __init__(self, atoms, members):
        self.atoms = atoms.copy()
        self.atoms.calc = sciml.calculator(members)

    def __call__(self, x):
        self.atoms.positions[:] = x
        return self.atoms.get_potential_energy(), self.atoms.get_forces()


def bonds(atoms):
    """Pairs that are bound, by covalent radii."""
    from ase.data import covalent_radii

    radii = covalent_radii[atoms.numbers]
    apart = atoms.get_all_distances()
    near = np.triu(apart < 1.25 * (radii[:, None] + radii), 1)
    return np.argwhere(near)


def lengths_of(x, pairs):
    """Of each pair, ``(..., pairs)``."""
    return np.linalg.norm(x[..., pairs[:, 0], :] - x[..., pairs[:, 1], :], axis=-1)


def kinetic_of(bath, masses):
    return 0.5 * float((masses[:, None] * bath.v**2).sum())


def march(acting, atoms, start, folder, pieces, temperature):
    """Positions and energies, a piece a file; the last one says whether a bond has broken."""
    pairs = bonds(atoms)
    rest = lengths_of(start, pairs)
    folder.mkdir(parents=True, exist_ok=True)
    thermal, masses = units.kB * temperature, atoms.get_masses()
    draws = np.random.default_rng(0)
    there = sorted(folder.glob("*.npz"))
    if there:
        last = np.load(there[-1])
        if last["broken"]:
            return
        bath = Langevin(acting, last["x"][-1], masses, thermal, 0.0, DT * units.fs, draws)
        bath.v = last["v"]
    else:
        warm = Langevin(acting, start, masses, thermal, FRICTION / units.fs, DT * units.fs, draws)
        warm.advance(WARM)
        bath = Langevin(acting, warm.x, masses, thermal, 0.0, DT * units.fs, draws)
        bath.v = warm.v
        wanted = 3 * (len(start) - 1) * thermal - (bath.energy - acting(start)[0])
        bath.v *= np.sqrt(wanted / kinetic_of(bath, masses))
        bath.energy, bath.forces = acting(bath.x)
    for piece in range(len(there), pieces):
        x, energy, kinetic, broken = [], [], [], False
        for _ in range(PIECE // KEPT):
            bath.advance(KEPT)
            x.append(bath.x.copy())
            energy.append(bath.energy)
            kinetic.append(kinetic_of(bath, masses))
            stretched = lengths_of(bath.x, pairs) / rest
            broken = not ((BROKEN[0] < stretched) & (stretched < BROKEN[1])).all()
            if broken:
                break
        aside = folder / "part"
        with aside.open("wb") as file:
            np.savez(file, x=x, energy=energy, kinetic=kinetic, v=bath.v, broken=broken)
        aside.rename(folder / f"{piece:04d}.npz")
        steps = piece * PIECE + len(x) * KEPT
        print(f"{folder.name}: {steps * DT / 1000:g} ps{', broken' if broken else ''}", flush=True)
        if broken:
            return


def gathered(folder):
    there = [np.load(path) for path in sorted(folder.glob("*.npz"))]
    names = ("x", "energy", "kinetic")
    found = {name: np.concatenate([one[name] for one in there]) for name in names}
    return found | {"broken": [bool(one["broken"]) for one in there]}


def kinds_of(atoms, pairs):
    """Elements of each pair."""
    return ["-".join(sorted(atoms.symbols[pair])) for pair in pairs]


def compared(atoms, one, other):
    """Of each kind of bond: what two histograms have in common, ∫ min(p, q) dr, and how far lengths
    would have to be moved, ∫ |P − Q| dr [Å] (Wasserstein)."""
    pairs, found = bonds(atoms), {}
    kinds = np.array(kinds_of(atoms, pairs))
    for kind in sorted({*kinds}):
        chosen = pairs[kinds == kind]
        a, b = (np.sort(lengths_of(run["x"], chosen), axis=None) for run in (one, other))
        edges = np.linspace(min(a[0], b[0]), max(a[-1], b[-1]), BINS + 1)
        p, q = (np.histogram(d, edges)[0] / len(d) for d in (a, b))
        at = np.linspace(0, 1, 2001)[1:-1]
        moved = np.abs(np.quantile(a, at) - np.quantile(b, at)).mean()
        found[kind] = {
            "overlap": round(float(np.minimum(p, q).sum()), 3),
            "moved, Å": round(float(moved), 5),
        }
    return found


def told(atoms, runs):
    """Numbers of each run, by name."""
    pairs, found = bonds(atoms), {}
    for name, run in runs.items():
        total = run["energy"] + run["kinetic"]
        time = np.arange(len(total)) * KEPT * DT / 1000
        slope = np.polyfit(time, total, 1)[0] if len(time) > 1 else 0.0
        lengths = lengths_of(run["x"], pairs)
        found[name] = {
            "broken": bool(run["broken"][-1]),
            "picoseconds": float(len(total) * KEPT * DT / 1000),
            "drift, meV/ps/atom": float(1e3 * slope / len(atoms)),
            "swing, meV": float(1e3 * total.std()),
            "temperature, K": float(2 * run["kinetic"].mean() / (3 * len(atoms)) / units.kB),
            "bonds, Å": {
                f"{atoms.symbols[i]}{i}-{atoms.symbols[j]}{j}":
                    [round(float(d.mean()), 4), round(float(d.std()), 4)]
                for (i, j), d in zip(pairs, lengths.T, strict=True)
            },
        }  # fmt: skip
    reference, *others = runs
    for name in others:
        found[name][f"beside {reference}"] = compared(atoms, runs[reference], runs[name])
    return found


def draw(atoms, runs, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pairs = bonds(atoms)
    kinds = kinds_of(atoms, pairs)
    names = sorted({*kinds})
    figure, axes = plt.subplots(1, 1 + len(names), figsize=(3.2 * (1 + len(names)), 2.8))
    for name, run in runs.items():
        total = run["energy"] + run["kinetic"]
        time = np.arange(len(total)) * KEPT * DT / 1000
        axes[0].plot(time, 1e3 * (total - total[0]) / len(atoms), label=name, lw=0.8)
        for axis, kind in zip(axes[1:], names, strict=True):
            chosen = pairs[[k == kind for k in kinds]]
            d = lengths_of(run["x"], chosen).ravel()
            axis.hist(d, bins=BINS, density=True, histtype="step", label=name)
    axes[0].set(xlabel="time, ps", ylabel="total energy, meV an atom")
    axes[0].legend(frameon=False)
    for axis, kind in zip(axes[1:], names, strict=True):
        axis.set(xlabel=f"{kind}, Å", yticks=[])
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", nargs="+", type=Path, required=True)
    parser.add_argument("--model", default=None, help="file of a model of your own")
    parser.add_argument("--molecule", default="CH3CH2OH")
    parser.add_argument("--temperature", type=float, default=300.0)
    parser.add_argument("--picoseconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    atoms = molecule(given.molecule)
    by_xtb = GFN2(atoms, 0.1)
    start = at_rest(by_xtb, atoms.positions, 1e-3)
    atoms.positions[:] = start
    by_members = Trained(atoms, [Surrogate.load(one, given.model) for one in given.members])
    pieces = round(1000 * given.picoseconds / DT / PIECE)
    runs = {}
    for name, acting in (("GFN2-xTB", by_xtb), ("committee", by_members)):
        march(acting, atoms, start, given.out / name, pieces, given.temperature)
        runs[name] = gathered(given.out / name)
    found = told(atoms, runs)
    print(json.dumps(found, indent=1, ensure_ascii=False))
    (given.out / "numbers.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
    draw(atoms, runs, given.out / "figure.png")


if __name__ == "__main__":
    main()
