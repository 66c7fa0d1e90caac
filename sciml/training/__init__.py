"""Training: sources, objectives, phases, and the one loop; loaded when first used."""

from sciml.lazy import lazy

_HOMES = {
    "EMA": "ema",
    "Augmentation": "augmentation",
    "BoxPoints": "collocation",
    "Checkpoints": "checkpoint",
    "CollocationSource": "collocation_source",
    "DatasetSource": "dataset_source",
    "Classification": "classification",
    "EnergyForces": "energy_forces",
    "EquationResidual": "equation_residual",
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
    "StepRecord": "history",
    "StreamSource": "stream_source",
    "Sum": "objective",
    "Supervised": "objective",
    "TensorSource": "tensor_source",
    "TrainingError": "step",
    "Validation": "validation",
    "fit": "dataset_fit",
    "train": "loop",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
