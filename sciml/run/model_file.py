"""Whether a Python file builds a model, by its text; without torch."""

from __future__ import annotations

import ast
from pathlib import Path


def builds_model(path: Path) -> bool:
    """Whether a file defines or imports ``build`` at its top level; programs do not."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    return any("build" in _names(node) for node in tree.body)


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []
