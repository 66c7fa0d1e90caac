"""A training step and a prediction of an FNO, ours against neuraloperator's used by hand:

    python tests/benchmarks/bench_fno.py [--points 32 64 128] [--widths 16 32 64] [--modes 16]
        [--threads 1] [--rounds 7] [--json fno.json]

Both train an FNO of 4 layers with AdamW and a relative H1 loss on batches of 8 periodic fields in
float32. Ours is what ``sciml.fit`` does in a step: a ``Surrogate``, which scales what goes in and comes
out, and ``Supervised``. Theirs is ``neuralop.models.FNO`` and ``H1Loss`` in a loop of four lines,
without scaling. They take turns, since only the ratio means something on a machine that others use;
given are medians, and the range of the ratios of neighboring rounds. Memory is what a training step
adds to the process at its peak, each measured in a child of its own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from alternating import against, alternate, peak
from training_step import BATCH, Ours, fields

LAYERS = 4


def ours(n: int, modes: int, width: int) -> Ours:
    return Ours({"name": "fno", "modes": modes, "hidden_channels": width, "n_layers": LAYERS}, n)


class Theirs:
    """neuraloperator's model and loss."""

    name = "neuraloperator"

    def __init__(self, n: int, modes: int, width: int) -> None:
        from neuralop import H1Loss
        from neuralop.models import FNO

        samples = fields(n)
        frames = [[s.inputs[0].fields["u"], s.targets[0].fields["u"]] for s in samples]
        self.x, self.y = torch.from_numpy(np.array(frames)).unbind(1)
        self.x, self.y = self.x[:, None], self.y[:, None]
        self.model = FNO(
            n_modes=(modes, modes),
            in_channels=1,
            out_channels=1,
            hidden_channels=width,
            n_layers=LAYERS,
            positional_embedding=None,
        )
        self.loss = H1Loss(d=2)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predict(self) -> None:
        with torch.no_grad():
            self.model(self.x)


WAYS = {Ours.name: ours, Theirs.name: Theirs}


def compare(n: int, modes: int, width: int, rounds: int) -> dict[str, object]:
    ways = {name: make(n, modes, width) for name, make in WAYS.items()}
    return {
        "points": n,
        "modes": modes,
        "width": width,
        "step_s": alternate({name: way.step for name, way in ways.items()}, rounds),
        "predict_s": alternate({name: way.predict for name, way in ways.items()}, rounds),
    }


def row(found: dict[str, object]) -> str:
    words = [f"{found['points']:>5}² {found['modes']:>5} {found['width']:>5}"]
    words += [against(*(found[key][name] for name in WAYS)) for key in ("step_s", "predict_s")]
    memory = found["memory_MB"]
    words.append(f"{memory[Ours.name]:6.0f} {memory[Theirs.name]:6.0f}")
    return "  ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--modes", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    from sciml.surrogates.grid.neuraloperator import neuraloperator

    neuraloperator("FNO")
    cases = [(n, 32) for n in arguments.points]
    cases += [(64, width) for width in arguments.widths if (64, width) not in cases]
    # Children are forked, so no thread may have been started before the last of them has ended.
    torch.set_num_threads(1)
    memory = [
        {
            name: peak(lambda m=make, c=c: m(c[0], arguments.modes, c[1]))
            for name, make in WAYS.items()
        }
        for c in cases
    ]
    torch.set_num_threads(arguments.threads)
    print(
        f"batch {BATCH}, {LAYERS} layers, {arguments.threads} threads; ours, neuraloperator's, "
        "neuraloperator's by ours (range)"
    )
    print(
        f"{'points':>6} {'modes':>5} {'width':>5}  {'training step, ms':^34}  {'prediction, ms':^34}  MB"
    )
    found = []
    for (n, width), held in zip(cases, memory, strict=True):
        found.append(compare(n, arguments.modes, width, arguments.rounds) | {"memory_MB": held})
        print(row(found[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"threads": arguments.threads, "cases": found}, indent=1)
        )


if __name__ == "__main__":
    main()
