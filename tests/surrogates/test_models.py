"""What holds for every registered model."""

import pytest
import torch

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Surrogate, collate, registry

SMALL = {
    "fno": {"modes": 4, "hidden_channels": 6, "n_layers": 2},
    "mgno": {"width": 6, "n_layers": 2, "levels": 2},
    "mlp": {"hidden": (12,), "activation": "tanh"},
}


def test_every_model_is_in_the_zoo():
    assert set(SMALL) == set(registry.MODELS)


@pytest.fixture(params=sorted(SMALL))
def name(request):
    return request.param


@pytest.fixture
def made(name, grid_samples, step_task):
    samples = grid_samples(step_task, (8, 6), 4)
    surrogate = Surrogate.build(
        {"name": name, **SMALL[name]}, step_task, samples[0].simulation.domain
    )
    surrogate.normalizer.update(samples)
    return surrogate, collate(samples, step_task), samples


def test_shapes(made):
    surrogate, batch, _ = made
    assert surrogate(batch)["u"].shape == (4, 1, 8, 6)


@pytest.mark.parametrize("shape", [(10,), (8, 7), (5, 6, 7)])
def test_dimensions_one_to_three(name, shape, grid_samples):
    task = Task(("u", "v"), ("v",), history=2, static=("mask",))
    samples = grid_samples(task, shape, 2)
    model = registry.build(name, task, samples[0].simulation.domain, **SMALL[name])
    assert Surrogate(model, task)(collate(samples, task))["v"].shape == (2, 1, *shape)


def test_samples_of_a_batch_do_not_see_each_other(made, step_task):
    surrogate, batch, samples = made
    alone = surrogate(collate(samples[1:2], step_task))["u"]
    torch.testing.assert_close(alone[0], surrogate(batch)["u"][1], atol=1e-5, rtol=1e-5)


def test_gradient_reaches_every_parameter(made):
    surrogate, batch, _ = made
    surrogate(batch)["u"].square().sum().backward()
    for n, p in surrogate.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, n


def test_saved_and_loaded_it_is_the_same(made, tmp_path):
    surrogate, batch, _ = made
    surrogate.save(tmp_path)
    loaded = Surrogate.load(tmp_path)
    assert torch.equal(loaded(batch)["u"], surrogate(batch)["u"])
    assert loaded.task == surrogate.task
    assert loaded.domain == surrogate.domain
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "surrogate.json"]


def test_predict_keeps_coordinates(name, heat_dataset, step_task):
    from sciml.domain.dataset import domain_of

    domain = domain_of(heat_dataset)
    surrogate = Surrogate.build({"name": name, **SMALL[name]}, step_task, domain)
    out = surrogate.predict(heat_dataset)
    for coordinate in ("x", "y", "sample", "kappa"):
        assert out[coordinate].identical(heat_dataset[coordinate])
    assert out.u.attrs == heat_dataset.u.attrs
    assert out.u.dims == heat_dataset.u.dims


def test_float64(name, grid_samples, step_task):
    samples = grid_samples(step_task, (8, 6), 2)
    surrogate = Surrogate.build(
        {"name": name, **SMALL[name]}, step_task, samples[0].simulation.domain
    ).double()
    torch.set_default_dtype(torch.float64)
    try:
        assert surrogate(collate(samples, step_task))["u"].dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_unknown_options_get_the_nearest(name, grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    key = next(iter(SMALL[name]))
    with pytest.raises(InputError, match=f"did you mean '{key}'"):
        registry.build(name, step_task, domain, **{key + "s": 3})


def test_unknown_models_are_listed(step_task):
    with pytest.raises(InputError, match=r"did you mean 'fno'.*known: fno, mgno, mlp"):
        registry.build("fmo", step_task, None)


def test_parameters_and_time_to_field(grid_samples):
    task = Task((), ("u",), history=0, parameters=("a", "b"), time=True)
    samples = grid_samples(task, (5, 4), 3)
    domain = samples[0].simulation.domain
    surrogate = Surrogate.build({"name": "mlp", "hidden": [8]}, task, domain)
    assert isinstance(surrogate.normalizer, Normalizer)
    assert surrogate.model.in_features == 3
    assert surrogate(collate(samples, task))["u"].shape == (3, 1, 5, 4)
    with pytest.raises(InputError, match="take model 'mlp'"):
        registry.build("fno", task, domain)


def test_fno_names_the_numbers_of_a_grid_too_small(grid_samples, step_task):
    domain = grid_samples(step_task, (8, 6))[0].simulation.domain
    with pytest.raises(InputError, match=r"modes \(12, 12\) on a grid of shape \(8, 6\)"):
        registry.build("fno", step_task, domain, modes=12)
    model = registry.build("fno", step_task, domain, **SMALL["fno"])
    with pytest.raises(InputError, match=r"grid \(8, 3\) is too small for modes \(4, 4\)"):
        model(torch.zeros(1, 2, 8, 3))


def test_fno_pads_axes_that_do_not_close(grid_samples, step_task):
    """On a torus shifts commute with the FNO; with walls they must not, and it sees positions."""
    torch.manual_seed(1)
    x = torch.randn(1, 2, 8, 8)
    for boundary, commutes in ((("periodic",) * 2, True), (("dirichlet",) * 2, False)):
        domain = grid_samples(step_task, (8, 8), 1, boundary)[0].simulation.domain
        model = registry.build("fno", step_task, domain, **SMALL["fno"])
        shifted = torch.roll(model(x), 2, -1)
        assert torch.allclose(model(torch.roll(x, 2, -1)), shifted, atol=1e-4) == commutes


@pytest.mark.parametrize(
    ("boundary", "padded"),
    [
        (("periodic", "periodic"), (16, 8)),
        (("dirichlet", "periodic"), (18, 8)),
        (("open",) * 2, (18, 9)),
    ],
)
def test_fno_pads_by_the_boundary(grid_samples, step_task, boundary, padded):
    domain = grid_samples(step_task, (16, 8), 1, boundary)[0].simulation.domain
    model = registry.build("fno", step_task, domain, **SMALL["fno"])
    seen = []
    model.net.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    assert model(torch.randn(1, 2, 16, 8)).shape[2:] == (16, 8)
    assert seen[0].shape[2:] == padded
    if padded == (18, 8):
        # The padding joins the last line to the first one without a jump.
        line = seen[0][0, 0, :, 0]
        step = (line[0] - line[15]) / 3
        torch.testing.assert_close(line[16:], line[15] + step * torch.tensor([1.0, 2.0]))


def test_fno_prints_nothing_and_its_state_holds_tensors_only(capfd, grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    model = registry.build("fno", step_task, domain, **SMALL["fno"])
    assert capfd.readouterr().out == ""
    assert all(isinstance(v, torch.Tensor) for v in model.state_dict().values())
