"""Seeds of the samples of one run."""

from __future__ import annotations

import numpy as np


def sample_seed(seed: int, n: int) -> int:
    """Seed of the n-th independent sample of a run; unlike seed + n, no two runs share samples.

    Args:
        seed: of the run.
        n: number of the sample, from 0.
    """
    return int(np.random.SeedSequence((seed, n)).generate_state(1, np.uint64)[0])
