"""Energies of particles and their forces: references, scaling, losses, figures, predictions."""

import numpy as np
import pytest
import torch
from torch import nn

import sciml
from sciml.domain import Field, Particles
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Normalizer, Setting, Statistics, Surrogate, Traits, collate
from sciml.surrogates.kits import kit_of
from sciml.surrogates.potential import Potential
from sciml.training import DatasetSource, EnergyForces, Phase, Supervised, Validation, train
from sciml.training.figures import lines, table
from sciml.training.objectives import objective_of

TASK = Task(("x",), ("E", "F"), lead=0)
FIELDS = (
    Field("x", "Å", components=3),
    Field("E", "eV", on="global"),
    Field("F", "eV/Å", components=3),
)
#: Energies of single atoms, by atomic number: those of total energies.
ALONE = {1: -13.6, 6: -1029.0, 8: -2041.0}


class Pairs(nn.Module):
    """E = Σ over pairs of s_i s_j f(r); gives no forces."""

    def __init__(self):
        super().__init__()
        self.pair = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x, *, species, ptr, owner, **_):
        i, j = torch.nonzero(owner[:, None] == owner[None]).unbind(1)
        i, j = i[i < j], j[i < j]
        r = (x[i] - x[j]).norm(dim=1, keepdim=True)
        weight = (species[i].sqrt() * species[j].sqrt())[:, None]
        energy = x.new_zeros(len(ptr) - 1).index_add(0, owner[i], (weight * self.pair(r))[:, 0])
        return {"E": energy}


def molecules(count, seed=0, frames=2, scale=1.0):
    """Springs of rest length 1 between all atoms of molecules of several compositions."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        species = rng.choice([1, 6, 8], rng.integers(3, 6))
        simulation = Simulation(number, Particles(species, units="Å"), FIELDS)
        shown = []
        for step in range(frames):
            x = rng.standard_normal((len(species), 3))
            gap = x[:, None] - x[None]
            r = np.linalg.norm(gap, axis=-1) + np.eye(len(x))
            weight = np.sqrt(species[:, None] * species[None]) * (1 - np.eye(len(x)))
            energy = 0.25 * (weight * (r - 1) ** 2).sum() + sum(ALONE[s] for s in species)
            forces = -(weight * (r - 1) / r)[..., None] * gap
            fields = {"x": x, "E": np.array(scale * energy), "F": scale * forces.sum(1)}
            shown.append(Frame(number, step, float(step), fields))
        found.append((simulation, shown))
    return found


def windows(trajectories):
    return [Sample(s, f.step, (f,), (f,)) for s, frames in trajectories for f in frames]


def surrogate_of(samples, model=None):
    scope = samples[0].simulation.domain
    made = Surrogate(
        model or Pairs(), TASK, Normalizer.of(Setting(TASK, scope, FIELDS)), scope, fields=FIELDS
    )
    statistics = Statistics(made)
    statistics.update(samples)
    statistics.fix()
    return made


def test_energy_forces_and_positions_are_known_by_what_they_are():
    setting = Setting(TASK, Particles([1, 6]), FIELDS)
    assert Potential.of(setting) == Potential("E", "x", "F")
    assert kit_of(setting).roles(setting) == {"E": "energy", "F": "forces"}
    assert isinstance(objective_of(None, setting), EnergyForces)
    assert isinstance(objective_of(None, setting, loss="mse"), Supervised)
    moving = Setting(Task(("x",), ("x",)), Particles([1, 6]), FIELDS)
    assert isinstance(objective_of(None, moving), Supervised)
    with pytest.raises(
        InputError, match="unknown objective 'energy_force'; did you mean 'energy_f"
    ):
        objective_of("energy_force", setting)
    with pytest.raises(InputError, match="no target 'energi'; known: E, F"):
        objective_of({"kind": "energy_forces", "energy": "energi"}, setting)
    with pytest.raises(InputError, match="'energy_forces' has no option 'force'"):
        objective_of({"kind": "energy_forces", "force": "F"}, setting)


def test_references_are_least_squares_and_forces_scale_what_is_left():
    samples = windows(molecules(60))
    made = surrogate_of(samples)
    references = made.normalizer.references
    counts = np.array([[(s.simulation.domain.species == k).sum() for k in ALONE] for s in samples])
    energies = np.array([s.targets[0].fields["E"] for s in samples])
    wanted = np.linalg.lstsq(counts.astype(float), energies, rcond=None)[0]
    assert references.known[0].tolist() == list(ALONE)
    np.testing.assert_allclose(references.known[1], wanted, rtol=1e-9)
    forces = np.concatenate([s.targets[0].fields["F"].ravel() for s in samples])
    unit = made.normalizer.numbers("E")
    assert unit == pytest.approx((0.0, np.sqrt((forces**2).mean())), rel=1e-9)
    left = energies - counts @ wanted
    size = counts.sum(axis=1)
    assert float(references.spread) == pytest.approx(np.sqrt((left**2 / size**2).mean()), rel=1e-9)
    # The scope is that of all of them, whatever the first one is.
    assert made.domain.species == (1, 6, 8) and made.domain.least < made.domain.most


def test_a_tenth_of_a_millielectronvolt_of_4209_survives_into_the_loss():
    """One molecule, whose energies differ by less than float32 resolves; through the statistics of a
    stream, one sample at a time."""
    rng = np.random.default_rng(0)
    domain, samples = Particles([6, 8, 1]), []
    small = 1e-4 * rng.standard_normal(50)
    for step, energy in enumerate(-4209.0 + small):
        fields = {"x": rng.standard_normal((3, 3)), "E": np.array(energy), "F": np.zeros((3, 3))}
        fields["F"] = 1e-4 * rng.standard_normal((3, 3))
        frame = Frame(0, step, 0.0, fields)
        samples.append(Sample(Simulation(0, domain, FIELDS), step, (frame,), (frame,)))

    class Nothing(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(()))

        def forward(self, x, *, ptr, **_):
            return {"E": self.w * x.new_ones(len(ptr) - 1)}

    made = Surrogate(
        Nothing(), TASK, Normalizer.of(Setting(TASK, domain, FIELDS)), domain, fields=FIELDS
    )
    statistics = Statistics(made)
    for sample in samples:
        statistics.update([sample])
    statistics.fix()
    batch = DatasetSource(samples, TASK, 50, shuffle=False).next_batch()
    assert batch.targets["E"].dtype == torch.float64
    [loss, forces] = EnergyForces()(made, batch).values()
    unit = made.normalizer.std("F")
    expected = np.mean(((small - small.mean()) / 3) ** 2) / float(unit) ** 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert forces.item() == pytest.approx(1.0, rel=1e-5)
    found = Supervised("mse")(made, batch)["mse"]
    assert found.item() == pytest.approx((expected * 9 + 1.0) / 2, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_what_is_learned_does_not_depend_on_units(scale):
    def losses(scale):
        torch.manual_seed(0)
        samples = windows(molecules(20, scale=scale))
        made = surrogate_of(samples)
        source = DatasetSource(samples, TASK, 10)
        return train(made, source, EnergyForces(), Phase(lr=1e-2, steps=4)).losses

    assert losses(scale) == pytest.approx(losses(1.0), rel=1e-3)


def test_forces_are_derived_wherever_a_surrogate_is_asked():
    samples = windows(molecules(8))
    made = surrogate_of(samples).eval()
    batch = collate(samples, TASK)
    x = batch.inputs["x"].clone().requires_grad_()
    with torch.no_grad():
        out = made(batch)
    assert not out["F"].requires_grad and out["E"].dtype == torch.float64
    batch.inputs["x"] = x
    [gradient] = torch.autograd.grad(made(batch)["E"].sum(), x)
    torch.testing.assert_close(out["F"].double(), -gradient, rtol=1e-4, atol=1e-6)


class Own(Pairs):
    """Gives its forces itself, where its traits say so; else they are derived all the same."""

    traits = Traits(differentiates=True)

    def __init__(self, gives):
        super().__init__()
        self.gives = gives

    def forward(self, x, **rest):
        x.requires_grad_()
        out = super().forward(x, **rest)
        if self.gives:
            [gradient] = torch.autograd.grad(out["E"].sum(), x, create_graph=self.training)
            out["F"] = -gradient
        return out


@pytest.mark.parametrize("training", [True, False])
def test_a_model_may_give_its_forces_itself(training):
    samples = windows(molecules(8))
    batch, found = collate(samples, TASK), {}
    for gives in (True, False):
        torch.manual_seed(0)
        made = surrogate_of(samples, Own(gives)).train(training)
        with torch.set_grad_enabled(training):
            found[gives] = made(batch)
        if training:
            EnergyForces()(made, batch)["forces"].backward()
            assert all(p.grad is not None for p in made.model.pair[:2].parameters())
    torch.testing.assert_close(found[True]["F"], found[False]["F"], rtol=1e-4, atol=1e-6)


def test_learning_through_validation_and_prediction(tmp_path):
    """``fit`` on molecules of several sizes is for files; here the parts of it, and what is saved."""
    samples = windows(molecules(40))
    made = surrogate_of(samples)
    check = Validation(molecules(6, seed=1))
    before = check(made)
    train(made, DatasetSource(samples, TASK, 20), EnergyForces(), Phase(lr=2e-2, steps=60))
    found = check(made)
    assert found["fields"]["F"]["mae"] < 0.5 * before["fields"]["F"]["mae"]
    assert found["mae_per_particle"] < before["mae_per_particle"]
    energy, force = ("mae_per_particle", "rmse_per_particle"), ("mae", "rmse")
    assert found["units"] == dict.fromkeys(energy, "eV") | dict.fromkeys(force, "eV/Å")
    # Lead 0: no step is ahead. What is in units comes first, in thousandths.
    first = f"of the same frame: MAE of energy {1e3 * found['mae_per_particle']:.3g} meV a particle"
    assert lines(found)[0].startswith(
        f"{first}, MAE of forces {1e3 * found['mae']:.3g} meV/Å, VRMSE"
    )
    assert "meV a particle" in lines(found)[1] and "meV/Å" in lines(found)[2]  # each by itself
    rows = [line.split() for line in table(found)]
    assert [row[0] for row in rows[1:5]] == [*energy, *force]
    assert float(rows[3][1]) == pytest.approx(1e3 * found["mae"], rel=1e-3)
    assert [row[-1] for row in rows[1:5]] == ["[meV]"] * 2 + ["[meV/Å]"] * 2
    told = "\n".join(table(found))
    assert "relative L2 error of the same frame" in told and "ahead" not in told
    assert "same_frame" not in told
    made.save(tmp_path / "saved")
    again = Surrogate.load(tmp_path / "saved", Pairs())
    assert again.normalizer.references.known.tolist() == made.normalizer.references.known.tolist()
    batch = collate(samples[:3], TASK)
    assert torch.equal(again(batch)["E"], made.eval()(batch)["E"])


def test_a_file_of_one_molecule_goes_through_fit_and_predict():
    [(simulation, frames)] = molecules(1, frames=12)
    arrays = {f.name: np.stack([one.fields[f.name] for one in frames]) for f in FIELDS}
    ds = to_dataset(simulation.domain, FIELDS, arrays, np.arange(12.0))
    made = sciml.fit(Pairs(), ds, {"inputs": ["x"], "targets": ["E", "F"], "lead": 0}, epochs=2)
    assert set(made.history.steps[-1].losses) == {"energy", "forces"}
    found = made.predict(ds)
    assert found.E.dtype == np.float64 and found.E.dims == ("time",)
    assert found.F.shape == ds.F.shape and np.isfinite(found.F).all()
    assert abs(found.E.mean() - ds.E.mean()) < 50 < abs(ds.E.mean())


def test_species_that_were_not_there_are_one_line():
    made = surrogate_of(windows(molecules(10)))
    other = Simulation(0, Particles([1, 7]), FIELDS)
    frame = Frame(0, 0, 0.0, {"x": np.ones((2, 3)), "E": np.array(0.0), "F": np.zeros((2, 3))})
    with pytest.raises(InputError, match=r"species 7 of particles .* trained on 1, 6, 8"):
        made(collate([Sample(other, 0, (frame,), (frame,))], TASK))


def test_a_simulation_that_turned_out_bad_is_taken_out_of_the_references():
    from sciml.surrogates.shares import Shares

    good, bad = molecules(20), molecules(1, seed=3)
    bad = [(Simulation(99, bad[0][0].domain, FIELDS), bad[0][1])]
    bad = [Sample(bad[0][0], f.step, (f,), (f,)) for f in bad[0][1]]
    for sample in bad:
        sample.targets[0].fields["E"][...] = 1e12
    wanted = surrogate_of(windows(good)).normalizer.references.known
    made = Surrogate(
        Pairs(), TASK, Normalizer.of(Setting(TASK, good[0][0].domain, FIELDS)), fields=FIELDS
    )
    shares = Shares(Statistics(made))
    shares.update(windows(good))
    shares.update(bad)
    for number in range(10):
        shares.close(number)
    shares.remove(99)
    shares.fix([])
    np.testing.assert_allclose(made.normalizer.references.known, wanted, rtol=1e-9)


def test_a_species_that_comes_later_in_a_stream_has_a_reference_of_its_own():
    early = windows(molecules(30))
    made = surrogate_of(early)
    before = made.normalizer.references.known.clone()
    [(_, frames)] = molecules(1, seed=5)
    late = Simulation(77, Particles([1, 8, 9, 9], units="Å"), FIELDS)
    shown = []
    for frame in frames:
        energy = np.array(-13.6 - 2041.0 - 2 * 2700.0 + 1e-3 * frame.step)
        values = {"x": np.eye(4, 3), "E": energy, "F": np.zeros((4, 3))}
        shown.append(Sample(late, frame.step, *[(Frame(77, frame.step, 0.0, values),)] * 2))
    check = Validation([(s.simulation, [s.inputs[0]]) for s in shown[:1]] + molecules(2, seed=1))
    assert (
        "1 of 3 simulations have species that were not trained on, 9" in check(made)["findings"][0]
    )
    with pytest.raises(
        InputError, match="all 1 simulations have species, 9, that were not trained on"
    ):
        Validation([(late, [shown[0].inputs[0]])])(made)
    Statistics(made).update(shown)
    known = made.normalizer.references.known
    assert torch.equal(known[:, :3], before) and known[0].tolist() == [1, 6, 8, 9]
    batch = collate(shown, TASK)
    left = batch.targets["E"] - made.normalizer.offset("E", batch)
    np.testing.assert_allclose(left[:, 0], [0.0, 1e-3], atol=1e-9)
    assert "findings" not in check(made)


def one_of(species, number, energy):
    """A sample with that energy, at no forces."""
    fields = {
        "x": np.eye(len(species), 3), "E": np.array(energy), "F": np.zeros((len(species), 3)),
    }  # fmt: skip
    frame = Frame(number, 0, 0.0, fields)
    simulation = Simulation(number, Particles(species, units="Å"), FIELDS)
    return Sample(simulation, 0, (frame,), (frame,))


def left_of(made, *samples):
    batch = collate(samples, TASK)
    return (batch.targets["E"] - made.normalizer.offset("E", batch))[:, 0].tolist()


def test_a_molecule_that_comes_later_is_not_far_off_and_those_before_stay(tmp_path):
    """Of ethanol alone, elements are not told apart: without more, water would be off by 100 eV."""
    ethanol, water, formaldehyde = [6, 6, 8, *[1] * 6], [8, 1, 1], [6, 8, 1, 1]
    samples = [one_of(ethanol, 0, -4209.0), one_of(ethanol, 1, -4208.0)]
    made = surrogate_of(samples)
    before = left_of(made, *samples)
    assert before == pytest.approx([-0.5, 0.5])
    assert abs(left_of(made, one_of(water, 2, -2078.0))[0]) > 100
    late = [one_of(water, 2, -2078.0), one_of(water, 3, -2077.0), one_of(formaldehyde, 4, -3114.0)]
    Statistics(made).update(late)
    assert left_of(made, *samples) == pytest.approx(before, abs=1e-9)
    assert left_of(made, *late) == pytest.approx([0.0, 1.0, 0.0], abs=1e-9)
    # Now all three elements are known: what else comes changes nothing, nor does what is loaded.
    known = made.normalizer.references.known.clone()
    state = made.state_dict()
    again = surrogate_of(samples)
    again.load_state_dict(state)
    for one in (made, again):
        Statistics(one).update([one_of([6, 1, 1, 1, 1], 5, 0.0)])
        assert torch.equal(one.normalizer.references.known, known)


def test_isolated_atoms_are_references_and_what_they_have_in_common_is_measured():
    def energy(species):
        return sum(ALONE[kind] - 4.0 for kind in species)

    samples = [one_of(kinds, n, energy(kinds)) for n, kinds in enumerate(([6, 1, 1], [1, 1]))]
    scope = samples[0].simulation.domain
    made = Surrogate(
        Pairs(), TASK, Normalizer.of(Setting(TASK, scope, FIELDS)), scope, fields=FIELDS
    )
    made.normalizer.references.give(ALONE)
    statistics = Statistics(made)
    statistics.update(samples)
    statistics.fix()
    known = dict(zip(*made.normalizer.references.known.tolist(), strict=True))
    assert known == pytest.approx({kind: value - 4.0 for kind, value in ALONE.items()})
    # Oxygen was in none of them, and is told apart from the first on; what comes moves nothing.
    late = one_of([8, 1, 1], 9, energy([8, 1, 1]) + 2.0)
    statistics.update([late])
    assert left_of(made, late) == pytest.approx([2.0])
    fluorine = one_of([9, 1], 10, -2714.0)
    statistics.update([fluorine])
    assert left_of(made, late, fluorine) == pytest.approx([2.0, 0.0])


def test_a_surrogate_that_knew_of_no_isolated_atoms_can_be_read():
    made = surrogate_of(windows(molecules(3)))
    state = {k: v for k, v in made.state_dict().items() if not k.endswith("isolated")}
    made.load_state_dict(state)
