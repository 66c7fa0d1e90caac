"""Blocks tile a field exactly once, or are refused."""

import numpy as np
import pytest

from sciml.domain import Block
from sciml.domain.block import tiles
from sciml.errors import DomainError


def test_slices_pick_the_block():
    array = np.arange(20).reshape(4, 5)
    block = Block((1, 2), (2, 3))
    np.testing.assert_array_equal(array[block.slices], [[7, 8, 9], [12, 13, 14]])
    assert block.stop == (3, 5) and block.size == 6
    assert block.inside((3, 5)) and not block.inside((3, 4)) and not block.inside((3, 5, 1))


@pytest.mark.parametrize(("offset", "shape"), [((0,), (1, 1)), ((-1, 0), (1, 1)), ((0, 0), (1, 0))])
def test_bad_blocks_are_refused(offset, shape):
    with pytest.raises(DomainError, match="expected"):
        Block(offset, shape)


def test_tiling():
    left, right = Block((0, 0), (4, 2)), Block((0, 2), (4, 3))
    assert tiles([left, right], (4, 5))
    assert tiles([Block((), ())], ())
    assert not tiles([], (4, 5))
    assert not tiles([left], (4, 5))
    assert not tiles([left, right], (4, 6))
    assert not tiles([left, right, Block((0, 0), (1, 1))], (4, 5))
    # The right number of points, one counted twice and one not at all.
    assert not tiles([Block((0, 0), (1, 2)), Block((0, 1), (1, 2)), Block((0, 4), (1, 1))], (1, 5))
