"""Blocks for any number of ranks tile the grid, with as little cut as can be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.domain import Block, Grid
from sciml.domain.block import tiles
from sciml.errors import InputError
from sciml.parallel import Decomposition, free_points, shifted


def grid(shape, boundary="periodic"):
    return Grid(shape, ((0.0, 1.0),) * len(shape), (boundary,) * len(shape))


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(8, 20), min_size=1, max_size=3).map(tuple),
    ranks=st.integers(1, 8),
    boundary=st.sampled_from(["periodic", "dirichlet"]),
)
def test_blocks_tile_the_grid_and_neighbors_agree(shape, ranks, boundary):
    cut = Decomposition(grid(shape, boundary), ranks)
    assert tiles(cut.blocks, shape)
    sizes = [[b.shape[axis] for b in cut.blocks] for axis in range(len(shape))]
    assert all(max(s) - min(s) <= 1 for s in sizes)
    for rank in range(ranks):
        for axis in range(len(shape)):
            for side in (-1, 1):
                other = cut.neighbor(rank, axis, side)
                if other is not None:
                    assert cut.neighbor(other, axis, -side) == rank
                    edge = cut.block(rank).stop if side > 0 else cut.block(rank).offset
                    its = cut.block(other).offset if side > 0 else cut.block(other).stop
                    assert (edge[axis] - its[axis]) % shape[axis] == 0
                else:
                    assert boundary == "dirichlet"


@pytest.mark.parametrize(
    ("shape", "ranks", "dims"),
    [
        ((64, 64), 1, (1, 1)),
        ((64, 64), 2, (2, 1)),  # faces that lie together in memory
        ((64, 64), 4, (2, 2)),
        ((64, 64), 7, (7, 1)),
        ((16, 256), 4, (1, 4)),  # short faces
        ((32, 32, 32), 8, (2, 2, 2)),
    ],
)
def test_the_cut_is_small(shape, ranks, dims):
    # With walls: on a periodic grid, a box of 2 × 2 cuts each axis twice, as 4 × 1 does one.
    assert Decomposition(grid(shape, "dirichlet"), ranks).dims == dims


def test_more_ranks_than_the_grid_allows():
    with pytest.raises(InputError, match=r"5 × 5 points cannot be cut into 7 .* use 6 ranks"):
        Decomposition(grid((5, 5)), 7)
    with pytest.raises(InputError, match="at least 3 along each axis; use 2 ranks"):
        Decomposition(grid((8,)), 3, width=3)


def test_free_points_leave_out_held_boundaries():
    walls = grid((6, 5), "dirichlet")
    assert free_points(walls, Block((0, 0), (3, 5))) == (slice(2, 4), slice(2, 5))
    assert free_points(walls, Block((3, 0), (3, 5))) == (slice(1, 3), slice(2, 5))
    assert free_points(grid((6, 5)), Block((3, 0), (3, 5))) == (slice(1, 4), slice(1, 6))
    only_wall = free_points(walls, Block((5, 0), (1, 5)))
    assert only_wall[0].start == only_wall[0].stop
    assert shifted((slice(2, 4), slice(2, 5)), 1, -1) == (slice(2, 4), slice(1, 4))
