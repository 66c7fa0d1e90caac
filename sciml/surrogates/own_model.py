"""Models of a user's own, by name: in a Python file, or declared by a package that is installed."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from torch import nn

from sciml.errors import InputError
from sciml.share import find

#: Packages declare their models under this group of entry points, each a module with ``build``:
#: ``[project.entry-points."sciml.models"]``, ``my_net = "my_package.my_net"``.
GROUP = "sciml.models"

Build = Callable[..., nn.Module]


def is_file(name: str) -> bool:
    """Whether the name of a model is that of a Python file."""
    return name.endswith(".py")


def from_file(name: str) -> Build:
    """The function ``build`` of a Python file, looked up as solver programs are. The file is run.

    Raises:
        InputError: no such file, one that cannot be imported, one without ``build``.
    """
    path = find(name)
    return _build_of(_imported(path, path.stat().st_mtime_ns), name)


def declared() -> dict[str, str]:
    """Names of the models that installed packages declare, and the module of each."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


def from_package(name: str) -> Build:
    """The function ``build`` of a declared model.

    Raises:
        InputError: its module cannot be imported, or has no ``build``.
    """
    [entry, *_] = entry_points(group=GROUP, name=name)
    try:
        module = entry.load()
    except Exception as error:
        raise InputError(f"model '{name}': {entry.value} {_cannot(error)}") from error
    return _build_of(module, f"{name} ({entry.value})")


@cache
def _imported(path: Path, changed: int) -> ModuleType:
    """A file as a module; once for each time at which it was changed."""
    name = f"sciml_own_{path.stem}_{hashlib.sha256(f'{path}{changed}'.encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))  # as for a script: files beside it can be imported
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"model {path} {_cannot(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _build_of(module: ModuleType, name: str) -> Build:
    build = getattr(module, "build", None)
    try:
        inspect.signature(build).bind_partial(None, None)
    except TypeError:  # it cannot be called at all, or not with two arguments
        raise InputError(
            f"model {name} has no function build(task, domain, *, width=32), whose keywords are the "
            "model's options and which returns a torch.nn.Module; expected one"
        ) from None
    return build


def _cannot(error: Exception) -> str:
    *_, place = traceback.extract_tb(error.__traceback__)
    # Errors of syntax name their line themselves.
    where = "" if isinstance(error, SyntaxError) else f" ({place.filename}, line {place.lineno})"
    return f"cannot be imported: {type(error).__name__}: {error}{where}"
