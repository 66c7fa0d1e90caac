"""What holds for every registered model."""

import pytest
import torch

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Surrogate, collate, registry

SMALL = {
    "cnn": {"width": 6, "blocks": 1, "dilations": (1, 2)},
    "fno": {"modes": 4, "hidden_channels": 6, "n_layers": 2},
    "mlp": {"hidden": (12,), "activation": "tanh"},
    known = ", ".join(sorted(registry.MODELS))
    with pytest.raises(InputError, match=rf"did you mean 'fno'.*known: {known}"):
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
        (("dirichlet", "periodic"), (17, 8)),
        (("open",) * 2, (17, 9)),
    ],
)
def test_fno_pads_by_the_boundary(grid_samples, step_task, boundary, padded):
    domain = grid_samples(step_task, (16, 8), 1, boundary)[0].simulation.domain
    model = registry.build("fno", step_task, domain, **SMALL["fno"])
    seen = []
    model.net.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    assert model(torch.randn(1, 2, 16, 8)).shape[2:] == (16, 8)
    assert seen[0].shape[2:] == padded


def test_fno_prints_nothing_and_its_state_holds_tensors_only(capfd, grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    model = registry.build("fno", step_task, domain, **SMALL["fno"])
    assert capfd.readouterr().out == ""
    assert all(isinstance(v, torch.Tensor) for v in model.state_dict().values())
