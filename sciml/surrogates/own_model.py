"""Models and functions of a user's own: in a Python file, or declared by a package that is installed."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from importlib import invalidate_caches
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sciml.errors import InputError
from sciml.share import find

if TYPE_CHECKING:  # whoever leads a run copies such files, and has no torch
    from torch import nn

#: Packages declare their models under this group of entry points, each a module with ``build``:
#: ``[project.entry-points."sciml.models"]``, ``my_net = "my_package.my_net"``.
GROUP = "sciml.models"

Build = Callable[..., "nn.Module"]

_PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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


def functions_of(path: Path, names: Sequence[str]) -> dict[str, Callable[..., Any]]:
    """Those of the functions that a Python file has, by name. The file is run.

    Raises:
        InputError: one that cannot be imported.
    """
    module = _imported(path, path.stat().st_mtime_ns)
    return {n: getattr(module, n) for n in names if callable(getattr(module, n, None))}


def declared() -> dict[str, str]:
    """Names of the models that installed packages declare, and the module of each."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


def from_package(name: str) -> Build:
    """The function ``build`` of a declared model."""
    [entry, *_] = entry_points(group=GROUP, name=name)
    try:
        module = entry.load()
    except Exception as error:
        raise InputError(f"model '{name}': {entry.value} {_cannot(error)}") from error
    return _build_of(module, f"{name} ({entry.value})")


def source_of(name: str) -> dict[str, Any]:
    """SHA-256 of a model's file and of those beside it that it imports: ``{"sha256": …, "beside":
    {"layers.py": …}}``.

    Raises:
        InputError: no such file.
    """
    path = find(name)
    beside = {str(other.relative_to(path.parent)): sha256(other) for other in beside_of(path)}
    return {"sha256": sha256(path), "beside": beside}


def beside_of(path: Path) -> list[Path]:
    """Files in the folder of a Python file that it imports, and theirs.

    Read from the text: what is imported by a name made at run time, and data files, are not among them.
    """
    folder, found, waiting = path.parent, set(), [path]
    while waiting:
        for file in _files_of(waiting.pop(), folder) - found - {path}:
            found.add(file)
            waiting.append(file)
    return sorted(found)


def _files_of(path: Path, folder: Path) -> set[Path]:
    """What the import statements of a file find below a folder."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # importing it says so
    found: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names, start = [alias.name for alias in node.names], folder
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            names = [f"{base}{alias.name}" for alias in node.names]
            start = path.parents[node.level - 1] if node.level else folder
        else:
            continue
        for name in names:
            place = start
            for part in name.split("."):
                if (place / part).is_dir():
                    place /= part
                    found |= {f for f in [place / "__init__.py"] if f.is_file()}
                    continue
                found |= {f for f in [place / f"{part}.py"] if f.is_file()}
                break
    return {file for file in found if folder in file.parents}


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _imported(path: Path, changed: int) -> ModuleType:
    """A file as a module; once for each time at which it was changed."""
    name = f"sciml_own_{path.stem}_{hashlib.sha256(f'{path}{changed}'.encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    # As for a script: files beside it can be imported. Those of another folder that go by the same
    # name stand aside meanwhile.
    sys.path.insert(0, str(path.parent))
    strangers = _strangers(path)
    for other in strangers:
        del sys.modules[other]
    invalidate_caches()  # files that were written within the last second are there, too
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # of a script that ends itself, too
        del sys.modules[name]
        raise InputError(f"{path} {_cannot(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
        sys.modules.update(strangers)
    return module


def _strangers(path: Path) -> dict[str, ModuleType]:
    """Modules of other folders by the names of those beside a file."""
    folder = path.parent
    names = {file.relative_to(folder).parts[0].removesuffix(".py") for file in beside_of(path)}
    ours = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1], folder]

    def is_strange(name: str, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] not in names or not isinstance(file, str):
            return False
        return not {*Path(file).resolve().parents} & {*ours}

    return {name: module for name, module in list(sys.modules.items()) if is_strange(name, module)}


def _build_of(module: ModuleType, name: str) -> Build:
    build = getattr(module, "build", None)
    try:
        parameters = inspect.signature(build).parameters.values()
        needed = [p.name for p in parameters if p.kind in _PLACES and p.default is p.empty]
    except TypeError:  # it cannot be called at all
        needed = []
    if len(needed) != 1:
        found = f"build({', '.join(needed)})" if needed else "no function build"
        raise InputError(
            f"model {name} has {found}; expected build(setting, *, width=32), whose keywords are the "
            "model's options and which returns a torch.nn.Module"
        ) from None
    return build


def _cannot(error: BaseException) -> str:
    *_, place = traceback.extract_tb(error.__traceback__)
    # Errors of syntax name their line themselves.
    where = "" if isinstance(error, SyntaxError) else f" ({place.filename}, line {place.lineno})"
    return f"cannot be imported: {type(error).__name__}: {error}{where}"
