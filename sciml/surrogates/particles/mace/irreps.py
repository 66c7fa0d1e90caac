"""Features of several irreps, and linear maps of them.

A feature is ``(component, node, channel)``: an irrep of degree l has 2l + 1 components, one after the
other, all irreps have equally many channels. A matrix product then has whole rows of channels, and a
product of features whole rows of nodes times channels, however many irreps there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.errors import InputError


@dataclass(frozen=True, slots=True, order=True)
class Irrep:
    """Degree l and parity p = ±1 under inversion.

    Args:
        l: what has 2l + 1 components.
        p: −1: changes its sign.
    """

    l: int
    p: int

    @property
    def dim(self) -> int:
        return 2 * self.l + 1

    def couples(self, other: Irrep, out: Irrep) -> bool:
        """Whether ``out`` is in the product of both."""
        near = abs(self.l - other.l) <= out.l <= self.l + other.l
        return near and self.p * other.p == out.p

    def __str__(self) -> str:
        return f"{self.l}{'e' if self.p > 0 else 'o'}"


Irreps = tuple[Irrep, ...]


def o3() -> ModuleType:
    """``e3nn.o3``, whose constants must have values wherever it is imported first."""
    with torch.device("cpu"):
        return import_module("e3nn.o3")


def parsed(text: str) -> tuple[int, Irreps]:
    """Channels and irreps of ``"32x0e + 32x1o"``, sorted as e3nn sorts them.

    Raises:
        InputError: no irreps, none of degree 0 and even, or different numbers of channels.
    """
    try:
        words = o3().Irreps(text).sort().irreps.simplify()
    except (ValueError, AssertionError) as error:
        raise InputError(f"mace: hidden={text!r}; expected irreps, as 32x0e + 32x1o") from error
    channels = {mul for mul, _ in words}
    found = tuple(Irrep(ir.l, ir.p) for _, ir in words)
    if len(channels) != 1 or Irrep(0, 1) not in found:
        raise InputError(
            f"mace: hidden={text!r}; expected as many channels of each irrep, 0e among them, as "
            "32x0e + 32x1o"
        )
    return channels.pop(), found


def harmonics(degree: int) -> Irreps:
    """Of spherical harmonics up to a degree."""
    return tuple(Irrep(l, (-1) ** l) for l in range(degree + 1))


def size(irreps: Iterable[Irrep]) -> int:
    """Components of all."""
    return sum(ir.dim for ir in irreps)


def owners(irreps: Iterable[Irrep]) -> list[int]:
    """The irrep of each component."""
    return [i for i, ir in enumerate(irreps) for _ in range(ir.dim)]


def slices(irreps: Iterable[Irrep]) -> Iterator[slice]:
    """Components of each irrep."""
    start = 0
    for ir in irreps:
        yield slice(start, start + ir.dim)
        start += ir.dim


class LinearIrreps(nn.Module):
    """y_m = x_m W_l / √channels for each component m of an irrep l.

    Args:
        irreps: of x and y.
        given, wanted: channels.
        kinds: matrices of each irrep, of which each node takes that of its kind.
    """

    def __init__(self, irreps: Irreps, given: int, wanted: int, kinds: int = 1) -> None:
        super().__init__()
        self.scale, self.wanted = (given * kinds) ** -0.5, wanted
        self.weight = nn.Parameter(torch.randn(len(irreps), given, kinds * wanted))
        self.register_buffer("owner", torch.tensor(owners(irreps)), persistent=False)

    def forward(
        self, x: Float[Tensor, "component node given"], kind: Tensor | None = None
    ) -> Float[Tensor, "component node wanted"]:
        y = torch.bmm(x, (self.scale * self.weight).index_select(0, self.owner))
        if kind is None:
            return y
        # Of all kinds, since their matrices are few and nodes many.
        y = y.unflatten(2, (-1, self.wanted))
        place = kind.view(1, -1, 1, 1).expand(y.shape[0], -1, 1, self.wanted)
        return y.gather(2, place).squeeze(2)
