"""What a person is told of an equation: its formula, constants and exact solutions."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from sciml.equations.equation import Equation, options_of


def described(equation: Equation) -> dict[str, Any]:
    """Of an equation, as plain data: the keys of a study, with their defaults."""
    return {
        "name": equation.name,
        "equation": _first(equation.residual),
        "fields": list(equation.fields),
        "constants": [*equation.constants],
        "defaults": dict(equation.defaults),
        "characteristics": equation.speed is not None,
        "solutions": {
            name: {
                "about": _first(solution.value),
                "periodic": solution.periodic,
                "options": {
                    key: default
                    for key, default in options_of(solution, equation.constants).items()
                    if key not in equation.defaults
                },
            }
            for name, solution in equation.solutions.items()
        },
    }


def page(about: Mapping[str, Any]) -> str:
    """The same, to be read."""
    lines = [f"{about['name']}: {about['equation']}", "", f"fields: {', '.join(about['fields'])}"]
    constants = [*about["constants"], *_spelled(about["defaults"])]
    lines += [f"constants, as parameters: {', '.join(constants) or 'none'}"]
    models = (
        "models pinn and lpinn" if about["characteristics"] else "no characteristics: model pinn"
    )
    lines += [models, "", "solutions" if about["solutions"] else "no exact solutions"]
    for name, one in about["solutions"].items():
        lines.append(f"  {name:<10} {one['about']}")
        kind = "periodic; " if one["periodic"] else ""
        lines.append(f"  {'':<10} {kind}{', '.join(_spelled(one['options'])) or 'no options'}")
    return "\n".join(lines)


def _spelled(options: Mapping[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(default)}" for key, default in options.items()]


def _first(function: Callable[..., Any]) -> str:
    """What is said of a function at first, without what is for who calls it."""
    text = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    text = text.replace(":func:", "").replace("`", "").removesuffix(".").removesuffix("; numpy")
    return text.partition(", zero for ")[0]
