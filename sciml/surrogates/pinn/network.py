"""A fully connected network of coordinates and numbers that gives its derivatives, too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.surrogates.pinn.activation import SMOOTH, Activation
from sciml.surrogates.pinn.taylor import Orders, Word, activated, linear


class Columns(nn.Module):
    """z ↦ cos 2πkz and sin 2πkz, k = 1 … harmonics, of periodic columns; 2z − 1 of other coordinates,
    which run from 0 to 1; numbers, which are scaled, as they are.

    Shapes: z ``(n, columns)``, coordinates first → ``(n, width)``.

    Args:
        periodic: of each coordinate, whether it is.
        numbers: columns behind the coordinates.
        harmonics: waves of a periodic coordinate; 0: it is seen as any other.
    """

    def __init__(self, periodic: Sequence[bool], numbers: int, harmonics: int = 1) -> None:
        super().__init__()
        if harmonics < 0:
            raise InputError(f"harmonics={harmonics}; expected 0 or more")
        self.periodic = tuple(bool(wraps and harmonics) for wraps in periodic)
        self.numbers = numbers
        self.harmonics = harmonics
        self.width = sum(2 * harmonics if wraps else 1 for wraps in self.periodic) + numbers

    def forward(self, z: Float[Tensor, "point column"]) -> Float[Tensor, "point width"]:
        return self.jet(z, Orders(()))[0]

    def jet(
        self, z: Float[Tensor, "point column"], orders: Orders, weights: Tensor | None = None
    ) -> Tensor:
        """Value and derivatives, ``(orders, n, width)``; ``weights (term, n or 1, 1)``: of the form."""
        if z.shape[1] != len(self.periodic) + self.numbers:
            raise InputError(
                f"points with {z.shape[1]} columns; expected {len(self.periodic)} coordinates and "
                f"{self.numbers} numbers"
            )
        slopes = {column: row for row, column in enumerate(orders.first, 1)}
        twice = {
            orders.first[i]: row
            for row, (i, j) in enumerate(orders.second, 1 + len(slopes))
            if i == j
        }
        blocks = []
        for column in range(z.shape[1]):
            value, slope, bend = self._block(z[:, column : column + 1], column)
            rows = [value, *[torch.zeros_like(value)] * (len(orders) - 1)]
            if column in slopes:
                rows[slopes[column]] = slope
            if column in twice and bend is not None:
                rows[twice[column]] = bend
            for weight, word in enumerate(orders.form):
                part = slope if word == (column,) else bend if word == (column, column) else None
                if part is not None:
                    rows[-1] = rows[-1] + weights[weight] * part
            blocks.append(torch.stack(rows))
        return torch.cat(blocks, dim=2)

    def _block(self, z: Tensor, column: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """What becomes of one column, with its first and second derivative."""
        if column >= len(self.periodic):
            return z, torch.ones_like(z), None
        if not self.periodic[column]:
            return 2.0 * z - 1.0, torch.full_like(z, 2.0), None
        wave = 2.0 * math.pi * torch.arange(1, self.harmonics + 1, dtype=z.dtype, device=z.device)
        phase = z * wave
        cos, sin = phase.cos(), phase.sin()
        return (
            torch.cat([cos, sin], dim=1),
            torch.cat([-wave * sin, wave * cos], dim=1),
            torch.cat([-wave * wave * cos, -wave * wave * sin], dim=1),
        )


class JetNetwork(nn.Module):
    """v(z) = W_n σ(… σ(W_1 φ(z) + b_1) …) + b_n, with first and second derivatives in Taylor mode.

    Shapes: z ``(n, columns)``, as of :class:`Columns`, φ → ``(n, outputs)``.

    Args:
        columns: φ.
        hidden: widths of the layers.
        outputs: numbers that come out.
        activation: ``tanh``, ``sine`` or ``silu``.
        fourier: random waves sin(Bφ), cos(Bφ) before the first layer, so many; B is drawn from a normal
            law and not trained. 0: none.
        scale: standard deviation of B.
        still: the last layer is 0 at the start, and so is v.

    Raises:
        InputError: no layers, an unknown activation.

    Source: random waves: Tancik et al., NeurIPS 2020, arXiv 2006.10739.
    """

    def __init__(
        self,
        columns: Columns,
        hidden: Sequence[int],
        outputs: int,
        activation: str = "tanh",
        fourier: int = 0,
        scale: float = 1.0,
        still: bool = False,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise InputError(f"hidden={tuple(hidden)}; expected widths of 1 or more")
        if fourier < 0:
            raise InputError(f"fourier={fourier}; expected 0 or more waves")
        self.columns, self.activation = columns, Activation.of(activation)
        width = columns.width
        if fourier:
            self.register_buffer("waves", scale * torch.randn(fourier, width))
            self.register_buffer(
                "phase", torch.tensor([0.0, math.pi / 2]).repeat_interleave(fourier)
            )
            width = 2 * fourier
        else:
            self.register_buffer("waves", None)
        self.layers = nn.ModuleList(
            nn.Linear(one, other) for one, other in pairwise((width, *hidden, outputs))
        )
        for layer in self.layers:  # Glorot's: what tanh wants
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        if still:
            nn.init.zeros_(self.layers[-1].weight)

    def forward(self, z: Float[Tensor, "point column"]) -> Float[Tensor, "point output"]:
        h = self.columns(z)
        if self.waves is not None:
            h = torch.sin(F.linear(h, self.waves.repeat(2, 1), self.phase))
        *inner, last = self.layers
        for layer in inner:
            h = self.activation.function(layer(h))
        return last(h)

    def jet(
        self,
        z: Float[Tensor, "point column"],
        words: Iterable[Word],
        form: Mapping[Word, Tensor] | None = None,
    ) -> dict[Word, Tensor]:
        """Derivatives of all outputs by columns of z, ``(n, outputs)`` each, the value among them.

        Args:
            z: differentiated by here: what it was computed from gets no gradient.
            words: ``()``, ``(0,)``, ``(0, 1)``, …, of order 2 at most.
            form: weights ``(n, 1)`` or ``(1, 1)`` by word: the sum of these derivatives comes as
                :data:`~sciml.surrogates.pinn.taylor.FORM`.
        """
        orders = Orders.of(words, form or ())
        weights = torch.stack(torch.broadcast_tensors(*form.values())) if form else None
        return orders.split(self.carry(z.detach(), orders, weights))

    def carry(
        self, z: Float[Tensor, "point column"], orders: Orders, weights: Tensor | None = None
    ) -> Tensor:
        """Value and derivatives, ``(orders, n, outputs)``: what ``torch.compile`` may compile."""
        h = self.columns.jet(z, orders, weights)
        if self.waves is not None:
            a = linear(h, self.waves.repeat(2, 1))
            h = activated(a, self.phase, SMOOTH["sine"], orders, weights)
        *inner, last = self.layers
        for layer in inner:
            a = linear(h, layer.weight)
            h = activated(a, layer.bias, self.activation, orders, weights)
        out = linear(h, last.weight)
        return torch.cat([out[:1] + last.bias, out[1:]])
