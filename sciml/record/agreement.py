"""What several files of one training have to agree in: units, steps, domains, levels, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sciml.domain import Domain
from sciml.domain.grid import box_difference
from sciml.domain.time_units import UNKNOWN, ratio
from sciml.errors import InputError
from sciml.samples import Frame, Simulation, Task
from sciml.samples.masks import difference
from sciml.samples.step import Step
from sciml.samples.times import Times

#: Relative difference of time steps above which files are refused: months differ by a tenth.
STEP_TOLERANCE = 0.2


class Agreement:
    """That several files measure alike: a task has one unit a field, one of time, and one time step.

    Attributes:
        units: of time, those of the first file that says them.

    Raises:
        InputError: a file that differs from the first that says it.
    """

    def __init__(self, task: Task) -> None:
        self._steps = task.even
        self._units: dict[str, tuple[str, str]] = {}
        self._step: tuple[Step, str] | None = None
        self._times: tuple[Times, str] | None = None
        self.units = UNKNOWN
        self._masks: tuple[Mapping[str, np.ndarray], str] | None = None
        self._levels: tuple[dict[str, tuple[str, ...]], str] | None = None
        self._domain: tuple[Domain, str] | None = None

    def require_levels(self, name: str, meant: dict[str, tuple[str, ...]]) -> None:
        """That names stand for the same levels in all files."""
        others, first = self._levels = self._levels or (meant, name)
        for variable, fields in meant.items():
            if others[variable] != fields:
                raise InputError(
                    f"'{variable}' has the levels {', '.join(fields)}, in {first} "
                    f"{', '.join(others[variable])}; expected the same in all: select or interpolate"
                )

    def require(
        self, name: str, found: Sequence[tuple[Simulation, Sequence[Frame]]], times: Times
    ) -> float:
        """How many of the units of time of the first file are in one of this one's."""
        factor = self._factor(name, times)
        for simulation, _ in found:
            self._require_domain(name, simulation.domain)
            masks, first = self._masks = self._masks or (simulation.masks, name)
            if apart := difference(masks, simulation.masks, (*masks, *simulation.masks)):
                raise InputError(
                    f"{apart} in {first}; expected NaN at the same points in all: fill them, ds.fillna"
                )
            for field in simulation.fields:
                if field.units == "1":  # nothing was said, mostly
                    continue
                units, first = self._units.setdefault(field.name, (field.units, name))
                if units != field.units:
                    raise InputError(
                        f"'{field.name}' is in {field.units}, in {first} in {units}; convert one, or, "
                        "where both mean the same, set the attribute units alike"
                    )
        step = self.step(times)
        if self._steps and step is not None:
            usual, first = self._step = self._step or (step, name)
            known = UNKNOWN not in (step.units, usual.units)
            value = step.to(usual.units) if known else step.value
            if value is None or abs(value - usual.value) > STEP_TOLERANCE * abs(usual.value):
                raise InputError(
                    f"a time step of {step}, in {first} of {usual}; expected one in all: "
                    "take a part, or interpolate, ds.interp"
                )
        return factor

    def _require_domain(self, name: str, domain: Domain) -> None:
        """That grids of several files are one: models learn on one."""
        first, other = self._domain = self._domain or (domain, name)
        if domain.kind != first.kind:
            raise InputError(
                f"is on a {domain.kind}, {other} on a {first.kind}; expected one kind in all: leave one "
                "of them out"
            )
        if domain.kind != "grid":
            return
        if domain.shape != first.shape:
            raise InputError(
                f"has {' × '.join(map(str, domain.shape))} points, {other} "
                f"{' × '.join(map(str, first.shape))}; expected one grid in all: leave one of them out, "
                "or interpolate, ds.interp"
            )
        if (axis := box_difference(first, domain)) is not None:
            (a, b), (c, d) = first.extent[axis], domain.extent[axis]
            raise InputError(
                f"spans [{c:g}, {d:g}] along {domain.dims[axis]}, {other} [{a:g}, {b:g}]; expected one "
                "box in all: leave one of them out, or scale coordinates and equation to one length, "
                "which is then a parameter"
            )

    def step(self, times: Times) -> Step | None:
        """The step of a file, in the units of all."""
        step = times.step
        if step is None or UNKNOWN in (step.units, self.units):
            return step
        value = step.to(self.units)
        return step if value is None else replace(step, value=value, units=self.units)

    def _factor(self, name: str, times: Times) -> float:
        if times.name is None:
            return 1.0
        known, first = self._times = self._times or (times, name)
        if self.units == UNKNOWN:
            self.units = times.units
        if times.dates != known.dates:
            raise InputError(
                f"times are {'dates' if times.dates else 'numbers'}, in {first} "
                f"{'dates' if known.dates else 'numbers'}; expected one kind in all: convert one"
            )
        if UNKNOWN in (times.units, self.units):
            return 1.0
        factor = ratio(times.units, self.units)
        if factor is None:
            raise InputError(
                f"times are in {times.units}, in {first} in {self.units}; convert one of them"
            )
        return factor
