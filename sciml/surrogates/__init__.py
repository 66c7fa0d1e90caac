"""Models, and what makes a surrogate of them; everything here is loaded when it is first used."""

from sciml.lazy import lazy

_HOMES = {
    "Batch": "batch",
    "CNN": "grid.cnn",
    "DeepONet": "deeponet.deeponet",
    "FNO": "grid.fno",
    "MIONet": "deeponet.mionet",
    "MgNO": "grid.mgno",
    "MLP": "mlp",
    "Normalizer": "normalizer",
    "PODDeepONet": "deeponet.pod",
    "Scope": "scope",
    "Setting": "setting",
    "Step": "sciml.samples.step",
    "Statistics": "statistics",
    "Surrogate": "surrogate",
    "TFNO": "grid.tfno",
    "Traits": "traits",
    "UNO": "grid.uno",
    "UNet": "grid.unet",
    "ViT": "grid.vit",
    "collate": "collation",
    "to_operator": "grid.operator.conversion",
}

__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
