"""Parts of neuraloperator, imported in silence and without wandb."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO

from torch import nn

_HOME = {
    "FNO": "neuralop.models",
    "ChannelMLP": "neuralop.layers.channel_mlp",
    "FNOBlocks": "neuralop.layers.fno_block",
}


def neuraloperator(name: str) -> type[nn.Module]:
    """A class of neuraloperator's, imported in silence."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        with _without("wandb"):
            return getattr(import_module(_HOME[name]), name)


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Meanwhile a module that nobody has imported yet cannot be: neuraloperator goes without it."""
    if "neuralop" in sys.modules or module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
