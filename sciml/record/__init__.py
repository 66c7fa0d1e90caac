"""Frames on disk: writing them as they come, opening them lazily, replaying them in order."""

from importlib import import_module

_HOME = {
    "Foreign": "foreign",
    "Recorder": "recorder",
    "Recording": "recording",
    "RecordingError": "index",
    "Trajectories": "trajectories",
    "Windows": "windows",
    "open_recording": "recording",
    "open_trajectories": "foreign",
}

__all__ = [
    "Foreign",
    "Recorder",
    "Recording",
    "RecordingError",
    "Trajectories",
    "Windows",
    "open_recording",
    "open_trajectories",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sciml.record' has no attribute '{name}'")
    return getattr(import_module(f"sciml.record.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
