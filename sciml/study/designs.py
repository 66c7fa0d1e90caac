"""Designs of experiments: which parameters the simulations of a study get, and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import InputError, require_known
from sciml.study.assignment import assigned, refuse_repeats
from sciml.study.ranges import Range
from sciml.study.sobol import AXES, sobol

if TYPE_CHECKING:
    from sciml.study.schema import Study


#: Designs that scipy.stats draws, which takes half a second to import.
OF_SCIPY = ("latin-hypercube", "halton")


@dataclass(frozen=True, slots=True)
class PlannedSimulation:
    """A simulation before it starts.

    Args:
        id: number within the study, in order of launch.
        role: ``"train"`` or ``"validation"``.
        parameters: values by name.
        seed: of its initial state, ``None`` where the program's default holds.
        start: number of the state that it starts from, where the study has files of them.
    """

    id: int
    role: str
    parameters: dict[str, float]
    seed: int | None
    start: int | None = None


def plan(study: Study, starts: int = 0) -> list[PlannedSimulation]:
    """All simulations of a study in order of launch.

    ``starts``: how many states ``parameters.files`` hold.

    Held-out simulations come from a stream of their own and are spread evenly among the others, the
    first one always being for training. For a grid they are drawn at random, off its points.

    Raises:
        InputError: a grid that cannot have that many simulations; held-out simulations that would be the
            same as others.
    """
    parameters, held_out = study.parameters, study.validation.simulations
    root = np.random.SeedSequence(study.seed)
    train, validation, seeds = root.spawn(3)
    design = "random" if parameters.design == "grid" else parameters.design
    drawn = {
        "train": draw(parameters.design, parameters.ranges, parameters.simulations, train),
        "validation": draw(design, parameters.ranges, held_out, validation),
    }
    streams = dict(zip(drawn, seeds.spawn(2), strict=True))
    counts = {"train": parameters.simulations, "validation": held_out}
    begin = assigned(starts, counts, study.seed) if starts else None
    planned = []
    for id_, (role, index) in enumerate(_interleave(parameters.simulations, held_out)):
        seed = seed_of(streams[role], index) if parameters.seed else None
        start = None if begin is None else begin[role][index]
        planned.append(PlannedSimulation(id_, role, drawn[role][index], seed, start))
    if begin is not None:
        refuse_repeats(parameters, [number for several in begin.values() for number in several])
    if not parameters.seed:
        train = [(p.parameters, p.start) for p in planned if p.role == "train"]
        held = [(p.parameters, p.start) for p in planned if p.role == "validation"]
        twins = [values for values, start in held if (values, start) in train]
        if twins:
            raise InputError(
                f"validation.simulations: {len(twins)} of {held_out} would be simulations that train "
                f"too (such as {twins[0]}), since parameters.seed is false; expected ranges that tell "
                "them apart, or seed: true"
            )
    return planned


def draw(
    design: str, ranges: Mapping[str, Any], n: int, seed: int | np.random.SeedSequence = 0
) -> list[dict[str, float]]:
    """``n`` sets of parameters.

    ``sobol`` (scrambled), ``halton`` (scrambled) and ``random`` are sequences: the first draws stay
    when ``n`` grows. ``latin-hypercube`` and ``grid`` are sets made for one ``n``.

    Args:
        design: ``sobol``, ``latin-hypercube``, ``halton``, ``grid`` or ``random``.
        ranges: by name, a :class:`Range` or what makes one.
        n: number of simulations.
        seed: of the draws; a grid does not need it.

    Raises:
        InputError: unknown design, or an ``n`` that no balanced grid has.
    """
    require_known("parameters.design: unknown", design, _DESIGNS)
    spans = {name: Range.model_validate(span) for name, span in ranges.items()}
    if not spans or n == 0:
        return [{} for _ in range(n)]
    unit = _DESIGNS[design](list(spans.values()), n, np.random.default_rng(seed))
    columns = [span.at(unit[:, i]) for i, span in enumerate(spans.values())]
    return [dict(zip(spans, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def _sobol(spans: list[Range], n: int, rng: np.random.Generator) -> np.ndarray:
    if len(spans) <= AXES:
        return sobol(len(spans), n, rng)
    from scipy.stats.qmc import Sobol  # the same

    # A whole power of two, cut: scipy warns about any other length, and the sequence is the same.
    return Sobol(len(spans), scramble=True, seed=rng).random_base2(ceil(log2(max(n, 1))))[:n]


def _halton(spans: list[Range], n: int, rng: np.random.Generator) -> np.ndarray:
    from scipy.stats.qmc import Halton

    return Halton(len(spans), scramble=True, seed=rng).random(n)


def _latin_hypercube(spans: list[Range], n: int, rng: np.random.Generator) -> np.ndarray:
    from scipy.stats.qmc import LatinHypercube

    return LatinHypercube(len(spans), seed=rng).random(n)


def _random(spans: list[Range], n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((n, len(spans)))


def _grid(spans: list[Range], n: int, rng: np.random.Generator) -> np.ndarray:
    counts = grid_counts([len(s.values) if s.values is not None else None for s in spans], n)
    axes = []
    for span, count in zip(spans, counts, strict=True):
        if span.values is not None:
            axes.append((np.arange(count) + 0.5) / count)
        else:
            axes.append(np.linspace(0, 1, count) if count > 1 else np.array([0.5]))
    mesh = np.meshgrid(*axes, indexing="ij")
    return np.stack([axis.ravel() for axis in mesh], axis=-1)


_DESIGNS: dict[str, Callable[[list[Range], int, np.random.Generator], np.ndarray]] = {
    "sobol": _sobol,
    "latin-hypercube": _latin_hypercube,
    "halton": _halton,
    "grid": _grid,
    "random": _random,
}


def grid_counts(fixed: list[int | None], n: int) -> list[int]:
    """Points along each axis of a grid of exactly ``n`` points.

    Axes with given values have that many points; the others get counts as equal as possible, of
    which the largest is at most twice the smallest. A cut or lopsided grid would be a design that
    nobody asked for, so an ``n`` without such counts is refused.

    Raises:
        InputError: no such counts; names the nearest ``n`` below and above.
    """
    given = prod(count for count in fixed if count is not None)
    free = sum(count is None for count in fixed)
    counts = _balanced(n // given, free) if n % given == 0 else None
    if counts is None:
        # The next power of a whole side is always a balanced grid, so the search ends.
        below = next((m for m in range(n - 1, 0, -1) if _fits(m, given, free)), None)
        above = next(
            (
                m
                for m in range(n + 1, given * ((n // given) + 3) ** max(free, 1) + 1)
                if _fits(m, given, free)
            ),
            None,
        )
        options = " or ".join(str(m) for m in (below, above) if m is not None)
        raise InputError(
            f"parameters.simulations: {n} points make no even grid over {len(fixed)} parameters; "
            f"expected a product of similar counts, such as {options}; or take design: sobol"
        )
    rest = iter(counts)
    return [next(rest) if count is None else count for count in fixed]


def _fits(n: int, given: int, free: int) -> bool:
    return n % given == 0 and _balanced(n // given, free) is not None


def _balanced(n: int, axes: int) -> list[int] | None:
    """``n`` as a product of ``axes`` counts ≥ 2, the most even one; largest first."""
    if axes == 0:
        return [] if n == 1 else None
    if axes == 1:
        return [n]
    even = [c for c in _products(n, axes, 2) if c[-1] <= 2 * c[0]]
    return min(even, key=lambda c: c[-1] / c[0])[::-1] if even else None


def _products(n: int, axes: int, smallest: int) -> Iterator[list[int]]:
    """All ascending lists of ``axes`` factors ≥ ``smallest`` whose product is ``n``."""
    if axes == 1:
        if n >= smallest:
            yield [n]
        return
    factor = smallest
    while factor**axes <= n:
        if n % factor == 0:
            for rest in _products(n // factor, axes - 1, factor):
                yield [factor, *rest]
        factor += 1


def _interleave(train: int, validation: int) -> list[tuple[str, int]]:
    """Roles in order of launch: validation spread evenly, the first one for training."""
    order = [(float(i), 0, "train", i) for i in range(train)]
    spacing = train / (validation + 1)
    order += [(max(0.0, (j + 1) * spacing - 0.5), 1, "validation", j) for j in range(validation)]
    return [(role, index) for _, _, role, index in sorted(order)]


def further(study: Study, number: int, parameters: Mapping[str, float]) -> PlannedSimulation:
    """A simulation for training that is drawn while others run.

    Args:
        study: what it belongs to.
        number: within the study, above all that were planned, so that no seed comes twice.
        parameters: values by name.

    Raises:
        InputError: simulations start from files: nothing says from which.
    """
    if study.parameters.files:
        raise InputError(
            "parameters.files: a simulation that is drawn while others run has no state to start from; "
            "expected a program that makes its own"
        )
    stream = np.random.SeedSequence(study.seed).spawn(3)[2].spawn(2)[0]  # as plan() has it
    seed = seed_of(stream, number) if study.parameters.seed else None
    return PlannedSimulation(number, "train", dict(parameters), seed)


def seed_of(stream: np.random.SeedSequence, index: int) -> int:
    """Seed of one simulation: it does not depend on how many there are.

    53 bits: enough that no two of a large study are likely to agree, and exact in any JSON reader.
    """
    child = np.random.SeedSequence(stream.entropy, spawn_key=(*stream.spawn_key, index))
    return int(child.generate_state(1, np.uint64)[0] >> np.uint64(11))
