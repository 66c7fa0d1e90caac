"""Distances between output and truth, in deviations of the field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from sciml.errors import InputError, require_known
from sciml.surrogates.batch import Batch

#: A target whose norm is below this part of what its field has on average has none: a relative error
#: of it means nothing. Of the order of what float32 resolves.
NOTHING = 1e-6

#: Part of the average norm below which the norm of a target is not taken for what it is in a relative
#: loss; see :func:`relative_l2`.
FAINT = 1.0

#: Squared norm with derivatives by that without, below which a target is flat: they add less than half
#: of what it has itself; a wave as long as the box adds as much, or more.
FLAT = 1.5


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """One target, as losses see it: in deviations of the field, or of its increment.

    Shapes: grid ``(B, U, *space)``; concatenated points ``(N, U[, space])``.

    Args:
        error: (û − u) / σ.
        target: (u − μ) / σ, without gradient; ``None`` for a loss that does not look at it.
        batch: where the points of a sample are.
        name: of the target, by which the batch knows where its rows are.
        deviation: that of the field in units of σ: 1, with increments more; ``None``: not known, the
            model has no normalizer, and σ = 1, μ = 0.
        weights: of points, broadcast against ``error``; see :func:`norms`.
    """

    error: Tensor
    target: Tensor | None
    batch: Batch
    deviation: float | Tensor | None = None
    weights: Tensor | None = None
    name: str = ""

    @property
    def rows(self) -> Tensor | None:
        """The sample of each row of ``error``, where samples lie one after the other."""
        return self.batch.rows(self.name, self.error)


#: The loss; and of how many targets (samples times steps) it is the mean, where some are left out.
Value = tuple[Tensor, Tensor | None]
Loss = Callable[[Comparison], Value]
#: Of values at the points of a comparison, a number for each sample and step: ``(B, U)``.
Norm = Callable[[Tensor, Comparison], Tensor]


def mse(seen: Comparison) -> Value:
    """mean ((û − u) / σ)², over everything; σ the deviation of the field, or of its increment where the
    surrogate learns increments. 0 where no point has a weight."""
    error, count = seen.error, float(seen.error.numel())
    if seen.weights is not None:
        weights = seen.weights.expand_as(error)
        error, count = error * weights.sqrt(), weights.sum()
        count = count.clamp(min=torch.finfo(count.dtype).tiny)
    return torch.linalg.vector_norm(error).square() / count, None  # a pass less than by squares


def relative_l2(seen: Comparison) -> Value:
    """mean over samples and unrolled steps of ‖û − u‖ / ‖u − μ‖; each norm over the points of one
    field of one sample at one time, μ the mean of the field over all data.

    Units do not matter, and no offset does: fields in K and in °C give the same loss, and beside other
    fields each counts by its deviation. Every relative loss does two things with faint targets:

    * u that is μ throughout has no norm, and is left out: below 1e-6 of σ√N, the norm that the field has
      on average over its N points. How many is told at the end of a training.
    * ‖u − μ‖ counts as σ√N at least: a target with a hundredth of the average norm would else weigh as
      much as a hundred others, though it has nothing to teach but that it is faint. A smaller floor
      gives the late, weak frames of a decaying field more weight and the first ones less, whose errors a
      rollout carries along: workflows/quickstart has a rollout error of 0.84e-2 to 0.93e-2 (three
      seeds), with half of this floor 1.1e-2, with a fifth 1.3e-2 (one seed each).

    Where norms of derivatives find a faint target flat, as a dry day is of rain, its error counts by
    ‖û − u‖ alone: there are no derivatives to compare those of the error with.
    """
    return _relative(norms, seen)


def h1(seen: Comparison) -> Value:
    """mean over samples and steps of ‖û − u‖_H1 / ‖u − μ‖_H1, with ‖v‖²_H1 = ‖v‖² + Σ_axis ‖∂v‖².

    Derivatives are differences of neighbors over the grid spacing, in the units of the coordinates; the
    difference across the end of an axis counts only where the axis is periodic. On a grid alone. Faint
    targets: as in :func:`relative_l2`.

    Raises:
        InputError: fields that do not live on a grid.
    """
    if "spacing" not in seen.batch.geometry:
        raise InputError(
            f"loss 'h1': fields on a domain of kind '{seen.batch.kind}', which has no grid spacing; "
            "use relative_l2 or mse"
        )
    return _relative(_h1_norms, seen)


def h1_spectral(seen: Comparison) -> Value:
    """mean over samples and steps of ‖w (ŷ − û)‖ / ‖w û‖ over Fourier coefficients of fields less
    their mean μ, with w(k) = √(1 + |k|²), k in whole waves along each axis.

    The loss that MgNO and others train with. It is not :func:`h1`: each axis counts as a periodic one
    of length 2π, whatever its length and its ends, so derivatives weigh (2π/L)² less on an axis of
    length L; and they are exact, where differences of neighbors see less of the shortest waves. On
    an axis that is not periodic the jump between the ends counts as part of the field. Faint targets: as
    in :func:`relative_l2`.

    Shapes: ``(B, U, *space)``, on a grid alone.

    Raises:
        InputError: fields that do not live on a grid; weights of points, which waves do not have.

    Source: He, Liu, Xu, ICLR 2024, arXiv 2310.19809; Li et al., NeurIPS 2022, arXiv 2106.06898.
    """
    if "spacing" not in seen.batch.geometry:
        raise InputError(
            f"loss 'h1_spectral': fields on a domain of kind '{seen.batch.kind}', which have no "
            "Fourier series; use relative_l2 or mse"
        )
    if seen.weights is not None:
        raise InputError(
            "loss 'h1_spectral': points with weights, or left out, have no Fourier series; use h1, "
            "relative_l2 or mse"
        )
    return _relative(_spectral_norms, seen)


def entropies(output: Tensor, target: Tensor) -> Tensor:
    """−ln p of the kind that is there, p = softmax of the output over its kinds.

    Shapes: output ``(B, U, kinds, *space)`` or ``(N, U, kinds)``; target, and what comes out, without
    that axis.
    """
    kinds = output.shape[2]
    index = target.long()
    if ((index < 0) | (index >= kinds)).any():
        raise InputError(
            f"a target of kind {int(index.min())} to {int(index.max())}; expected 0 to {kinds - 1}"
        )
    chances = torch.log_softmax(output, dim=2)
    return -chances.gather(2, index.unsqueeze(2)).squeeze(2)


def norms(values: Tensor, seen: Comparison) -> Tensor:
    """√Σ w v² over the points of each sample at each time: ``(B, U)``.

    This and :func:`points`, the mean in :func:`mse`, the derivatives in :func:`h1` and the mean in
    :mod:`sciml.training.metrics` are all places where points are summed over. Their weights come from
    ``Batch.weights`` and from nowhere else: a tensor by target, broadcast against ``(B, U, *space)`` or
    ``(N, U[, space])``. Zero leaves a point out; values there have to be finite all the same.
    """
    rows, weights = seen.rows, seen.weights
    if rows is None:
        if values.ndim <= 2:
            return values.abs() if weights is None else values.abs() * weights.sqrt()
        if weights is not None:
            values = values * weights.sqrt()
        return torch.linalg.vector_norm(values.flatten(2), dim=2)
    squares = values.square() if weights is None else values.square() * weights
    squares = squares.flatten(2).sum(2) if values.ndim > 2 else squares
    return _root(squares.new_zeros(seen.batch.size, squares.shape[1]).index_add(0, rows, squares))


def points(seen: Comparison) -> Tensor | float:
    """Σ w over the numbers of each sample at each time: N, or what broadcasts with ``(B, U)``."""
    values = seen.error
    if seen.weights is not None:
        return norms(torch.ones_like(values), seen).square()
    if seen.rows is None:
        return float(prod(values.shape[2:]))
    counts = torch.bincount(seen.rows, minlength=seen.batch.size)
    return counts[:, None] * float(prod(values.shape[2:]))


def _relative(norm: Norm, seen: Comparison) -> Value:
    """Mean of norm(û − u) / norm(u − μ) over targets that have a norm."""
    error, flat = norm(seen.error, seen), None
    with torch.no_grad():
        size = plain = norm(seen.target, seen)
        if norm is not norms:
            plain = norms(seen.target, seen)
        if seen.deviation is None:
            kept = plain > 0
        else:
            usual = seen.deviation * _square_root(points(seen))
            kept = plain > NOTHING * usual
            faint, least = plain < FAINT * usual, FAINT * usual
            if norm is not norms:
                flat = faint & (size.square() < FLAT * plain.square())
            # As if it were so much larger: whatever the norm, it keeps its shape.
            size = torch.where(faint, size * (least / plain), size)
        count = kept.sum()
        share = torch.where(kept, 1.0 / (size * count), 0.0).to(error.dtype)
        if flat is not None:
            bare = torch.where(kept & flat, 1.0 / (least * count), 0.0).to(error.dtype)
            share = torch.where(flat, 0.0, share)
    total = (error * share).sum()
    if flat is not None:
        # It has no derivatives with which those of the error could be compared.
        total = total + (norms(seen.error, seen) * bare).sum()
    return total, count


def _h1_norms(values: Tensor, seen: Comparison) -> Tensor:
    """‖v‖_H1 of each sample at each time, ``(B, U)``, up to the volume of a grid cell. A difference has
    the lesser weight of its two points."""
    spacing, periodic = (seen.batch.geometry[name] for name in ("spacing", "periodic"))
    weights = None if seen.weights is None else seen.weights.expand_as(values)
    squares = values.square() if weights is None else values.square() * weights
    total = squares.flatten(2).sum(2)
    for axis in range(2, values.ndim):
        change = (torch.roll(values, -1, axis) - values).square()
        if weights is not None:
            change = change * torch.minimum(torch.roll(weights, -1, axis), weights)
        # The wrapped difference is the last one; multiplying it away needs no branch on a tensor.
        inner = change.narrow(axis, 0, change.shape[axis] - 1).flatten(2).sum(2)
        wrapped = change.narrow(axis, change.shape[axis] - 1, 1).flatten(2).sum(2)
        total = total + (inner + wrapped * periodic[axis - 2]) / spacing[:, axis - 2, None].square()
    return _root(total)


def _spectral_norms(values: Tensor, seen: Comparison) -> Tensor:
    """‖w v̂‖ of each sample at each time, ``(B, U)``."""
    weight = _sobolev(values.shape[2:], values)
    waves = weight * torch.fft.rfftn(values, dim=tuple(range(2, values.ndim)), norm="ortho")
    return torch.linalg.vector_norm(waves.flatten(2), dim=2)


def _sobolev(space: Sequence[int], like: Tensor) -> Tensor:
    """√(1 + |k|²) for the coefficients that ``rfftn`` keeps of a grid of ``space`` points; times √2 for
    those that stand for their conjugates as well."""
    *others, last = space
    half = torch.arange(last // 2 + 1, dtype=like.dtype, device=like.device)
    axes = [torch.fft.fftfreq(n, 1 / n, dtype=like.dtype, device=like.device) for n in others]
    squares = 1 + sum(k**2 for k in torch.meshgrid(*axes, half, indexing="ij"))
    return (squares * torch.where((half == 0) | (2 * half == last), 1.0, 2.0)).sqrt()


def _root(squares: Tensor) -> Tensor:
    """√, whose derivative is 0 in place of infinite where there is nothing."""
    return squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt()


def _square_root(count: Tensor | float) -> Tensor | float:
    return count.sqrt() if isinstance(count, Tensor) else count**0.5


LOSSES: dict[str, Loss] = {
    "relative_l2": relative_l2,
    "h1": h1,
    "h1_spectral": h1_spectral,
    "mse": mse,
}

#: Losses that look at the error alone.
ABSOLUTE = (mse,)


def loss(name: str) -> Loss:
    """The loss called ``name``.

    Raises:
        InputError: unknown; the nearest name and the list are given.
    """
    require_known("unknown loss", name, LOSSES)
    return LOSSES[name]
