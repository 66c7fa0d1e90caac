import pytest
import torch

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import UNet, registry
from sciml.surrogates.setting import Setting


@pytest.mark.parametrize("shape", [(9,), (9, 14), (9, 16, 11)])
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet", "neumann", "open"])
def test_any_size_with_room_for_the_levels(shape, boundary):
    model = UNet(2, 3, (boundary,) * len(shape), width=4, levels=4)
    assert model(torch.randn(2, 2, *shape)).shape == (2, 3, *shape)


def test_axes_may_differ_in_their_boundaries():
    """Around the periodic axis shifts by a cell of the coarsest grid commute; across it they do not."""
    model = UNet(1, 1, ("dirichlet", "periodic"), width=4, levels=3, positions=False)
    x = torch.randn(1, 1, 16, 16)
    y = model(x)
    torch.testing.assert_close(model(torch.roll(x, 4, 3)), torch.roll(y, 4, 3), atol=1e-5, rtol=0)
    assert not torch.allclose(model(torch.roll(x, 4, 2)), torch.roll(y, 4, 2), atol=1e-3)


def test_amplitudes_get_through():
    """Without a norm in the way, the largest fields give the largest outputs."""
    model = UNet(1, 1, ("periodic",), width=8, levels=2)
    x = torch.randn(1, 1, 32)
    assert model(100 * x).norm() > 20 * model(x).norm()


def test_a_grid_too_small_is_named(grid_samples, step_task):
    model = UNet(2, 1, ("periodic",) * 2, width=4, levels=4)
    with pytest.raises(InputError, match=r"grid \(8, 16\) is too small for levels=4.* 9 points"):
        model(torch.zeros(1, 2, 8, 16))
    domain = grid_samples(step_task, (8, 6))[0].simulation.domain
    with pytest.raises(InputError, match=r"levels=4 on a grid of shape \(8, 6\).* room for 3"):
        registry.build("unet", Setting(step_task, domain), levels=4)
    assert registry.build("unet", Setting(step_task, domain), width=4).levels == 3


@pytest.mark.parametrize("name", ["unet", "cnn", "vit"])
def test_wrong_channels_and_axes_are_named(name, grid_samples, step_task):
    domain = grid_samples(step_task, (8, 6))[0].simulation.domain
    model = registry.build(name, Setting(step_task, domain), width=4)
    with pytest.raises(InputError, match="input has 5 channels; it was built for 2"):
        model(torch.zeros(1, 5, 8, 6))
    with pytest.raises(
        InputError, match=r"shape \(1, 2, 8\); expected \(batch, 2, \*space\) with 2"
    ):
        model(torch.zeros(1, 2, 8))


@pytest.mark.parametrize("name", ["unet", "cnn", "vit"])
def test_parameters_alone_are_no_input_field(name, grid_samples):
    task = Task((), ("u",), history=0, parameters=("a",))
    domain = grid_samples(task, (8, 6))[0].simulation.domain
    with pytest.raises(InputError, match="take model 'mlp'"):
        registry.build(name, Setting(task, domain))
