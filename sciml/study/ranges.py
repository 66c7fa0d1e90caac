"""The values that a parameter may take in a study."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Range(BaseModel):
    """``[low, high]``, or ``{low, high, scale: log}``, or ``{values: [...]}``.

    On the log scale equal parts of the unit interval cover equal ratios; it needs ``low > 0``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    low: float | None = None
    high: float | None = None
    scale: Literal["linear", "log"] = "linear"
    values: Annotated[list[float], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, data: Any) -> Any:
        if isinstance(data, list):
            if len(data) != 2:
                raise ValueError(
                    f"got {data!r}; expected [low, high], or {{values: [...]}} for a choice"
                )
            return {"low": data[0], "high": data[1]}
        if not isinstance(data, dict | Range):
            raise ValueError(
                f"got {data!r}; expected [low, high]; a value that stays fixed goes to "
                "solver.options"
            )
        return data

    @model_validator(mode="after")
    def _sensible(self) -> Range:
        if self.values is not None:
            if self.low is not None or self.high is not None:
                raise ValueError("got values and low or high; give either")
        elif self.low is None or self.high is None:
            raise ValueError("expected [low, high], {low, high, scale} or {values}")
        elif not self.low < self.high:
            raise ValueError(f"got [{self.low:g}, {self.high:g}]; expected low < high")
        elif self.scale == "log" and self.low <= 0:
            raise ValueError(f"got low={self.low:g} on a log scale; expected low > 0")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value that can come."""
        if self.values is not None:
            return min(self.values), max(self.values)
        assert self.low is not None and self.high is not None
        return self.low, self.high

    def at(self, unit: np.ndarray) -> np.ndarray:
        """Values at positions in [0, 1] of the unit interval."""
        if self.values is not None:
            index = np.minimum((unit * len(self.values)).astype(int), len(self.values) - 1)
            return np.asarray(self.values)[index]
        low, high = self.bounds
        if self.scale == "log":
            # Rounding must not push a value out of the range that the program checks.
            return np.clip(low * (high / low) ** unit, low, high)
        return np.clip(low + (high - low) * unit, low, high)
