"""Threads of torch by the size of the work: small tensors are worked on by one.

Threads wait for each other at the end of each operation, spinning. On a machine that is busy the other
thread may come back a time slice later (3 to 10 ms), for operations that take some 10 µs: fits on 16
points took fifty times as long with two threads as with one. Large tensors gain, and keep torch's
default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

#: Values of a layer's output from which on torch's default of threads is taken. Measured op by op on two
#: cores (the best of many, float32, 32 channels): with two threads, gelu and transforms are 1.6 to 1.9
#: times as fast from 2^16 values on, 3 x 3 convolutions (0.8 at 2^16) from 2^17 on, 1 x 1 convolutions
#: (0.55 at 2^16, 0.85 at 2^17) at 2^19, 1.4 times. Below, a wait costs more than there is to gain.
MANY = 2**18

#: Said by whoever starts the process: how many threads there are is then not ours to choose.
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

_asked = False


@contextmanager
def threads_for(values: int) -> Iterator[None]:
    """One thread of torch while it works on tensors of at most so many values; the caller's setting
    comes back afterwards.

    Nothing is changed where threads are said already: by ``OMP_NUM_THREADS``, by :func:`threads`, or by
    a ``torch.set_num_threads`` to another number than torch's own.

    Args:
        values: of a layer's output; see :func:`values_of`.
    """
    before = torch.get_num_threads()
    if values >= MANY or before == 1 or _said(before):
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch, whatever the size of the work; the caller's setting comes back
    afterwards."""
    global _asked
    before, asked = torch.get_num_threads(), _asked
    torch.set_num_threads(count)
    _asked = True
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _asked = asked


def values_of(model: nn.Module, points: int, samples: int) -> int:
    """Values of a hidden layer: samples · points · channels, the widest layer's.

    Of layers that see all points of a sample as features it is the work of a product instead.

    Args:
        points: of one sample.
        samples: at once.
    """
    # Linear layers may see all points as features: the narrower side is that of the hidden values.
    wide = (min(p.shape) if p.ndim == 2 else p.shape[0] for p in model.parameters() if p.ndim > 1)
    return samples * points * max(wide, default=1)


def _said(count: int) -> bool:
    """Whether someone chose the number of threads."""
    if _asked or any(os.environ.get(name) for name in VARIABLES):
        return True
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    # torch's own: the cores, or half of them where each runs two threads.
    return count not in (cores, cores // 2)
