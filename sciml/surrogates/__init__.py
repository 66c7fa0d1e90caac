"""Models, and what makes a surrogate of them; everything here is loaded when it is first used."""

from importlib import import_module

_HOME = {
    "Batch": "sciml.surrogates.batch",
    "collate": "sciml.surrogates.batch",
    "Normalizer": "sciml.surrogates.normalizer",
    "Surrogate": "sciml.surrogates.surrogate",
    "FNO": "sciml.surrogates.grid.fno",
    "MgNO": "sciml.surrogates.grid.mgno",
    "MLP": "sciml.surrogates.mlp",
}

__all__ = ["FNO", "MLP", "Batch", "MgNO", "Normalizer", "Surrogate", "collate"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sciml.surrogates' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
