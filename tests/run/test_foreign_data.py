"""Files that anyone wrote: what is said of those that do not go together, or not with a surrogate."""

import numpy as np
import pytest
import xarray as xr
import yaml

import sciml
from sciml.errors import InputError
from sciml.run.evaluation import evaluate
from sciml.run.offline.training import train_offline
from sciml.study import load_study

STEP = 0.25


def waves(phase=0.0, n=8, times=6):
    """One simulation on a line, as others write it."""
    x, time = np.linspace(0.0, 2.0, n), STEP * np.arange(times)
    u = np.cos(3 * x - time[:, None] + phase).astype(np.float32)
    return xr.Dataset(
        {"u": (("time", "x"), u, {"units": "m s-1"})},
        {"time": ("time", time, {"units": "s"}), "x": ("x", x, {"units": "m"})},
    )


@pytest.fixture
def study(tmp_path):
    """A study for data alone: it names neither a solver nor parameters."""
    sections = {
        "name": "waves",
        "task": {"inputs": ["u"]},
        "model": {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1},
        "training": {"batch_size": 2, "phases": [{"steps": 2}], "device": "cpu"},
        "validation": {"simulations": 1},
    }
    path = tmp_path / "waves.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


@pytest.fixture
def files(tmp_path):
    """Puts datasets into a folder, ``a.nc``, ``b.nc``, …"""
    folder = tmp_path / "files"
    folder.mkdir()

    def files(*datasets, **kwargs):
        for name, ds in zip("abc", datasets, strict=False):
            ds.to_netcdf(folder / f"{name}.nc", **{"engine": "h5netcdf", **kwargs})
        return folder

    return files


def test_a_study_for_data_needs_no_solver(study, files, tmp_path):
    with pytest.raises(InputError, match="'solver' is missing"):
        load_study(study)
    run = sciml.train(study, files(waves(), waves(1.0)), tmp_path / "run", plain=True)
    assert run.study.task.inputs == ["u"]
    # Told by the data, so that a rollout from one state has their times, and others are refused.
    assert run.surrogate().dt == STEP
    film = run.surrogate().rollout(waves().isel(time=[0]), 2)
    np.testing.assert_allclose(film.time, [STEP, 2 * STEP])


def test_files_of_netcdf_3_are_read(study, files, tmp_path):
    folder = files(waves(), waves(1.0), engine="scipy", format="NETCDF3_64BIT")
    assert sciml.train(study, folder, tmp_path / "run", plain=True).summary["steps"] == 2


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            lambda ds: ds.assign(u=ds.u.assign_attrs(units="km h-1")),
            r"b\.nc: 'u' is in km h-1, in a\.nc in m s-1",
        ),
        (
            lambda ds: ds.isel(time=slice(None, None, 2)),
            r"b\.nc: a time step of 0\.5 s, in a\.nc of 0\.25 s",
        ),
        (lambda ds: ds.assign_coords(x=3 * ds.x), r"spans \[0, [26]\] along x"),
    ],
    ids=["units", "time step", "box"],
)
def test_files_that_do_not_go_together_are_refused_before_training(
    study, files, tmp_path, other, said
):
    folder = files(waves(), other(waves(1.0)))
    with pytest.raises(InputError, match=said):
        train_offline(load_study(study, solver=False), folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_predictions_of_a_run_are_no_data(study, files, tmp_path):
    """They lie in its folder, as netCDF."""
    run = sciml.train(study, files(waves(), waves(1.0)), tmp_path / "run", plain=True)
    assert run.directory.predictions.is_file()
    with pytest.raises(
        InputError, match="a run that recorded nothing; expected one with record: true"
    ):
        sciml.train(study, run.path, tmp_path / "other")
    assert evaluate(run.path, [run.path]) == evaluate(run.path)


def test_what_is_no_path_is_named(study):
    with pytest.raises(InputError, match="data of type Dataset; expected the path"):
        sciml.train(study, waves())
    with pytest.raises(InputError, match="study of type dict; expected the path"):
        sciml.run({"name": "waves"})


def test_errors_are_measured_on_data_that_fit_alone(files, tmp_path):
    saved = tmp_path / "saved"
    options = {"name": "fno", "modes": 2, "hidden_channels": 4, "n_layers": 1}
    sciml.fit(options, waves(), targets=["u"], epochs=1).save(saved)
    folder = files(waves(), waves(1.0))
    assert evaluate(saved, [folder])["simulations"] == 2  # all files of a folder
    [path] = files(waves().isel(time=slice(None, None, 2))).glob("a.nc")
    with pytest.raises(InputError, match=r"a\.nc: dataset has a time step of 0\.5"):
        evaluate(saved, [path])
    files(waves().assign_coords(x=3 * waves().x))
    with pytest.raises(InputError, match=r"a\.nc: dataset spans \[0, 6\] along axis x"):
        evaluate(saved, [path])
    with pytest.raises(InputError, match="holds no data files"):
        evaluate(saved, [saved])
