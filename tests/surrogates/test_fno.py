"""The Fourier neural operators: FNO, TFNO, UNO."""

import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates import FNO, TFNO, UNO, registry
from sciml.surrogates.setting import Setting

SMALL = {"modes": 4, "hidden_channels": 6, "n_layers": 2}
FAMILY = {"fno": FNO, "tfno": TFNO, "uno": UNO}


@pytest.fixture(params=sorted(FAMILY))
def family(request):
    return request.param


def test_a_grid_too_small_is_named_with_its_numbers(family, grid_samples, step_task):
    domain = grid_samples(step_task, (8, 6))[0].simulation.domain
    with pytest.raises(InputError, match=r"modes \(12, 12\) on a grid of shape \(8, 6\)"):
        registry.build(family, Setting(step_task, domain), modes=12)
    with pytest.raises(InputError, match=r"modes \(4,\) on a grid of shape \(8, 6\)"):
        registry.build(family, Setting(step_task, domain), modes=[4])
    model = registry.build(family, Setting(step_task, domain), modes=4, hidden_channels=4)
    with pytest.raises(InputError, match=r"grid \(8, 3\) is too small for modes \(4, 4\)"):
        model(torch.zeros(1, 2, 8, 3))


def test_axes_that_do_not_close_are_padded(family, grid_samples, step_task):
    """On a torus shifts commute with the model; with walls they must not, and it sees positions."""
    torch.manual_seed(1)
    x = torch.randn(1, 2, 8, 8)
    for boundary, commutes in ((("periodic",) * 2, True), (("dirichlet",) * 2, False)):
        domain = grid_samples(step_task, (8, 8), 1, boundary)[0].simulation.domain
        model = registry.build(family, Setting(step_task, domain), modes=4, hidden_channels=6)
        shifted = torch.roll(model(x), 4, -1)
        assert torch.allclose(model(torch.roll(x, 4, -1)), shifted, atol=1e-4) == commutes


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
    model = registry.build("fno", Setting(step_task, domain), **SMALL)
    seen = []
    model.net.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    assert model(torch.randn(1, 2, 16, 8)).shape[2:] == (16, 8)
    assert seen[0].shape[2:] == padded


def test_fno_prints_nothing_and_its_state_holds_tensors_only(capfd, grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    model = registry.build("fno", Setting(step_task, domain), **SMALL)
    assert capfd.readouterr().out == ""
    assert all(isinstance(v, torch.Tensor) for v in model.state_dict().values())


@pytest.mark.parametrize("n", [17, 33, 65, 129])
def test_padding_is_a_length_and_not_a_number_of_points(n):
    """Waves along the longer axis are the same at every resolution."""
    from sciml.surrogates.grid.torus import closed

    points = closed(torch.zeros(1, 1, n), [False], 0.125).shape[-1]
    assert points / (n - 1) == 1.125


def test_padding_joins_the_ends(grid_samples, step_task):
    from sciml.surrogates.grid.geometry import cropped
    from sciml.surrogates.grid.torus import closed

    x = torch.randn(1, 2, 17, 6)
    longer = closed(x, [False, True], 0.25)
    assert longer.shape == (1, 2, 20, 6)
    line = longer[0, 0, :, 0]
    step = (line[0] - line[16]) / 4
    torch.testing.assert_close(line[17:], line[16] + step * torch.arange(1.0, 4.0))
    assert torch.equal(cropped(longer, (17, 6)), x)


def test_tfno_reports_how_much_it_holds():
    model = TFNO(2, 1, (8, 8), rank=0.1, hidden_channels=16)
    dense = FNO(2, 1, (8, 8), hidden_channels=16)
    assert 0.08 < model.compression <= 0.1
    weights = [sum(p.numel() for p in m.parameters()) for m in (model, dense)]
    convs = 4 * 2 * 8 * 5 * 16 * 16
    assert weights[1] - weights[0] == round(convs * (1 - model.compression))
    assert "weights" in repr(model) and "ranks=" in repr(model)


def test_uno_needs_levels():
    with pytest.raises(InputError, match="levels=0; expected at least 1"):
        UNO(1, 1, (4,), levels=0)


@pytest.mark.parametrize("space", [(9,), (11, 6), (5, 7, 6)])
def test_uno_takes_odd_grids(space):
    model = UNO(1, 2, (3,) * len(space), hidden_channels=4, levels=2)
    assert model(torch.randn(1, 1, *space)).shape == (1, 2, *space)
