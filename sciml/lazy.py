"""Modules that are loaded when they are first used (PEP 562), or while a process waits."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module


def lazy(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Args:
        package: its ``__name__``.
        homes: the module of each public name: within the package, or from ``sciml.`` on.
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        home = homes[name]
        return getattr(import_module(home if home[:6] == "sciml." else f"{package}.{home}"), name)

    names = sorted(homes)
    return find, lambda: names, names


def load_ahead(*modules: str) -> None:
    """Import modules in a thread, while this process waits for others.

    Whoever needs one before it is there waits for it; one that cannot be imported says so then.
    """

    def load() -> None:
        for module in modules:
            with suppress(ImportError):
                import_module(module)

    threading.Thread(target=load, name="imports", daemon=True).start()


@contextmanager
def uncollected() -> Iterator[None]:
    """Import without looking for garbage, which takes a fifth of torch's time: what modules make stays.

    For processes of ours, since whatever there is is never collected from here on.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
