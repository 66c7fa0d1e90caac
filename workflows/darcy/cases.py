"""What the study compares: datasets, models, how each is trained, and what was published."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

DATASETS = ("darcy_rough", "darcy_fno", "darcy_multiscale")
MODES = ("offline", "online")

#: What a size changes of the datasets' own recipes, and of which of their sizes. On one core *small*
#: trains in half a minute, *medium* in half an hour. As in the recipes, the grid solved on is finer
#: than the one kept.
RECIPES = {"small": "small", "medium": "small", "full": "full"}
GRIDS = {
    "small": {
        "darcy_rough": ["solver.options.shape=[65, 65]", "solver.options.modes=64"],
        "darcy_fno": [
            "solver.options.shape=[65, 65]",
            "solver.options.modes=64",
            "solver.send.coarsen=2",
        ],
        "darcy_multiscale": ["solver.options.shape=[129, 129]", "solver.send.coarsen=2"],
    },
    "medium": {
        "darcy_rough": ["solver.options.shape=[129, 129]", "solver.options.modes=128"],
        "darcy_fno": [
            "solver.options.shape=[129, 129]",
            "solver.options.modes=128",
            "solver.send.coarsen=2",
        ],
        "darcy_multiscale": ["solver.options.shape=[257, 257]", "solver.send.coarsen=2"],
    },
}
SPLITS = {
    "small": ["splits.train=256", "splits.validation=0", "splits.test=64"],
    "medium": ["splits.train=1280", "splits.validation=0", "splits.test=112"],
}

DEEPONET = {"branch": [256, 256], "trunk": [128, 128, 128], "activation": "relu"}

#: Options of each model, and its largest learning rate.
MODELS: dict[str, dict[str, tuple[dict[str, Any], float]]] = {
    "small": {
        "mgno": ({"width": 16, "n_layers": 4}, 4e-3),
        "fno": ({"modes": 16, "hidden_channels": 24, "padding": 0.25}, 1e-2),
        "unet": ({"width": 16}, 2e-3),
        "deeponet": (DEEPONET, 3e-3),
    },
    "medium": {
        "mgno": ({"width": 24, "n_layers": 4, "levels": 6, "boundary": "zeros"}, 1e-3),
        "fno": ({"modes": 24, "hidden_channels": 32, "padding": 0.25}, 4e-3),
        "unet": ({"width": 32}, 1e-3),
        "deeponet": (DEEPONET, 1e-3),
    },
    "full": {
        "mgno": ({"width": 24, "n_layers": 4, "levels": 6, "boundary": "zeros"}, 5e-4),
        "fno": ({"modes": 24, "hidden_channels": 32}, 1e-3),
        "unet": ({"width": 32, "levels": 5}, 1e-3),
        "deeponet": ({**DEEPONET, "sensors": 65}, 1e-3),
    },
}


@dataclass(frozen=True, slots=True)
class Size:
    """How one size trains.

    Args:
        epochs: passes over the training split, by dataset.
        batch: samples a gradient step.
        capacity, watermark: of the reservoir, online. *small* begins with as many samples as the
            offline training has.
        per_run: samples that a run of the solver sends before the next one starts.
        spool: bytes that the stream may hold on disk; what the reservoir holds must fit.
        clip: largest norm of the gradient.
    """

    epochs: dict[str, int]
    batch: int = 8
    capacity: int = 1024
    watermark: int = 256
    per_run: int = 100
    spool: int = 2_000_000_000
    clip: float | None = None


SIZES = {
    "small": Size({"darcy_rough": 8, "darcy_fno": 8, "darcy_multiscale": 8}, clip=1.0),
    "medium": Size(
        {"darcy_rough": 40, "darcy_fno": 40, "darcy_multiscale": 20}, capacity=1280, clip=1.0
    ),
    "full": Size(
        {"darcy_rough": 500, "darcy_fno": 500, "darcy_multiscale": 300},
        capacity=1280,
        spool=12_000_000_000,
    ),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One training.

    Args:
        epochs: passes over the training split; ``None``: those of the size.
    """

    data: str
    model: str
    mode: str
    seed: int
    size: str
    epochs: int | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Case:
        """The case of a result."""
        return cls(**{f.name: row[f.name] for f in fields(cls)})

    def row(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def name(self) -> str:
        passes = "" if self.epochs is None else f"-{self.epochs}"
        return f"{self.data}-{self.model}-{self.mode}-{self.seed}{passes}"

    def steps(self, samples: int) -> int:
        """Gradient steps, offline and online alike."""
        size = SIZES[self.size]
        return (self.epochs or size.epochs[self.data]) * -(-samples // size.batch)


#: Relative errors × 100, L2 / H1, at the published size; sources in README.md.
PUBLISHED = {
    ("darcy_rough", "mgno"): "0.339 / 1.380",
    ("darcy_rough", "fno"): "≈1.6 / 7.5",
    ("darcy_fno", "fno"): "1.08 / –",
    ("darcy_multiscale", "mgno"): "0.715 / 1.756",
    ("darcy_multiscale", "fno"): "≈1.8 / 9.6",
}
