"""The section ``training`` of a study file: batches, loss, phases, and what the loop does besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from sciml.errors import InputError, nearest, require_known
from sciml.study.section import Count, Positive, Section, keys_of, short
from sciml.study.sources_section import (
    CollocationSection,
    Name,
    ObjectiveSection,
    SourceSection,
    require_pairs,
)
from sciml.study.symmetries_section import SymmetriesSection
from sciml.training.phase import ENDING, Phase

if TYPE_CHECKING:
    from sciml.training.options import Options

#: Name of the one source where objectives are named and sources are not.
STREAM = "stream"
#: Losses of targets that say of what kind something is, and of energies.
OF_KINDS = ("cross_entropy", "energy", "forces")
#: Keys of the section that are options of the loop.
OPTIONS = {"ema", "augment", "pushforward", "noise", "autocast", "compile", "accumulate"}


def _device(name: str) -> str:
    from sciml.training.device import require_name

    return require_name(name, "")


def _sizes(given: Any) -> int | dict[str, int] | None:
    """A number, or one by source."""
    sizes = given if isinstance(given, dict) else {} if given is None else {"": given}
    whole = {n: int(s) if isinstance(s, float) and s.is_integer() else s for n, s in sizes.items()}
    if any(type(size) is not int or size < 1 for size in whole.values()):
        raise ValueError(f"got {given!r}; expected a whole number, 1 or more, or one by source")
    return whole if isinstance(given, dict) else whole.get("")


def _isolated(given: Any) -> Any:
    """By atomic number."""
    if not given:
        return {}
    from sciml.domain.isolated_atoms import isolated_energies  # xarray

    try:
        return isolated_energies(given)
    except InputError as error:
        raise ValueError(str(error).removeprefix("references: ")) from error


class PhaseSection(
    keys_of(Phase, "epochs", batch_size=(Annotated[Any, PlainValidator(_sizes)], None))
):
    """See :class:`sciml.training.phase.Phase`; without ``steps``, until the stream ends."""

    @model_validator(mode="after")
    def _ends(self) -> PhaseSection:
        try:
            phase = self.build()
        except InputError as error:
            raise ValueError(str(error).removeprefix("phase: ")) from error
        if phase.steps is None and phase.schedule in ENDING:
            raise ValueError(f"schedule '{phase.schedule}' needs to know its end; give steps")
        if phase.optimizer == "lbfgs" and (phase.weight_decay or phase.clip is not None):
            raise ValueError("optimizer 'lbfgs' has no weight_decay and no clip; remove them")
        return self

    def build(self) -> Phase:
        return Phase(**self.model_dump())


class EMASection(Section):
    """See :class:`sciml.training.ema.EMA`; ``ema: 0.999`` is short for ``{decay: 0.999}``."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    warmup: bool = True


class PushforwardSection(Section):
    """See :class:`sciml.training.pushforward.Pushforward`; ``pushforward: 2`` is short for
    ``{steps: 2}``."""

    steps: Positive
    draw: Literal["random", "last"] = "random"
    grow: Count = 0


class Training(Section):
    """The one loop: batches, loss, phases one after the other; ``ema`` to ``accumulate`` as in
    :class:`sciml.training.options.Options`. ``field_weights`` weigh targets in the loss, ``weighting``
    points. With ``points`` outputs are compared at so many random points of each sample, for models
    that can be asked at points. ``references`` are energies of isolated atoms."""

    batch_size: Positive = 16
    sources: dict[Name, SourceSection] = {}
    objectives: dict[Name, ObjectiveSection] = {}
    loss: Literal["relative_l2", "h1", "h1_spectral", "mse"] = "relative_l2"
    field_weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    weighting: Literal["latitude"] | None = None
    points: Positive | None = None
    references: Annotated[dict[int, float], BeforeValidator(_isolated)] = {}
    phases: Annotated[list[PhaseSection], Field(min_length=1)] = [
        PhaseSection(schedule="cosine", steps=1000)
    ]
    ema: Annotated[EMASection | None, short("decay")] = None
    augment: Annotated[SymmetriesSection | None, short("symmetries")] = None
    pushforward: Annotated[PushforwardSection | None, short("steps")] = None
    noise: Annotated[float, Field(ge=0)] = 0.0
    autocast: Literal["bfloat16"] | None = None
    compile: bool = False
    accumulate: Positive = 1
    threads: Positive = 1
    device: Annotated[str, AfterValidator(_device)] = "auto"
    checkpoint_every: Positive = 500
    keep_checkpoints: Positive = 2

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, data: Any) -> Any:
        """Objectives without sources are all on the one that there is."""
        if not isinstance(data, dict):
            return data
        sources, objectives = data.get("sources"), data.get("objectives")
        if objectives and isinstance(objectives, dict) and not sources:
            data = {**data, "sources": {STREAM: {"kind": STREAM}}}
            named = {
                n: {"source": STREAM, **o} if isinstance(o, dict) else o
                for n, o in objectives.items()
            }
            data["objectives"] = named
        return data

    @model_validator(mode="after")
    def _pairs(self) -> Training:
        if self.sources:
            require_pairs(self.sources, self.objectives)
        for number, phase in enumerate(self.phases):
            self._require_known(number, phase)
        return self

    def _require_known(self, number: int, phase: PhaseSection) -> None:
        """That weights are of losses, and sizes of sources."""
        losses = {
            f"{name}.{loss}"
            for name, one in self.objectives.items()
            for loss in one.losses(self.loss)
        }
        known = [*self.objectives, *sorted(losses)] if self.sources else [self.loss, *OF_KINDS]
        key = f"training.phases.{number}"
        require_known(f"{key}.weights: no objective or loss", phase.weights, known)
        sizes = phase.batch_size if isinstance(phase.batch_size, dict) else {}
        for name in sizes:
            if name not in self.sources:
                among = nearest(name, self.sources) if self.sources else "expected a number"
                raise ValueError(f"{key}.batch_size: no source '{name}'; {among}")

    @property
    def collocation(self) -> dict[str, CollocationSection]:
        """Sources of points."""
        return {n: s for n, s in self.sources.items() if isinstance(s, CollocationSection)}

    @property
    def fed(self) -> str | None:
        """The source that solvers or data feed; ``""`` where sources are not named, ``None`` where there
        are points alone."""
        if not self.sources:
            return ""
        return next((n for n in self.sources if n not in self.collocation), None)

    def size_of(self, source: str | None) -> int:
        """Samples a step of a source."""
        section = self.sources.get(source or "")
        return (section and section.batch_size) or self.batch_size

    @property
    def most_at_once(self) -> int:
        """The largest batch of what is fed."""
        sizes = [phase.batch_size for phase in self.phases]
        said = [size.get(self.fed or "") if isinstance(size, dict) else size for size in sizes]
        return max([self.size_of(self.fed), *(size for size in said if size is not None)])

    @property
    def steps(self) -> int | None:
        """Steps of all phases; ``None`` if the end of the stream decides."""
        steps = [phase.steps for phase in self.phases]
        return None if None in steps else sum(s for s in steps if s is not None)

    @property
    def usual(self) -> dict[str, Any]:
        """What supervised objectives do not say."""
        return self.model_dump(include={"loss", "points", "field_weights", "weighting"})

    def options(self) -> Options:
        """What the loop is told."""
        from sciml.training.options import Options

        return Options(**self.model_dump(include=OPTIONS))

    def require_targets(self, targets: Sequence[str], unroll: int) -> None:
        """That weights are of targets, and the pushforward leaves some to the loss."""
        require_known("training.field_weights: no target", self.field_weights, targets)
        if self.field_weights and not any(self.field_weights.get(n, 1.0) for n in targets):
            raise ValueError(
                "training.field_weights: all are 0; expected one target with more, to learn at all"
            )
        steps = 0 if self.pushforward is None else self.pushforward.steps
        if steps >= unroll:
            raise ValueError(
                f"training.pushforward: {steps} steps leave none of the targets of task.unroll "
                f"{unroll} for the loss; set task.unroll to {steps + 1} or more"
            )
