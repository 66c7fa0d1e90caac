"""A recording as one dataset, and what is said when its files are not what they were."""

import os
import shutil

import numpy as np
import pytest
import xarray as xr
from made_up import frame, simulation

from sciml.errors import InputError
from sciml.record import Recorder, Windows, open_recording, open_trajectories
from sciml.samples import Task
from sciml.samples.dataset import samples_of

TASK = Task(("u",), ("u",), parameters=("kappa",))


def test_the_virtual_dataset_agrees_with_the_files(record):
    folder = record({0: 5, 1: 3, 4: 5}, about={n: {"role": "train", "seed": n} for n in (0, 1, 4)})
    with xr.open_dataset(folder / "recording.nc") as ds:
        assert ds["u"].dims == ("sample", "time", "y", "x")
        assert ds["sample"].values.tolist() == [0, 1, 4]
        assert ds["kappa"].dims == ("sample",) and ds["kappa"].attrs["units"] == "m2 s-1"
        assert ds["role"].values.tolist() == ["train"] * 3
        for row, number in enumerate((0, 1, 4)):
            with xr.open_dataset(folder / f"simulation-{number:05d}.nc") as one:
                length = one.sizes["time"]
                for name in ("u", "energy", "kappa"):
                    got = ds[name].isel(sample=row)
                    got = got.isel(time=slice(0, length)) if "time" in got.dims else got
                    np.testing.assert_array_equal(got.values, one[name].values)
                    assert got.attrs == one[name].attrs
        assert np.isnan(ds["u"].values[1, 3:]).all() and np.isnan(ds["energy"].values[1, 3:]).all()


def test_dask_chunks_give_the_same(record):
    recording = open_recording(record({0: 5, 1: 3}))
    whole = recording.dataset["u"].values
    lazy = recording.open_dataset(chunks={"sample": 1, "time": 2})
    assert lazy["u"].chunks is not None
    np.testing.assert_array_equal(lazy["u"].compute(scheduler="threads").values, whole)
    np.testing.assert_allclose(lazy["u"].mean("time"), np.nanmean(whole, axis=1), rtol=1e-6)


def test_the_virtual_dataset_finds_its_files_after_a_move(record, tmp_path, monkeypatch):
    folder = record({0: 3})
    shutil.move(folder, tmp_path / "moved")
    monkeypatch.chdir("/")
    with xr.open_dataset(tmp_path / "moved" / "recording.nc") as ds:
        assert not np.isnan(ds["u"].values).any()
    assert open_recording(tmp_path / "moved").ids == (0,)


def test_the_virtual_dataset_is_made_anew_when_files_were_added(record):
    folder = record({0: 3})
    record({1: 3})
    (folder / "recording.nc").unlink()
    assert open_recording(folder).dataset.sizes["sample"] == 2


def test_a_missing_file_is_named(record):
    folder = record({0: 3, 1: 3, 2: 3})
    (folder / "simulation-00001.nc").unlink()
    with pytest.raises(InputError, match=r"simulation-00001\.nc is missing; put it back"):
        open_recording(folder)


def test_a_truncated_file_is_named(record):
    folder = record({0: 3, 1: 3})
    path = folder / "simulation-00001.nc"
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(InputError, match=r"simulation-00001\.nc is truncated: \d+ bytes"):
        open_recording(folder)


def test_a_changed_file_is_named(record):
    folder = record({0: 3, 1: 3})
    path = folder / "simulation-00000.nc"
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"simulation-00000\.nc was changed"):
        open_recording(folder)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InputError, match=r"simulation-00000\.nc was changed"):
        open_recording(folder, thorough=True)


def test_a_copied_recording_opens(record, tmp_path):
    shutil.copytree(record({0: 3}), tmp_path / "copy", copy_function=shutil.copyfile)
    assert open_recording(tmp_path / "copy").ids == (0,)


def test_windows_are_those_of_the_windower(record):
    recording = open_recording(record({0: 5, 1: 5}))
    task = Task(("u",), ("u",), lead=2, history=2, parameters=("kappa",))
    windows = Windows(recording, recording.ids, task)
    truth = samples_of(recording.dataset, task)
    assert [s.key for s in windows] == [s.key for s in truth]
    for mine, other in zip(windows, truth, strict=True):
        assert dict(mine.simulation.parameters) == dict(other.simulation.parameters)
        for a, b in zip(mine.frames, other.frames, strict=True):
            np.testing.assert_array_equal(a.fields["u"], b.fields["u"])


def test_windows_do_not_join_attempts_that_disagree(tmp_path):
    recorder, sim = Recorder(tmp_path / "r"), simulation(0)
    recorder.open(sim)
    for step in range(6):
        if step == 3:
            recorder.open(sim, continues=False)
        recorder.push(frame(sim, step, attempt=1 + (step >= 3)))
    recorder.close(0)
    recording = open_recording(tmp_path / "r")
    origins = Windows(recording, [0], TASK).keys[:, 1].tolist()
    assert origins == [0, 1, 3, 4]
    assert recording.simulations[0].attempts == [1, 2]


def test_a_small_cache_gives_the_same_frames(record):
    folder = record({0: 5, 1: 5})
    wide, narrow = open_recording(folder), open_recording(folder, cache=1)
    for index in (3, 0, 7, 3):
        a, b = (Windows(r, r.ids, TASK)[index] for r in (wide, narrow))
        np.testing.assert_array_equal(a.targets[0].fields["u"], b.targets[0].fields["u"])


def test_foreign_files_and_folders(record, tmp_path):
    folder = record({0: 4, 1: 4})
    ds = open_recording(folder).dataset.drop_vars(["arrival", "segment", "role"], errors="ignore")
    (tmp_path / "foreign").mkdir()
    ds.to_netcdf(tmp_path / "foreign" / "a.nc", engine="h5netcdf")
    for number in range(2):
        path = tmp_path / "foreign" / f"b{number}.nc"
        ds.isel(sample=number).drop_vars("sample").to_netcdf(path, engine="h5netcdf")
    assert open_trajectories(tmp_path / "foreign" / "a.nc", TASK).ids == (0, 1)
    several = open_trajectories(tmp_path / "foreign", TASK)
    assert several.ids == (0, 1, 2, 3) and several.units == {"kappa": "m2 s-1"}
    assert several.arrivals(several.ids)[:, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    np.testing.assert_array_equal(several.frame(3, 2).fields["u"], ds["u"].values[1, 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "nothing there"),
        (lambda p: p.mkdir(), "holds no data files"),
        (lambda p: p.write_text("no netCDF"), "place: no netCDF, HDF5 or zarr"),
    ],
)
def test_bad_places(tmp_path, make, message):
    make(tmp_path / "place")
    with pytest.raises(InputError, match=message):
        open_trajectories(tmp_path / "place", TASK)
