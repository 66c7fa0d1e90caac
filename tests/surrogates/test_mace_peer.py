"""What random models of mace-torch give, given by ours with their weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates.particles.fields import SUM, ParticleFields
from sciml.surrogates.particles.mace.edges import PairedNeighbours
from sciml.surrogates.particles.mace.foreign import translated
from sciml.surrogates.particles.mace.mace import MACE

pytest.importorskip("e3nn", reason="needs the extra 'particles'")
pytest.importorskip("ase", reason="needs the extra 'particles'")

GOLDEN = Path(__file__).with_name("golden_mace.npz")

#: Options of tests/benchmarks/golden_mace.py; factor and constant of energies of particles.
CASES = {
    "cubic": ({"hidden": "3x0e + 3x1o"}, (1, 6, 8), (1.7, 0.3)),
    "square": (
        {"hidden": "2x0e + 2x1o + 2x2e", "degree": 2, "correlation": 2, "layers": 3},
        (1, 8),
        (1.7, 0.3),
    ),
    "linear": (
        {"hidden": "4x0e", "degree": 1, "correlation": 1, "repulsion": True},
        (1, 8),
        (1.0, 0.3),
    ),
}


def golden(case):
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {n.partition("/")[2]: file[n] for n in file.files if n.startswith(f"{case}/")}


def ours(case, species, options):
    fields = ParticleFields(
        ndim=3,
        inputs=(("positions", True),),
        positions="positions",
        static=(),
        paired=(),
        species=species,
        parameters=0,
        wanted={"energy": SUM},
        counts=(len(species), 0),
    )
    model = MACE(fields, "energy", cutoff=4.0, basis=6, neighbours=6.0, radial=(8, 8, 8), **options)
    return model.double()


@pytest.mark.parametrize("case", CASES)
def test_energy_forces_and_stress_are_those_of_mace_torch(case):
    options, species, (scale, shift) = CASES[case]
    held, model = golden(case), ours(case, species, options)
    model.load_state_dict(translated(held, model))
    x, numbers = held["positions"], held["numbers"]
    cell = held["cell"] if len(held["cell"]) else None
    parts = PairedNeighbours(4.0).parts(x, cell, (cell is not None,) * 3)
    structure = {n: torch.from_numpy(p.values) for n, p in parts.items()}
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    turned = torch.eye(3, dtype=torch.float64) + (strain + strain.T) / 2
    x = torch.from_numpy(x).requires_grad_()
    structure["shift"] = structure["shift"].double() @ turned
    found = model(
        x @ turned,
        species=torch.from_numpy(numbers),
        ptr=torch.tensor([0, len(x)]),
        owner=torch.zeros(len(x), dtype=torch.int64),
        **structure,
    )["energy"]
    alone = sum(1.0 + species.index(z) + shift for z in numbers)
    energy = scale * found + alone
    forces, stress = torch.autograd.grad(-energy.sum(), (x, strain))
    np.testing.assert_allclose(energy.detach(), held["energy"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(forces, held["forces"], rtol=0, atol=1e-10)
    if cell is not None:
        volume = abs(np.linalg.det(cell))
        np.testing.assert_allclose(-stress / volume, held["stress"][0], rtol=0, atol=1e-10)


def test_weights_of_another_size_are_refused():
    options, species, _ = CASES["linear"]
    model = ours("linear", species, options | {"hidden": "8x0e"})
    with pytest.raises(InputError, match=r"weights of mace-torch: .*the same irreps, species"):
        translated(golden("linear"), model)
