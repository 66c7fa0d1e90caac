"""How coefficients and basis functions make one or several outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError, require_known
from sciml.surrogates.deeponet.networks import SideBySide
from sciml.surrogates.units import Units


@dataclass(frozen=True, slots=True)
class Strategy:
    """What n outputs share.

    Args:
        separate: every output has networks of its own.
        branch, trunk: whether the last layer of that network is cut into a group an output; else
            all outputs share it.
    """

    separate: bool
    branch: bool
    trunk: bool


#: As in Lu et al. (2022), section 3.1.6, and in deepxde, by the same names.
STRATEGIES = {
    "independent": Strategy(True, True, True),
    "split_both": Strategy(False, True, True),
    "split_branch": Strategy(False, True, False),
    "split_trunk": Strategy(False, False, True),
}


def strategy_of(name: str) -> Strategy:
    """The strategy called ``name``."""
    require_known("unknown strategy", name, STRATEGIES)
    return STRATEGIES[name]


def widths(strategy: str, outputs: int, basis: int) -> tuple[int, int]:
    """Last layers of branch and trunk for ``basis`` functions an output."""
    chosen = strategy_of(strategy)
    if chosen.separate:
        return basis, basis
    return basis * (outputs if chosen.branch else 1), basis * (outputs if chosen.trunk else 1)


def groups(
    strategy: str, outputs: int, branches: Sequence[int], trunk: int
) -> tuple[int, int, int]:
    """Groups of the branch, groups of the trunk, and basis functions in each.

    Args:
        branches: last layers of the branches.
        trunk: last layer of the trunk.

    Raises:
        InputError: last layers that do not fit together.
    """
    chosen = strategy_of(strategy)
    if outputs < 1:
        raise InputError(f"outputs={outputs}; expected at least 1")
    left = outputs if chosen.branch else 1
    right = outputs if chosen.trunk else 1
    basis = trunk if chosen.separate else trunk // right
    wanted = widths(strategy, outputs, basis)
    for branch in branches:
        if basis < 1 or (branch, trunk) != wanted:
            raise InputError(
                f"last layers of {branch} (branch) and {trunk} (trunk) with {outputs} outputs and "
                f"strategy '{strategy}'; expected p·{wanted[0] // max(1, basis)} and "
                f"p·{wanted[1] // max(1, basis)}"
            )
    return left, right, basis


def networks(make: Callable[[], nn.Module], strategy: str, outputs: int) -> nn.Module:
    """One network, or one for each output, side by side."""
    if strategy_of(strategy).separate and outputs > 1:
        return SideBySide(make() for _ in range(outputs))
    return make()


def in_units(units: Units | None, grouped: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients or functions, and biases, with which sums come out in units."""
    if units is None:
        return grouped, bias
    mean, std = units.numbers(bias)
    over = std if isinstance(std, float) else std[:, None]
    return grouped * over, bias * std + mean


def combine(
    coefficients: Float[Tensor, "batch left basis"],
    functions: Tensor,
    bias: Float[Tensor, " output"],
) -> Float[Tensor, "batch output point"]:
    """out_o(y) = Σ_k b_ok t_ok(y) + c_o; a single group stands for all outputs.

    Shapes: coefficients ``(B, n or 1, p)``; functions ``(P, n or 1, p)``, the same points for all
    of the batch (one product of matrices), or ``(B, P, n or 1, p)`` → ``(B, n, P)``.
    """
    if functions.ndim == 4:
        return (coefficients.unsqueeze(1) * functions).sum(-1).transpose(1, 2) + bias[:, None]
    batch, left, basis = coefficients.shape
    points, right, _ = functions.shape
    if left == right == 1 == bias.shape[0]:
        # The bias is added inside the product: one pass over (B, P) less.
        return torch.addmm(bias, coefficients[:, 0], functions[:, 0].T).unsqueeze(1)
    if right == 1:
        out = (coefficients.reshape(-1, basis) @ functions[:, 0].T).view(batch, left, points)
    elif left == 1:
        flat = functions.transpose(0, 1).reshape(-1, basis)
        out = (coefficients[:, 0] @ flat.T).view(batch, right, points)
    else:
        out = torch.bmm(coefficients.transpose(0, 1), functions.permute(1, 2, 0)).transpose(0, 1)
    return out + bias[:, None]
