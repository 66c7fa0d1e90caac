"""Sources and objectives by name, from the keys of a study or ``fit``."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from sciml.domain import Grid
from sciml.errors import InputError, nearest, require_known
from sciml.samples import Task
from sciml.surrogates.bounds import PARAMETER, TIME, Bounds
from sciml.surrogates.setting import Setting
from sciml.training.adaptive import Adaptive
from sciml.training.collocation import BoxPoints
from sciml.training.collocation_source import CollocationSource
from sciml.training.equation_residual import measure
from sciml.training.objective import Objective, Sum
from sciml.training.objectives import OBJECTIVES, objective_of
from sciml.training.region import region_of
from sciml.training.source import Mix, Source

DATA, STREAM, COLLOCATION = "data", "stream", "collocation"
#: What the keys of a source of each kind are.
KEYS = {
    DATA: ("batch_size",),
    STREAM: ("batch_size",),
    COLLOCATION: (
        *("batch_size", "domain", "geometry", "time", "parameters", "sampler"),
        *("initial", "boundary", "flux", "seam", "every", "curriculum", "stages", "adaptive"),
    ),
}
#: Points of an axis of the grid on which predictions are made, where nothing is said.
POINTS = 64

Keys = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mixture:
    """What is learned from where.

    Args:
        sources: keys by name; or a source. ``None``: the data alone.
        objectives: keys by name, among them the ``source``; or an objective, whose source is that of its
            name, or the only one. ``None``: what the kind of domain brings along.

    Raises:
        InputError: unknown kinds or keys, with the nearest; a source without an objective, an objective
            without a source.
    """

    sources: Mapping[str, Keys | Source]
    objectives: Mapping[str, Keys | Objective]

    @classmethod
    def of(cls, sources: Any, objectives: Any, data: bool) -> Mixture | None:
        """From arguments of ``fit``; ``None`` where there is nothing but data and one objective.

        Args:
            data: whether there are some.
        """
        if sources is None and objectives is None and data:
            return None
        for what, given in (("sources", sources), ("objectives", objectives)):
            if given is not None and not (isinstance(given, Mapping) and given):
                raise InputError(f"fit: {what}={given!r}; expected keys by name")
        made = cls(dict(sources or {DATA: {"kind": DATA}}), dict(objectives or {}))
        made._check(data)
        return made

    def _check(self, data: bool) -> None:
        for name, keys in self.sources.items():
            if not isinstance(keys, Mapping):
                continue
            said = keys.get("kind")
            if said not in KEYS or said == STREAM:
                what = f"unknown kind {said!r}" if said else "no kind"
                known = [one for one in KEYS if one != STREAM]  # which studies have
                raise InputError(f"source '{name}': {what}; {nearest(str(said or ''), known)}")
            for key in keys:
                if key not in ("kind", *KEYS[said]):
                    raise InputError(
                        f"source '{name}' has no key '{key}'; {nearest(key, KEYS[said])}"
                    )
            if said == DATA and not data:
                raise InputError(
                    f"source '{name}': data, and none are given; fit(model, data, ...)"
                )
        fed = [n for n in self.sources if self._kind(n) == DATA]
        if data and len(fed) != 1:
            raise InputError(
                f"sources: {', '.join(fed) or 'none'} of kind data; expected one, for the data that are "
                "given"
            )
        used = set()
        for name, keys in self.objectives.items():
            used.add(wanted := self.source(name))
            named = keys.get("kind") if isinstance(keys, Mapping) else keys
            at_points = self._kind(wanted) == COLLOCATION
            known = isinstance(named, str) and named in OBJECTIVES and self._kind(wanted)
            if known and (named == "residual") != at_points:
                others = "residual" if at_points else "a source of kind collocation"
                raise InputError(
                    f"objective '{name}': {named} on '{wanted}', which is of kind {self._kind(wanted)}; "
                    f"expected {others}"
                )
            about = keys if known and at_points and isinstance(keys, Mapping) else {}
            if about.get("equation") and about.get("solution") is None:
                for key in ("initial", "boundary", "flux"):
                    if self.sources[wanted].get(key):
                        raise InputError(
                            f"source '{wanted}': points for '{key}', and no solution in objective "
                            f"'{name}' says what holds there; add one, or remove them"
                        )
        for name in self.sources:
            if name not in used and not (self._kind(name) == DATA and not self.objectives):
                raise InputError(f"source '{name}': no objective names it; add one, or remove it")

    def _kind(self, name: str) -> str | None:
        keys = self.sources[name]
        return keys.get("kind") if isinstance(keys, Mapping) else None

    def source(self, objective: str) -> str:
        """The name of the source of an objective."""
        keys = self.objectives[objective]
        said = keys.get("source") if isinstance(keys, Mapping) else None
        only = len(self.sources) == 1
        usual = next(iter(self.sources)) if only else objective
        wanted = said or usual
        require_known(f"objective '{objective}': no source", wanted, self.sources)
        return wanted

    def grid(self) -> Grid:
        """Where a surrogate lives that sees no data.

        Raises:
            InputError: no source says it, or two say two.
        """
        found: Grid | None = None
        for name, keys in self.sources.items():
            if self._kind(name) == COLLOCATION and keys.get("domain"):
                one = _grid(name, keys["domain"])
                if found is not None and one != found:
                    raise InputError(f"source '{name}': another domain than before; expected one")
                found = one
        if found is None:
            raise InputError(
                "sources: no data, and none says where its points lie; expected domain: {x: [0, 1]}"
            )
        return found

    def built(
        self,
        setting: Setting,
        fed: Source | None,
        bounds: Bounds | None,
        *,
        batch_size: int,
        seed: int,
        usual: Keys,
    ) -> tuple[Mix, Sum]:
        """Source and objective of a training.

        Args:
            fed: the data, or a stream of them; ``None``: they are not there yet.
            bounds: times and parameters of the data, between which points lie where nothing is said.
            batch_size, seed: of points that do not say their number.
            usual: of supervised objectives, what they do not say.
        """
        objectives = self.objectives or dict.fromkeys(self.sources)
        made = {}
        for name, keys in objectives.items():
            given = keys
            if isinstance(keys, Mapping):
                given = {key: value for key, value in keys.items() if key != "source"}
            try:
                made[name] = objective_of(given, setting, **usual)
            except InputError as error:
                raise InputError(f"objective '{name}': {error}") from error
        _require_asked(made, setting)
        # What is fed first: it may end.
        order = sorted(self.sources, key=lambda name: self._kind(name) not in (DATA, STREAM))
        sources: dict[str, Source] = {}
        for name in order:
            keys = self.sources[name]
            if self._kind(name) in (DATA, STREAM):
                if fed is not None:
                    fed.batch_size = keys.get("batch_size", batch_size)
                    sources[name] = fed
            elif isinstance(keys, Mapping):
                own = (seed + zlib.crc32(name.encode())) % 2**32
                points = _points(name, keys, setting, bounds)
                if bounds is not None:
                    widen(bounds, points)
                n = keys.get("batch_size", batch_size)
                try:
                    sources[name] = CollocationSource(
                        points,
                        n,
                        own,
                        every=keys.get("every", 1),
                        curriculum=keys.get("curriculum", 0),
                        stages=keys.get("stages", 10),
                        adaptive=Adaptive.of(keys.get("adaptive")),
                    )
                except InputError as error:
                    raise InputError(f"source '{name}': {error}") from error
            else:
                sources[name] = keys
        named = {n: self.source(n) for n in self.objectives} or dict(zip(made, made, strict=True))
        return Mix(sources), Sum(made, named)


def _require_asked(objectives: Mapping[str, Objective], setting: Setting) -> None:
    """Raises :class:`InputError` for a target that no objective asks for: it would stay as it began."""
    equations = [getattr(objective, "equation", None) for objective in objectives.values()]
    if None in equations:
        return  # an objective on fields asks for all targets
    asked = {name for equation in equations for name in equation.fields}
    for name in setting.task.targets:
        if name not in asked:
            raise InputError(
                f"target '{name}': no objective asks for it, the equations are of "
                f"{', '.join(sorted(asked))}; remove it, or add an objective"
            )


def widen(bounds: Bounds, points: BoxPoints) -> None:
    """Bounds of data with those of points, where a surrogate is trained, too."""
    ends = np.array([0.0, 1.0])
    wide = {(PARAMETER, n): span(ends) for n, span in points.parameters.items()}
    bounds.take({**wide, (TIME, TIME): np.array(points.time or np.nan)})


def scale(surrogate: nn.Module, source: Mix, objective: Sum) -> None:
    """Scaling of a surrogate without data from the first points, bounds from where all are drawn."""
    for name, one in objective.objectives.items():
        points = source.sources[objective.source(name)]
        if hasattr(one, "held") and hasattr(points, "peek"):
            measure(surrogate, one, points.peek())
            if hasattr(points, "sampler"):
                widen(surrogate.bounds, points.sampler)  # drawn points do not reach the ends
    surrogate.normalizer.fix()


def _grid(name: str, domain: Any) -> Grid:
    axes = list(reversed("xyz"[: len(domain)])) if isinstance(domain, Mapping) else []
    if not axes or {*axes} != {*domain}:
        raise InputError(
            f"source '{name}': domain={domain!r}; expected x, or x and y, or x, y and z, "
            "{x: [0, 1]}"
        )
    sides = []
    for axis in axes:
        side = domain[axis]
        side = (
            dict(side)
            if isinstance(side, Mapping)
            else dict(zip(("low", "high"), side, strict=False))
        )
        known = ("low", "high", "points", "periodic")
        require_known(f"source '{name}': domain.{axis} has no", side, known)
        low, high = _span(name, f"domain.{axis}", [side.get("low"), side.get("high")])
        ends = "periodic" if side.get("periodic") else "dirichlet"
        sides.append((side.get("points", POINTS), (low, high), ends))
    return Grid(*(tuple(column) for column in zip(*sides, strict=True)))


def _points(name: str, keys: Keys, setting: Setting, bounds: Bounds | None) -> BoxPoints:
    grid, task = setting.grid("collocation"), setting.task
    if keys.get("domain") and bounds is not None:
        raise InputError(f"source '{name}': domain, which the data say; remove it")
    time = keys.get("time") or (bounds.of(TIME, TIME) if bounds is not None and task.time else None)
    if (time is None) == task.time:
        lack = "is missing: task.time is true" if task.time else "and task.time is false"
        raise InputError(f"source '{name}': time {lack}")
    spans = {}
    given = dict(keys.get("parameters") or {})
    for parameter in (*given, *task.parameters):
        if parameter not in task.parameters:
            raise InputError(
                f"source '{name}': no parameter '{parameter}' of the task; "
                f"{nearest(parameter, task.parameters)}"
            )
        span = given.get(parameter)
        if span is None and bounds is not None:
            span = bounds.of(PARAMETER, parameter)
        if span is None:
            raise InputError(
                f"source '{name}': no range of '{parameter}'; give parameters: "
                f"{{{parameter}: [low, high]}}"
            )
        logarithmic = False
        if isinstance(span, Mapping):
            logarithmic = span.get("scale") == "log"
            span = [span.get("low"), span.get("high")]
        low, high = _span(name, parameter, span, wide=False)
        if logarithmic and not low > 0:
            raise InputError(
                f"source '{name}': {parameter}={list(span)} on a log scale; expected low > 0"
            )
        spans[parameter] = partial(_stretched, low=low, high=high, logarithmic=logarithmic)
    try:
        sides = dict(zip(grid.dims, grid.extent, strict=True))
        return BoxPoints(
            sides,
            None if time is None else _span(name, "time", time),
            spans,
            tuple(d for d, b in zip(grid.dims, grid.boundary, strict=True) if b == "periodic"),
            keys.get("initial", 0),
            keys.get("boundary", 0),
            keys.get("sampler", "sobol"),
            flux=keys.get("flux", 0),
            seam=keys.get("seam", 0),
            region=region_of(keys["geometry"], sides) if keys.get("geometry") else None,
        )
    except InputError as error:
        raise InputError(f"source '{name}': {error}") from error


def _span(name: str, what: str, given: Sequence[float], wide: bool = True) -> tuple[float, float]:
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (low < high or (low == high and not wide)):
        raise InputError(f"source '{name}': {what}={given!r}; expected [low, high]")
    return low, high


def _stretched(unit: np.ndarray, low: float, high: float, logarithmic: bool) -> np.ndarray:
    return low * (high / low) ** unit if logarithmic else low + (high - low) * unit


def task_without_data(
    task: Task | Keys | None, targets: Sequence[str] | None, parameters: Sequence[str] | None
) -> Task:
    """The task of a surrogate that sees no data: parameters and time → fields."""
    if task is None:
        if not targets:
            raise InputError("fit: no data, and no targets; expected targets=['u'], or a task")
        return Task((), tuple(targets), history=0, time=True, parameters=tuple(parameters or ()))
    made = Task.of(task)
    if made.history or made.static:
        raise InputError(
            f"fit: a task that sees {', '.join((*made.inputs, *made.static))}, and no data; expected "
            "history=0: parameters and time"
        )
    return made
