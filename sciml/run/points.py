"""What a study is trained on, and what it makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.errors import InputError
from sciml.study.schema import Study

if TYPE_CHECKING:
    from sciml.surrogates import Surrogate
    from sciml.surrogates.setting import Setting
    from sciml.training.mixture import Mixture
    from sciml.training.objective import Objective
    from sciml.training.source import Source


def mixture_of(study: Study) -> Mixture:
    """Sources and objectives of a study that names them."""
    from sciml.training.mixture import Mixture

    training, known = study.training, study.task.parameters
    ranges = {} if study.parameters is None else study.parameters.ranges
    sources = {n: s.model_dump(exclude_none=True) for n, s in training.sources.items()}
    for name, section in training.collocation.items():
        usual = {n: span for n, span in ranges.items() if n in known}
        spans = usual | section.parameters
        sources[name]["parameters"] = {
            n: dict(zip(("low", "high"), span.bounds, strict=True), scale=span.scale)
            for n, span in spans.items()
        }
    objectives = {n: o.model_dump(exclude_none=True) for n, o in training.objectives.items()}
    return Mixture(sources, objectives)


def widen_bounds(surrogate: Surrogate, source: Source) -> None:
    """Let a surrogate know that it was trained on the points of a mix, too; once nothing else is taken
    into account any more."""
    for one in getattr(source, "sources", {}).values():
        if hasattr(one, "sampler"):
            from sciml.training.mixture import widen

            widen(surrogate.bounds, one.sampler)


def learned(study: Study, setting: Setting, fed: Source | None) -> tuple[Source, Objective]:
    """Source and objective of a training.

    Args:
        setting: of the surrogate.
        fed: the stream, or the data; ``None``: there is none, or it is not there yet.

    Raises:
        InputError: fields that the task does not have, points that cannot be.
    """
    training = study.training
    if not training.sources:
        from sciml.surrogates.kits import kit_of
        from sciml.training.objectives import objective_of

        kind = kit_of(setting).objective(setting)
        return fed, objective_of({"kind": kind}, setting, **training.usual)
    try:
        return mixture_of(study).built(
            setting,
            fed,
            None,
            batch_size=training.batch_size,
            seed=study.seed,
            usual=training.usual,
        )
    except InputError as error:
        raise InputError(f"training: {error}") from error
