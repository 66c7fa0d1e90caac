"""Models, and what makes a surrogate of them; everything here is loaded when it is first used."""

from importlib import import_module

_HOME = {
    "Batch": "sciml.surrogates.batch",
    "DeepONet": "sciml.surrogates.deeponet.deeponet",
    "collate": "sciml.surrogates.batch",
    "Normalizer": "sciml.surrogates.normalizer",
    "Surrogate": "sciml.surrogates.surrogate",
    "FNO": "sciml.surrogates.grid.fno",
    "MIONet": "sciml.surrogates.deeponet.mionet",
    "MLP": "sciml.surrogates.mlp",
    "PODDeepONet": "sciml.surrogates.deeponet.pod",
    "Statistics": "sciml.surrogates.statistics",
}

__all__ = [
    "FNO",
    "MLP",
    "Batch",
    "DeepONet",
    "MIONet",
    "Normalizer",
    "PODDeepONet",
    "Statistics",
    "Surrogate",
    "collate",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sciml.surrogates' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
