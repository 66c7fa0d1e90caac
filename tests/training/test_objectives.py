from dataclasses import replace

import pytest
import torch
from torch import nn

from sciml.domain import Graph
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Batch, Setting, Surrogate
from sciml.training import EnergyForces, Residual, Sum, Supervised
from sciml.training.objective import weighted


def test_supervised_gives_the_named_loss_of_scaled_fields(surrogate, source):
    model, batch = surrogate(), source().next_batch()
    value = Supervised("relative_l2")(model, batch)
    assert list(value) == ["relative_l2"]
    u, mean = batch.targets["u"], model.normalizer.mean[0]
    size = torch.linalg.vector_norm((u - mean).flatten(2), dim=2)
    size = size.clamp(min=model.normalizer.std("u").item() * u[0].numel() ** 0.5)
    expected = (torch.linalg.vector_norm((model(batch)["u"] - u).flatten(2), dim=2) / size).mean()
    assert value["relative_l2"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_mse_is_in_units_of_the_increment(surrogate, source, task):
    model, batch = surrogate(), source().next_batch()
    plain = (model(batch)["u"] - batch.targets["u"]).square().mean()
    for increment, kind in ((True, "increment"), (False, "field")):
        model.increment = increment
        plain = (model(batch)["u"] - batch.targets["u"]).square().mean()
        std = model.normalizer.std("u", kind)
        value = Supervised("mse")(model, batch)["mse"].item()
        assert value == pytest.approx((plain / std**2).item(), rel=1e-4)
    bare = Surrogate(model.model, task)
    plain = (bare(batch)["u"] - batch.targets["u"]).square().mean().item()
    assert Supervised("mse")(bare, batch)["mse"].item() == pytest.approx(plain, rel=1e-5)


class Springs(nn.Module):
    """E = ½ k Σ |x|² of each molecule."""

    def __init__(self):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(2.0))

    def forward(self, batch):
        squares = batch.inputs["positions"].square().sum((1, 2))
        energy = squares.new_zeros(batch.size).index_add(0, batch.geometry["owner"], squares)
        return {"energy": (0.5 * self.k * energy)[:, None]}


def molecules(k):
    x = torch.randn(5, 1, 3)
    owner = torch.tensor([0, 0, 1, 1, 1])
    energy = torch.zeros(2).index_add(0, owner, x.square().sum((1, 2)))[:, None]
    return Batch(
        inputs={"positions": x},
        targets={"energy": 0.5 * k * energy, "forces": -k * x},
        geometry={"owner": owner, "ptr": torch.tensor([0, 2, 5])},
        size=2,
        kind="particles",
    )


def test_forces_are_minus_the_gradient_of_the_energy():
    exact = EnergyForces()(Springs(), molecules(2.0))
    assert exact["energy"] < 1e-12
    assert exact["forces"] < 1e-12
    wrong = EnergyForces()(Springs(), molecules(3.0))
    assert wrong["forces"] > 1e-2


def test_the_force_loss_reaches_the_weights():
    model = Springs()
    EnergyForces()(model, molecules(3.0))["forces"].backward()
    assert model.k.grad is not None and model.k.grad < 0


def test_residuals_are_mean_squares_by_name():
    def residual(model, batch):
        x = batch.inputs["x"]
        [slope] = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        return {"slope": slope - 1.0, "value": model(x)}

    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(3.0)
    batch = Batch(inputs={"x": torch.ones(4, 1)}, size=4, kind="points")
    found = Residual(residual)(model, batch)
    assert found["slope"].item() == pytest.approx(4.0)
    assert found["value"].item() == pytest.approx(9.0)


def test_a_sum_names_its_losses_by_source():
    def constant(value):
        return lambda model, batch: {"a": torch.tensor(value) * batch}

    found = Sum({"one": constant(1.0), "two": constant(2.0)})(None, {"one": 1, "two": 10})
    assert {n: v.item() for n, v in found.items()} == {"one.a": 1.0, "two.a": 20.0}
    with pytest.raises(InputError, match="did you mean 'one'"):
        Sum({"onee": constant(1.0)})(None, {"one": 1})


def test_weights_multiply_and_unknown_ones_are_refused():
    found = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert weighted(found, {}).item() == 5.0
    assert weighted(found, {"b": 10.0}).item() == 32.0
    with pytest.raises(InputError, match="known: a, b"):
        weighted(found, {"c": 1.0})


def test_an_output_of_another_shape_is_not_stretched_over_its_target(surrogate, source):
    model, batch = surrogate(), source().next_batch()
    # One number a frame, which would be compared with every frame of the batch.
    total = replace(batch, targets={"u": batch.targets["u"].flatten(2).sum(2)})
    with pytest.raises(InputError, match=r"in the shape .* that of the target$"):
        Supervised("mse")(model, total)
    with pytest.raises(InputError, match=r"that of the target, which has one value a frame: take"):
        Supervised("mse")(model, replace(total, on={"u": "global"}))


@pytest.mark.parametrize("loss", ["h1", "h1_spectral"])
def test_losses_of_grids_are_refused_before_anything_is_trained(loss):
    graph = Graph(3, [[0, 1], [1, 2]])
    with pytest.raises(InputError, match=f"'{loss}': .* kind 'graph'; expected a grid"):
        Supervised(loss).require(Setting(Task(("u",), ("u",)), graph))
    Supervised(loss).require(Setting(Task(("u",), ("u",))))


@pytest.mark.parametrize("loss", ["h1", "h1_spectral"])
def test_losses_with_derivatives_are_refused_at_points(loss):
    with pytest.raises(InputError, match=f"'{loss}' at points"):
        Supervised(loss, points=4)
