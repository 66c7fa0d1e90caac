"""The study file: sections, text, ranges, designs, changes."""

from importlib import import_module

_PUBLIC = {
    "PlannedSimulation": "sciml.study.designs",
    "Range": "sciml.study.ranges",
    "Study": "sciml.study.schema",
    "draw": "sciml.study.designs",
    "dump_study": "sciml.study.schema",
    "load_study": "sciml.study.schema",
    "plan": "sciml.study.designs",
}

__all__ = [
    "PlannedSimulation",
    "Range",
    "Study",
    "draw",
    "dump_study",
    "load_study",
    "plan",
]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sciml.study' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)
