"""Programs in files, and what is said of them there."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from sciml.errors import InputError
from sciml.installation import version

#: The name under which a file says what its program is, as JSON.
SAID = "sciml.json"
#: Of what is said; files of another one are refused.
FORMAT = 1


def require_name(path: str | Path) -> None:
    """Refuse names by which files of other formats go; make the folder."""
    if Path(path).suffix != ".pt2":
        raise InputError(
            f"export: {path}; expected a name that ends in .pt2: what is written is a program of torch"
        )
    Path(path).parent.mkdir(parents=True, exist_ok=True)


def write(program: ExportedProgram, path: str | Path, said: Mapping[str, Any]) -> None:
    """For ``torch.export.load``."""
    path = Path(path)
    aside = _aside(path)
    try:
        torch.export.save(program, aside, extra_files={SAID: _text(said)})
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_compiled(program: ExportedProgram, path: str | Path, said: Mapping[str, Any]) -> None:
    """For ``torch._inductor.aoti_load_package``, in Python and in C++.

    Raises:
        InputError: no compiler.
    """
    path = Path(path)
    aside = _aside(path)
    configs = {"aot_inductor.metadata": {SAID: _text(said)}}
    try:
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(aside), inductor_configs=configs
        )
        os.replace(aside, path)
    except torch._inductor.exc.InvalidCxxCompiler as error:
        raise InputError(
            "export: no C++ compiler, with which a program is compiled; install g++, or set compiled to "
            "False"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def read(path: str | Path) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A program, and what is said of it.

    Raises:
        InputError: nothing that :func:`write` or :func:`write_compiled` wrote.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no program; expected one written by export") from error
    if any("/data/aotinductor/" in name for name in names):
        run = torch._inductor.aoti_load_package(str(path))
        text = run.get_metadata().get(SAID, "")
    else:
        extra = {SAID: ""}
        run = torch.export.load(path, extra_files=extra).module()
        text = extra[SAID]
    said = json.loads(text or "{}")
    if said.get("format") != FORMAT:
        raise InputError(
            f"{path}: says {said.get('format', 'nothing')} where {FORMAT} is expected; export it again "
            f"by sciml {version()}"
        )
    return run, said


def _text(said: Mapping[str, Any]) -> str:
    return json.dumps({"format": FORMAT, "sciml": version(), **said})


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}.pt2")
