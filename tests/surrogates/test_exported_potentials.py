"""Potentials as programs give the same energies, forces and stress, of any number of atoms."""

import numpy as np
import pytest
import torch
from pair_energies import FIELDS, TASK, PairEnergy

from sciml.domain import Field, Particles
from sciml.errors import DomainError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Normalizer, Setting, Statistics, Surrogate, collate
from sciml.surrogates.export_particles import GIVEN

MODELS = {
    "egnn": {"hidden": 8, "layers": 2, "cutoff": 3.0},
    "mace": {"hidden": "4x0e + 4x1o", "neighbours": 3.0, "repulsion": True, "cutoff": 3.0},
    "mpnn": {"hidden": 8, "layers": 2, "cutoff": 3.0},
    "ponita": {"hidden": 8, "basis": 8, "layers": 2, "layer_scale": 0.1, "cutoff": 3.0},
}
STRESS = (*FIELDS, Field("stress", "eV/Å3", on="global", components=6))


def molecules(sizes, seed=0, cell=None):
    rng, found = np.random.default_rng(seed), []
    for number, n in enumerate(sizes):
        domain = Particles(rng.choice([1, 6, 8], n), cell, (cell is not None,) * 3, "Å")
        fields = {"positions": 3 * rng.random((n, 3)), "energy": np.array(-1e3 * n + rng.random()),
                  "forces": rng.standard_normal((n, 3)), "stress": rng.random(6)}  # fmt: skip
        frame = Frame(number, 0, 0.0, fields)
        found.append(Sample(Simulation(number, domain, STRESS), 0, (frame,), (frame,)))
    return found


def built(model, samples, task=TASK):
    scope = Particles(np.array([1, 6, 8]), samples[0].simulation.domain.cell,
                      samples[0].simulation.domain.periodic, "Å")  # fmt: skip
    torch.manual_seed(0)
    if isinstance(model, str):
        config = {"name": model, **MODELS[model]}
        surrogate = Surrogate.build(config, task, scope, fields=STRESS)
    else:
        normalizer = Normalizer.of(Setting(task, scope, STRESS))
        surrogate = Surrogate(model, task, normalizer, scope, fields=STRESS)
    statistics = Statistics(surrogate)
    statistics.update(samples)
    statistics.fix()
    return surrogate.double().eval()


def given(surrogate, samples):
    batch = collate(samples, surrogate.task, surrogate.structures)
    return batch, tuple(getattr(batch, name) for name in GIVEN)


def same(path, surrogate, batch):
    """The program, which gives what the surrogate gives of batches of other sizes."""
    surrogate.export(path, batch)
    program = torch.export.load(path).module()
    for sizes in ((4, 5, 3), (6,), (1,), (2, 3, 4, 5, 6, 7)):
        batch, arguments = given(surrogate, molecules(sizes, seed=len(sizes)))
        known, found = surrogate(batch), program(*arguments)
        assert {*found} == {"energy", "forces"}
        for name, value in known.items():
            scale = max(float(value.abs().max()), 1.0)
            np.testing.assert_allclose(found[name], value.detach(), rtol=0, atol=1e-12 * scale)
        assert sizes == (1,) or float(known["forces"].abs().max()) > 1e-4
    return program


def test_the_same_energies_and_forces_and_none_of_new_elements(tmp_path):
    samples = molecules((4, 5, 3))
    surrogate = built(PairEnergy(), samples)
    batch, arguments = given(surrogate, samples)
    program = same(tmp_path / "model.pt2", surrogate, batch)
    arguments[4]["species"][0] = 17
    energy = program(*arguments)["energy"][:, 0]
    assert energy.isnan().tolist() == [True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_models_by_name(tmp_path, model):
    samples = molecules((4, 5, 3))
    surrogate = built(model, samples)
    same(tmp_path / "model.pt2", surrogate, given(surrogate, samples)[0])


@pytest.mark.slow
def test_stress_is_in_it(tmp_path):
    task, cell = Task(("positions",), ("energy", "forces", "stress"), lead=0), 4.0 * np.eye(3)
    samples = molecules((4, 5), cell=cell)
    surrogate = built(PairEnergy(), samples, task)
    surrogate.export(tmp_path / "model.pt2", given(surrogate, samples)[0])
    batch, arguments = given(surrogate, molecules((3,), seed=5, cell=cell))
    found = torch.export.load(tmp_path / "model.pt2").module()(*arguments)
    known = surrogate(batch)
    np.testing.assert_allclose(found["stress"], known["stress"].detach(), atol=1e-12)
    assert float(known["stress"].abs().max()) > 1e-4


class Fixed(PairEnergy):
    """Counts its atoms when it is written down."""

    def forward(self, positions, **others):
        found = super().forward(positions, **others)
        return {"energy": found["energy"] * len(positions)}


@pytest.mark.slow
def test_a_model_whose_sizes_are_fixed_is_refused(tmp_path):
    samples = molecules((4, 5, 3))
    surrogate = built(Fixed(), samples)
    with pytest.raises(DomainError, match=r"Fixed .*expected") as caught:
        surrogate.export(tmp_path / "model.pt2", given(surrogate, samples)[0])
    assert "\n" not in str(caught.value) and not (tmp_path / "model.pt2").exists()
