"""deepxde, imported so that it does no harm: for its geometries and its function spaces."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from types import ModuleType

import numpy as np
import torch

from sciml.errors import InputError

#: With it in the environment deepxde takes Horovod for granted, and its import fails under mpirun.
RANKS = "OMPI_COMM_WORLD_SIZE"


def import_deepxde() -> ModuleType:
    """deepxde, imported so that it works under mpirun, prints nothing, and leaves torch's default
    device as it was. The backend is PyTorch unless ``DDE_BACKEND`` says otherwise."""
    ranks = os.environ.pop(RANKS, None)
    device = torch.get_default_device()
    os.environ.setdefault("DDE_BACKEND", "pytorch")
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            import deepxde
    except ModuleNotFoundError as error:
        raise InputError(
            "deepxde is not installed; pip install 'sciml-surrogates[pinn]'"
        ) from error
    finally:
        if ranks is not None:
            os.environ[RANKS] = ranks
        if torch.get_default_device() != device:
            # Not the CPU by its name: torch would then pass every operation through Python.
            torch.set_default_device(None if device.type == "cpu" else device)
    return deepxde


@contextmanager
def numpy_seeded(seed: int | Sequence[int]) -> Iterator[None]:
    """Numpy's global generator, from which deepxde draws, with a seed of ours; afterwards as it was."""
    before = np.random.get_state()
    np.random.seed(np.random.SeedSequence(seed).generate_state(8))
    try:
        yield
    finally:
        np.random.set_state(before)
