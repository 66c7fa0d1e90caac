"""What a run without solvers is trained on, and how it goes through it."""

from __future__ import annotations

from dataclasses import dataclass

from sciml.errors import InputError


@dataclass(frozen=True, slots=True)
class Replay:
    """What an offline run is trained on, and how.

    Args:
        data: absolute paths: of a recording, or of files, folders or patterns; ``None``: collocation
            points alone.
        group: of the files, in which the variables are.
        stream: replay once, in order of arrival, through the study's buffer; else epochs.
        epochs: passes over the samples; ``None``: as many as the phases of the study take.
    """

    data: str | list[str] | None
    stream: bool = False
    epochs: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if self.stream and self.epochs is not None:
            raise InputError("--epochs and --stream: a stream is replayed once; give one of them")
        if self.epochs is not None and self.epochs < 1:
            raise InputError(f"--epochs {self.epochs}; expected 1 or more")
