"""Reflections, exchanges and translations of a box, and its values under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

from torch import Tensor

#: Dimensions of the grids that each name is for; ``None``: all.
SYMMETRIES: dict[str, int | None] = {"flips": None, "square": 2, "cube": 3, "translations": None}


@dataclass(frozen=True, slots=True)
class Element:
    """x'_i = s_i x_{p(i)} + shift_i: what is done to the axes of a grid, ``(z, y, x)``.

    Args:
        order: p, the old axis that each new one is.
        signs: s, −1 where an axis is reflected.
        shifts: in points, along the new axes.
    """

    order: tuple[int, ...]
    signs: tuple[int, ...]
    shifts: tuple[int, ...]

    @property
    def determinant(self) -> int:
        """+1 for rotations, −1 for reflections."""
        sign, order = 1, list(self.order)
        for i in range(len(order)):
            while order[i] != i:
                j = order[i]
                order[i], order[j] = order[j], order[i]
                sign = -sign
        for s in self.signs:
            sign *= s
        return sign

    @property
    def inverse(self) -> Element:
        """x_j = s_i x'_i − s_i shift_i, where i is the new axis that the old one, j, has become."""
        places = [self.order.index(j) for j in range(len(self.order))]
        signs = tuple(self.signs[i] for i in places)
        return Element(tuple(places), signs, tuple(-self.signs[i] * self.shifts[i] for i in places))


def elements(swaps: bool, flips: bool, shifts: Sequence[int]) -> list[Element]:
    """A whole group, the identity first.

    Args:
        swaps: with all exchanges of axes.
        flips: with all reflections.
        shifts: numbers of different translations along each axis, 1 for none.
    """
    d = len(shifts)
    orders = permutations(range(d)) if swaps else [tuple(range(d))]
    signs = product((1, -1), repeat=d) if flips else [(1,) * d]
    return [Element(*found) for found in product(orders, signs, product(*map(range, shifts)))]


def moved(values: Tensor, element: Element, periodic: Sequence[bool], first: int) -> Tensor:
    """v'(x') = v(x): values at their new points.

    A reflection is x → L − x on a periodic axis, which keeps point 0, and exchanges the two ends of
    an axis that has two.

    Shapes: ``(…, *space)`` → ``(…, *space')``, its axes exchanged.

    Args:
        values: axes of space from ``first`` on.
        periodic: whether each old axis is.
    """
    values = values.permute(*range(first), *(first + p for p in element.order))
    flipped = [i for i, sign in enumerate(element.signs) if sign < 0]
    if flipped:
        values = values.flip([first + i for i in flipped])
    # On a periodic axis x → L − x maps point 0 to itself: one point on from the reversed order.
    shifts = [
        shift + (sign < 0 and periodic[p])
        for shift, sign, p in zip(element.shifts, element.signs, element.order, strict=True)
    ]
    if any(shifts):
        values = values.roll(shifts, [first + i for i in range(len(shifts))])
    return values.contiguous()
