"""Index arithmetic for finite differences on padded blocks."""

from __future__ import annotations

from sciml.domain import Block, Grid

Index = tuple[slice, ...]


def free_points(grid: Grid, block: Block, width: int = 1) -> Index:
    """Where a padded array of ``block`` holds points that are not on a Dirichlet boundary.

    Args:
        grid: the whole grid.
        block: what a rank holds.
        width: layers of halo around the block.

    Returns:
        One slice an axis; empty where the block consists of boundary points alone.
    """
    slices = []
    for n, kind, start, stop in zip(
        grid.shape, grid.boundary, block.offset, block.stop, strict=True
    ):
        held = 1 if kind == "dirichlet" else 0
        low, high = max(start, held), min(stop, n - held)
        slices.append(slice(low - start + width, max(high, low) - start + width))
    return tuple(slices)


def shifted(index: Index, axis: int, by: int) -> Index:
    """The same box, ``by`` points further along ``axis``."""
    moved = slice(index[axis].start + by, index[axis].stop + by)
    return (*index[:axis], moved, *index[axis + 1 :])
