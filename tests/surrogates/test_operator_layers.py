"""Layers of operators: equal to torch's at the base, integrals under refinement."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from sciml.errors import InputError
from sciml.surrogates.grid.operator.basis import taps
from sciml.surrogates.grid.operator.convolution import KernelConv, KernelConvTranspose
from sciml.surrogates.grid.operator.norm import QuadratureGroupNorm
from sciml.surrogates.grid.operator.pooling import KernelAvgPool, KernelMaxPool
from sciml.surrogates.grid.operator.quadrature import refined, trapezoidal
from sciml.surrogates.grid.operator.refinement import Refinement
from sciml.surrogates.grid.operator.resampling import band_limit, interpolate
from sciml.surrogates.grid.operator.upsampling import KernelUpsample


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def wave(n, periodic=True):
    x = torch.arange(n) / (n if periodic else n - 1)
    u = torch.sin(2 * math.pi * x + 0.3) + 0.5 * torch.cos(4 * math.pi * x)
    return (u if periodic else torch.cos(2 * x + 0.3) + x**2)[None, None]


@pytest.mark.parametrize("basis", ["linear", "cubic"])
@pytest.mark.parametrize("ratio", [1, 2, 3, 4])
def test_samples_of_a_basis_function_sum_to_one(basis, ratio):
    assert sum(taps(ratio, basis)) == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("kernel", ["linear", "cubic", "points"])
@pytest.mark.parametrize("levels", ["base", "refined"])
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv1d(1, 2, 3, padding=1, padding_mode="circular"),
        nn.Conv1d(1, 2, 5, padding=4, dilation=2, padding_mode="circular"),
        nn.Conv1d(1, 2, 3, stride=2, padding=1, padding_mode="circular"),
        nn.Conv1d(1, 2, 4, stride=4),
        nn.Conv1d(1, 2, 2, stride=2),
    ],
    ids=["plain", "dilated", "strided", "patch", "half"],
)
def test_constants_are_mapped_alike_at_every_resolution(conv, kernel, levels):
    conv = copy.deepcopy(conv).double()
    refinement = Refinement((16,), (True,), levels)
    layer = KernelConv(conv, refinement, kernel)
    expected = conv(torch.ones(1, 1, 16))[0, :, :1]
    for ratio in (1, 2, 3):
        with refinement.at((ratio,)):
            found = layer(torch.ones(1, 1, 16 * ratio))[0]
        torch.testing.assert_close(found, expected.expand_as(found))


LAYERS = {
    "conv": lambda r: KernelConv(
        nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), r, "cubic"
    ),
    "strided": lambda r: KernelConv(
        nn.Conv1d(1, 1, 3, stride=2, padding=1, padding_mode="circular"), r, "cubic"
    ),
    "linear": lambda r: KernelConv(
        nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), r, "linear"
    ),
    "transposed": lambda r: KernelConvTranspose(nn.ConvTranspose1d(1, 1, 2, stride=2), r),
    "average": lambda r: KernelAvgPool(nn.AvgPool1d(2), r, "cubic"),
    "upsample": lambda r: KernelUpsample(nn.Upsample(scale_factor=2), r),
    "lines": lambda r: KernelUpsample(nn.Upsample(scale_factor=2, mode="linear"), r),
}


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_layers_converge_with_second_order(name):
    """Differences to a grid 16 times as fine, at the points of the base."""
    refinement = Refinement((16,), (True,), "refined")
    layer = LAYERS[name](refinement)

    def at(ratio):
        with refinement.at((ratio,)):
            return layer(wave(16 * ratio))[0, 0, ::ratio]

    finest = at(16)
    errors = [(at(r) - finest).norm().item() for r in (2, 4, 8)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(rates) > 1.9, f"{name}: errors {errors}, rates {rates}"


def test_maxima_are_over_the_same_window():
    refinement = Refinement((16,), (True,), "refined")
    pool = nn.MaxPool1d(3, stride=1, padding=1)
    layer = KernelMaxPool(pool, refinement)
    u = wave(16)
    torch.testing.assert_close(layer(u), pool(u))
    with refinement.at((4,)):
        fine = layer(interpolate(u, (64,), (True,)))[..., ::4]
    # Between points on straight lines nothing is larger than at the points.
    torch.testing.assert_close(fine[..., :-1], pool(u)[..., :-1])


def test_transposed_zero_padding_at_the_base_is_that_of_torch():
    for k, p, op in ((4, 1, 0), (3, 1, 1), (2, 0, 0), (5, 2, 1)):
        conv = nn.ConvTranspose1d(1, 2, k, stride=2, padding=p, output_padding=op)
        layer = KernelConvTranspose(conv, Refinement((16,), (False,)))
        torch.testing.assert_close(layer(wave(8)), conv(wave(8)))


def test_group_norm_is_an_integral_on_axes_that_hold_both_ends():
    norm = nn.GroupNorm(1, 1)
    refinement = Refinement((9,), (False,))
    layer = QuadratureGroupNorm(norm, refinement)
    torch.testing.assert_close(layer(wave(9, False)), norm(wave(9, False)))

    def at(ratio):
        with refinement.at((ratio,)):
            return layer(wave(8 * ratio + 1, False))[0, 0, ::ratio]

    errors = [(at(r) - at(64)).norm().item() for r in (4, 8, 16)]
    assert all(math.log2(a / b) > 1.9 for a, b in pairwise(errors)), errors


def test_weights_of_the_base_are_equal_and_all_sum_to_one():
    like = torch.zeros(())
    torch.testing.assert_close(refined(5, 1, False, like), torch.full((5,), 0.2))
    assert refined(5, 4, False, like).sum().item() == pytest.approx(1.0)
    assert trapezoidal(5, False, like).tolist() == [0.125, 0.25, 0.25, 0.25, 0.125]


@pytest.mark.parametrize("ratio", [2, 3])
def test_places_have_more_digits_than_bfloat16(ratio):
    short, like = (torch.zeros((), dtype=d) for d in (torch.bfloat16, torch.float32))
    weights = refined(200, ratio, False, like)
    torch.testing.assert_close(refined(200, ratio, False, short), weights.bfloat16())
    line = torch.sin(torch.arange(200, dtype=torch.float32))[None, None]
    exact, found = (interpolate(x, (301,), (False,)) for x in (line, line.bfloat16()))
    torch.testing.assert_close(found.float(), exact, atol=0.02, rtol=0)


@pytest.mark.parametrize(("resample", "order"), [("linear", 1.9), ("cubic", 2.9)])
@pytest.mark.parametrize("periodic", [True, False])
def test_interpolation_has_its_order(resample, order, periodic):
    errors = []
    for n in (16, 32, 64):
        n, fine = (n, 4 * n) if periodic else (n + 1, 4 * n + 1)
        found = interpolate(wave(n, periodic), (fine,), (periodic,), resample)
        errors.append((found - wave(fine, periodic)).abs().max().item())
        back = interpolate(found, (n,), (periodic,), resample)
        torch.testing.assert_close(back, wave(n, periodic))
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(rates) > order, (errors, rates)


@pytest.mark.parametrize(("n", "wanted"), [(16, 40), (15, 33), (40, 16), (16, 21)])
def test_band_limited_fields_keep_their_values(n, wanted):
    torch.testing.assert_close(band_limit(wave(n), (wanted,), (True,)), wave(wanted))


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_gradients(name):
    refinement = Refinement((8,), (True,), "refined")
    layer = LAYERS[name](refinement)
    u = torch.randn(1, 1, 16, requires_grad=True)
    with refinement.at((2,)):
        assert torch.autograd.gradcheck(layer, (u,))


def test_a_size_that_is_no_refinement_is_named():
    refinement = Refinement((16,), (True,))
    layer = KernelConv(nn.Conv1d(1, 1, 3, padding=1), refinement)
    with refinement.at((2,)), pytest.raises(InputError, match=r"33 points along axis 0.*2 times"):
        layer(torch.zeros(1, 1, 33))
    with pytest.raises(InputError, match="unknown levels 'bases'; did you mean 'base'"):
        Refinement((16,), (True,), "bases")
