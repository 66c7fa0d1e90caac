"""Molecular dynamics by a trained committee and by GFN2-xTB: energy drift and bond lengths.

``python workflows/molecules_online/dynamics.py --members DIR/5-0 DIR/5-1 --picoseconds 20 --out DIR/md``

Both begin at rest with the same random numbers, and are warmed up. Pieces of two picoseconds follow,
in turn with friction (Langevin dynamics) and without. Those with friction sample the temperature: bond
lengths are of these, since without it bonds keep for long what energy they have. Those without begin
with the energy (3n − 3) kT above rest, as of n atoms on springs, which stays but for errors of the
time step, and of forces that are no gradient: its drift is of these. Pieces are kept, and figure and
numbers made after each two; a run that was ended goes on behind the last one, and one in which a bond
has left half to one and a half of its length, or a force is not finite, ends there.
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

#: Time step [fs], steps between two that are kept, steps of warming up, and friction [1/fs].
DT, KEPT, WARM, FRICTION = 0.5, 10, 1000, 0.02
#: Steps of a piece.
PIECE = 4000
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
    there = sorted(folder.glob("*.npz"))
    last = np.load(there[-1]) if there else None
    for piece in range(len(there), pieces):
        if last is not None and last["broken"]:
            return
        free = piece % 2 == 1
        bath = Langevin(
            acting, start if last is None else last["x"][-1], masses, thermal,
            0.0 if free else FRICTION / units.fs, DT * units.fs, np.random.default_rng([0, piece]),
        )  # fmt: skip
        if last is None:
            bath.advance(WARM)
        else:
            bath.v = last["v"]
        if free:
            wanted = 3 * (len(start) - 1) * thermal - (bath.energy - acting(start)[0])
            bath.v *= np.sqrt(max(wanted, 0.0) / kinetic_of(bath, masses))
            bath.energy, bath.forces = acting(bath.x)
        kept = {"x": [], "energy": [], "kinetic": []}
        broken = False
        while len(kept["x"]) < PIECE // KEPT and not broken:
            bath.advance(KEPT)
            if not np.isfinite([*bath.x.flat, bath.energy]).all():
                broken = True
                break
            now = {"x": bath.x.copy(), "energy": bath.energy, "kinetic": kinetic_of(bath, masses)}
            for name, value in now.items():
                kept[name].append(value)
            stretched = lengths_of(bath.x, pairs) / rest
            broken = not ((BROKEN[0] < stretched) & (stretched < BROKEN[1])).all()
        last = {name: np.array(values) for name, values in kept.items()}
        last["x"] = last["x"].reshape(-1, *start.shape)
        last |= {"v": bath.v, "broken": broken, "free": free}
        aside = folder / "part"
        with aside.open("wb") as file:
            np.savez(file, **last)
        aside.rename(folder / f"{piece:04d}.npz")
        steps = piece * PIECE + len(last["x"]) * KEPT
        print(f"{folder.name}: {steps * DT / 1000:g} ps{', broken' if broken else ''}", flush=True)


def gathered(folder):
    """All pieces: positions with friction, energies without, a row a piece, and whether it broke."""
    there = [dict(np.load(path)) for path in sorted(folder.glob("*.npz"))]
    free = [one for one in there if one["free"] and len(one["x"])]
    return {
        "x": np.concatenate([one["x"] for one in there if not one["free"]]),
        "kinetic": np.concatenate([one["kinetic"] for one in there if not one["free"]]),
        "total": [one["energy"] + one["kinetic"] for one in free],
        "broken": bool(there[-1]["broken"]),
        "picoseconds": sum(len(one["x"]) for one in there) * KEPT * DT / 1000,
    }


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
        found[str(kind)] = {
            "overlap": round(float(np.minimum(p, q).sum()), 3),
            "moved, Å": round(float(moved), 5),
        }
    return found


def times_of(total):
    return np.arange(len(total)) * KEPT * DT / 1000


def told(atoms, runs):
    """Numbers of each run, by name."""
    pairs, found, n = bonds(atoms), {}, len(atoms)
    for name, run in runs.items():
        found[name] = {"broken": run["broken"], "picoseconds": run["picoseconds"]}
        if not len(run["x"]):  # it broke at once
            continue
        slopes = [np.polyfit(times_of(t), t, 1)[0] for t in run["total"] if len(t) > 1]
        lengths = lengths_of(run["x"], pairs)
        found[name] |= {
            "drift, meV/ps/atom": [round(float(1e3 * slope / n), 4) for slope in slopes],
            "mean of its size": float(1e3 * np.abs(slopes).mean() / n) if slopes else None,
            "swing, meV/atom": [round(float(1e3 * t.std() / n), 4) for t in run["total"]],
            "temperature, K": float(2 * run["kinetic"].mean() / (3 * n) / units.kB),
            "bonds, Å": {
                f"{atoms.symbols[i]}{i}-{atoms.symbols[j]}{j}":
                    [round(float(d.mean()), 4), round(float(d.std()), 4)]
                for (i, j), d in zip(pairs, lengths.T, strict=True)
            },
        }  # fmt: skip
    reference, *others = runs
    half = len(runs[reference]["x"]) // 2
    one, other = ({"x": part} for part in np.split(runs[reference]["x"][: 2 * half], 2))
    found[reference]["halves beside each other"] = compared(atoms, one, other)
    for name in others:
        if len(runs[name]["x"]):
            found[name][f"beside {reference}"] = compared(atoms, runs[reference], runs[name])
    return found


def draw(atoms, runs, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pairs = bonds(atoms)
    kinds = kinds_of(atoms, pairs)
    names = sorted({*kinds})
    runs = {name: run for name, run in runs.items() if len(run["x"])}
    figure, axes = plt.subplots(1, 1 + len(names), figsize=(3.2 * (1 + len(names)), 2.8))
    for k, (name, run) in enumerate(runs.items()):
        for number, total in enumerate(run["total"]):
            away = 1e3 * (total - total[0]) / len(atoms)
            label = name if number == 0 else None
            axes[0].plot(times_of(total), away, f"C{k}", label=label, lw=0.6)
    for axis, kind in zip(axes[1:], names, strict=True):
        chosen = pairs[[k == kind for k in kinds]]
        lengths = {name: lengths_of(run["x"], chosen).ravel() for name, run in runs.items()}
        edges = np.histogram_bin_edges(np.concatenate([*lengths.values()]), BINS)
        for name, d in lengths.items():
            axis.hist(d, edges, density=True, histtype="step", label=name)
    axes[0].set(xlabel="time, ps", ylabel="total energy, meV an atom")
    axes[-1].legend(frameon=False)
    for axis, kind in zip(axes[1:], names, strict=True):
        axis.set(xlabel=f"{kind}, Å", yticks=[])
    figure.tight_layout()
    figure.savefig(path, dpi=110)


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
    pieces = max(2, 2 * round(500 * given.picoseconds / DT / PIECE))
    ways = {"GFN2-xTB": by_xtb, "committee" if len(given.members) > 1 else "surrogate": by_members}
    for upto in range(2, pieces + 1, 2):
        for name, acting in ways.items():
            march(acting, atoms, start, given.out / name, upto, given.temperature)
        runs = {name: gathered(given.out / name) for name in ways}
        found = json.dumps(told(atoms, runs), indent=1, ensure_ascii=False)
        (given.out / "numbers.json").write_text(found)
        draw(atoms, runs, given.out / "figure.png")
    print(found)


if __name__ == "__main__":
    main()
