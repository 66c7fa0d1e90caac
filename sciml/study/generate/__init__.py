"""Datasets out of recipes: many runs of a solver program, one netCDF file."""

from importlib import import_module

_PUBLIC = {
    "Recipe": "sciml.study.generate.recipe",
    "generate": "sciml.study.generate.generating",
    "load_recipe": "sciml.study.generate.recipe",
    "planned_runs": "sciml.study.generate.plan",
}

__all__ = ["Recipe", "generate", "load_recipe", "planned_runs"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sciml.study.generate' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)
