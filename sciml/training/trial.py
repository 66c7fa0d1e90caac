"""One evaluation of a user's module before it is trained: errors in one line."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sciml.domain.names import LATTICE
from sciml.errors import InputError, ScimlError
from sciml.samples import Sample
from sciml.surrogates import Surrogate
from sciml.surrogates.batch import Batch, suited
from sciml.surrogates.collation import collate
from sciml.training.device import require_dtypes


@torch.no_grad()
def try_out(surrogate: Surrogate, samples: Sequence[Sample], device: torch.device) -> None:
    """Evaluate a surrogate on two samples, and look at the shapes that come out.

    Args:
        surrogate: around the module; is moved to ``device``.
        samples: one at least.
        device: that of the training.
    """
    task, name = surrogate.task, type(surrogate.model).__name__
    batch = suited(collate(samples[:2], task, surrogate.structures), surrogate, device)
    require_dtypes(surrogate, device)
    surrogate.to(device).eval()
    try:
        outputs = surrogate(batch)
    except ScimlError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"model {name} does not take what the task gives, {_given(surrogate, batch)}; "
            f"it says: {reason or type(error).__name__}"
        ) from error
    finally:
        surrogate.train()
    if missing := [target for target in task.targets if target not in outputs]:
        raise InputError(
            f"model {name} gives a dict without {', '.join(missing)}; expected one with each target, "
            f"{', '.join(task.targets)}"
        )
    for target, found in outputs.items():
        kinds = len(surrogate.setting.field(target).categories)
        wanted = (kinds,) * (kinds > 0) + batch.targets[target].shape[2:]
        if found.shape[2:] != wanted:
            raise InputError(
                f"model {name} gives '{target}' in the shape {tuple(found.shape[2:])}; expected "
                f"{tuple(wanted)}, that of the target: pad convolutions, as in "
                "torch.nn.Conv2d(..., padding='same')"
            )


def _given(surrogate: Surrogate, batch: Batch) -> str:
    """What the model is called with, see :mod:`sciml.surrogates.call`: channels in their order, the
    shape of their fields, and what comes by keyword."""
    task = surrogate.task
    derived = [f"{name}=" for name in batch.structure]
    if "species" in batch.geometry:
        known = ["species", "ptr", "owner", "parameters", "cell", "periodic", *task.static]
        keywords = [*(f"{name}=" for name in known), *derived]
        fields = [name for name in task.inputs if name != LATTICE]
        return f"{', '.join(fields)} of particles, and by keyword {', '.join(keywords)}"

    def parts(name: str) -> str:
        width = surrogate.setting.width(name)
        return f"{name} ({width} channels)" if width > 1 else name

    channels = [
        words + (f" (frame −{task.history - 1 - k})" if task.history > 1 else "")
        for words in map(parts, task.inputs)
        for k in range(task.history)
    ]
    off_nodes = [n for n in task.static if batch.on.get(n) in ("cell", "edge")]
    tables = [table for table in ("cells", "sides") if off_nodes and table in batch.geometry]
    derived = [*(f"{name}=" for name in (*off_nodes, *tables)), *derived]
    static = [parts(name) for name in task.static if name not in off_nodes]
    channels += [*static, *task.forcing, *task.parameters, *(["time"] if task.time else [])]
    called = ""
    if "owner" in batch.geometry:
        places = [name for name in ("points", "edges", "owner") if name in batch.geometry]
        called, on = f"model(x, {', '.join(places)}), x of ", " at the nodes"
    else:
        shapes = {tuple(f.shape[2:]) for f in batch.inputs.values()}
        on = f" on points of shape {', '.join(map(str, shapes))}" if shapes else ""
    beside = f", and by keyword {', '.join(derived)}" if derived else ""
    count = surrogate.setting.channels[0]
    return f"{called}{count} channels{on}, in this order: {', '.join(channels)}{beside}"
