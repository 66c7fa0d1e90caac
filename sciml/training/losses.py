"""Distances between what a surrogate gives and what a simulation gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sciml.errors import InputError, nearest
from sciml.surrogates.batch import Batch

Loss = Callable[[Tensor, Tensor, Batch], Tensor]

#: Keeps a relative error finite where the target is zero.
TINY = 1e-12


def mse(output: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """mean (y − u)², over everything."""
    return nn.functional.mse_loss(output, target)  # half the passes of squares written out


def relative_l2(output: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """mean over samples and unrolled steps of ‖y − u‖ / ‖u‖; each norm over the points of one
    field of one sample at one time.

    Shapes: grid ``(B, U, *space)``; concatenated points ``(N, U[, space])``.
    """
    return torch.mean(norms(output - target, batch) / norms(target, batch).clamp(min=TINY))


def h1(output: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """mean over samples and steps of ‖y − u‖_H1 / ‖u‖_H1, with ‖v‖²_H1 = ‖v‖² + Σ_axis ‖∂v‖².

    Derivatives are differences of neighbors over the grid spacing; the difference across the end of
    an axis counts only where the axis is periodic. On a grid alone.

    Raises:
        InputError: fields that do not live on a grid.
    """
    if "spacing" not in batch.geometry:
        raise InputError(
            f"loss 'h1': fields on a domain of kind '{batch.kind}', which has no grid spacing; "
            "use relative_l2 or mse"
        )
    error, size = _h1_squared(output - target, batch), _h1_squared(target, batch)
    return torch.mean((error / size.clamp(min=TINY**2)).sqrt())


def h1_spectral(output: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """mean over samples and steps of ‖w (ŷ − û)‖ / ‖w û‖ over Fourier coefficients, with
    w(k) = √(1 + |k|²), k in whole waves along each axis.

    The loss that MgNO and others train with. It is not :func:`h1`: each axis counts as a periodic one
    of length 2π, whatever its length and its ends, so derivatives weigh (2π/L)² less on an axis of
    length L; and they are exact, where differences of neighbors see less of the shortest waves. On
    an axis that is not periodic the jump between the ends counts as part of the field.

    Shapes: ``(B, U, *space)``, on a grid alone.

    Raises:
        InputError: fields that do not live on a grid.

    Source: He, Liu, Xu, ICLR 2024, arXiv 2310.19809; Li et al., NeurIPS 2022, arXiv 2106.06898.
    """
    if "spacing" not in batch.geometry:
        raise InputError(
            f"loss 'h1_spectral': fields on a domain of kind '{batch.kind}', which have no Fourier "
            "series; use relative_l2 or mse"
        )
    weight = _sobolev(target.shape[2:], target)
    error, size = (
        torch.linalg.vector_norm(
            (weight * torch.fft.rfftn(values, dim=tuple(range(2, values.ndim)))).flatten(2), dim=2
        )
        for values in (output - target, target)
    )
    return torch.mean(error / size.clamp(min=TINY))


def norms(values: Tensor, batch: Batch) -> Tensor:
    """Euclidean norm over the points of each sample at each time: ``(B, U)``."""
    owner = batch.geometry.get("owner")
    if owner is None or len(values) != len(owner):
        return (
            torch.linalg.vector_norm(values.flatten(2), dim=2) if values.ndim > 2 else values.abs()
        )
    squares = values.flatten(2).square().sum(2) if values.ndim > 2 else values.square()
    return squares.new_zeros(batch.size, squares.shape[1]).index_add(0, owner, squares).sqrt()


def _h1_squared(values: Tensor, batch: Batch) -> Tensor:
    """‖v‖²_H1 of each sample at each time, ``(B, U)``, up to the volume of a grid cell."""
    spacing, periodic = batch.geometry["spacing"], batch.geometry["periodic"]
    total = values.square().flatten(2).sum(2)
    for axis in range(2, values.ndim):
        change = torch.roll(values, -1, axis) - values
        # The wrapped difference is the last one; multiplying it away needs no branch on a tensor.
        inner = change.narrow(axis, 0, change.shape[axis] - 1).square().flatten(2).sum(2)
        wrapped = change.narrow(axis, change.shape[axis] - 1, 1).square().flatten(2).sum(2)
        squares = inner + wrapped * periodic[axis - 2]
        total = total + squares / spacing[:, axis - 2, None].square()
    return total


def _sobolev(space: Sequence[int], like: Tensor) -> Tensor:
    """√(1 + |k|²) for the coefficients that ``rfftn`` keeps of a grid of ``space`` points; times √2 for
    those that stand for their conjugates as well."""
    *others, last = space
    half = torch.arange(last // 2 + 1, dtype=like.dtype, device=like.device)
    axes = [torch.fft.fftfreq(n, 1 / n, dtype=like.dtype, device=like.device) for n in others]
    squares = 1 + sum(k**2 for k in torch.meshgrid(*axes, half, indexing="ij"))
    return (squares * torch.where((half == 0) | (2 * half == last), 1.0, 2.0)).sqrt()


LOSSES: dict[str, Loss] = {
    "relative_l2": relative_l2,
    "h1": h1,
    "h1_spectral": h1_spectral,
    "mse": mse,
}


def loss(name: str) -> Loss:
    """The loss called ``name``.

    Raises:
        InputError: unknown; the nearest name and the list are given.
    """
    if name not in LOSSES:
        raise InputError(f"unknown loss '{name}'; {nearest(name, LOSSES)}")
    return LOSSES[name]
