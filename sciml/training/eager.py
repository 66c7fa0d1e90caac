"""Optimizers of torch's, without its compiler."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a study has phases, and no need of torch
    import torch

#: Methods of every optimizer that torch keeps out of what it compiles.
_KEPT_OUT = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


@cache
def eager(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """An optimizer that computes the same, and does not import torch's compiler for it.

    torch imports its compiler (and sympy: 1.5 s) at the first optimizer, to keep the steps out of graphs
    that enclose them. We compile ``forward`` alone. A torch that does otherwise is left as it is.
    """
    import torch

    bare = {name: inspect.unwrap(getattr(kind, name)) for name in _KEPT_OUT}
    bare["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), bare)
