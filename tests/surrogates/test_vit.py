import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates import ViT, registry
from sciml.surrogates.setting import Setting


@pytest.mark.parametrize("shape", [(9,), (9, 14), (5, 8, 6)])
def test_any_size_by_whole_patches_and_a_rest(shape):
    model = ViT(2, 3, shape, ("dirichlet",) * len(shape), patch=4, width=8, layers=1, heads=2)
    assert model(torch.randn(2, 2, *shape)).shape == (2, 3, *shape)
    larger = tuple(n + 7 for n in shape)
    assert model(torch.randn(2, 2, *larger)).shape == (2, 3, *larger)


def test_every_patch_sees_every_other():
    model = ViT(1, 1, (16,), ("periodic",), patch=4, width=8, layers=1, heads=2).double()
    x = torch.randn(1, 1, 16, dtype=torch.float64)
    kicked = x.clone()
    kicked[..., 0] += 1
    assert (model(kicked) != model(x)).all()


def test_positions_are_a_function_of_the_coordinate():
    model = ViT(1, 1, (16,), ("periodic",), patch=4, width=8, layers=1, heads=2)
    coarse = model.position(torch.zeros(1, 8, 4))
    fine = model.position(torch.zeros(1, 8, 8))
    torch.testing.assert_close(fine[..., ::2], coarse)
    torch.testing.assert_close(fine[..., 7], (coarse[..., 3] + coarse[..., 0]) / 2)


def test_what_cannot_be_is_named(grid_samples, step_task):
    domain = grid_samples(step_task, (8, 6))[0].simulation.domain
    with pytest.raises(InputError, match=r"patch=7 on a grid of shape \(8, 6\); expected.* 1 to 6"):
        registry.build("vit", Setting(step_task, domain), patch=7)
    with pytest.raises(InputError, match="width=10 and heads=4; the heads must divide it"):
        registry.build("vit", Setting(step_task, domain), width=10)
    model = registry.build("vit", Setting(step_task, domain), width=8, patch=4)
    with pytest.raises(InputError, match=r"grid \(8, 3\) is too small for patch=4"):
        model(torch.zeros(1, 2, 8, 3))


@pytest.mark.slow  # the compiler takes ten seconds
@torch.no_grad()
def test_compiled_in_evaluation_it_gives_the_same():
    model = ViT(1, 1, (16, 16), ("periodic",) * 2, width=32, layers=1, heads=4).eval()
    x = torch.randn(2, 1, 16, 16)
    expected = model(x)
    torch.testing.assert_close(torch.compile(model)(x), expected)
