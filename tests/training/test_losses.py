from dataclasses import replace

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates import Batch
from sciml.training.losses import FAINT, LOSSES, Comparison, loss, norms


def value(name, output, target, batch, **given):
    """Of output and target as they are."""
    return LOSSES[name](Comparison(output - target, target, batch, **given))[0]


def relative_l2(*args):
    return value("relative_l2", *args)


def h1(*args):
    return value("h1", *args)


def h1_spectral(*args):
    return value("h1_spectral", *args)


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
    for name in LOSSES:
        for deviation in (None, 1.0):
            output = (zero + 1e-6).requires_grad_()
            found = value(name, output, zero, grid_batch(8, True), deviation=deviation)
            found.backward()
            assert torch.isfinite(found) and torch.isfinite(output.grad).all()
            assert name == "mse" or found == 0


@pytest.mark.parametrize("name", ["relative_l2", "h1", "h1_spectral"])
def test_a_faint_target_weighs_no_more_than_its_floor(name):
    """Below FAINT of the usual norm, errors count as if the target were so large, in the same shape."""
    wave = torch.sin(2 * torch.pi * torch.arange(8) / 8).expand(2, 1, 8)
    wave = wave / wave.square().mean().sqrt()
    batch, error = grid_batch(8, True), 0.1 * torch.randn(2, 1, 8)

    def of(part):
        return value(name, part * wave + error, part * wave, batch, deviation=1.0).item()

    assert of(2.0) == pytest.approx(of(1.0) / 2, rel=1e-5)
    for part in (0.5 * FAINT, 0.01 * FAINT):
        assert of(part) == pytest.approx(of(1.0) / FAINT, rel=1e-4)
    assert of(1e-7) == 0.0


@pytest.mark.parametrize("name", ["relative_l2", "h1", "h1_spectral"])
def test_a_flat_faint_target_weighs_as_those_beside_it(name):
    """A dry day, −0.3 throughout, beside waves of the usual norm: no error weighs more on it."""
    wave = torch.sin(2 * torch.pi * torch.arange(8) / 8).expand(2, 1, 8)
    wave = wave / wave.square().mean().sqrt()
    target, error = wave.clone(), torch.zeros(2, 1, 8)
    target[0] = -0.3

    def of(place):
        error.zero_()[place] = 0.1 * wave[place]
        return value(name, target + error, target, grid_batch(8, True), deviation=1.0).item()

    assert of(0) == pytest.approx(of(1), rel=0.2)


def test_norms_of_concatenated_points_are_per_sample():
    owner = torch.tensor([0, 0, 1, 1, 1])
    batch = Batch(inputs={}, geometry={"owner": owner}, size=2, kind="mesh")
    values = torch.tensor([3.0, 4.0, 1.0, 2.0, 2.0])[:, None]

    def found(values, batch=batch):
        return norms(values, Comparison(values, None, batch, name="u"))

    assert found(values).squeeze(1).tolist() == [5.0, 3.0]
    vectors = torch.ones(5, 1, 3)
    torch.testing.assert_close(found(vectors)[:, 0], torch.tensor([6.0, 9.0]).sqrt())
    energies = torch.tensor([[-2.0], [3.0]])
    assert found(energies).tolist() == [[2.0], [3.0]]
    # As many cells as there are points, and other samples of them.
    cells = {"owner": owner, "cell_owner": torch.tensor([0, 1, 1, 1, 1])}
    batch = replace(batch, geometry=cells, on={"u": "cell"})
    assert found(values, batch).squeeze(1).tolist() == [3.0, 5.0]


@pytest.mark.parametrize("periodic", [True, False])
def test_h1_of_a_wave_is_that_of_the_integral(periodic):
    n, k = 400, 2 * np.pi
    x = torch.arange(n, dtype=torch.float64) / (n if periodic else n - 1)
    small, large = torch.sin(k * x), torch.sin(3 * k * x)
    target = small.expand(2, 1, n)
    # ‖sin kx‖²_H1 = (1 + k²) / 2, so the ratio is √((1 + 9k²) / (1 + k²)).
    found = h1(target + 0.1 * large, target, grid_batch(n, periodic))
    assert found.item() == pytest.approx(0.1 * np.sqrt((1 + 9 * k**2) / (1 + k**2)), rel=2e-2)


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
    found = h1(one + u, one, batch)
    assert found.item() == pytest.approx((expected / 24).sqrt().item(), rel=1e-5)


@pytest.mark.parametrize("function", [h1, h1_spectral])
def test_h1_off_a_grid_is_refused(function):
    with pytest.raises(InputError, match="kind 'mesh'"):
        function(torch.zeros(3, 1), torch.zeros(3, 1), Batch(inputs={}, size=1, kind="mesh"))


@pytest.mark.parametrize("n", [16, 17])
@pytest.mark.parametrize("length", [1.0, 30.0])
def test_spectral_h1_of_waves_is_exact_at_any_length(n, length):
    """‖cos(mx + ly)‖² is that of L2 times 1 + m² + l², where h1 has (2πm/L)² and less."""
    x, y = torch.meshgrid(*[2 * torch.pi * torch.arange(n) / n] * 2, indexing="ij")
    spacing = torch.full((2, 2), length / n)
    geometry = {"spacing": spacing, "periodic": torch.tensor([True, True])}
    batch = Batch(inputs={}, geometry=geometry, size=2)
    target = torch.cos(x + 2 * y).expand(2, 1, n, n)
    error = 0.1 * torch.cos(5 * x - 3 * y)
    expected = 0.1 * np.sqrt((1 + 25 + 9) / (1 + 1 + 4))
    assert h1_spectral(target + error, target, batch).item() == pytest.approx(expected, rel=1e-4)
    assert h1(target + error, target, batch).item() != pytest.approx(expected, rel=2e-2)


def test_spectral_h1_counts_every_coefficient_once():
    """Against the whole transform, on an even axis, whose shortest wave has no conjugate."""
    target, error = torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    k = [torch.fft.fftfreq(m, 1 / m) for m in (6, 8)]
    weight = (1 + k[0][:, None] ** 2 + k[1] ** 2).sqrt()
    norm = [(weight * torch.fft.fft2(v)).flatten(2).norm(dim=2) for v in (error, target)]
    found = h1_spectral(target + error, target, Batch(inputs={}, geometry={"spacing": None}))
    assert found.item() == pytest.approx((norm[0] / norm[1]).mean().item(), rel=1e-4)


def test_spectral_h1_of_no_error_has_a_gradient():
    output = torch.randn(1, 1, 8, requires_grad=True)
    h1_spectral(output, output.detach(), grid_batch(8, True)).backward()
    assert torch.isfinite(output.grad).all()


def test_mse():
    assert value(
        "mse", torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1), None
    ).item() == pytest.approx(5.0)


def test_mse_where_no_point_counts_is_nothing():
    """Such as that of a piece of a mesh, or of a simulation, that is prescribed throughout."""
    error = torch.ones(3, 1, requires_grad=True)
    found, _ = loss("mse")(Comparison(error, None, None, weights=torch.zeros(3, 1)))
    found.backward()
    assert found == 0 and not error.grad.any()


def test_unknown_losses_get_the_nearest():
    with pytest.raises(InputError, match="did you mean 'relative_l2'"):
        loss("relativ_l2")
