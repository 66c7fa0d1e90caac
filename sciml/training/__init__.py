"""Training: sources, objectives, phases, and the one loop; loaded when first used."""

from importlib import import_module

_HOME = {
    "EMA": "ema",
    "Augmentation": "augmentation",
    "Checkpoints": "checkpoint",
    "CollocationSource": "collocation_source",
    "DatasetSource": "dataset_source",
    "Classification": "classification",
    "EnergyForces": "energy_forces",
    "History": "history",
    "Hooks": "hooks",
    "Mix": "source",
    "Noise": "noise",
    "Options": "options",
    "Phase": "phase",
    "Pushforward": "pushforward",
    "ReplaySource": "replay_source",
    "Residual": "residual",
    "Source": "source",
    "Step": "history",
    "StreamSource": "stream_source",
    "Sum": "objective",
    "Supervised": "objective",
    "TensorSource": "tensor_source",
    "TrainingError": "step",
    "Validation": "validation",
    "fit": "fitting",
    "train": "loop",
}

__all__ = [
    "EMA",
    "Augmentation",
    "Checkpoints",
    "Classification",
    "CollocationSource",
    "DatasetSource",
    "EnergyForces",
    "History",
    "Hooks",
    "Mix",
    "Noise",
    "Options",
    "Phase",
    "Pushforward",
    "ReplaySource",
    "Residual",
    "Source",
    "Step",
    "StreamSource",
    "Sum",
    "Supervised",
    "TensorSource",
    "TrainingError",
    "Validation",
    "fit",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sciml.training' has no attribute '{name}'")
    return getattr(import_module(f"sciml.training.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
