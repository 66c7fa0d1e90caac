"""The section ``training`` of a study file: batches, loss, phases, and what the loop does besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sciml.errors import nearest
from sciml.study.section import Count, Positive, Section, short
from sciml.study.symmetries_section import SymmetriesSection

if TYPE_CHECKING:
    from sciml.training.objective import Supervised
    from sciml.training.options import Options
    from sciml.training.phase import Phase

#: Keys of the section that are options of the loop.
OPTIONS = {"ema", "augment", "pushforward", "noise", "autocast", "compile", "accumulate"}


def _device(name: str) -> str:
    from sciml.training.device import require_name

    return require_name(name, "")


class PhaseSection(Section):
    """See :class:`sciml.training.phase.Phase`; without ``steps``, until the stream ends."""

    optimizer: Literal["adamw", "adam", "sgd", "lbfgs"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "cosine", "step", "onecycle", "exponential"] = "constant"
    steps: Positive | None = None
    until: float | None = None
    warmup: Count = 0
    weights: dict[str, float] = {}
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] | None = None
    final: Annotated[float, Field(ge=0)] = 0.0
    start: Annotated[float, Field(gt=0, le=1)] = 1 / 25
    rise: Annotated[float, Field(gt=0, le=1)] = 0.3
    gamma: Annotated[float, Field(gt=0)] = 0.5
    every: Positive = 100
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    iterations: Positive = 20
    redraw: Count = 0

    @model_validator(mode="after")
    def _ends(self) -> PhaseSection:
        if self.steps is None and self.schedule in ("cosine", "onecycle", "exponential"):
            raise ValueError(f"schedule '{self.schedule}' needs to know its end; give steps")
        if self.optimizer == "lbfgs" and (self.weight_decay or self.clip is not None):
            raise ValueError("optimizer 'lbfgs' has no weight_decay and no clip; remove them")
        return self

    def build(self) -> Phase:
        from sciml.training.phase import Phase

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
    that can be asked at points."""

    batch_size: Positive = 16
    loss: Literal["relative_l2", "h1", "h1_spectral", "mse"] = "relative_l2"
    field_weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    weighting: Literal["latitude"] | None = None
    points: Positive | None = None
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

    @property
    def steps(self) -> int | None:
        """Steps of all phases; ``None`` if the end of the stream decides."""
        steps = [phase.steps for phase in self.phases]
        return None if None in steps else sum(s for s in steps if s is not None)

    def objective(self) -> Supervised:
        """What a step makes small."""
        from sciml.training.objective import Supervised

        return Supervised(self.loss, self.points, self.field_weights, self.weighting)

    def options(self) -> Options:
        """What the loop is told."""
        from sciml.training.options import Options

        return Options(**self.model_dump(include=OPTIONS))

    def require_targets(self, targets: Sequence[str], unroll: int) -> None:
        """That weights are of targets, and that a window has targets left for the loss behind those of
        the pushforward."""
        for name in self.field_weights:
            if name not in targets:
                raise ValueError(
                    f"training.field_weights: no target '{name}'; {nearest(name, targets)}"
                )
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
