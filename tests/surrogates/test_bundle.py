"""One call of a model gives several frames."""

import numpy as np
import pytest
import torch
from torch import nn

import sciml
from sciml.domain import Field, Grid, Mesh
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.samples import Frame, Sample, Simulation, Task
from sciml.surrogates import Setting, Surrogate, collate
from sciml.training import Pushforward

LINE = Grid((16,), ((0.0, 1.0),), ("periodic",))


class Ahead(nn.Module):
    """u + 1, u + 2, … of the last input; v likewise, by tens."""

    def __init__(self, bundle, history=1):
        super().__init__()
        self.bundle, self.history = bundle, history

    def forward(self, x, *_):
        u, v = x[:, self.history - 1], x[:, 2 * self.history - 1]
        frames = [f for k in range(1, self.bundle + 1) for f in (u + k, v + 10 * k)]
        return torch.stack(frames, dim=1)


def frames(n, shape=(16,)):
    """What :class:`Ahead` goes on with, from 0."""
    return [
        Frame(0, s, float(s), {"u": np.full(shape, float(s)), "v": np.full(shape, 10.0 * s)})
        for s in range(n)
    ]


def sample(task, domain=LINE, n=20):
    simulation = Simulation(0, domain, (Field("u"), Field("v")))
    known = frames(n, domain.point_shape)
    inputs = tuple(known[s] for s in task.input_steps(4))
    return Sample(simulation, 4, inputs, tuple(known[s] for s in task.target_steps(4)))


@pytest.mark.parametrize("history", [1, 2, 5])
@pytest.mark.parametrize("unroll", [1, 3, 6, 7])
def test_frames_of_several_calls_are_one_row(unroll, history):
    task = Task(("u", "v"), ("u", "v"), history=history, unroll=unroll, bundle=3)
    one = sample(task)
    batch = collate([one], task)
    out = Surrogate(Ahead(3, history), task)(batch)
    for name, given in out.items():
        assert given.shape == (1, unroll, 16)
        np.testing.assert_array_equal(given, batch.targets[name])


def test_on_a_mesh_and_with_increments():
    points = np.array([[0, 0], [1, 0], [0, 1]], float)
    task = Task(("u", "v"), ("u", "v"), bundle=2)
    assert task.unroll == 2 and Setting(task, LINE).channels == (2, 4)
    out = Surrogate(Ahead(2), task)(collate([sample(task, Mesh(points, [[0, 1, 2]]))], task))
    np.testing.assert_array_equal(out["v"], [[50, 60]] * 3)

    class Still(nn.Module):
        """As fast a change throughout."""

        def forward(self, x):
            return torch.ones_like(x).repeat(1, 2, 1)

    moved = Surrogate(Still(), task, increment=True)(collate([sample(task)], task))
    assert moved["u"][0, :, 0].tolist() == [5.0, 6.0]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"bundle": 0, "unroll": 1}, "expected 1 or more"),
        ({"bundle": 2.0}, "expected a whole number"),
        ({"bundle": 2, "lead": 0}, "lead=0, history=1; expected fields that go ahead"),
        ({"bundle": 2, "forcing": ("f",)}, "with forcing"),
    ],
)
def test_bundles_that_cannot_be(keys, said):
    with pytest.raises(InputError, match=said):
        Task(("u",), ("u",), **keys)


def test_pushed_forward_by_whole_calls():
    task = Task(("u", "v"), ("u", "v"), unroll=6, bundle=3)
    surrogate, batch = Surrogate(Ahead(3), task), collate([sample(task)], task)
    pushed = Pushforward(3, draw="last")(surrogate, batch, 0)
    np.testing.assert_array_equal(pushed.inputs["u"][0, 0], np.full(16, 7.0))
    assert pushed.time.tolist() == [[8.0, 9.0, 10.0]]
    with pytest.raises(InputError, match="expected a multiple of 3"):
        Pushforward(2)(surrogate, batch, 0)


def test_it_is_fitted_saved_and_rolled_out(tmp_path):
    x, t = np.arange(16) / 16, np.arange(24) / 24
    u = np.sin(2 * np.pi * (x - t[:, None]))
    ds = to_dataset(LINE, (Field("u"),), {"u": u}, t)
    model = {"name": "fno", "modes": 4, "hidden_channels": 8, "n_layers": 2}
    task = {"inputs": ["u"], "bundle": 3}
    surrogate = sciml.fit(model, ds, task, epochs=60, batch_size=4, seed=1)
    surrogate.save(tmp_path)
    loaded = sciml.load(tmp_path)
    assert loaded.task.bundle == 3
    far = loaded.rollout(ds.isel(time=[12]), steps=7)
    assert far.sizes["time"] == 7
    truth = ds.u.isel(time=slice(13, 20))
    np.testing.assert_allclose(far.time, truth.time)
    error = np.linalg.norm(far.u.values - truth.values) / np.linalg.norm(truth.values)
    assert error < 0.3  # leaving the field as it is: 1.2
    near = loaded.predict(ds.isel(time=slice(0, 4)))
    assert near.sizes["time"] == 4
    np.testing.assert_allclose(near.time, t[1:5])
