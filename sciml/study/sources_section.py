"""``training.sources`` and ``training.objectives``: where batches come from, what is learned of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sciml.equations.named import equation
from sciml.errors import nearest, require_known
from sciml.study.ranges import Range
from sciml.study.section import Count, Positive, Section, short

#: Of sources and objectives; a dot is between an objective and one of its losses.
Name = Annotated[str, Field(pattern=r"^\w[\w-]*$")]


class AxisSection(Section):
    """One side of a box; ``x: [-1, 1]`` is short for ``{low: -1, high: 1}``. ``points`` are those of the
    grid on which predictions are made."""

    low: float
    high: float
    points: Annotated[Positive, Field(ge=2)] = 64
    periodic: bool = False

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, data: Any) -> Any:
        return {"low": data[0], "high": data[1]} if _is_pair(data) else data

    @model_validator(mode="after")
    def _ascend(self) -> AxisSection:
        if not self.low < self.high:
            raise ValueError(f"got [{self.low:g}, {self.high:g}]; expected low < high")
        return self


class FedSection(Section):
    """The stream of the solvers, or data of ``sciml train``, which feed a ``stream``, too."""

    kind: Literal["stream", "data"] = "stream"
    batch_size: Positive | None = None


class AdaptiveSection(Section):
    """See :class:`sciml.training.adaptive.Adaptive`; ``adaptive: 500`` is short for ``{every: 500}``."""

    every: Positive = 1000
    k: Annotated[float, Field(ge=0)] = 1.0
    c: Annotated[float, Field(ge=0)] = 1.0
    candidates: Annotated[Positive, Field(ge=2)] = 10
    add: Count = 0


class CollocationSection(Section):
    """Points of a box in space, time and parameters, or of a region in it, drawn anew every ``every``
    steps; 0: never."""

    kind: Literal["collocation"] = "collocation"
    batch_size: Positive | None = None
    domain: dict[str, AxisSection] | None = None
    geometry: dict[str, Any] | None = None
    time: list[float] | None = None
    parameters: dict[str, Range] = {}
    initial: Count = 0
    boundary: Count = 0
    flux: Count = 0
    seam: Count = 0
    sampler: Literal["sobol", "halton", "hammersley", "latin-hypercube", "uniform"] = "sobol"
    every: Count = 1
    curriculum: Count = 0
    stages: Positive = 10
    adaptive: Annotated[AdaptiveSection | None, short("every")] = None

    @model_validator(mode="after")
    def _possible(self) -> CollocationSection:
        if self.time is not None and not (len(self.time) == 2 and self.time[0] < self.time[1]):
            raise ValueError(f"time: got {self.time}; expected [first, last], first < last")
        if self.domain is not None and {*self.domain} != {*"xyz"[: len(self.domain)]}:
            raise ValueError(
                f"domain: axes {', '.join(self.domain) or 'none'}; expected x, or x and y, or x, y and z"
            )
        if self.curriculum and self.time is None:
            raise ValueError(f"curriculum: time grows for {self.curriculum} steps; give time")
        if self.initial and self.time is None:
            raise ValueError(f"initial: {self.initial} points at the first time; give time")
        for name, span in self.parameters.items():
            if span.values is not None:
                raise ValueError(f"parameters.{name}: got values; expected [low, high]")
        return self


SourceSection = Annotated[FedSection | CollocationSection, Field(discriminator="kind")]


class SupervisedSection(Section):
    """See :class:`sciml.training.objective.Supervised`; what is left away is that of ``training``."""

    kind: Literal["supervised"] = "supervised"
    source: str | None = None
    loss: Literal["relative_l2", "h1", "h1_spectral", "mse"] | None = None
    points: Positive | None = None
    field_weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    divergence: list[str] = []

    def losses(self, usual: str) -> tuple[str, ...]:
        """Names of what it may give."""
        return (self.loss or usual, "cross_entropy") + ("divergence",) * bool(self.divergence)


class EnergyForcesSection(Section):
    """See :class:`sciml.training.energy_forces.EnergyForces`; empty names: as the kit has them."""

    kind: Literal["energy_forces"] = "energy_forces"
    source: str | None = None
    energy: str = ""
    forces: str = ""
    positions: str = ""

    def losses(self, usual: str) -> tuple[str, ...]:
        """Names of what it may give."""
        return ("energy", "forces")


class ClassificationSection(Section):
    """See :class:`sciml.training.classification.Classification`."""

    kind: Literal["classification"] = "classification"
    source: str | None = None

    def losses(self, usual: str) -> tuple[str, ...]:
        """Names of what it may give."""
        return ("cross_entropy",)


def _named_solution(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class ResidualSection(Section):
    """See :class:`sciml.training.equation_residual.EquationResidual`; ``solution: mode`` is short for
    ``{name: mode}``, whose further keys are its options; ``{file: u.nc}`` are data, ``{file: f.py}``
    functions."""

    kind: Literal["residual"] = "residual"
    source: str | None = None
    equation: str
    parameters: dict[str, float] = {}
    solution: Annotated[dict[str, Any] | None, BeforeValidator(_named_solution)] = None

    @model_validator(mode="after")
    def _known(self) -> ResidualSection:
        held = equation(self.equation)
        if self.solution is not None:
            if "file" in self.solution:
                require_known("solution: no key", self.solution, ("file",))
                if not Path(str(self.solution["file"])).is_file():
                    raise ValueError(f"solution: no file '{self.solution['file']}'")
            else:
                held.solution(str(self.solution.get("name")))
        return self

    def losses(self, usual: str) -> tuple[str, ...]:
        """Names of what it may give."""
        held = ("initial", "boundary", "flux") if self.solution is not None else ()
        return ("equation", *held, "seam", "characteristics", "state")


ObjectiveSection = Annotated[
    SupervisedSection | EnergyForcesSection | ClassificationSection | ResidualSection,
    Field(discriminator="kind"),
]


def source_of(name: str, objective: Any, sources: Mapping[str, Any]) -> str:
    """The name of the source of an objective: said, the only one there is, or the objective's own."""
    return objective.source or (next(iter(sources)) if len(sources) == 1 else name)


def require_pairs(sources: Mapping[str, Any], objectives: Mapping[str, Any]) -> None:
    """That each objective has a source that suits it, and each source an objective.

    Raises:
        ValueError: the first that does not.
    """
    fed = [name for name, source in sources.items() if source.kind != "collocation"]
    if len(fed) > 1:
        raise ValueError(
            f"training.sources: {', '.join(fed)} are streams or data; expected one of them, and "
            "collocation besides"
        )
    for name, objective in objectives.items():
        wanted = source_of(name, objective, sources)
        if wanted not in sources:
            asked = f"source '{wanted}'" if objective.source else "source of its name"
            raise ValueError(
                f"training.objectives.{name}: no {asked}; give source: …, {nearest(wanted, sources)}"
            )
        at_points = sources[wanted].kind == "collocation"
        if at_points != (objective.kind == "residual"):
            others = "kind: residual" if at_points else "a source of kind: collocation"
            raise ValueError(
                f"training.objectives.{name}: {objective.kind} on '{wanted}', which is of kind "
                f"{sources[wanted].kind}; expected {others}"
            )
        if at_points and objective.solution is None:
            for key in ("initial", "boundary", "flux"):
                if asked_for := getattr(sources[wanted], key):
                    raise ValueError(
                        f"training.sources.{wanted}.{key}: {asked_for} points, and no solution in "
                        f"training.objectives.{name} says what holds there; add one, or remove them"
                    )
    used = {source_of(name, objective, sources) for name, objective in objectives.items()}
    for name in sources:
        if name not in used:
            raise ValueError(
                f"training.sources.{name}: no objective names it; add one, or remove it"
            )


def _is_pair(data: Any) -> bool:
    return isinstance(data, list) and len(data) == 2
