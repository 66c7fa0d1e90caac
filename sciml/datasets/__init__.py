"""Datasets out of recipes: many runs of a solver program, one netCDF file."""

from sciml.lazy import lazy

_HOMES = {
    "Recipe": "recipe",
    "generate": "generation",
    "load_recipe": "recipe",
    "planned_runs": "plan",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
