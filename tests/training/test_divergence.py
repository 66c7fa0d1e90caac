"""The divergence of an error on a mesh, and noise that leaves prescribed points alone."""

import numpy as np
import pytest
import torch
from scipy.spatial import Delaunay

import sciml
from sciml.domain import Field, Grid, Mesh
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Statistics, Surrogate, collate
from sciml.surrogates.divergence import divergence
from sciml.surrogates.setting import Setting
from sciml.training import Noise, Supervised

VELOCITY = Field("velocity", "m s-1", components=2)
TASK = Task(("velocity",), ("velocity",), prescribed={"velocity": ["wall"]})


def cloud(nodes, ndim=2, seed=0):
    points = np.random.default_rng(seed).random((nodes, ndim))
    cells = Delaunay(points).simplices
    corners = points[cells]
    extent = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1]))
    kind = {2: "triangle", 3: "tetrahedron"}[ndim]
    walls = {"wall": np.flatnonzero(points[:, 0] < 0.2)}
    return Mesh(points, cells[extent > 1e-4], cell_type=kind, groups=walls)


def flows(mesh, frames=4, number=0, scale=1.0):
    """Whirls, which have no divergence, and turn."""
    x, y = mesh.points.T - 0.5
    rng = np.random.default_rng(number)
    turn = rng.uniform(0.5, 1.5) * np.cumsum(rng.uniform(0.8, 1.2, frames))
    u = np.stack([-y, x], axis=1) * scale * turn[:, None, None]
    simulation = Simulation(number, mesh, (VELOCITY,), {})
    return simulation, [Frame(number, s, 0.1 * s, {"velocity": v}) for s, v in enumerate(u)]


def built(increment=True, **options):
    simulation, frames = flows(cloud(40), **options)
    sample = Sample(simulation, 0, (frames[0],), (frames[1],))
    torch.manual_seed(0)
    surrogate = Surrogate.build(
        {"name": "meshgraphnet", "hidden": 8, "layers": 1}, TASK, simulation.domain,
        increment=increment, fields=(VELOCITY,),
    )  # fmt: skip
    statistics = Statistics(surrogate)
    statistics.update([sample])
    statistics.fix()
    return surrogate, collate([sample], TASK, surrogate.structures)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_of_linear_fields_it_is_exact(ndim):
    mesh = cloud(30, ndim) if ndim > 1 else Mesh([[0.0], [0.4], [1.0]], [[0, 1], [1, 2]])
    points, edges = torch.from_numpy(mesh.points), torch.from_numpy(mesh.edges)
    slopes = torch.randn(2, ndim, ndim, dtype=torch.float64)
    u = torch.einsum("fij,nj->nfi", slopes, points) + 3.0
    found = divergence(u, points, edges)
    wanted = slopes.diagonal(dim1=1, dim2=2).sum(1).expand(len(points), -1)
    torch.testing.assert_close(found[np.unique(mesh.cells)], wanted[np.unique(mesh.cells)])


def test_a_node_alone_has_none():
    points = torch.rand(3, 2)
    found = divergence(torch.randn(3, 1, 2), points, torch.tensor([[0, 1], [1, 0]]))
    assert found.isfinite().all() and not found[2].any()


@pytest.mark.parametrize("increment", [True, False])
def test_it_is_a_loss_of_the_error_in_no_units(increment):
    found = []
    for scale in (1.0, 1e4):
        surrogate, batch = built(increment, scale=scale)
        losses = Supervised("mse", divergence="velocity")(surrogate, batch)
        assert {*losses} == {"mse", "divergence"} and losses["divergence"] > 0
        found.append(losses["divergence"].item())

        def truth(batch):
            return dict(batch.targets)

        assert Supervised("mse", divergence="velocity")(truth, batch)["divergence"] == 0
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_a_fit_lowers_it():
    datasets = []
    for number in range(4):
        simulation, frames = flows(cloud(30, seed=number), number=number)
        values = {"velocity": np.stack([f.fields["velocity"] for f in frames])}
        datasets.append(to_dataset(simulation.domain, (VELOCITY,), values, np.arange(4.0)))
    losses = {}
    for weight in (0.0, 100.0):
        made = sciml.fit(
            {"name": "meshgraphnet", "hidden": 8, "layers": 1}, datasets, TASK,
            objectives={"data": {"kind": "supervised", "loss": "mse", "divergence": ["velocity"]}},
            sources={"data": {"kind": "data", "batch_size": 4}}, seed=0,
            phases={"lr": 1e-2, "steps": 60, "weights": {"data.divergence": weight}},
        )  # fmt: skip
        losses[weight] = made.history.steps[-1].losses["data.divergence"]
    assert losses[100.0] < 0.7 * losses[0.0], losses


@pytest.mark.parametrize(
    ("names", "targets", "scope", "said"),
    [
        (["speed"], ("velocity",), cloud(9), "'speed' is no target; expected"),
        (["u"], ("u",), cloud(9), "1 components in 2 dimensions"),
        (["u", "velocity"], ("u", "velocity"), cloud(9), "3 components in 2 dimensions"),
        (["u"], ("u",), Grid((8,), ((0.0, 1.0),), ("periodic",)), "fields on a grid"),
    ],
)
def test_what_is_no_velocity_is_refused(names, targets, scope, said):
    setting = Setting(Task((), targets, history=0, time=True), scope, (VELOCITY,))
    with pytest.raises(InputError, match=said.replace("expected", "")):
        Supervised("mse", divergence=names).require(setting)


def test_noise_leaves_prescribed_points_alone():
    surrogate, batch = built()
    noisy = Noise(0.1)(surrogate, batch, 0)
    changed = (noisy.inputs["velocity"] != batch.inputs["velocity"]).flatten(1).any(1)
    fixed = batch.fixed["velocity"].flatten(1).any(1)
    assert fixed.any() and torch.equal(changed, ~fixed)
