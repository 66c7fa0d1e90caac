import numpy as np
import pytest

from sciml.domain import Field, Grid, Mesh, Particles
from sciml.domain.dataset import to_dataset
from sciml.samples import Frame, Sample, Simulation, Task


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def grid_samples(rng):
    """Windows of a task on random fields of a grid."""

    def make(task, shape=(8, 8), count=3, boundary=None, dtype=np.float32):
        boundary = boundary or ("periodic",) * len(shape)
        grid = Grid(shape, ((0.0, 1.0),) * len(shape), boundary)
        names = dict.fromkeys((*task.inputs, *task.targets))
        fields = tuple(Field(n, "K") for n in names)
        samples = []
        for i in range(count):
            simulation = Simulation(
                i,
                grid,
                fields,
                {p: float(rng.uniform(1, 2)) for p in task.parameters},
                {s: rng.standard_normal(shape) for s in task.static},
            )
            origin = (task.history - 1) * task.lead if task.history else 3
            steps = {*task.input_steps(origin), *task.target_steps(origin)}
            frames = {
                s: Frame(
                    i, s, 0.1 * s, {n: rng.standard_normal(shape).astype(dtype) for n in names}
                )
                for s in steps
            }
            samples.append(
                Sample(
                    simulation,
                    origin,
                    tuple(frames[s] for s in task.input_steps(origin)),
                    tuple(frames[s] for s in task.target_steps(origin)),
                )
            )
        return samples

    return make


@pytest.fixture
def mesh_sample(rng):
    """A strip of triangles with 2·n nodes."""

    def make(n, number=0):
        points = np.array([[i, j] for i in range(n) for j in (0, 1)], dtype=float)
        cells = [[2 * i, 2 * i + 1, 2 * i + 2] for i in range(n - 1)]
        cells += [[2 * i + 1, 2 * i + 2, 2 * i + 3] for i in range(n - 1)]
        simulation = Simulation(number, Mesh(points, np.array(cells)), (Field("u"),), {"a": 1.0})
        frames = [Frame(number, s, float(s), {"u": rng.standard_normal(2 * n)}) for s in (0, 1)]
        return Sample(simulation, 0, (frames[0],), (frames[1],))

    return make


@pytest.fixture
def molecule_sample(rng):
    def make(atoms, number=0):
        fields = (Field("positions", "Å", components=3), Field("energy", "eV", on="global"))
        simulation = Simulation(number, Particles(np.arange(1, atoms + 1)), fields)
        frame = Frame(
            number, 0, 0.0, {"positions": rng.standard_normal((atoms, 3)), "energy": np.array(1.5)}
        )
        return Sample(simulation, 0, (frame,), (frame,))

    return make


@pytest.fixture
def step_task():
    return Task(("u",), ("u",), parameters=("kappa",))


@pytest.fixture
def heat_dataset(rng):
    """Two simulations, five times, 12×10 periodic grid, our own names."""
    grid = Grid((12, 10), ((0.0, 1.2), (0.0, 1.0)), ("periodic", "periodic"), "m")
    return to_dataset(
        grid,
        (Field("u", "K", "temperature"),),
        {"u": rng.standard_normal((2, 5, 12, 10)).astype(np.float32)},
        np.arange(5) * 0.5,
        parameters={"kappa": (np.array([0.5, 1.5]), "m2 s-1")},
        attrs={"title": "heat"},
    )
