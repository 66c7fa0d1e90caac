"""Parts of MACE, its options, and what it refuses; with all models of particles it is in their tests."""

import numpy as np
import pytest
import torch
from particle_data import ENERGY, MOVES, batch_of, bodies, fields, molecules, sample, surrogate_of

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Setting, registry
from sciml.surrogates.particles.equivariance import equivariance_errors
from sciml.surrogates.particles.mace import summation
from sciml.surrogates.particles.mace.contraction import SymmetricContraction
from sciml.surrogates.particles.mace.coupling import symmetric, wigner
from sciml.surrogates.particles.mace.irreps import Irrep, harmonics
from sciml.surrogates.particles.mace.mace import PRESETS
from sciml.training.precision import lowered

o3 = pytest.importorskip("e3nn.o3", reason="needs the extra 'particles'")
pytest.importorskip("ase", reason="needs the extra 'particles'")

SMALL = {"name": "mace", "hidden": "2x0e + 2x1o", "degree": 2, "correlation": 2, "radial": [4]}


def turn(irreps):
    """Of a rotation and an inversion."""
    drawn = np.random.default_rng(0).normal(size=(3, 3))
    matrix, points = torch.from_numpy(np.linalg.qr(drawn)[0]), torch.from_numpy(drawn)
    matrix = -matrix * torch.linalg.det(matrix)
    points = torch.cat([points, points.flip(1), points @ points])

    def harmonic(l, x):
        return o3.spherical_harmonics(l, x, normalize=True)

    blocks = [
        torch.linalg.lstsq(harmonic(ir.l, points), harmonic(ir.l, -points @ matrix.T)).solution.T
        * ir.p
        for ir in irreps
    ]
    return torch.block_diag(*blocks)


def turned(x, irreps):
    return torch.einsum("ij,jnc->inc", turn(irreps), x)


@pytest.mark.parametrize("correlation", [1, 2, 3])
@pytest.mark.parametrize("both", [False, True])
def test_products_turn_with_what_they_are_of(correlation, both):
    degree = 1 if both else 3
    given = harmonics(degree)
    given += (Irrep(0, -1), Irrep(1, 1)) if both else ()
    given = tuple(sorted(given))
    wanted = (Irrep(0, 1), Irrep(1, -1), *((Irrep(1, 1),) if both else (Irrep(2, 1),)))
    layer = SymmetricContraction(given, wanted, 4, 2, correlation).double()
    x, kind = (
        torch.randn(sum(ir.dim for ir in given), 5, 4, dtype=torch.float64),
        torch.arange(5) % 2,
    )
    torch.testing.assert_close(
        layer(turned(x, given), kind), turned(layer(x, kind), wanted), rtol=0, atol=1e-10
    )
    assert layer(x, kind).abs().amin(dim=(1, 2)).all()


def test_polynomials_are_all_that_there_are():
    """As many as the symmetric power of the representation has copies, by its characters."""
    given, out = harmonics(2), Irrep(1, -1)
    angle = np.pi * (np.arange(100) + 0.5) / 100  # of rotations
    weight = (1 - np.cos(angle)) / 200

    def character(ir, k, inverts):
        return (ir.p if inverts and k % 2 else 1) * sum(
            np.cos(m * k * angle) for m in range(-ir.l, ir.l + 1)
        )

    copies = {2: 0.0, 3: 0.0}
    for inverts in (False, True):
        p, q, r = (sum(character(ir, k, inverts) for ir in given) for k in (1, 2, 3))
        mine = weight * character(out, 1, inverts)
        copies[2] += (mine * (p**2 + q) / 2).sum()
        copies[3] += (mine * (p**3 + 3 * p * q + 2 * r) / 6).sum()
    for order, count in copies.items():
        _, c = symmetric(given, out, order)
        assert len(c) == np.linalg.matrix_rank(c.reshape(len(c), -1)) == round(count), order


def test_symbols_have_one_sign_whatever_e3nn_says(monkeypatch):
    there = wigner(1, 2, 3).copy()
    wigner.cache_clear()
    real = o3.wigner_3j
    monkeypatch.setattr(o3, "wigner_3j", lambda *args, **kwargs: -real(*args, **kwargs))
    np.testing.assert_array_equal(wigner(1, 2, 3), there)
    wigner.cache_clear()


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": "2x0e + 2x1o + 2x2e", "degree": 3, "correlation": 3},
        {"hidden": "2x0e + 2x0o + 2x1o + 2x1e", "degree": 1, "layers": 3},
        {"hidden": "4x0e", "degree": 0, "correlation": 1, "layers": 1},
        {"repulsion": True},
    ],
    ids=["high", "both parities", "least", "repulsion"],
)
def test_any_irreps_are_equivariant(options):
    task = Task(("positions",), ("energy", "forces", "stress"), lead=0)
    surrogate, batch = surrogate_of(
        {**SMALL, **options, "cutoff": 2.5}, molecules(2, periodic=True), task
    )
    assert max(equivariance_errors(surrogate, batch).values()) < 1e-10


def test_nuclei_repel():
    surrogate, _ = surrogate_of({**SMALL, "repulsion": True}, molecules(1), ENERGY)
    near, nearer = (
        surrogate(batch_of(surrogate, [sample([[0.0, 0, 0], [r, 0, 0]], [8, 8])]))
        for r in (0.2, 0.1)
    )
    # 64 e²/4πε₀ · 9.3 eV at 0.1 Å, screened.
    assert nearer["energy"].item() - near["energy"].item() > 500
    assert near["forces"][1, 0, 0] > 1000 and nearer["forces"][1, 0, 0] > near["forces"][1, 0, 0]


def test_nuclei_repel_alike_in_a_cell_and_in_any_order_of_targets():
    other = Task(("positions",), ("forces", "energy"), lead=0)
    found = []
    for task in (ENERGY, other):
        surrogate, batch = surrogate_of(
            {**SMALL, "repulsion": True, "cutoff": 2.5}, molecules(2, periodic=True), task
        )
        found.append(surrogate.deriving(stress=True)(batch))
        assert surrogate.model.place == task.targets.index("energy")
    for name in ("energy", "forces", "stress"):
        torch.testing.assert_close(found[0][name], found[1][name])
    assert found[0]["stress"].isfinite().all()


def test_the_mean_number_of_neighbours_is_that_of_the_first_batch():
    surrogate, batch = surrogate_of(SMALL, molecules(2), ENERGY)
    assert surrogate.model.crowd == 0
    surrogate(batch)
    assert surrogate.model.crowd == 0, "measured without training"
    surrogate.train()
    surrogate(batch)
    pairs, atoms = batch.structure["neighbours"].shape[1], len(batch.geometry["owner"])
    assert surrogate.model.crowd == pytest.approx(pairs / atoms)
    given, _ = surrogate_of({**SMALL, "neighbours": 7}, molecules(2), ENERGY)
    assert given.model.crowd == 7


def test_lower_precision_keeps_constants():
    layer = SymmetricContraction(harmonics(2), (Irrep(0, 1),), 2, 1, 3)
    exact = layer.double().constants.table.clone()
    assert torch.equal(layer.float().double().constants.table, exact)


def test_charges_of_both_are_seen():
    surrogate, batch = surrogate_of(SMALL, bodies(1), MOVES)
    before = surrogate(batch)["velocities"]
    batch.static["charge"][0] *= -1
    after = surrogate(batch)["velocities"]
    changed = (after - before).flatten(1).norm(dim=1)
    assert changed.min() > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": "3x0e + 2x1o"}, "as many channels of each irrep"),
        ({"hidden": "cubes"}, "expected irreps, as 32x0e"),
        ({"hidden": "3x1o"}, "0e among them"),
        ({"size": "XL", "hidden": None}, "mace: size 'XL'"),
        ({"correlation": 4}, "correlation=4; expected 1 to 3"),
        ({"cutoff": -1.0}, "cutoff=-1.0"),
        ({"degree": 12}, "degree=12; expected 0 to 8"),
        ({"neighbours": -2.0}, "neighbours=-2.0"),
        ({"radial": [8, 0]}, r"radial=\[8, 0\]"),
        ({"hidden": ""}, "as many channels"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        surrogate_of({**SMALL, **options}, molecules(1), ENERGY)


def test_nuclei_need_an_energy_and_numbers():
    with pytest.raises(InputError, match="repulsion is of nuclei"):
        surrogate_of({**SMALL, "repulsion": True}, bodies(1), MOVES)
    with pytest.raises(InputError, match="expected 1o among them"):
        surrogate_of({**SMALL, "hidden": "3x0e"}, bodies(1), MOVES)
    with pytest.raises(InputError, match="2 dimensions; expected 3"):
        surrogate_of(SMALL, bodies(1, d=2), MOVES)


def test_sizes_have_names():
    count = {}
    for size, hidden in PRESETS.items():
        surrogate, _ = surrogate_of({"name": "mace", "size": size}, molecules(1), ENERGY)
        count[size] = sum(p.numel() for p in surrogate.parameters())
        assert surrogate.model.traits.chosen == {"hidden": hidden}
    assert count == {"S": 77_392, "M": 576_784, "L": 2_707_984}


def test_it_is_built_without_values():
    domain = molecules(1)[0].simulation.domain
    with torch.device("meta"):
        model = registry.build(**SMALL, setting=Setting(ENERGY, domain, fields()))
    assert all(p.is_meta for p in model.parameters())
    wigner.cache_clear()
    assert abs(wigner(1, 1, 2)).sum() > 1


def test_energies_and_forces_are_learned_under_autocast():
    samples = molecules(2)
    made, _ = surrogate_of(SMALL, samples, ENERGY)
    made.float().train()
    batch = batch_of(made, samples).to("cpu", torch.float32)
    run = made.model.forward
    made.model.forward = lowered(run, "bfloat16", torch.device("cpu"))
    found = made(batch)
    (found["energy"].sum() + found["forces"].square().sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in made.parameters())


def test_sums_over_neighbours_have_their_derivatives(monkeypatch):
    monkeypatch.setattr(summation, "AT_ONCE", 30)  # several pieces
    one, three = slice(0, 1), slice(1, 4)
    terms = (
        summation.Term(one, one, slice(0, 1), slice(0, 1)),
        summation.Term(three, one, slice(1, 3), slice(1, 7)),
        summation.Term(three, three, slice(3, 5), slice(7, 25)),
    )
    torch.manual_seed(0)
    factors = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((3, 2, 4), (4, 5, 2), (3, 4, 2))
    ]
    pair, source = torch.tensor([0, 1, 1, 2, 3, 0]), torch.tensor([1, 2, 0, 0, 1, 2])

    def summed(*given):
        return summation.NeighbourSum.apply(*given, pair, source, terms)

    assert torch.autograd.gradcheck(summed, factors)
    assert torch.autograd.gradgradcheck(summed, factors)
