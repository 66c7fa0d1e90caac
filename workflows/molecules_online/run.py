"""Molecules sampled by GFN2-xTB where a committee is in doubt, and blindly: errors by number of frames.

``python workflows/molecules_online/run.py --model mace-xs --choice committee blind --seeds 0 --out DIR``

Several molecules at several temperatures are the arms. Simulations of them run on MPI ranks and stream
their frames to here. After each round the committee learns on, looks at geometries of each arm, and
those arms where its forces differ most are submitted next; blindly, arms are drawn at random. Both have
the same simulations in the first round, the same number of frames, steps and members.

Each round is a line of results.jsonl, in the folder and beside this file; what it asked for is a line
of decisions.jsonl. Simulations and members are kept in the folder, and a run that was ended goes on at
the round where it was.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from ase.build import molecule
from sampling import Sampler

from sciml.equations.tight_binding import GFN2
from sciml.report.rows import append, rows_of
from sciml.samples import Task
from sciml.samples.dataset import samples_of
from sciml.surrogates import Statistics, Surrogate
from sciml.training import DatasetSource, Phase, train
from sciml.training.objectives import objective_of

HERE = Path(__file__).parent
TASK = Task(("positions",), ("energy", "forces"), lead=0)
MOLECULES = ("CH3CH2OH", "CH3OH", "CH3CHO", "H2O")
TEMPERATURES = (300.0, 600.0, 1000.0)
ARMS = [(m, t) for m in range(len(MOLECULES)) for t in TEMPERATURES]
#: Configurations of a simulation, and time steps between those of one member.
FRAMES, STRIDE, WARM_UP, MEMBERS = 16, 20, 100, 4
#: Simulations of the first round, and of each one behind it.
FIRST, EACH = 6, 3
#: First numbers, and seeds, of the simulations that are tested on, and of those that a committee looks
#: at the geometries of; nobody is trained on either.
TESTED, LOOKED_AT = 10**6, 2 * 10**6
MODELS = {
    "pairs": ({"name": str(HERE / "pair_energy.py")}, 5e-3),
    "mace-xs": ({"name": "mace", "hidden": "16x0e + 16x1o", "degree": 2}, 0.01),
    "mace-s": ({"name": "mace", "size": "S"}, 0.01),
}


def options(arm, seed):
    molecule, temperature = ARMS[arm]
    return {
        "molecules": ",".join(MOLECULES), "which": molecule, "temperature": temperature,
        "seed": seed, "steps": FRAMES - 1, "stride": STRIDE, "warm_up": WARM_UP, "members": MEMBERS,
    }  # fmt: skip


def chosen(doubts, count):
    """Arms to be sampled next: each time the one of most doubt, which then counts half."""
    left, found = dict(doubts), []
    for _ in range(count):
        arm = max(left, key=left.get)
        found.append(arm)
        left[arm] *= 0.5
    return found


def doubt(members, geometries):
    """Root mean square deviation of forces among members [eV/Å], over some geometries of an arm."""
    forces = np.stack([member.predict(geometries).forces.values for member in members])
    return float(np.sqrt(forces.var(axis=0, ddof=1).mean()))


class Study:
    """One run: a model, a way to choose, a seed, a folder.

    Args:
        model: of :data:`MODELS`.
        choice: ``committee`` or ``blind``.
        seed: of simulations, weights and orders.
        steps: of each member, a round.
        size: members.
    """

    def __init__(self, folder, model, choice, seed, steps, size):
        self.alone = alone()
        self.folder, self.choice, self.seed, self.steps = Path(folder), choice, seed, steps
        self.config, self.lr = MODELS[model]
        self.about = {
            "model": model,
            "choice": choice,
            "seed": seed,
            "steps": steps,
            "members": size,
        }
        for name in ("simulations", "members"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.data, self.members, self.size = {}, [], size
        self.statistics = []

    # -- what lies in the folder ------------------------------------------------------------------

    def kept(self, number):
        return self.folder / "simulations" / f"{number:05d}.nc"

    # -- a round ----------------------------------------------------------------------------------

    def decide(self, turn):
        """Arms of the simulations of a round, by the doubt in each; decided once."""
        for line in rows_of(self.folder / "decisions.jsonl"):
            if line["round"] == turn:
                return line["arms"]
        draws = np.random.default_rng([self.seed, turn])
        doubts = {}
        if turn == 0:
            arms = draws.permutation(len(ARMS))[:FIRST].tolist()
        elif self.choice == "blind":
            arms = draws.integers(len(ARMS), size=EACH).tolist()
        else:
            doubts = {arm: doubt(self.members, x) for arm, x in self.geometries.items()}
            arms = chosen(doubts, EACH)
        append(self.folder / "decisions.jsonl", {"round": turn, "arms": arms, "doubts": doubts})
        return arms

    def sample(self, sampler, turn):
        """Have the simulations of a round, those that are not there from the solver."""
        arms = self.decide(turn)
        first = 0 if turn == 0 else FIRST + (turn - 1) * EACH
        numbers = dict(enumerate(arms, first))
        wanted = {
            number: options(arm, 1000 * self.seed + number)
            for number, arm in numbers.items()
            if not self.kept(number).exists()
        }
        for number, ds in (sampler.all_of(wanted) if wanted else {}).items():
            if ds is not None:
                aside = self.kept(number).with_suffix(".part")
                ds.to_netcdf(aside, engine="h5netcdf")
                aside.rename(self.kept(number))
        for number in numbers:
            if self.kept(number).exists():
                self.data[number] = xr.load_dataset(self.kept(number), engine="h5netcdf")

    def learn(self, turn):
        """Members learn on with all frames that there are."""
        places = [self.folder / "members" / f"{turn}-{k}" for k in range(self.size)]
        if all((place / "surrogate.json").exists() for place in places):
            self.members = [Surrogate.load(place, self.file) for place in places]
            self.statistics = [Statistics(member) for member in self.members]
            return
        samples = [s for ds in self.data.values() for s in samples_of(ds, TASK)]
        if turn == 0:
            self.members = [self.member(k, samples[0].simulation) for k in range(self.size)]
            self.statistics = [Statistics(member) for member in self.members]
        for k, place in enumerate(places):
            member = self.members[k]
            self.statistics[k].update(samples)
            self.statistics[k].fix()
            source = DatasetSource(
                samples,
                TASK,
                5,
                seed=turn + 97 * k,
                structures=member.structures,
            )
            phase = Phase(
                lr=self.lr, steps=self.steps, schedule="cosine", final=0.05, optimizer="amsgrad",
                clip=10.0, weights={"energy": 1.0, "forces": 10.0},
            )  # fmt: skip
            train(member, source, objective_of(None, member.setting), phase)
            member.save(place)

    def member(self, k, first):
        """Built for the elements of all molecules, which the program has told ahead."""
        torch.manual_seed(100 * self.seed + k)
        member = Surrogate.build(self.config, TASK, first.domain, fields=first.fields)
        member.normalizer.references.give(self.alone)
        member.domain = None  # it is asked about molecules that it has not seen
        return member

    @property
    def file(self):
        name = self.config["name"]
        return name if name.endswith(".py") else None

    def go(self, sampler, rounds, test, looked_at):
        """All rounds; those that are there already are not computed again."""
        self.geometries = {a: ds.drop_vars(["forces", "energy"]) for a, ds in looked_at.items()}
        results = self.folder / "results.jsonl"
        for turn in range(rounds):
            self.sample(sampler, turn)
            self.learn(turn)
            if not any(line["round"] == turn for line in rows_of(results)):
                found = {"round": turn, **self.about, **self.errors(test)}
                append(results, found)
                print(json.dumps(found), flush=True)

    def errors(self, test):
        """Of the mean of the members, on all arms: forces in meV/Å, energies in meV an atom."""
        forces, energies, each = [], [], {}
        for arm, ds in test.items():
            found = [member.predict(ds) for member in self.members]
            f = np.mean([one.forces.values for one in found], axis=0) - ds.forces.values
            e = np.mean([one.energy.values for one in found], axis=0) - ds.energy.values
            name = f"{MOLECULES[ARMS[arm][0]]} {ARMS[arm][1]:g} K"
            each[name] = round(1e3 * float(np.abs(f).mean()), 1)
            forces.append(np.abs(f).ravel())
            energies.append(np.abs(e) / ds.sizes["particle"])
        return {
            "frames": sum(ds.sizes["time"] for ds in self.data.values()),
            "forces": 1e3 * float(np.concatenate(forces).mean()),
            "worst": max(each.values()),
            "energy": 1e3 * float(np.concatenate(energies).mean()),
            "each": each,
        }


def alone():
    """Energies of the atoms of all molecules, each for itself, by atomic number."""
    elements = sorted({symbol for name in MOLECULES for symbol in molecule(name).symbols})
    atoms = [molecule(element) for element in elements]
    return {int(one.numbers[0]): GFN2(one, 0.1)(one.positions)[0] for one in atoms}


def each_arm(sampler, folder, first):
    """A simulation of each arm, with numbers and seeds from ``first`` on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {arm: folder / f"{arm:02d}.nc" for arm in range(len(ARMS))}
    wanted = {first + a: options(a, first + a) for a, path in paths.items() if not path.exists()}
    for number, ds in (sampler.all_of(wanted) if wanted else {}).items():
        ds.to_netcdf(paths[number - first], engine="h5netcdf")
    return {arm: xr.load_dataset(path, engine="h5netcdf") for arm, path in paths.items()}


def gathered(out, path):
    """Lines of all runs of a folder, and of earlier ones that are in the file; written there."""
    lines = path.read_text().splitlines() if path.exists() else []
    for one in sorted(out.glob("*/results.jsonl")):
        lines += [s for s in one.read_text().splitlines() if s not in lines]
    path.write_text("".join(f"{s}\n" for s in lines))
    return [json.loads(s) for s in lines]


def table(lines):
    """By model and steps, of each round: means and deviations over seeds, a column a choice."""
    rows = {}
    for line in lines:
        key = (line["model"], line["members"], line["steps"], line["frames"])
        rows.setdefault(key, {}).setdefault(line["choice"], []).append(line)
    print(f"{'':8} members steps frames  forces, meV/Å, mean over arms (worst), seeds")
    for (model, members, steps, frames), found in sorted(rows.items()):
        cells = []
        for choice, several in sorted(found.items()):
            forces, worst = ([line[key] for line in several] for key in ("forces", "worst"))
            spread = f" ± {np.std(forces, ddof=1):.0f}" if len(forces) > 1 else ""
            cells.append(
                f"{choice} {np.mean(forces):.0f}{spread} ({np.mean(worst):.0f}), {len(forces)}"
            )
        print(f"{model:8} {members:7} {steps:5} {frames:6}  {'   '.join(cells)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pairs", choices=[*MODELS])
    parser.add_argument("--choice", nargs="+", default=["committee", "blind"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=200, help="of each member, a round")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/molecules_online"))
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    with Sampler("solvers/xtb.py", given.ranks) as sampler:
        test = each_arm(sampler, given.out / "test", TESTED)
        looked_at = each_arm(sampler, given.out / "looked_at", LOOKED_AT)
        sizes = {"steps": given.steps, "size": given.members}
        for seed in given.seeds:
            for choice in given.choice:
                place = given.out / f"{given.model}-{choice}-{seed}"
                with Sampler("solvers/xtb.py", given.ranks) as own:
                    study = Study(place, given.model, choice, seed, **sizes)
                    study.go(own, given.rounds, test, looked_at)
    table(gathered(given.out, given.results))


if __name__ == "__main__":
    main()
