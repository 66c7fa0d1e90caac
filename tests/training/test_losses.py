import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates import Batch
from sciml.training.losses import LOSSES, h1, loss, mse, norms, relative_l2


def grid_batch(n, periodic, length=1.0):
    spacing = length / (n if periodic else n - 1)
    geometry = {"spacing": torch.full((2, 1), spacing), "periodic": torch.tensor([periodic])}
    return Batch(inputs={}, geometry=geometry, size=2)


def test_relative_l2_is_the_mean_of_the_ratios():
    target = torch.tensor([[[3.0, 4.0]], [[0.0, 10.0]]])
    output = target + torch.tensor([[[0.0, 1.0]], [[2.0, 0.0]]])
    assert relative_l2(output, target, grid_batch(2, True)).item() == pytest.approx(0.2)


def test_relative_l2_weighs_small_and_large_samples_alike():
    target = torch.randn(2, 3, 8)
    error = torch.randn_like(target)
    scale = torch.tensor([1.0, 1e3])[:, None, None]
    batch = grid_batch(8, True)
    a = relative_l2(target + error, target, batch)
    b = relative_l2(scale * (target + error), scale * target, batch)
    torch.testing.assert_close(a, b)


def test_a_zero_target_gives_no_nan():
    zero = torch.zeros(2, 1, 8)
    for function in LOSSES.values():
        assert torch.isfinite(function(zero + 1e-6, zero, grid_batch(8, True)))


def test_norms_of_concatenated_points_are_per_sample():
    owner = torch.tensor([0, 0, 1, 1, 1])
    batch = Batch(inputs={}, geometry={"owner": owner}, size=2, kind="mesh")
    values = torch.tensor([3.0, 4.0, 1.0, 2.0, 2.0])[:, None]
    assert norms(values, batch).squeeze(1).tolist() == [5.0, 3.0]
    vectors = torch.ones(5, 1, 3)
    torch.testing.assert_close(norms(vectors, batch)[:, 0], torch.tensor([6.0, 9.0]).sqrt())
    energies = torch.tensor([[-2.0], [3.0]])
    assert norms(energies, batch).tolist() == [[2.0], [3.0]]


@pytest.mark.parametrize("periodic", [True, False])
def test_h1_of_a_wave_is_that_of_the_integral(periodic):
    n, k = 400, 2 * np.pi
    x = torch.arange(n, dtype=torch.float64) / (n if periodic else n - 1)
    small, large = torch.sin(k * x), torch.sin(3 * k * x)
    target = small.expand(2, 1, n)
    # ‖sin kx‖²_H1 = (1 + k²) / 2, so the ratio is √((1 + 9k²) / (1 + k²)).
    value = h1(target + 0.1 * large, target, grid_batch(n, periodic))
    assert value.item() == pytest.approx(0.1 * np.sqrt((1 + 9 * k**2) / (1 + k**2)), rel=2e-2)


def test_h1_wraps_only_periodic_axes():
    ramp = torch.arange(8.0).expand(2, 1, 8)
    flat = torch.ones(2, 1, 8)
    jump = h1(flat + ramp, flat, grid_batch(8, True)).item()
    assert jump > 1.5 * h1(flat + ramp, flat, grid_batch(8, False)).item()


def test_h1_in_two_dimensions_sums_the_axes():
    geometry = {"spacing": torch.tensor([[0.5, 0.25]]), "periodic": torch.tensor([True, True])}
    batch = Batch(inputs={}, geometry=geometry, size=1)
    u = torch.randn(1, 1, 4, 6)
    expected = u.square().sum()
    for axis, h in ((2, 0.5), (3, 0.25)):
        expected = expected + ((torch.roll(u, -1, axis) - u) / h).square().sum()
    one = torch.ones_like(u)
    value = h1(one + u, one, batch)
    assert value.item() == pytest.approx((expected / 24).sqrt().item(), rel=1e-5)


def test_h1_off_a_grid_is_refused():
    with pytest.raises(InputError, match="kind 'mesh'"):
        h1(torch.zeros(3, 1), torch.zeros(3, 1), Batch(inputs={}, size=1, kind="mesh"))


def test_mse():
    assert mse(torch.tensor([1.0, 3.0]), torch.zeros(2), None).item() == 5.0


def test_unknown_losses_get_the_nearest():
    with pytest.raises(InputError, match="did you mean 'relative_l2'"):
        loss("relativ_l2")
