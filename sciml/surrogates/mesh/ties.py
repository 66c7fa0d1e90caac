"""One node of several that are as far away: on regular meshes that is the rule."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

#: A direction along no axis of symmetry.
ALONG = np.array([1.0, 0.61803, 0.41421])
#: Share of the spread of distances within which two are equal: by more than they are rounded.
EQUAL = 1e-6


def farthest(away: Float[np.ndarray, " node"], points: Float[np.ndarray, "node d"]) -> int:
    """The node that is farthest; of those as far, the first along a direction.

    So neither the order of the nodes decides, nor how sums and coordinates are rounded.
    """
    as_far = np.flatnonzero(away >= away.max() - EQUAL * np.ptp(away))
    return int(as_far[np.argmin(points[as_far] @ ALONG[: points.shape[1]])])
