"""The linear last layer of the branch, taken into the basis functions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def folds(layer: nn.Linear, left: int, functions: Tensor, bias: Tensor, batch: int) -> bool:
    """Whether :func:`folded` takes fewer multiplications than coefficients would.

    Args:
        layer: the last of the branch, ``left`` groups of coefficients wide.
        functions: ``(P, right, p)``.
        bias: of each output.
        batch: number of functions B.
    """
    points, _, basis = functions.shape
    outputs, inner = len(bias), layer.in_features
    # That of the layer, (B, h)·(h, left·p), and of the sum, (B, p)·(p, P) an output …
    apart = batch * inner * left * basis + batch * outputs * points * basis
    # … against (P, p)·(p, h) and (B, h)·(h, P), each an output.
    together = outputs * points * basis * inner + batch * outputs * points * inner
    return together < apart


def folded(
    hidden: Float[Tensor, "batch inner"],
    layer: nn.Linear,
    left: int,
    functions: Float[Tensor, "point right basis"],
    bias: Float[Tensor, " output"],
) -> Float[Tensor, "batch output point"]:
    """out_o(y) = Σ_k (W h + w)_ok t_ok(y) + c_o = h · (Wᵀ t(y))_o + (w · t(y))_o + c_o.

    The coefficients are never formed: with as many functions as the paper trains on, the product that
    would give them costs a third of the network. It is the same sum in another order.

    Args:
        hidden: what goes into the last layer.
        layer: the last of the branch.
        left: groups of its outputs, one for all outputs or one for each.
        functions: of the trunk, likewise.
        bias: of each output.
    """
    points, right, basis = functions.shape
    if left == right == 1 == len(bias):
        flat = functions[:, 0]
        shift = flat @ layer.bias + bias  # addmv is not known to autocast
        return torch.addmm(shift, hidden, (flat @ layer.weight).T).unsqueeze(1)
    groups = functions.transpose(0, 1)  # (right, P, p)
    rows = groups @ layer.weight.view(left, basis, -1)  # (n, P, h)
    shift = (groups @ layer.bias.view(left, basis, 1))[..., 0] + bias[:, None]  # (n, P)
    out = torch.addmm(shift.reshape(-1), hidden, rows.flatten(0, 1).T)
    return out.view(-1, len(bias), points)
