"""A training step and a prediction of an MgNO, ours against one written straight from the paper:

    python tests/benchmarks/bench_mgno.py [--cases zeros64 …] [--rounds 7] [--json mgno.json]

The other one is made of torch's modules with their own padding, an operation a line, nothing in
place, channels first in memory. It takes our weights, and what the two predict is compared before
anything is timed. Both train with AdamW and a relative L2 loss on batches of 8 random fields in
float32, on one thread, and keep their heap as :func:`sciml.training.train` does. They take turns;
given are medians, and the range of the ratios of neighboring rounds (above 1: we are faster).
Memory is what training steps add to the process at its peak, each measured in a child of its own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from alternating import against, alternate, peak
from torch import Tensor, nn

from sciml.heap import keep_heap
from sciml.surrogates import MgNO

BATCH = 8
CONV = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}

ROUGH = {"n_layers": 4, "width": 24, "steps": (1, 1, 1, 1, 1, 2)}
SMOOTH = ROUGH | {"n_layers": 5}
NAVIER_STOKES = {"n_layers": 5, "width": 32, "steps": (1, 1, 1, 2, 2), "bias": True, "norm": True}

#: The published models, on grids that a CPU bears.
CASES = {
    "zeros64": ((64, 64), "zeros", SMOOTH),
    "zeros128": ((128, 128), "zeros", ROUGH),
    "circular64": ((64, 64), "circular", NAVIER_STOKES),
    "zeros1024": ((1024,), "zeros", ROUGH),
    "circular1024": ((1024,), "circular", ROUGH),
}


class PlainStep(nn.Module):
    """u + S(f − A u), or S f in place of it where there is no A."""

    def __init__(self, f: int, width: int, dims: int, mode: str, bias: bool, first: bool) -> None:
        super().__init__()
        conv = partial(CONV[dims], kernel_size=3, padding=1, padding_mode=mode, bias=bias)
        self.A = None if first else conv(width, f)
        self.S = conv(f, width)

    def forward(self, u: Tensor | None, f: Tensor) -> Tensor:
        if self.A is None:
            return self.S(f)
        residual = f - self.A(u)
        correction = self.S(residual)
        return u + correction


class PlainLevel(nn.Module):
    """One grid, and the ways to the next one and back."""

    def __init__(
        self,
        f: int,
        width: int,
        space: Sequence[int],
        mode: str,
        steps: int,
        finest: bool,
        coarsest: bool,
        bias: bool,
        norm: bool,
    ) -> None:
        super().__init__()
        dims = len(space)
        self.mode = mode
        self.pre = nn.ModuleList(
            PlainStep(f, width, dims, mode, bias, finest and i == 0) for i in range(steps)
        )
        self.norm = None
        if coarsest:
            return
        down = partial(
            CONV[dims], kernel_size=3, stride=2, padding=1, padding_mode=mode, bias=False
        )
        self.Pi = down(width, width)
        self.R = down(f, f)
        # torch pads what it transposes by zeros only: around a ring two points more are cut off.
        cut = 1 if mode == "zeros" else 3
        self.P = TRANSPOSED[dims](width, width, 4, stride=2, padding=cut, bias=False)
        if norm:
            self.norm = nn.LayerNorm((width, *space))

    def back(self, u: Tensor, coarse: Tensor) -> Tensor:
        if self.mode == "circular":
            coarse = F.pad(coarse, [1, 1] * (coarse.ndim - 2), mode="circular")
        correction = self.P(coarse)
        u = u + correction
        return u if self.norm is None else self.norm(u)


class PlainCycle(nn.Module):
    """Down the levels with f restricted, and up again; all smoothing is on the way down."""

    def __init__(
        self,
        f: int,
        width: int,
        space: Sequence[int],
        mode: str,
        steps: Sequence[int],
        bias: bool,
        norm: bool,
    ) -> None:
        super().__init__()
        last = len(steps) - 1
        self.levels = nn.ModuleList(
            PlainLevel(f, width, [n >> k for n in space], mode, many, k == 0, k == last, bias, norm)
            for k, many in enumerate(steps)
        )

    def forward(self, f: Tensor) -> Tensor:
        u, passed = None, []
        for k, level in enumerate(self.levels):
            if k > 0:
                finer = self.levels[k - 1]
                u, f = finer.Pi(u), finer.R(f)
            for step in level.pre:
                u = step(u, f)
            passed.append(u)
        for level, above in zip(self.levels[-2::-1], passed[-2::-1], strict=True):
            u = level.back(above, u)
        return u


class PlainMgNO(nn.Module):
    """GELU(W u + B u), layer after layer, and a linear head; its weights have the names of ours."""

    def __init__(
        self,
        space: Sequence[int],
        mode: str,
        n_layers: int,
        width: int,
        steps: Sequence[int],
        bias: bool = False,
        norm: bool = False,
    ) -> None:
        super().__init__()
        conv = partial(CONV[len(space)], kernel_size=1)
        given = [1] + [width] * (n_layers - 1)
        self.W = nn.ModuleList(PlainCycle(f, width, space, mode, steps, bias, norm) for f in given)
        self.B = nn.ModuleList(conv(f, width) for f in given)
        self.head = conv(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for W, B in zip(self.W, self.B, strict=True):
            multigrid = W(x)
            pointwise = B(x)
            x = F.gelu(multigrid + pointwise)
        return self.head(x)


def ours(
    space: Sequence[int],
    mode: str,
    n_layers: int,
    width: int,
    steps: Sequence[int],
    bias: bool = False,
    norm: bool = False,
) -> MgNO:
    return MgNO(
        1, 1, (mode,) * len(space), width, len(steps), n_layers, [(many, 0) for many in steps],
        bias=bias, norm=norm, shape=space,
    )  # fmt: skip


MODELS = {"ours": ours, "plain": PlainMgNO}


class Trained:
    """A model, its optimizer, and a batch."""

    def __init__(self, case: str, way: str) -> None:
        space, mode, options = CASES[case]
        torch.manual_seed(0)
        self.model = MODELS[way](space, mode, **options)
        self.x, self.y = torch.randn(2, BATCH, 1, *space)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-4)

    def step(self) -> float:
        self.optimizer.zero_grad()
        error, size = ((f.flatten(1).norm(dim=1)) for f in (self.model(self.x) - self.y, self.y))
        loss = (error / size).mean()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def predict(self) -> Tensor:
        return self.model(self.x)


def compare(case: str, rounds: int) -> dict[str, object]:
    ways = {name: Trained(case, name) for name in MODELS}
    mine, plain = ways["ours"], ways["plain"]
    plain.model.load_state_dict(mine.model.state_dict())
    plain.x = mine.x
    one, other = mine.predict(), plain.predict()
    torch.testing.assert_close(one, other, rtol=0.0, atol=1e-5 * one.abs().max().item())
    return {
        "case": case,
        "parameters": sum(p.numel() for p in mine.model.parameters()),
        "apart": ((one - other).abs().max() / one.abs().max()).item(),
        "step_s": alternate({name: way.step for name, way in ways.items()}, rounds),
        "predict_s": alternate({name: way.predict for name, way in ways.items()}, rounds),
    }


def row(found: dict[str, object]) -> str:
    words = [f"{found['case']:>12} {found['parameters']:>10,}"]
    words += [against(*(found[key][name] for name in MODELS)) for key in ("step_s", "predict_s")]
    words.append(" ".join(f"{found['memory_MB'][name]:6.0f}" for name in MODELS))
    return "  ".join([*words, f"{found['apart']:.0e}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_heap()
    memory = {
        case: {name: peak(partial(Trained, case, name)) for name in MODELS}
        for case in arguments.cases
    }
    print(f"batch {BATCH}, 1 thread; ours, plain, plain by ours (range)")
    print(
        f"{'case':>12} {'parameters':>10}  {'training step, ms':^34}  {'prediction, ms':^34}  "
        f"{'MB':^13}  apart"
    )
    found = []
    for case in arguments.cases:
        found.append(compare(case, arguments.rounds) | {"memory_MB": memory[case]})
        print(row(found[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": 1, "cases": found}, indent=1))


if __name__ == "__main__":
    main()
