"""What a training may do besides minimizing a loss on batches; all of it is off unless asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import nn

from sciml.errors import InputError, require_known
from sciml.surrogates.batch import Batch
from sciml.surrogates.option_types import require_types
from sciml.training.augmentation import Augmentation
from sciml.training.batches import each
from sciml.training.ema import EMA
from sciml.training.noise import Noise
from sciml.training.precision import dtype_of
from sciml.training.pushforward import Pushforward
from sciml.training.source import Batches

Transform = Callable[[nn.Module, Batch, int], Batch]


@dataclass(frozen=True, slots=True)
class Options:
    """Each in short, as its keys, or as an object.

    Args:
        ema: :class:`EMA`, or its decay.
        augment: :class:`Augmentation`, or its symmetries: ``"square"``, ``["square", "translations"]``.
        pushforward: :class:`Pushforward`, or its number of steps.
        noise: :class:`Noise`, or its std.
        autocast: ``"bfloat16"``: see :func:`sciml.training.precision.lowered`.
        compile: ``True``, or a backend: see :func:`sciml.training.compilation.compiled`.
        accumulate: batches a step: see :class:`sciml.training.accumulation.Draws`.

    Raises:
        InputError: unknown keys, or values that cannot be.
    """

    ema: Any = None
    augment: Any = None
    pushforward: Any = None
    noise: Any = None
    autocast: str | None = None
    compile: Any = False
    accumulate: int = 1

    def __post_init__(self) -> None:
        for name, (kind, short) in SHORT.items():
            object.__setattr__(self, name, _made(name, kind, short, getattr(self, name)))
        require_types("options", self)
        if self.autocast is not None:
            dtype_of(self.autocast)
        if self.accumulate < 1:
            raise InputError(f"accumulate={self.accumulate}; expected 1 or more batches a step")

    @classmethod
    def of(cls, plain: Options | Mapping[str, Any] | None) -> Options:
        """Options from their keys.

        Raises:
            InputError: an unknown key, with the nearest one.
        """
        if plain is None:
            return cls()
        if not isinstance(plain, Mapping):
            return plain
        _refuse_unknown("options", plain, cls)
        return cls(**plain)

    @property
    def transforms(self) -> Sequence[Transform]:
        """What is done to a batch once it is drawn, in order: noise last, on what the step sees."""
        return [t for t in (self.augment, self.pushforward, self.noise) if t is not None]

    def told(self, model: nn.Module) -> Options:
        """With what fields know of themselves: their laws under symmetries.

        Raises:
            InputError: a field in doubt, or a contradiction.
        """
        return self if self.augment is None else replace(self, augment=self.augment.told(model))

    def prepared(self, model: nn.Module, batches: Batches, step: int) -> Batches:
        """Batches as the objective gets them; those without targets, such as collocation points, as
        they are."""

        def prepare(batch: Batch) -> Batch:
            for transform in self.transforms if batch.targets else ():
                batch = transform(model, batch, step)
            return batch

        return each(batches, prepare) if self.transforms else batches


#: What each key makes, and the argument that a value without keys stands for.
SHORT: dict[str, tuple[type, str]] = {
    "ema": (EMA, "decay"),
    "augment": (Augmentation, "symmetries"),
    "pushforward": (Pushforward, "steps"),
    "noise": (Noise, "std"),
}


def _made(name: str, kind: type, short: str, value: Any) -> Any:
    if value is None or isinstance(value, kind):
        return value
    if isinstance(value, int | float) and value == 0:
        return None  # noise=0 is no noise
    if isinstance(value, Mapping):
        _refuse_unknown(name, value, kind)
        return kind(**value)
    return kind(**{short: value})


def _refuse_unknown(name: str, plain: Mapping[str, Any], kind: type) -> None:
    known = [f.name for f in fields(kind) if f.init]
    require_known(f"{name} has no key", plain, known)
