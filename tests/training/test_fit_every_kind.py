"""``fit`` on files of meshes, graphs, particles and molecules, each simulation of a size of its own."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.domain import Field, Graph, Mesh, Particles
from sciml.domain.dataset import to_dataset
from sciml.errors import DomainError, InputError


class Around(nn.Module):
    """A linear map of what a node has and of the mean of its neighbours: exact for one step."""

    def __init__(self):
        super().__init__()
        self.own, self.near, self.bias = (nn.Parameter(torch.zeros(())) for _ in range(3))

    def forward(self, x, *places):
        edges = places[-2]
        ones = torch.ones(edges.shape[1], dtype=x.dtype)
        degree = torch.zeros(len(x), dtype=x.dtype).index_add(0, edges[1], ones)
        mean = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]]) / degree[:, None]
        return self.own * x + self.near * mean + self.bias


def diffused(domain, rng, held=()):
    source, receiver = domain.edges
    degree = np.bincount(receiver, minlength=domain.size)
    frames = [rng.standard_normal(domain.size)]
    for _ in range(5):
        u = frames[-1]
        change = np.bincount(receiver, u[source] - u[receiver], minlength=domain.size) / degree
        change[list(held)] = 0.0
        frames.append(u + 0.4 * change)
    return np.stack(frames)


def strip(n):
    points = np.array([(i, j) for i in range(n + 1) for j in range(2)], float)
    cells = [(2 * i, 2 * i + 2, 2 * i + 3, 2 * i + 1) for i in range(n)]
    ends = {"wall": [0, 1, 2 * n, 2 * n + 1]}
    return Mesh(points, cells, cell_type="quadrilateral", groups=ends)


def ring(n):
    i = np.arange(n)
    return Graph(n, np.concatenate([[i, (i + 1) % n], [(i + 1) % n, i]], axis=1))


def written(datasets, folder):
    for number, ds in enumerate(datasets):
        ds.to_netcdf(folder / f"{number:02d}.nc", engine="h5netcdf")
    return folder


def scalar(domain, values):
    return to_dataset(domain, (Field("u"),), {"u": values}, 0.1 * np.arange(len(values)))


PLAN = {"optimizer": "lbfgs", "lr": 1.0, "steps": 5}


@pytest.mark.parametrize(("make", "held"), [(strip, True), (strip, False), (ring, False)])
def test_fields_on_nodes_from_files_to_a_rollout(make, held, tmp_path):
    rng = np.random.default_rng(0)
    domains = [make(n) for n in (4, 5, 6, 7, 8, 9)]
    groups = [d.groups["wall"] if held else () for d in domains]
    data = [scalar(d, diffused(d, rng, g)) for d, g in zip(domains, groups, strict=True)]
    task = {"inputs": ["u"], **({"prescribed": {"u": ["wall"]}} if held else {})}
    made = sciml.fit(
        Around(),
        written(data, tmp_path),
        task,
        phases=PLAN,
        validation=0.3,
        rollout=3,
        batch_size=64,
    )
    found = made.history.validations[-1]
    assert found["vrmse"] < 0.02 < found["vrmse_persistence"] and found["rollout_steps"] == 3
    one = data[0]
    out = made.rollout(one.isel(time=[0]), 3)
    np.testing.assert_allclose(out.u, one.u[1:4], atol=0.1)
    if held:
        np.testing.assert_array_equal(out.u[:, groups[0]], one.u[[0, 0, 0]].values[:, groups[0]])
    out.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as again:
        assert sciml.domain.inference.domain_of(again) == domains[0]
    made.save(tmp_path / "saved")
    again = sciml.load(tmp_path / "saved", Around())
    np.testing.assert_array_equal(again.rollout(one.isel(time=[0]), 3).u, out.u)


class Pull(nn.Module):
    """Changes that are linear in positions and velocities."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(2, 2))

    def forward(self, positions, velocities, **_):
        (a, b), (c, d) = self.a
        both = a * positions + b * velocities, c * positions + d * velocities
        return dict(zip(("positions", "velocities"), both, strict=True))


def test_bodies_on_springs_roll_out(tmp_path):
    """Positions and velocities → those a step later, as increments; units of 1e-3 beside ones of 1."""
    rng, data = np.random.default_rng(0), []
    fields = (Field("positions", "m", components=3), Field("velocities", "m s-1", components=3))
    for n in (2, 3, 4, 5, 3):
        x, v = rng.standard_normal((n, 3)), 1e-3 * rng.standard_normal((n, 3))
        frames = []
        for _ in range(8):
            frames.append((x, v))
            v = v - 2e-5 * x
            x = x + 100.0 * v
        arrays = dict(
            zip(("positions", "velocities"), map(np.stack, zip(*frames, strict=True)), strict=True)
        )
        data.append(to_dataset(Particles(np.ones(n, int)), fields, arrays, 100.0 * np.arange(8)))
    made = sciml.fit(
        Pull(), written(data, tmp_path), {"inputs": ["positions", "velocities"]},
        phases={"optimizer": "lbfgs", "lr": 1.0, "steps": 20}, loss="mse", validation=0.2, rollout=5,
        batch_size=64,
    )  # fmt: skip
    found = made.history.validations[-1]
    assert found["vrmse"] < 1e-2 and found["vrmse_rollout"] < 5e-2
    out = made.rollout(data[0].isel(time=[0]), 7)
    for name in ("positions", "velocities"):
        error = np.abs(out[name].values - data[0][name].values[1:])
        assert error.max() < 0.05 * np.abs(data[0][name]).max()
    assert made.domain.least == 2 and made.domain.most == 5


class Bonds(nn.Module):
    """E = Σ over pairs of s_i s_j f(r), and a number each."""

    def __init__(self):
        super().__init__()
        self.f, self.alone = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(4))

    def forward(self, x, *, species, ptr, owner, **_):
        i, j = torch.nonzero(owner[:, None] == owner[None]).unbind(1)
        i, j = i[i < j], j[i < j]
        r = (x[i] - x[j]).norm(dim=1)
        pairs = (species[i] * species[j]) * (self.f[0] * r + self.f[1] * r**2)
        energy = x.new_zeros(len(ptr) - 1).index_add(0, owner[i], pairs)
        return {"E": energy.index_add(0, owner, self.alone[species])}


def molecule(species, rng, small=0.0, frames=6):
    """Springs; energies of −4209 eV and more, in float64 all the way."""
    fields = (Field("x", "Å", components=3), Field("E", "eV", on="global"))
    fields += (Field("F", "eV/Å", components=3),)
    found = []
    for _ in range(frames):
        x = rng.standard_normal((len(species), 3))
        gap = x[:, None] - x[None]
        weight = np.multiply.outer(species, species) * (1 - np.eye(len(species)))
        energy = 0.25 * small * (weight * (gap**2).sum(-1)).sum() - 702.0 * np.sum(species)
        found.append((x, energy, -small * (weight[..., None] * gap).sum(1)))
    arrays = dict(zip(("x", "E", "F"), map(np.array, zip(*found, strict=True)), strict=True))
    return to_dataset(Particles(species, units="Å"), fields, arrays, np.arange(float(frames)))


def test_millielectronvolts_of_total_energies_are_learned_from_files(tmp_path):
    """0.1 meV of −4209 eV is a fifth of the steps that float32 has there."""
    rng = np.random.default_rng(0)
    kinds = [(1, 2), (2, 2), (1, 1, 2), (1, 2, 3), (3, 2, 1), (1, 1, 1, 3)]
    data = [molecule(kind, rng, 1e-5) for kind in kinds]
    assert {float(np.float32(ds.E[0]) - np.float32(ds.E[1])) for ds in data} != {0.0}
    task = {"inputs": ["x"], "targets": ["E", "F"], "lead": 0}
    made = sciml.fit(
        Bonds(), written(data, tmp_path), task, batch_size=64, validation=0.2,
        phases={"optimizer": "lbfgs", "lr": 1.0, "steps": 10},
    )  # fmt: skip
    assert {*made.history.steps[-1].losses} == {"energy", "forces"}
    found = made.history.validations[-1]
    assert found["mae_per_particle"] < 1e-6 and found["mae"] < 1e-6
    assert np.abs(made.predict(data[3]).E - data[3].E).max() < 5e-6
    np.testing.assert_allclose(made.predict(data[3]).F, data[3].F, atol=1e-6)


def test_species_of_what_is_held_out_alone_are_told_before_training(tmp_path, caplog):
    rng = np.random.default_rng(0)
    data = [molecule((1, 2), rng, 1.0), molecule((1, 1), rng, 1.0), molecule((1, 7), rng, 1.0)]
    data[2].attrs["split"] = "validation"
    for ds in data[:2]:
        ds.attrs["split"] = "train"
    task = {"inputs": ["x"], "targets": ["E", "F"], "lead": 0}
    made = sciml.fit(Bonds(), written(data, tmp_path), task, epochs=1)
    assert (
        "1 of 1 simulations that are held out have species that are not trained on, 7"
        in caplog.text
    )
    assert made.history.validations == []
    with pytest.raises(
        InputError, match="dataset has species 7; the surrogate was trained on 1, 2"
    ):
        made.predict(data[2])


def test_meshes_that_are_held_out_are_like_those_of_the_training(caplog):
    """Of cells that were trained on, else they are left out; in one unit."""
    points = np.array([(0.0, 0), (1, 0), (1, 1), (0, 1)])
    triangles, square = [[0, 1, 2], [0, 2, 3]], [[0, 1, 2, 3]]

    def still(cells, role, units="m"):
        ds = to_dataset(Mesh(points, cells, units), (Field("u"),), {"u": np.eye(4)}, np.arange(4.0))
        return ds.assign_attrs(split=role)

    def fitted(last):
        model = {"name": "meshgraphnet", "hidden": 4, "layers": 1}
        return sciml.fit(model, [still(triangles, "train"), last], epochs=1)

    made = fitted(still(square, "validation"))
    assert "have cells that are not trained on, quadrilateral, and are left out" in caplog.text
    assert made.history.validations == []
    with pytest.raises(DomainError, match="units 'm' and 'mm' in one training"):
        fitted(still(triangles, "validation", "mm"))
