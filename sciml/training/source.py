"""Where batches come from: one protocol for streams, datasets, collocation points and mixes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from sciml.errors import InputError, require_known
from sciml.surrogates.batch import Batch

Batches = Batch | dict[str, Batch]


@runtime_checkable
class Source(Protocol):
    """Gives batches until there are no more, and can say where it stands.

    One whose batches may have another size from some step on has an attribute ``batch_size``.
    """

    def next_batch(self) -> Batches | None:
        """The next batch; ``None`` when there are no more. May wait."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Plain data from which :meth:`load_state_dict` goes on exactly."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Mix:
    """A batch of each of several sources, for an objective that sums.

    Ends when the first of its sources ends. They are asked in their order: those that wait, or may end,
    come first, so that nothing is drawn of the others in vain.

    Args:
        sources: by name; the objective finds its batches under the same names.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = dict(sources)

    @property
    def batch_size(self) -> dict[str, int]:
        """By source; a number sets that of all."""
        sizes = {n: getattr(source, "batch_size", None) for n, source in self.sources.items()}
        return {name: size for name, size in sizes.items() if size is not None}

    @batch_size.setter
    def batch_size(self, sizes: int | Mapping[str, int]) -> None:
        known = self.batch_size
        for name, size in (
            sizes if isinstance(sizes, Mapping) else dict.fromkeys(known, sizes)
        ).items():
            require_known("batch_size: no source", name, known)
            self.sources[name].batch_size = size

    @property
    def epoch_steps(self) -> int | None:
        """Steps in one epoch: that of the first source which has epochs."""
        lengths = (getattr(s, "epoch_steps", None) for s in self.sources.values())
        return next((n for n in lengths if n is not None), None)

    def next_batch(self) -> dict[str, Batch] | None:
        batches = {}
        for name, source in self.sources.items():
            batch = source.next_batch()
            if batch is None:
                return None
            batches[name] = batch
        return batches

    def state_dict(self) -> dict[str, Any]:
        return {name: source.state_dict() for name, source in self.sources.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken.

        Raises:
            InputError: the state of other sources.
        """
        for name in {**self.sources, **state}:
            if name not in state or name not in self.sources:
                what = "new" if name in self.sources else "gone"
                raise InputError(
                    f"source '{name}' is {what}: the checkpoint has {', '.join(state)}; resume with the "
                    "sources that it was begun with"
                )
        for name, source in self.sources.items():
            source.load_state_dict(state[name])
