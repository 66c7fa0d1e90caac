"""Layers through which fields go as they are: equations of physics, weights by volume, frames."""

import numpy as np
import pytest
import torch
from programs import copies, started

from sciml.domain import Field
from sciml.domain.dataset import to_dataset
from sciml.equations import reaction_diffusion
from sciml.errors import InputError
from sciml.parallel.connection import connection_laplacian, edge_angles
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Setting, Statistics, Surrogate, collate
from sciml.surrogates.graph.links import Links
from sciml.surrogates.graph.on_domain import graph_channels
from sciml.surrogates.graph.sheaf_laplacian import SheafLaplacian
from sciml.surrogates.graph.volumes import cotangents, node_volumes

TASK = Task(("u",), ("u",))


def sample_of(program, task=TASK, **options):
    run = started(program, **options)
    before = copies(run)
    time = run.step(0)
    static = {n: before[n] for n in task.static}
    still = [f for f in run.static if f.name in static]
    simulation = Simulation(0, run.domain(), run.fields, {}, static, static_fields=still)
    states = ((0, 0.0, before), (1, time, copies(run)))
    frames = [
        Frame(0, n, t, {f.name: s[f.name].astype(np.float32) for f in run.fields})
        for n, t, s in states
    ]
    return Sample(simulation, 0, (frames[0],), (frames[1],)), run


def built(sample, model, task=TASK, increment=True):
    simulation = sample.simulation
    fields = (*simulation.fields, *simulation.static_fields)
    surrogate = Surrogate.build(
        model, task, simulation.domain, increment=increment, fields=fields, dt=0.1
    )
    statistics = Statistics(surrogate)
    statistics.update([sample])
    statistics.fix()
    return surrogate.double(), collate([sample], task, surrogate.structures)


@pytest.mark.parametrize("increment", [True, False])
@pytest.mark.parametrize(("reaction", "name"), [("fisher", "fisher"), ("allen-cahn", "allen_cahn")])
def test_a_reaction_alone_is_that_of_the_field_in_its_units(reaction, name, increment):
    sample, _ = sample_of("reaction_diffusion_mesh", spacing=0.2)
    model = {"name": "gread", "latent": False, "reaction": name, "score": "none", "step": 0.1}
    surrogate, batch = built(sample, model, increment=increment)
    field = surrogate.model.net.process.field
    field.alpha.data.fill_(-200.0)
    field.beta.data.fill_(0.5)
    found = surrogate(batch)["u"][:, 0].detach().numpy()
    wanted = reaction_diffusion.reacted(reaction, batch.inputs["u"][:, 0].numpy(), 2.0 * 0.5)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(wanted - batch.inputs["u"][:, 0].numpy()).max() > 0.1


@pytest.mark.parametrize("name", ["grand", "gread"])
def test_symmetric_weights_keep_the_integral_on_meshes(name):
    sample, run = sample_of("reaction_diffusion_mesh", spacing=0.15)
    model = {"name": name, "latent": False, "score": "none", "stochastic": "symmetric", "step": 0.2}
    model |= {"source": False} if name == "grand" else {"reaction": "fisher"}
    surrogate, batch = built(sample, {**model, "edge_hidden": 4, "node_volume": 0.02})
    field = surrogate.model.net.process.field
    if name == "gread":
        field.beta.data.fill_(0.0)
    u, volume = batch.inputs["u"][:, 0].numpy(), node_volumes(run.mesh)
    found = surrogate(batch)["u"][:, 0].detach().numpy()
    assert volume @ found == pytest.approx(volume @ u, rel=1e-6)
    assert np.abs(found - u).max() > 0.01 and u.min() <= found.min() and found.max() <= u.max()


def test_edges_see_cotangents_and_the_cells_beside_them():
    task = Task(("u",), ("u",), static=("conductivity", "anisotropy"))
    sample, run = sample_of("heat_mesh", task, spacing=0.2, contrast=1.0, stretch=0.4, pieces=3)
    surrogate, batch = built(sample, {"name": "grand", "hidden": 4, "width": 4}, task)
    seen = []
    net = surrogate.model.net
    net.register_forward_pre_hook(lambda m, given: seen.append((given[1], given[2])))
    surrogate(batch)
    links, values = seen[0]
    values, source, receiver = (
        links.sorted(values).numpy(),
        *(v.numpy() for v in (links.source, links.receiver)),
    )
    mesh, e = run.mesh, 7
    beside = [n for n, c in enumerate(mesh.cells) if {source[e], receiver[e]} <= set(c)]
    means = batch.static["conductivity"].numpy()[beside].mean()
    scaled = surrogate.normalizer.normalize("conductivity", torch.tensor(means))
    assert values[e, 0] == pytest.approx(float(scaled), abs=1e-5)
    assert values.shape[1] == 1 + 2 + 2 + 1 + 1
    away = mesh.points[source] - mesh.points[receiver]
    np.testing.assert_allclose(
        values[:, 3:5], away / np.linalg.norm(away, axis=1)[:, None], atol=1e-6
    )
    found = cotangents(mesh, source.copy(), receiver.copy())
    np.testing.assert_allclose(values[:, -1], found, atol=1e-6)
    plain = started("reaction_diffusion_mesh", spacing=0.2)
    angle = plain.mesh.points @ [1.0, 2.0]  # of a linear function Σ_j w_ij (u_j − u_i) is 0 inside
    source, receiver = plain.mesh.edges
    weights = cotangents(plain.mesh, source, receiver)
    total = np.bincount(receiver, weights * (angle[source] - angle[receiver]), plain.mesh.size)
    inside = np.setdiff1d(np.arange(plain.mesh.size), plain.mesh.groups["outer"])
    np.testing.assert_allclose(total[inside], 0.0, atol=1e-12)


def test_maps_in_frames_can_be_the_connection_of_a_surface():
    """Rotations by the angles of edges give the parallel transport, but for what is flattened."""
    task = Task(("u",), ("u",), static=("frame",))
    sample, run = sample_of("vector_heat", task, nodes=400, bumps=0.1)
    model = {
        "name": "sheaf_diffusion",
        "latent": False,
        "linear": True,
        "of_edges": True,
        "time": 1.0,
    }
    model |= {"maps": "rotation", "bounded": False, "frames": "frame", "frozen": True}
    surrogate, batch = built(sample, model, task)
    [layer] = surrogate.model.net.process.layers
    layer.maps.of_edge.weight.data[:] = 0.0
    layer.maps.of_edge.weight.data[0, 0], layer.maps.of_edge.weight.data[1, 1] = 1.0, -1.0
    seen = []
    layer.maps.register_forward_hook(lambda m, given, maps: seen.append((given[1], maps)))
    surrogate(batch)
    links, maps = seen[0]
    assert isinstance(links, Links)
    carried = SheafLaplacian.of(maps, links).blocks.detach().numpy()

    points, cells = run.mesh.points, run.mesh.cells
    angles = edge_angles(points, cells)

    matrix = -connection_laplacian(points, cells, angles, run.turns)[1]
    true = np.asarray(matrix[links.receiver.numpy().copy(), links.source.numpy().copy()]).ravel()
    true = true / np.abs(true)
    apart = np.abs(np.angle(true / (carried[:, 0, 0] + 1j * carried[:, 1, 0])))
    assert np.median(apart) < 0.01 and apart.max() < 0.1


def test_a_number_of_each_pair_is_for_one_graph():
    sample, _ = sample_of("network_diffusion", nodes=12, radius=0.6)
    model = {"name": "grand", "latent": False, "score": "pair", "stochastic": "symmetric"}
    surrogate, batch = built(sample, {**model, "source": False, "step": 0.1})
    table = surrogate.model.net.process.field.attention.table
    assert table.shape == (12, 12)
    before = surrogate(batch)["u"][:, 0].detach()
    i, j = sample.simulation.domain.edges[:, 0]
    table.data[i, j] += 3.0
    assert (surrogate(batch)["u"][:, 0] - before).abs()[[i, j]].min() > 1e-4
    both = collate([sample, sample], TASK, surrogate.structures)
    torch.testing.assert_close(*surrogate(both)["u"][:, 0].chunk(2))


@pytest.mark.parametrize(
    ("model", "task", "said"),
    [
        ({"name": "grand", "head": "flux"}, TASK, "latent=False with head='flux'"),
        (
            {"name": "grand"},
            Task(("u",), ("seen",)),
            "targets seen of inputs u; expected targets that",
        ),
        ({"name": "sheaf_diffusion", "stalk": 2}, TASK, "stalk=2, 1 channels that are wanted"),
        ({"name": "gread", "dropout": 0.1}, TASK, "dropout=0.1; expected none"),
        ({"name": "grand", "node_volume": 0.1}, TASK, "nothing is divided by volumes"),
    ],
)
def test_what_cannot_flow_is_refused(model, task, said):
    sample, _ = sample_of("reaction_diffusion_mesh", spacing=0.25)
    with pytest.raises(InputError, match=said):
        built(sample, {**model, "latent": False}, task, increment=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": "framed"}, "frames='framed'; expected a static field of two axes a node"),
        ({"maps": "rotation", "stalk": 3}, "maps 'rotation' with stalk=3; expected 2"),
        ({"linear": True}, "linear=True with time=0"),
    ],
)
def test_what_a_sheaf_cannot_be_is_refused(options, said):
    task = Task(("u",), ("u",), static=("frame",))
    sample, _ = sample_of("vector_heat", task, nodes=30)
    with pytest.raises(InputError, match=said):
        built(sample, {"name": "sheaf_diffusion", **options}, task)


def test_frames_lie_behind_all_other_channels():
    """A number that all nodes share is one of them."""
    task = Task(("u",), ("u",), static=("load", "frame"))
    run = started("vector_heat", nodes=30)
    fields = (*run.fields, *run.static, Field("load", on="global"))
    seen = graph_channels("sheaf_diffusion", Setting(task, run.domain(), fields), "frame")
    assert seen.frames == ("frame", 3) and seen.channels == 3


def test_rollouts_of_vectors_come_as_they_went():
    task = Task(("u",), ("u",), static=("frame",))
    sample, run = sample_of("vector_heat", task, nodes=40)
    model = {"name": "meshgraphnet", "hidden": 8, "layers": 2, "frames": "frame"}
    surrogate, _ = built(sample, model, task)
    state = copies(run)
    ds = to_dataset(
        run.domain(), run.fields, {f.name: state[f.name][None] for f in run.fields}, np.zeros(1),
        static={"frame": state["frame"]}, static_fields=run.static,
    )  # fmt: skip
    rolled = surrogate.rollout(ds, 2)
    assert rolled.u.shape == (2, 40, 2) and bool(np.isfinite(rolled.u).all())
