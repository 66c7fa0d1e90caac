"""Our sources in deepxde, its function spaces here; skipped where deepxde is not installed."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from sciml.domain import Grid
from sciml.samples import Task
from sciml.training.function_space import FunctionSpaceSource, function_dataset

pytest.importorskip("deepxde", reason="needs the extra 'pinn'")
from sciml.training.deepxde_data import StopWithSource, StreamData, dde

TASK = Task(("u",), ("s",), lead=0)
GRID = Grid((16,), ((0.0, 1.0),), ("open",))


def doubled(u, grid):
    return {"s": 2 * u}


def test_a_model_of_deepxde_trains_on_a_source_until_it_ends():
    space = dde.data.GRF(length_scale=0.5, N=50)
    source = FunctionSpaceSource(space, doubled, GRID, TASK, 32, draws=60)
    held_out = FunctionSpaceSource(space, doubled, GRID, TASK, 8, seed=1).next_batch()
    data = StreamData(source, held_out)
    (u, y), s = data.test()
    assert u.shape == (8, 16) and y.shape == (16, 1) and s.shape == (8, 16)
    np.testing.assert_allclose(s, 2 * u, rtol=1e-6)
    np.testing.assert_allclose(y[:, 0], np.linspace(0, 1, 16), rtol=1e-6)
    torch.manual_seed(0)
    net = dde.nn.DeepONetCartesianProd([16, 16], [1, 16, 16], "tanh", "Glorot normal")
    model = dde.Model(data, net)
    model.compile("adam", lr=1e-2, verbose=0)
    history, _ = model.train(
        iterations=1000, callbacks=[StopWithSource()], display_every=10, verbose=0
    )
    assert data.ended and history.steps[-1] == 60
    assert history.loss_test[-1][0] < history.loss_test[0][0] / 3


@pytest.mark.parametrize("space", ["Chebyshev", "PowerSeries", "GRF"])
def test_function_spaces_make_datasets(space):
    options = {"N": 20} if space == "GRF" else {"N": 4}
    ds = function_dataset(getattr(dde.data, space)(**options), doubled, GRID, TASK, 5)
    assert ds.u.dims == ("sample", "x") and ds.u.shape == (5, 16)
    np.testing.assert_allclose(ds.s, 2 * ds.u, rtol=1e-6)
    again = function_dataset(getattr(dde.data, space)(**options), doubled, GRID, TASK, 5)
    assert ds.identical(again)


def test_it_is_imported_under_mpirun_and_operations_stay_as_fast_as_they_were():
    """deepxde's own import raises there; and a default device that is set passes every operation through
    Python."""
    program = (
        "import os, torch, torch.overrides as o; before = o._get_current_function_mode_stack();"
        "import sciml.training.deepxde_data; assert o._get_current_function_mode_stack() == before;"
        "assert os.environ['OMPI_COMM_WORLD_SIZE'] == '2'"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "OMPI_COMM_WORLD_SIZE": "2"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stdout, done.stderr
