import numpy as np
import pytest
import xarray as xr


def vortices(samples, points, times, seed):
    """Waves that run along x and fade: ω(t, x, y) = e^{−0.02 t} f(x − 0.05 t, y)."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*[np.arange(points) / points] * 2)
    phases = 2 * np.pi * rng.uniform(size=(samples, 1, 1, 1, 2))
    t = np.arange(times, dtype=float)[:, None, None]
    across = np.sin(2 * np.pi * (x - 0.05 * t) + phases[..., 0])
    w = np.exp(-0.02 * t) * (across + np.cos(2 * np.pi * y + phases[..., 1]))
    coords = {"time": np.arange(times, dtype=float)}
    for axis in ("y", "x"):
        values = xr.DataArray(np.arange(points) / points, dims=axis)
        values.attrs |= {"boundary": "periodic", "extent": [0.0, 1.0]}
        coords[axis] = values
    split = ("sample", ["train"] * (samples - 2) + ["test"] * 2)
    fields = {"w": (("sample", "time", "y", "x"), w.astype(np.float32))}
    return xr.Dataset(fields, coords={**coords, "split": split})


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("fno", {"modes": 4, "hidden_channels": 8, "n_layers": 2}),
        ("mgno", {"width": 8, "levels": 2, "n_layers": 2}),
        ("unet", {"width": 8, "levels": 2}),
    ],
)
def test_ten_steps_are_better_than_persistence(workflow, model, options):
    run = workflow("navier_stokes")
    ds = vortices(10, 8, 21, 0)
    train, test = run.states(ds, "train"), run.states(ds, "test")
    assert test.sizes == {"sample": 2, "time": 20, "y": 8, "x": 8}
    case = run.CASES["small"][model]
    case = run.Case({**case.model, **options}, 8, 10, {**case.phase, "lr": 5e-3})
    surrogate = run.learn(case, train, 0, "cpu")
    found = run.errors(run.roll(surrogate, test).values, run.truth_of(test))
    held = run.persistence(test)
    assert len(found["steps"]) == len(held["steps"]) == 10
    assert found["rollout"] < 0.5 * held["rollout"]
    row = {"model": model, "seed": 0, **run.weights(surrogate), "processor_seconds": 1.0, **found}
    assert "persistence" in run.table([{**row, "persistence": held}])


def test_the_error_of_ten_states_is_measured_over_all_of_them_together(workflow):
    run = workflow("navier_stokes")
    truth = np.ones((1, 2, 1, 1)) * np.array([3.0, 4.0])[None, :, None, None]
    found = run.errors(truth + np.array([0.0, 2.0])[None, :, None, None], truth)
    assert found["rollout"] == pytest.approx(2 / 5)
    assert found["steps"] == pytest.approx([0, 0.5])


def test_the_published_setting_is_one_window_of_ten_and_ten(workflow):
    run = workflow("navier_stokes")
    case = run.CASES["full"]["fno"]
    task = case.task()
    assert [*task.input_steps(9)] == [*range(10)]
    assert [*task.target_steps(9)] == [*range(10, 20)]
    assert not case.increment
