"""Rollouts beside the truth, as a run leaves them."""

import numpy as np
import xarray as xr

from sciml.domain import Field, Grid
from sciml.samples import Frame, Simulation, Task
from sciml.study.evaluation import write_predictions
from sciml.study.heldout import HeldOut
from sciml.study.rundir import RunDirectory


class _Persistence:
    """A surrogate that gives the last frame again."""

    task = Task(("u",), ("u",))
    step = None

    def rollout(self, ds, steps):
        last = ds.isel(time=[-1] * steps)
        step = float(ds.time[-1]) + 1.0
        return last.assign_coords(time=step + np.arange(steps))


def test_simulations_with_times_of_their_own_keep_them(tmp_path):
    run = RunDirectory.create(tmp_path / "run")
    grid = Grid((4,), ((0.0, 1.0),), ("periodic",))
    heldout = HeldOut(run.validation)
    for number, dt in ((1, 0.1), (2, 0.2)):
        heldout.open(Simulation(number, grid, (Field("u"),)))
        for step in range(3):
            heldout.push(Frame(number, step, dt * step, {"u": np.full(4, step, np.float32)}))
        heldout.close(number)
    write_predictions(_Persistence(), run, 2)
    files = sorted(run.path.glob("predictions*.nc"))
    assert [f.name for f in files] == ["predictions-00001.nc", "predictions-00002.nc"]
    times = [xr.load_dataset(file).time.values for file in files]
    np.testing.assert_allclose(times, [[0.0, 0.1, 0.2], [0.0, 0.2, 0.4]])
