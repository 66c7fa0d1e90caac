import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates.grid.fourier_series import analysis, resample, synthesis
from sciml.surrogates.grid.spectral import SpectralConv


@pytest.mark.parametrize("shape", [(8,), (9,), (8, 9), (9, 8), (7, 6), (5, 6, 7)])
def test_all_modes_give_the_field_back(shape):
    u = torch.randn(2, 3, *shape, dtype=torch.float64)
    back = synthesis(analysis(u, shape), shape, shape)
    torch.testing.assert_close(back, u, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(16,), (15, 12), (10, 11, 9)])
def test_coefficients_are_those_of_the_fft(shape):
    modes = tuple(5 if i % 2 else 4 for i in range(len(shape)))
    u = torch.randn(1, 2, *shape, dtype=torch.float64)
    ours = analysis(u, modes)
    half = modes[-1] // 2 + 1
    full = torch.fft.rfftn(u, dim=tuple(range(2, u.ndim)), norm="forward")
    for axis, kept in enumerate(modes[:-1], start=2):
        index = torch.cat([torch.arange((kept + 1) // 2), torch.arange(-(kept // 2), 0)])
        full = full.index_select(axis, index % shape[axis - 2])
    full = full[..., :half]
    torch.testing.assert_close(torch.complex(ours[..., :half], ours[..., half:]), full)


def test_it_commutes_with_shifts_on_odd_grids_too():
    layer = SpectralConv(2, 3, (4, 4)).double()
    u = torch.randn(1, 2, 9, 7, dtype=torch.float64)
    shifted = layer(torch.roll(u, (2, 3), dims=(2, 3)))
    torch.testing.assert_close(shifted, torch.roll(layer(u), (2, 3), dims=(2, 3)))


def test_refinement_leaves_the_operator_as_it_is():
    layer = SpectralConv(1, 1, (4, 4)).double()

    def wave(n):
        x = torch.arange(n, dtype=torch.float64) / n * 2 * torch.pi
        return (torch.sin(x)[:, None] + torch.cos(x)[None] + 0.3)[None, None]

    torch.testing.assert_close(layer(wave(24))[..., ::2, ::2], layer(wave(12)))


@pytest.mark.parametrize("factorization", ["dense", "tucker", "cp", "tt"])
def test_gradients(factorization):
    layer = SpectralConv(1, 2, (3, 4), factorization, 0.5).double()
    u = torch.randn(1, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (u,))
    names, values = zip(*layer.named_parameters(), strict=True)

    def of_weights(*weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(layer, given, (u.detach(), (4, 7)))

    assert torch.autograd.gradcheck(of_weights, values)


@pytest.mark.parametrize(
    ("shape", "other"), [((9,), (14,)), ((8, 6), (12, 9)), ((5, 6, 7), (8, 7, 9))]
)
def test_waves_go_to_another_grid_exactly(shape, other):
    def wave(space):
        axes = [torch.arange(n, dtype=torch.float64) / n for n in space]
        grid = torch.meshgrid(*axes, indexing="ij")
        return sum(torch.cos(2 * torch.pi * x + i) for i, x in enumerate(grid))[None, None] + 1

    layer = SpectralConv(1, 1, (4,) * len(shape)).double()
    torch.testing.assert_close(resample(wave(shape), other), wave(other))
    torch.testing.assert_close(resample(wave(other), shape), wave(shape))
    torch.testing.assert_close(layer(wave(shape), other), layer(wave(other)))


@pytest.mark.parametrize("n", [8, 9, 16])
@pytest.mark.parametrize("m", [8, 11, 16])
def test_the_shortest_wave_of_an_even_grid_is_the_same_on_all(n, m):
    def wave(points):
        x = torch.arange(points, dtype=torch.float64) / points
        return torch.cos(2 * torch.pi * 4 * x)[None, None]

    layer = SpectralConv(1, 1, (8,)).double()
    torch.testing.assert_close(resample(wave(n), (m,)), wave(m))
    torch.testing.assert_close(layer(wave(n), (m,))[..., 0], layer(wave(8))[..., 0])


def test_a_coarser_grid_holds_no_shorter_waves():
    x = torch.arange(12, dtype=torch.float64) / 12
    u = (1 + torch.sin(2 * torch.pi * 5 * x))[None, None]
    torch.testing.assert_close(resample(u, (6,)), torch.ones(1, 1, 6, dtype=torch.float64))


def test_too_small_a_grid_is_named():
    with pytest.raises(InputError, match=r"\(8, 6\) is too small for modes \(8, 8\)"):
        SpectralConv(1, 1, (8, 8))(torch.zeros(1, 1, 8, 6))


def test_what_was_asked_in_inference_mode_first_can_be_trained():
    layer, u = SpectralConv(1, 1, (4,)), torch.randn(1, 1, 21)
    with torch.inference_mode():
        layer(u)
        layer.transform(u, (23,))
    layer.transform(layer(u), (23,)).sum().backward()
    assert layer.bias.grad is not None
