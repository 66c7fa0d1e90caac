import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates import CNN, registry
from sciml.surrogates.grid.boundary import BoundaryConv, convolution, extend
from sciml.surrogates.setting import Setting


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet", "neumann", "open"])
def test_ghost_points_are_those_of_torch(boundary):
    from sciml.surrogates.grid.boundary import PADDING

    conv = convolution(2, 3, (PADDING[boundary],) * 2, dilation=2).double()
    ours = BoundaryConv(conv, (PADDING[boundary],) * 2)
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), conv(x))


def test_straight_lines_go_on_straight():
    x = torch.arange(5.0)[None] + 1
    assert extend(x, 1, 2, 2, "odd").tolist() == [[-1.0, 0, 1, 2, 3, 4, 5, 6, 7]]
    assert extend(x, 1, 2, 1, "zeros", fade=2).tolist() == [[0.0, 0.5, 1, 2, 3, 4, 5, 2.5]]


def test_it_sees_as_far_as_its_dilations():
    model = CNN(1, 1, ("periodic",), width=4, blocks=1, dilations=(1, 3)).double()
    x = torch.randn(1, 1, 32, dtype=torch.float64)
    kicked = x.clone()
    kicked[..., 16] += 1
    seen = (model(kicked) != model(x))[0, 0].nonzero()
    # Two outer convolutions of one point each, and 1 + 3 of the block.
    assert (seen.min().item(), seen.max().item()) == (10, 22)


def test_dilations_fit_the_grid(grid_samples, step_task):
    domain = grid_samples(step_task, (8, 6))[0].simulation.domain
    assert registry.build("cnn", Setting(step_task, domain), width=4).dilations == (
        1,
        2,
        4,
        4,
        2,
        1,
    )
    with pytest.raises(InputError, match=r"dilations \(1, 8\) on a grid of shape \(8, 6\).*1 to 5"):
        registry.build("cnn", Setting(step_task, domain), dilations=(1, 8))
    model = registry.build("cnn", Setting(step_task, domain), width=4)
    with pytest.raises(InputError, match=r"grid \(8, 4\) is too small.* at least 5 points"):
        model(torch.zeros(1, 2, 8, 4))
