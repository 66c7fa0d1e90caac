import math

import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates.grid.kernels import KERNELS, kernel
from sciml.surrogates.grid.spectral import SpectralConv


@pytest.mark.parametrize("name", sorted(KERNELS))
@pytest.mark.parametrize("modes", [(5,), (4, 3), (3, 4, 2)])
def test_contracting_factors_is_multiplying_by_their_tensor(name, modes):
    torch.manual_seed(0)
    layer = SpectralConv(5, 4, modes, factorization=name, rank=0.6).double()
    plain = SpectralConv(5, 4, modes).double()
    enter, middle, leave = layer.kernel()
    if enter is not None:
        middle = torch.einsum("ip,kpqc,qo->kioc", enter, middle, leave)
    with torch.no_grad():
        plain.kernel.weight.copy_(middle.reshape(plain.kernel.weight.shape))
        plain.bias.copy_(layer.bias)
    u = torch.randn(2, 5, *(7, 6, 5)[: len(modes)], dtype=torch.float64)
    torch.testing.assert_close(layer(u), plain(u))


@pytest.mark.parametrize("name", ["tucker", "cp", "tt"])
@pytest.mark.parametrize("rank", [0.02, 0.1, 0.5])
def test_a_rank_is_a_part_of_the_weights(name, rank):
    kept = (16, 9)
    made = kernel(name.upper(), kept, 32, 32, rank, 0.1)
    weights = sum(p.numel() for p in made.parameters())
    dense = 2 * math.prod(kept) * 32 * 32
    assert 0.6 * rank < weights / dense <= 1.01 * rank


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_entries_start_with_the_deviation_asked_for(name):
    torch.manual_seed(0)
    squares = []
    for _ in range(20):
        enter, middle, leave = kernel(name, (6, 4), 12, 12, 0.3, 0.25)()
        if enter is not None:
            middle = torch.einsum("ip,kpqc,qo->kioc", enter, middle, leave)
        squares.append(middle.square().mean().item())
    assert math.sqrt(sum(squares) / len(squares)) == pytest.approx(0.25, rel=0.2)


def test_unknown_factorizations_and_ranks_are_named():
    with pytest.raises(InputError, match="did you mean 'tucker'"):
        kernel("tuker", (4,), 2, 2, 0.5, 1.0)
    with pytest.raises(InputError, match="rank=8; expected a part"):
        kernel("tucker", (4,), 2, 2, 8, 1.0)
