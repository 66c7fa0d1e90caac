"""Potentials as programs give the same energies, forces and stress, of any number of atoms."""

import shutil

import numpy as np
import pytest
import torch
from pair_energies import FIELDS, TASK, PairEnergy
from torch import nn

import sciml
from sciml.domain import Particles
from sciml.errors import DomainError, InputError
from sciml.samples import Frame, Sample, Simulation
from sciml.surrogates import Normalizer, Setting, Statistics, Surrogate, Traits, collate
from sciml.surrogates.batch import suited
from sciml.surrogates.potential_program import PotentialProgram
from sciml.surrogates.structure import FrameStructure, Part

ase = pytest.importorskip("ase")

MODELS = {
    "egnn": {"hidden": 8, "layers": 2, "cutoff": 3.0},
    "mace": {"hidden": "4x0e + 4x1o", "neighbours": 3.0, "repulsion": True, "cutoff": 3.0},
    "mpnn": {"hidden": 8, "layers": 2, "cutoff": 3.0},
    "ponita": {"hidden": 8, "basis": 8, "layers": 2, "layer_scale": 0.1, "cutoff": 3.0},
}
CELL = np.array([[3.5, 0.2, 0], [0.4, 4.0, 0], [0.1, 0.3, 5.0]])  # skew, and less than two cutoffs
#: What rounding may make of forces, beside the largest of them; ten times that of energies.
SAME = {torch.float64: 1e-10, torch.float32: 1e-6}


def molecules(sizes, seed=0, cell=None):
    rng, found = np.random.default_rng(seed), []
    for number, n in enumerate(sizes):
        domain = Particles(rng.choice([1, 6, 8], n), cell, (cell is not None,) * 3, "Å")
        fields = {"positions": 3 * rng.random((n, 3)), "energy": np.array(-1e3 * n + rng.random()),
                  "forces": rng.standard_normal((n, 3))}  # fmt: skip
        frame = Frame(number, 0, 0.0, fields)
        found.append(Sample(Simulation(number, domain, FIELDS), 0, (frame,), (frame,)))
    return found


def built(model, dtype=torch.float64, task=TASK):
    """One that has seen molecules alone."""
    samples = molecules((4, 5, 3))
    scope = Particles(np.array([1, 6, 8]), units="Å")
    torch.manual_seed(0)
    if isinstance(model, str):
        config = {"name": model, **MODELS[model]}
        surrogate = Surrogate.build(config, task, scope, fields=FIELDS)
    else:
        normalizer = Normalizer.of(Setting(task, scope, FIELDS))
        surrogate = Surrogate(model, task, normalizer, scope, fields=FIELDS)
    statistics = Statistics(surrogate)
    statistics.update(samples)
    statistics.fix()
    return surrogate.to(dtype).eval()


def same(program, surrogate):
    """The program gives what the surrogate gives, of molecules and of crystals."""
    dtype = next(surrogate.parameters()).dtype
    for sizes, cell in (
        ((4, 5, 3), None),
        ((6,), None),
        ((1,), None),
        ((2, 3, 4, 5), CELL),
        ((3,), CELL),
    ):
        samples = molecules(sizes, len(sizes), cell)
        batch = suited(collate(samples, surrogate.task, surrogate.structures), surrogate, "cpu")
        known, found = surrogate.deriving(stress=cell is not None)(batch), program(batch)
        for name, value in known.items():
            large = 10.0 if name == "energy" else max(float(value.detach().abs().max()), 1.0)
            off = (found[name] - value).detach().abs().max()
            assert off <= SAME[dtype] * large, f"{name} of {sizes}: {off}"
        assert sizes == (1,) or float(known["forces"].detach().abs().max()) > 1e-4
        assert cell is None or float(known["stress"].detach().abs().max()) > 1e-4


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A surrogate, and its program: written without data, from what it was trained on."""
    surrogate = built(PairEnergy())
    path = tmp_path_factory.mktemp("program") / "pairs.pt2"
    surrogate.export(path)
    [program] = sciml.calculator(path).members
    return surrogate, program


def test_it_gives_the_same_and_nothing_of_new_elements(exported):
    surrogate, program = exported
    same(program, surrogate)
    batch = collate(molecules((4, 5)), surrogate.task, surrogate.structures)
    batch.geometry["species"][0] = 17
    assert program(batch)["energy"][:, 0].isnan().tolist() == [True, False]


@pytest.mark.parametrize("pbc", [False, True, (True, True, False)])
def test_a_calculator_computes_by_it(exported, pbc):
    surrogate, program = exported
    places = [[0.1, 0.2, 0.3], [1.6, 1.9, 0.4], [0.7, 2.2, 3.1], [2, 1, 2]]
    atoms = ase.Atoms("CHOH", places, cell=CELL, pbc=pbc)
    results = []
    for kind in (surrogate, program, [program, surrogate]):
        atoms.calc = sciml.calculator(kind)
        atoms.get_forces()
        results.append(atoms.calc.results)
    exact, found, both = results
    assert {*found} == {*exact} and ("stress" in exact) == bool(np.any(pbc))
    for name in exact:
        np.testing.assert_allclose(found[name], exact[name], atol=1e-10, err_msg=name)
        np.testing.assert_allclose(both[name], exact[name], atol=1e-10, err_msg=name)
    assert both["energy_variance"] == pytest.approx(0, abs=1e-16)


def test_what_is_no_program_of_a_potential_is_refused(exported, tmp_path):
    atoms = ase.Atoms("HCl", [[0, 0, 0], [1.3, 0, 0]])
    atoms.calc = sciml.calculator(exported[1])
    with pytest.raises(InputError, match="atoms of Cl; the surrogate was trained on H, C, O"):
        atoms.get_forces()
    (tmp_path / "text.pt2").write_text("model")
    with pytest.raises(InputError, match=r"text.pt2 is no program; expected one written by export"):
        sciml.calculator(tmp_path / "text.pt2")

    class Double(nn.Module):
        def forward(self, x):
            return 2 * x

    torch.export.save(
        torch.export.export(Double(), (torch.ones(2),), strict=True), tmp_path / "double.pt2"
    )
    with pytest.raises(
        InputError, match=r"double.pt2: says nothing where 1 is expected; export it"
    ):
        sciml.calculator(tmp_path / "double.pt2")


class Fixed(PairEnergy):
    """Counts its atoms when it is written down."""

    def forward(self, positions, **others):
        found = super().forward(positions, **others)
        return {"energy": found["energy"] * len(positions)}


@pytest.mark.slow
def test_a_model_whose_sizes_are_fixed_is_refused(tmp_path):
    with pytest.raises(DomainError, match=r"Fixed .*expected") as caught:
        built(Fixed()).export(tmp_path / "model.pt2")
    assert "\n" not in str(caught.value) and not any(tmp_path.iterdir())


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["model.onnx", "model.bin", "model"])
def test_names_of_other_formats_are_refused(tmp_path, name, compiled):
    with pytest.raises(InputError, match=rf"{name}; expected a name that ends in \.pt2: what is"):
        built(PairEnergy()).export(tmp_path / name, compiled=compiled)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("model", [*MODELS, "mace in float32"])
def test_models_by_name(tmp_path, model):
    name, _, single = model.partition(" in ")
    surrogate = built(name, torch.float32 if single else torch.float64)
    surrogate.export(tmp_path / "model.pt2")
    program = PotentialProgram.load(tmp_path / "model.pt2")
    same(program, surrogate)
    batch = collate(molecules((4, 5)), surrogate.task, surrogate.structures)
    batch.geometry["species"][:4] = 17
    forces = program(batch)["forces"]
    assert not forces[:4].isfinite().all() and forces[4:].isfinite().all()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
@pytest.mark.parametrize("model", ["pairs", "mace"])
def test_compiled_it_gives_the_same(tmp_path, model):
    surrogate = built(PairEnergy() if model == "pairs" else model)
    surrogate.export(tmp_path / "model.pt2", compiled=True)
    same(PotentialProgram.load(tmp_path / "model.pt2"), surrogate)
    atoms = ase.Atoms("CHO", [[0, 0, 0], [1.1, 0, 0], [0, 1.2, 0.3]])
    forces = []
    for kind in (surrogate, tmp_path / "model.pt2"):
        atoms.calc = sciml.calculator(kind)
        forces.append(atoms.get_forces())
    np.testing.assert_allclose(*forces, atol=1e-10)


class Springs(nn.Module):
    """Derives its forces itself, as pairs.py of the pages does; of neighbours that nobody else knows."""

    class Bonded(FrameStructure):
        positions = "positions"

        def parts(self, positions, cell, periodic):
            n = np.arange(len(positions))
            return {"bonds": Part(np.stack([n, np.roll(n, 1)]), 1, "point")}

    traits = Traits(structures=(Bonded(),), differentiates=True)

    def __init__(self):
        super().__init__()
        self.stiff = nn.Parameter(torch.tensor(2.0))

    def forward(self, positions, *, owner, ptr, bonds, **_):
        positions = positions.requires_grad_()
        one, other = bonds
        each = self.stiff * (positions[one] - positions[other]).square().sum(1)
        energy = each.new_zeros(ptr.shape[0] - 1).index_add(0, owner[one], each)
        (pull,) = torch.autograd.grad(energy.sum(), positions, create_graph=self.training)
        return {"energy": energy, "forces": -pull}
