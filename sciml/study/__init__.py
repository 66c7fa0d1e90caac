"""The study file: sections, text, ranges, designs, changes."""

from sciml.lazy import lazy

_HOMES = {
    "PlannedSimulation": "designs",
    "Range": "ranges",
    "Study": "schema",
    "draw": "designs",
    "dump_study": "schema",
    "load_study": "schema",
    "plan": "designs",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
