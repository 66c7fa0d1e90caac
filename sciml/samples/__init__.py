"""Frames, and the samples that a task cuts from them; numpy only."""

from sciml.lazy import lazy

# Loaded when first used: ranks of solvers cut none.
_HOMES = {
    "Frame": "frame",
    "Sample": "sample",
    "Simulation": "frame",
    "Task": "task",
    "Windower": "windower",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
