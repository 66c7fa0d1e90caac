"""What we take from neuraloperator; its import takes seconds and has wandb print and warn."""

from __future__ import annotations

import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
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
    os.environ.setdefault("WANDB_SILENT", "true")
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        return getattr(import_module(_HOME[name]), name)
