"""Which of the given states each simulation of a design starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sciml.errors import InputError


def assigned(count: int, wanted: Mapping[str, int], seed: int) -> dict[str, list[int]]:
    """The number of the state that each simulation starts from, by role or split.

    Roles share no state where there are enough: the first one takes the first states, the others the
    last ones, as many as they have simulations, or their part of what there is. A role that has more
    simulations than states goes round: in order first, then each time in another order, drawn with the
    seed, since a design that goes on evenly would otherwise pair states with parts of its ranges.

    Args:
        count: of states.
        wanted: simulations of each role, the one for training first.
        seed: of the study.
    """
    sizes = {role: n for role, n in wanted.items() if n}
    total, rest = sum(sizes.values()), count
    blocks: dict[str, range] = {}
    first, *others = sizes or [None]
    if count < len(sizes):
        blocks = dict.fromkeys(sizes, range(count))
        others = []
    for left, role in reversed(list(enumerate(others, 1))):
        # Each of the roles before it needs one at least.
        held = min(sizes[role], max(1, round(count * sizes[role] / total)), rest - left)
        blocks[role] = range(rest - held, rest)
        rest -= held
    if first is not None:
        blocks.setdefault(first, range(min(rest, sizes[first]) if count >= total else rest))
    numbers: dict[str, list[int]] = {role: [] for role in wanted}
    for place, role in enumerate(sizes):
        rng = np.random.default_rng((seed, place))
        order = np.array(blocks[role])
        while len(numbers[role]) < sizes[role]:
            numbers[role] += map(int, order)
            order = rng.permutation(order)
        del numbers[role][sizes[role] :]
    return numbers


def refuse_repeats(parameters: Any, used: Sequence[int]) -> None:
    """Refuse simulations that start alike and would not differ in anything else.

    Args:
        parameters: section of a study or recipe.
        used: number of the state of each simulation.

    Raises:
        InputError: there are some.
    """
    told = parameters.seed and "seed" in parameters.model_fields_set
    if parameters.ranges or told or len(used) == len(set(used)):
        return
    raise InputError(
        f"parameters.files: {len(set(used))} states for {len(used)} simulations, held-out ones "
        "included, and no range tells those that start alike apart; expected a range, fewer "
        "simulations or more states, or seed: true written out if the program draws more than its "
        "start from it"
    )
