"""What a surrogate learns: which fields, seen when, give which fields, wanted when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any

from sciml.domain.levels import LEVELS
from sciml.errors import InputError, nearest, require_known


@dataclass(frozen=True, slots=True)
class Task:
    """A window cut from the frames of a simulation.

    With origin step s: inputs at s − (history−1)·lead, …, s − lead, s; targets at s + lead, …,
    s + unroll·lead.

    * ``history=1, lead=1``: advance the field by one sent step (the default).
    * ``history=0``: no input fields; parameters (and ``time``) give the field, as in the founding
      paper's fully connected surrogate. The target is the frame at s itself.
    * ``lead=0``: targets belong to the same frame as the inputs (Darcy: coefficient → pressure;
      molecules: positions → energy, forces). ``history`` and ``unroll`` must be 1.

    Args:
        inputs: field names that the surrogate sees.
        targets: field names that it gives.
        lead: sent steps from one input or target to the next.
        history: number of input frames.
        unroll: number of target frames; ``None``: as many as ``bundle``.
        bundle: frames that one call of the model gives (temporal bundling). More of them are made by
            feeding the last ones back; what is over is dropped.
        parameters: names of scalar parameters that it sees.
        static: names of static fields that it sees.
        time: whether it sees the physical time of the target.
        forcing: names of fields, or numbers, that vary in time and are known ahead: for each target it
            sees them at that target's time, and never gives them. Needs lead ≥ 1 and history ≥ 1.
        prescribed: of targets that are inputs, groups of points at which they are given and not
            learned, ``{"u": ["inflow", "wall"]}``: see :mod:`sciml.samples.groups`. There no loss looks,
            and outputs are what is given, also where they are fed back: the truth where it is known,
            else what the last input has.
        levels: what a vertical axis of the variables is: ``"channels"``, a field for each level, named
            ``t_850``; ``"axis"``, an axis in space. ``None``: refused where it is in doubt.

    Raises:
        InputError: a combination that no window can satisfy.
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    lead: int = 1
    history: int = 1
    unroll: int | None = None
    parameters: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    time: bool = False
    forcing: tuple[str, ...] = ()
    levels: str | None = None
    bundle: int = 1
    prescribed: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, plain: Task | Mapping[str, Any]) -> Task:
        """A task from its keys.

        Raises:
            InputError: an unknown key, with the nearest one; no targets.
        """
        if not isinstance(plain, Mapping):
            return plain
        known = [f.name for f in fields(cls)]
        require_known("task has no key", plain, known)
        targets = plain.get("targets", plain.get("inputs", ()))
        return cls(**{"inputs": (), **plain, "targets": targets})

    def __post_init__(self) -> None:
        for name in ("inputs", "targets", "parameters", "static", "forcing"):
            given = getattr(self, name)
            # A string is a sequence of letters, which nobody means.
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
            self._require_names(name)
        if self.levels not in (None, *LEVELS):
            raise InputError(f"task: levels={self.levels!r}; expected {' or '.join(LEVELS)}")
        if self.unroll is None:
            object.__setattr__(self, "unroll", self.bundle)
        for name in ("lead", "history", "unroll", "bundle"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise InputError(f"task: {name}={value!r}; expected a whole number")
        for name in self.static:
            if name in (*self.inputs, *self.targets):
                raise InputError(
                    f"task: '{name}' is static, and an input or a target; expected one of these"
                )
        if not self.targets:
            raise InputError("task: no targets; name at least one field to predict")
        if self.lead < 0 or self.history < 0 or self.unroll < 1:
            raise InputError(
                f"task: lead={self.lead}, history={self.history}, unroll={self.unroll}; "
                "expected lead ≥ 0, history ≥ 0, unroll ≥ 1"
            )
        if self.history == 0 and self.inputs:
            raise InputError(
                f"task: inputs {self.inputs} with history=0; drop the inputs or raise history"
            )
        if self.history > 0 and not self.inputs:
            raise InputError("task: history ≥ 1 without inputs; name input fields or set history=0")
        self._require_forcing()
        self._require_bundle()
        self._require_prescribed()
        if self.lead == 0 and (self.history > 1 or self.unroll > 1):
            raise InputError(
                f"task: lead=0 needs history ≤ 1 and unroll=1, got history={self.history} and "
                f"unroll={self.unroll}: all is in one frame; raise lead to advance in time"
            )

    def _require_forcing(self) -> None:
        for name in self.forcing:
            for which in ("inputs", "targets", "static", "parameters"):
                if name in getattr(self, which):
                    raise InputError(
                        f"task: '{name}' is forcing and among the {which}; expected one of these: "
                        "what is known ahead is forcing alone"
                    )
        if self.forcing and not self.marches:
            raise InputError(
                f"task: forcing with lead={self.lead}, history={self.history}; expected 1 or more of "
                "both: what belongs to the frame of the targets is an input, inputs: [...]"
            )

    def _require_bundle(self) -> None:
        if self.bundle < 1:
            raise InputError(f"task: bundle={self.bundle}; expected 1 or more")
        if self.bundle > 1 and (self.forcing or not self.marches):
            why = "forcing" if self.forcing else f"lead={self.lead}, history={self.history}"
            raise InputError(
                f"task: bundle={self.bundle} with {why}; expected fields that go ahead by themselves: "
                "bundle=1"
            )

    def _require_prescribed(self) -> None:
        given = self.prescribed
        pairs = tuple(given.items() if isinstance(given, Mapping) else given)
        if not all(isinstance(p, tuple | list) and len(p) == 2 for p in pairs):
            raise InputError(
                f"task: prescribed {given!r}; expected groups by target, as {{'u': ['wall']}}"
            )
        groups = {n: (g,) if isinstance(g, str) else tuple(g) for n, g in pairs}
        for name, of in groups.items():
            if name not in self.targets:
                raise InputError(
                    f"task: prescribed '{name}' is no target; {nearest(str(name), self.targets)}"
                )
            if not self.marches or name not in self.inputs:
                raise InputError(
                    f"task: prescribed '{name}' is no input of a time before; expected one, so that its "
                    "values are known"
                )
            if not of or not all(isinstance(g, str) for g in of):
                raise InputError(
                    f"task: prescribed '{name}' at {list(of)}; expected names of groups, as ['wall']"
                )
        object.__setattr__(self, "prescribed", tuple(groups.items()))

    def _require_names(self, which: str) -> None:
        names = getattr(self, which)
        for name in names:
            if not isinstance(name, str) or names.count(name) > 1:
                raise InputError(f"task: {which} {names}; expected names, each of them once")

    def input_steps(self, origin: int) -> range:
        """Steps of the input frames of the window at ``origin``, oldest first."""
        stride = max(self.lead, 1)
        return range(origin - (self.history - 1) * stride, origin + 1, stride)[: self.history]

    def target_steps(self, origin: int) -> range:
        """Steps of the target frames of the window at ``origin``."""
        if self.lead == 0 or self.history == 0:
            stride = max(self.lead, 1)
            return range(origin, origin + self.unroll * stride, stride)
        return range(origin + self.lead, origin + self.unroll * self.lead + 1, self.lead)

    @property
    def span(self) -> int:
        """Frames from the first to the last of a window, both counted."""
        window = [*self.input_steps(0), *self.target_steps(0)]
        return max(window) - min(window) + 1

    def of_fields(self, meant: Mapping[str, tuple[str, ...]]) -> Task:
        """The same task with names that stand for several fields written out."""
        lists = {
            which: tuple(
                field for name in getattr(self, which) for field in meant.get(name, (name,))
            )
            for which in ("inputs", "targets", "static", "forcing")
        }
        given = tuple((f, groups) for n, groups in self.prescribed for f in meant.get(n, (n,)))
        return replace(self, **lists, prescribed=given)

    @property
    def moving(self) -> tuple[str, ...]:
        """All fields that vary in time, each once."""
        return tuple(dict.fromkeys((*self.inputs, *self.targets, *self.forcing)))

    @property
    def marches(self) -> bool:
        """Whether a window joins frames of several times."""
        return self.lead > 0 and self.history > 0

    @property
    def even(self) -> bool:
        """Whether it takes frames to be one step apart: it joins them, and does not see their times."""
        return self.marches and not self.time

    @property
    def continues(self) -> bool:
        """Whether every target is an input, later: what a model learns best as a change."""
        return self.marches and set(self.targets) <= set(self.inputs)

    @property
    def autoregressive(self) -> bool:
        """Whether an output can be fed back as the next input."""
        return self.marches and set(self.inputs) <= set(self.targets)
