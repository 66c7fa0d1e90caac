"""Names of dimensions, in one place: every dataset that leaves sciml uses these."""

SAMPLE = "sample"
TIME = "time"
NODE = "node"
PARTICLE = "particle"
SPACE = "space"
#: Coordinate of samples: ``train``, ``validation`` or ``test``.
SPLIT = "split"

#: Grid axes, slowest first; a grid of dimension d uses the last d of them.
GRID_AXES = ("z", "y", "x")


def grid_dims(ndim: int) -> tuple[str, ...]:
    """Names of the axes of a grid: ``("x",)``, ``("y", "x")`` or ``("z", "y", "x")``."""
    return GRID_AXES[len(GRID_AXES) - ndim :]
