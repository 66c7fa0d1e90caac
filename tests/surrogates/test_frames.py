"""Frames turn with their points, also where a spectrum is degenerate; what is averaged over them."""

import numpy as np
import pytest
import torch
from particle_data import ENERGY, MOVES, batch_of, bodies, molecules, sample, surrogate_of
from torch import nn

from sciml.domain import Field, Mesh, Particles
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Normalizer, Setting, Traits, registry
from sciml.surrogates.particles.equivariance import (
    equivariance_errors,
    equivariance_lines,
)
from sciml.surrogates.particles.frame_averaging import FrameAveraging, MeshFrameAveraging
from sciml.surrogates.particles.frames import frames_of

RING = np.linspace(0, 2 * np.pi, 4, endpoint=False)
TETRAHEDRON = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
#: Clouds whose covariance has equal eigenvalues.
SYMMETRIC = {
    "methane": np.concatenate([np.zeros((1, 3)), TETRAHEDRON]),
    "cube": np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8).T,
    "square in space": np.stack([np.cos(RING), np.sin(RING), 0 * RING], 1),
    "line": np.array([[-1.0, 0, 0], [0.2, 0, 0], [1.1, 0, 0]]),
    "one": np.ones((1, 3)),
    "square": np.stack([np.cos(RING), np.sin(RING)], 1),
    "line in the plane": np.array([[0.0, 1.0], [0.0, 2.0]]),
    "one in the plane": np.ones((1, 2)),
}


class Flat(nn.Module):
    """An MLP of all positions and velocities at once, that knows nothing of symmetries."""

    def __init__(self, size):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * size, 16), nn.Tanh(), nn.Linear(16, size))

    def forward(self, x, v, *, owner):
        samples = int(owner.max()) + 1
        given = torch.cat([x.reshape(samples, -1), v.reshape(samples, -1)], dim=1)
        return self.layers(given).reshape(x.shape)


def turned(d, seed=0, reflects=False):
    q, _ = torch.linalg.qr(
        torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    )
    return torch.cat([-q[:1], q[1:]]) if (torch.linalg.det(q) < 0) != reflects else q


@pytest.mark.parametrize("reflects", [False, True])
@pytest.mark.parametrize("shape", SYMMETRIC)
def test_an_mlp_is_equivariant_on_clouds_that_are_symmetric(shape, reflects):
    """The second sample is in general position, the first has more frames than it."""
    x = torch.from_numpy(SYMMETRIC[shape])
    n, d = x.shape
    torch.manual_seed(1)
    x = torch.cat([x + 0.7, torch.randn(n, d, dtype=x.dtype)])
    v = torch.randn(2 * n, d, dtype=x.dtype)
    owner = torch.arange(2).repeat_interleave(n)
    model = FrameAveraging(Flat(n * d).double(), "E(n)", vectors=[0])
    q = turned(d, reflects=reflects)
    plain = model(x, v, owner=owner)
    moved = model(x @ q.mT - 2.0, v @ q.mT, owner=owner)
    torch.testing.assert_close(moved, plain @ q.mT, rtol=1e-10, atol=1e-12)
    assert plain[:n].norm() > 1e-3 and plain[n:].norm() > 1e-3
    if not reflects:
        model.group = "SE(n)"
        torch.testing.assert_close(
            model(x @ q.mT, v @ q.mT, owner=owner), model(x, v, owner=owner) @ q.mT
        )


def test_how_many_frames_there_are():
    x = torch.from_numpy(TETRAHEDRON)
    owner = torch.zeros(4, dtype=torch.long)
    for group, count in (("E(n)", 24), ("SE(n)", 12), ("translation", 1)):
        frames = frames_of(x, owner, 1, group)
        used = frames.axes[frames.weights[:, 0] > 0, 0]
        assert len(used) == count
        eye = torch.eye(3, dtype=x.dtype).expand(count, 3, 3)
        torch.testing.assert_close(used @ used.mT, eye)
        assert group == "E(n)" or (torch.linalg.det(used) > 0).all()
    general = torch.randn(4, 3, dtype=x.dtype)
    assert len(frames_of(general, owner, 1, "E(n)").axes) == 8
    assert len(frames_of(general, owner, 1, "SE(n)").axes) == 4
    with pytest.raises(InputError, match=r"unknown group 'O\(3\)'"):
        frames_of(x, owner, 1, "O(3)")
    with pytest.raises(InputError, match="4 axes of space; expected two or three"):
        frames_of(torch.eye(4), owner, 1)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_sample_that_diverged_leaves_the_others_alone(bad):
    x = torch.randn(8, 3, dtype=torch.float64)
    owner = torch.arange(2).repeat_interleave(4)
    model = FrameAveraging(Flat(12).double(), vectors=[0])
    wanted = model(x, x, owner=owner)
    x[1, 2] = bad
    found = model(x, x, owner=owner)
    torch.testing.assert_close(found[4:], wanted[4:])
    assert not torch.isfinite(found[:4]).all()


@pytest.mark.parametrize("shape", ["methane", "line", "cube"])
def test_forces_of_symmetric_molecules_are_differences(shape):
    x = SYMMETRIC[shape]
    config = {"name": "frame_averaging", "options": {"hidden": 8, "layers": 2}}

    def energy(x):
        surrogate, batch = surrogate_of(config, [sample(x, np.arange(len(x)) % 2)], ENERGY)
        out = surrogate(batch)
        return out["energy"].item(), out["forces"][:, 0]

    _, forces = energy(x)
    assert torch.isfinite(forces).all()
    errors = equivariance_errors(*surrogate_of(config, [sample(x, np.arange(len(x)) % 2)], ENERGY))
    assert max(errors.values()) < 1e-10
    # A move of all that keeps the symmetry: the frames stay of one kind.
    h = 1e-6
    slope = (energy(x * (1 + h))[0] - energy(x * (1 - h))[0]) / (2 * h)
    along = (forces * torch.from_numpy(x - x.mean(0))).sum()
    assert float(along.detach()) == pytest.approx(-slope, rel=1e-5, abs=1e-9)


def test_what_each_group_keeps_and_the_lines_that_say_so():
    kept = {
        "E(n)": {"rotation", "reflection", "translation", "permutation"},
        "SE(n)": {"rotation", "translation", "permutation"},
        "translation": {"translation", "permutation"},
    }
    for group, wanted in kept.items():
        for name, more in (
            ("fa_gnn", {"channels": 4, "layers": 2}),
            ("frame_averaging", {"options": {"hidden": 8}}),
        ):
            config = {"name": name, "group": group, **more}
            errors = equivariance_errors(*surrogate_of(config, bodies(), MOVES))
            assert {motion for motion, error in errors.items() if error < 1e-10} == wanted
    assert equivariance_lines({"rotation": 0.0123}) == ["rotation     relative error 1.2e-02"]


def test_a_group_in_fit_is_that_of_a_model_which_knows_groups(tmp_path):
    """Of others, of a file; and one that a file does not have is not passed over."""
    import sciml

    x = np.random.default_rng(0).normal(size=(3, 4, 3))
    rows = "".join(
        "4\nProperties=species:S:1:pos:R:3:forces:R:3 energy=0.0\n"
        + "".join(f"H {a} {b} {c} 0.0 0.0 0.0\n" for a, b, c in frame)
        for frame in x
    )
    (tmp_path / "four.xyz").write_text(rows)
    task = {"inputs": ["positions"], "targets": ["energy", "forces"], "lead": 0}
    how = {"epochs": 1, "batch_size": 3, "validation": 0.0, "progress": False}
    fit = sciml.fit(
        "frame_averaging", tmp_path / "four.xyz", task, group="SE(n)", options={"hidden": 4}, **how
    )
    assert fit.model.group == fit.config["group"] == "SE(n)"
    assert "4 particles" in str(fit)
    with pytest.raises(
        InputError, match=r"group='a' of four\.xyz.*, which has none; expected the path"
    ):
        sciml.fit("egnn", tmp_path / "four.xyz", task, group="a", **how)


def test_what_cannot_be_framed_is_one_line():
    crystal = molecules(1, periodic=True)
    with pytest.raises(InputError, match="in a periodic cell; expected open space"):
        surrogate_of({"name": "frame_averaging"}, crystal, ENERGY)
    with pytest.raises(InputError, match="fa_gnn: target energy, a number a frame"):
        surrogate_of({"name": "fa_gnn"}, molecules(1), ENERGY)
    other = Task(("velocities", "positions"), ("velocities", "positions"))
    with pytest.raises(InputError, match="expected the positions, 'positions', first"):
        surrogate_of({"name": "frame_averaging"}, bodies(), other)
    surrogate, _ = surrogate_of({"name": "fa_gnn", "cutoff": 1.0}, bodies(), MOVES)
    cell = [sample(np.eye(3), cell=5 * np.eye(3))]
    with pytest.raises(InputError, match="fa_gnn: particles in a periodic cell"):
        surrogate(batch_of(surrogate, cell))


class Nodes(nn.Module):
    """Means over neighbours of all that is seen; knows nothing of symmetries."""

    def __init__(self, channels, d, wanted):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * (channels + d), 16), nn.Tanh(), nn.Linear(16, wanted)
        )

    def forward(self, x, points, edges, owner):
        seen = torch.cat([x, points], dim=1)
        source, receiver = edges
        near = torch.zeros_like(seen).index_add(0, receiver, seen[source])
        return self.layers(torch.cat([seen, near], dim=1))


def test_a_network_on_meshes_is_averaged_too(tmp_path, monkeypatch):
    """A temperature and a flow along the nodes of a mesh; the flow turns with it."""
    (tmp_path / "nodes.py").write_text(
        "from test_frames import Nodes\n\n\ndef build(setting):\n"
        "    return Nodes(setting.channels[0], setting.scope.ndim, setting.channels[1])\n"
    )
    mesh = Mesh(np.random.default_rng(4).normal(size=(6, 2)), [[0, 1, 2], [2, 3, 4], [3, 4, 5]])
    task = Task(("u", "flow"), ("flow", "u"), history=2)
    setting = Setting(task, mesh, (Field("u"), Field("flow", components=2)))
    torch.manual_seed(0)
    config = {"backbone": str(tmp_path / "nodes.py"), "group": "E(n)"}
    model = registry.build("frame_averaging", setting, **config).double()
    assert (model.given, model.wanted) == ((2, 4), (0,))
    x = torch.randn(6, 6, dtype=torch.float64)
    points, edges = torch.from_numpy(mesh.points), torch.from_numpy(mesh.edges)
    owner, q = torch.zeros(6, dtype=torch.long), turned(2, seed=4)
    plain = model(x, points, edges, owner)
    seen = torch.cat([x[:, :2], x[:, 2:4] @ q.mT, x[:, 4:] @ q.mT], dim=1)
    found = model(seen, points @ q.mT + 1.0, edges, owner)
    wanted = torch.cat([plain[:, :2] @ q.mT, plain[:, 2:]], dim=1)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    assert registry.resolved("frame_averaging", {}, model)["backbone"] == config["backbone"]
    # A number that all nodes share is a channel as well.
    fields = [Field("u"), Field("flow", components=2), Field("load", on="global")]
    pull = Field("pull", components=2)
    task = Task(("u", "flow"), ("flow", "u"), static=("load", "pull"))
    behind = Setting(task, mesh, (*fields, pull))
    assert registry.build("frame_averaging", behind).given == (1, 4)
    six = Setting(task, mesh, (*fields, Field("pull", components=6)))
    with pytest.raises(
        InputError, match="'pull' with 6 components; expected numbers, or vectors of"
    ):
        registry.build("frame_averaging", six)
    usual = registry.build("frame_averaging", setting)
    assert registry.resolved("frame_averaging", {}, usual)["backbone"] == "gcn"


@pytest.mark.parametrize(
    ("backbone", "options"),
    [("meshgraphnet", {}), ("gcn", {}), ("meshgraphnet", {"layers": 3, "levels": 1})],
)
def test_networks_of_ours_on_meshes_turn_with_them(backbone, options):
    """With all that a surrogate derives of a mesh for them."""
    task, q = Task(("u", "flow"), ("flow", "u")), turned(2, seed=4, reflects=True).numpy()
    fields = (Field("u"), Field("flow", components=2))
    draws = np.random.default_rng(0)
    points = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2]])
    points = points + 0.2 * draws.uniform(-1, 1, points.shape)
    values = draws.normal(size=6), draws.normal(size=(6, 2))

    def on(points, u, flow):
        mesh = Mesh(points, [[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4]])
        frame = Frame(0, 0, 0.0, {"u": u, "flow": flow})
        return Sample(Simulation(0, mesh, fields), 0, (frame,), (frame,))

    config = {"name": "frame_averaging", "backbone": backbone}
    config["options"] = {"hidden": 8, "layers": 2, **options}
    one = on(points, *values)
    surrogate, batch = surrogate_of(config, [one], task)
    turned_batch = batch_of(surrogate, [on(points @ q.T + 1.0, values[0], values[1] @ q.T)])
    plain, found = surrogate(batch), surrogate(turned_batch)
    wanted = plain["flow"] @ torch.from_numpy(q).mT
    # Places are rounded to float32 in a batch.
    torch.testing.assert_close(found["flow"], wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["u"], plain["u"], rtol=1e-5, atol=1e-5)
    assert plain["flow"].abs().max() > 0.01
    bodies_of = Setting(MOVES, Particles(np.zeros(3, int)), bodies()[0].simulation.fields)
    with pytest.raises(InputError, match=f"model '{backbone}': got .*particles; expected a mesh"):
        registry.build("frame_averaging", bodies_of, backbone=backbone)


@pytest.mark.parametrize("backbone", ["mesh_transformer", "transolver"])
def test_networks_that_see_coordinates_are_refused(backbone):
    mesh = Mesh([[0.0, 0], [1, 0], [0, 1]], [[0, 1, 2]])
    setting = Setting(Task(("u",), ("u",)), mesh, (Field("u"),))
    with pytest.raises(InputError, match="sees coordinates of the mesh itself"):
        registry.build("frame_averaging", setting, backbone=backbone)


def test_what_a_backbone_says_of_itself_is_said_of_its_average():
    """Without scales, repulsion would be in other units than the energy."""
    backbone = Flat(2)
    backbone.traits = Traits(takes_scales=True, conserves=True, chosen={"hidden": 3})
    wanted = Traits(takes_scales=True, conserves=True)
    assert FrameAveraging(backbone).traits == wanted
    assert MeshFrameAveraging(backbone, "E(n)", (), ()).traits == wanted


def test_static_vectors_are_scaled_and_not_shifted():
    """A shift would not turn with them."""
    domain, rng = Particles(np.zeros(4, int)), np.random.default_rng(0)
    still, moving = Field("pull", components=3), Field("positions", components=3)
    pull = 2.0 + rng.normal(size=(4, 3))
    simulation = Simulation(0, domain, (moving,), {}, {"pull": pull}, static_fields=(still,))
    frame = Frame(0, 0, 0.0, {"positions": rng.normal(size=(4, 3))})
    normalizer = Normalizer(Task(("positions",), ("positions",), static=("pull",)))
    normalizer.update([Sample(simulation, 0, (frame,), (frame,))])
    assert normalizer.numbers("pull") == pytest.approx((0.0, np.sqrt(np.mean(pull**2))))
