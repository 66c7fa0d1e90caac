"""Datasets out of recipes: many runs of a solver program, one netCDF file."""

from importlib import import_module

_PUBLIC = {
    "Recipe": "sciml.datasets.recipe",
    "generate": "sciml.datasets.make",
    "load_recipe": "sciml.datasets.recipe",
    "planned_runs": "sciml.datasets.plan",
}

__all__ = ["Recipe", "generate", "load_recipe", "planned_runs"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sciml.datasets' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)
