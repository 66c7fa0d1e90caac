"""What was used last, up to a limit; what was used longest ago leaves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The things used last, up to a sum of sizes; not thread-safe."""

    def __init__(
        self,
        limit: int,
        leave: Callable[[T], None] = lambda thing: None,
        size: Callable[[T], int] = lambda thing: 1,
    ) -> None:
        self._limit, self._leave, self._size = limit, leave, size
        self._things: OrderedDict[Hashable, T] = OrderedDict()
        self._held = 0

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if key in self._things:
            self._things.move_to_end(key)
            return self._things[key]
        thing = self._things[key] = make()
        self._held += self._size(thing)
        while self._held > self._limit and len(self._things) > 1:
            self._drop()
        return thing

    def clear(self) -> None:
        while self._things:
            self._drop()

    def _drop(self) -> None:
        _, thing = self._things.popitem(last=False)
        self._held -= self._size(thing)
        self._leave(thing)
