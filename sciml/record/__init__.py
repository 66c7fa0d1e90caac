"""Frames on disk: writing them as they come, opening them lazily, replaying them in order."""

from sciml.lazy import lazy

_HOMES = {
    "Foreign": "foreign",
    "Recorder": "recorder",
    "Recording": "recording",
    "RecordingError": "index",
    "Trajectories": "trajectories",
    "Windows": "windows",
    "open_recording": "recording",
    "open_trajectories": "foreign",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
