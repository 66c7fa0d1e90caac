"""Models, and what makes a surrogate of them; everything here is loaded when it is first used."""

from importlib import import_module

_HOME = {
    "Batch": "sciml.surrogates.batch",
    "CNN": "sciml.surrogates.grid.cnn",
    "DeepONet": "sciml.surrogates.deeponet.deeponet",
    "FNO": "sciml.surrogates.grid.fno",
    "MIONet": "sciml.surrogates.deeponet.mionet",
    "MgNO": "sciml.surrogates.grid.mgno",
    "MLP": "sciml.surrogates.mlp",
    "Normalizer": "sciml.surrogates.normalizer",
    "PODDeepONet": "sciml.surrogates.deeponet.pod",
    "Scope": "sciml.surrogates.scope",
    "Setting": "sciml.surrogates.setting",
    "Step": "sciml.samples.step",
    "Statistics": "sciml.surrogates.statistics",
    "Surrogate": "sciml.surrogates.surrogate",
    "TFNO": "sciml.surrogates.grid.tfno",
    "Traits": "sciml.surrogates.traits",
    "UNO": "sciml.surrogates.grid.uno",
    "UNet": "sciml.surrogates.grid.unet",
    "ViT": "sciml.surrogates.grid.vit",
    "collate": "sciml.surrogates.batch",
    "to_operator": "sciml.surrogates.grid.operator.conversion",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sciml.surrogates' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
