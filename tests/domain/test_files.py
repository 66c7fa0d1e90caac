"""Files of others: groups, zarr, HDF5 of The Well and PDEBench, folders, and what is no data."""

import sys

import h5py
import numpy as np
import pytest
import xarray as xr
from layouts import (
    write_darcy,
    write_flow,
    write_incompressible,
    write_line,
    write_seeds,
    write_the_well,
)

import sciml
from sciml.domain.files import files_of, open_file
from sciml.domain.hdf5 import Stored
from sciml.domain.inference import domain_of, fields_of
from sciml.domain.layout import layout_of
from sciml.errors import InputError


def line(n=8, times=4, shift=0.0):
    u = np.sin(np.arange(times)[:, None] + np.arange(n) + shift).astype(np.float32)
    coords = {"time": np.arange(times) * 0.5, "x": np.arange(n) / n}
    return xr.Dataset({"u": (("time", "x"), u)}, coords)


def write(path, ds, **options):
    ds.to_netcdf(path, engine="h5netcdf", **options)
    return path


def test_the_well_gives_named_fields_parameters_and_periodic_axes(tmp_path):
    path = write_the_well(tmp_path / "a.hdf5", samples=3, times=5, shape=(8, 10))
    ds = sciml.open_dataset(path)
    with h5py.File(path) as f:
        velocity, stress = f["t1_fields/velocity"][()], f["t2_fields/stress"][()]
        profile = f["t0_fields/profile"][()]
    assert ds["velocity_y"].dims == ("sample", "time", "x", "y")
    np.testing.assert_array_equal(ds["velocity_y"], velocity[..., 1])
    np.testing.assert_array_equal(ds["stress_xy"], stress[..., 0, 1])
    np.testing.assert_array_equal(ds["profile"].isel(y=7), profile)
    assert ds["floor"].dims == ("sample", "x", "y") and ds["heating"].dims == ("time",)
    np.testing.assert_array_equal(ds.time, 0.5 * np.arange(5))
    assert ds["Viscosity"].item() == np.float32(0.1) and ds["Schmidt"].item() == 2.0
    assert ds["strength"].dims == ("sample",)
    names = ["tracer", "velocity_x", "velocity_y"]
    domain = domain_of(ds, names)
    assert domain.dims == ("y", "x") and domain.boundary == ("open", "periodic")
    assert domain.extent[1] == (0.0, 1.0)
    assert [f.parity for f in fields_of(ds, names)] == ["", "x", "y"]


def test_the_well_reads_what_is_asked_for_alone(tmp_path, monkeypatch):
    path = write_the_well(tmp_path / "a.hdf5", samples=3, times=5, shape=(8, 10))
    read = []
    entry = Stored._entry

    def counted(self, array, key):
        found = entry(self, array, key)
        read.append(found.size)
        return found

    monkeypatch.setattr(Stored, "_entry", counted)
    ds = sciml.open_dataset(path).drop_vars("profile")
    read.clear()
    newest_first = ds.isel(time=slice(None, None, -1), x=slice(2, 6))
    one = newest_first["velocity_x"].isel(sample=1, time=[0])
    assert not read
    with h5py.File(path) as f:
        np.testing.assert_array_equal(one[0], f["t1_fields/velocity"][1, 4, 2:6, :, 0])
    assert read == [4 * 10]


def test_the_well_without_what_it_prescribes_is_refused_or_counted(tmp_path):
    bare = tmp_path / "bare.hdf5"
    with h5py.File(bare, "w") as f:
        f["t0_fields/density"] = np.zeros((2, 5, 8, 6), "f4")
        f["dimensions/x"], f["dimensions/time"] = np.arange(8.0), np.arange(5.0)
    ds = sciml.open_dataset(bare)
    assert ds["density"].dims == ("sample", "time", "x", "y") and "y" not in ds.coords
    ds.close()
    with h5py.File(bare, "a") as f:
        del f["dimensions/x"]
        f["dimensions/x"] = np.arange(7.0)
    with pytest.raises(InputError, match=r"bare\.hdf5: 't0_fields/density' has the shape.*x has 7"):
        sciml.open_dataset(bare)
    path = write_the_well(tmp_path / "short.hdf5")
    with h5py.File(path, "a") as f:
        del f["dimensions/time"]
        f["dimensions/time"] = np.arange(4.0)
    with pytest.raises(InputError, match="'dimensions/time' has 4 times; expected 6"):
        sciml.open_dataset(path)


@pytest.mark.parametrize(
    ("make", "name", "read", "dims"),
    [
        (write_line, "tensor", lambda f: f["tensor"], ("time", "x")),
        (write_darcy, "tensor", lambda f: f["tensor"][:, 0], ("x", "y")),
        (write_darcy, "nu", lambda f: f["nu"], ("x", "y")),
        (write_flow, "Vy", lambda f: f["Vy"], ("time", "x", "y")),
        (write_seeds, "data", lambda f: [f[s]["data"][..., 0] for s in f], ("time", "x", "y")),
        (write_incompressible, "velocity_y", lambda f: f["velocity"][..., 1], ("time", "x", "y")),
        (write_incompressible, "particles", lambda f: f["particles"][..., 0], ("time", "x", "y")),
        (write_incompressible, "force_x", lambda f: f["force"][..., 0], ("x", "y")),
    ],
)
def test_pdebench_gives_fields_by_name(tmp_path, make, name, read, dims):
    path = make(tmp_path / "a.hdf5")
    ds = sciml.open_dataset(path)
    assert ds[name].dims == ("sample", *dims)
    with h5py.File(path) as f:
        np.testing.assert_array_equal(ds[name], np.asarray(read(f)))
    assert layout_of(ds, [name]).space == tuple(d for d in reversed(dims) if d != "time")


def test_pdebench_has_the_times_of_its_frames_and_parameters(tmp_path):
    burgers = sciml.open_dataset(write_line(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", times=6))
    assert burgers.sizes["time"] == 6 and burgers["Nu"].item() == 0.01
    np.testing.assert_allclose(burgers.time, 0.1 * np.arange(6), rtol=1e-6)
    assert domain_of(burgers).boundary == ("periodic",)
    advection = sciml.open_dataset(write_line(tmp_path / "advection.hdf5", beta=0.4))
    assert advection["beta"].item() == 0.4
    name = "2D_CFD_Rand_M0.1_Eta1e-08_Zeta1e-08_periodic_128_Train.hdf5"
    flow = sciml.open_dataset(write_flow(tmp_path / name))
    assert (flow["eta"].item(), flow["M"].item()) == (1e-8, 0.1) and "Eta" not in flow.variables
    assert domain_of(flow).boundary == ("periodic", "periodic")
    open_ = sciml.open_dataset(write_flow(tmp_path / "2D_CFD_Rand_trans_Train.hdf5"))
    assert domain_of(open_).boundary == ("open", "open")
    two = sciml.open_dataset(write_seeds(tmp_path / "dr.h5", features=2, shape=(8, 10)))
    assert list(two.data_vars) == ["u", "v"] and two.u.dims == ("sample", "time", "y", "x")


def test_pdebench_of_other_shapes_is_refused(tmp_path):
    path = write_line(tmp_path / "a.hdf5")
    with h5py.File(path, "a") as f:
        del f["x-coordinate"]
        f["x-coordinate"] = np.arange(7.0)
    with pytest.raises(InputError, match=r"'tensor' has the shape.*expected \(sample, time, x 7\)"):
        sciml.open_dataset(path)
    path = write_seeds(tmp_path / "b.h5")
    with h5py.File(path, "a") as f:
        del f["0002/data"]
        f["0002/data"] = np.zeros((5, 8, 9, 1), "f4")
    with pytest.raises(InputError, match=r"b\.h5: '/0002/data' is float32 \(5, 8, 9, 1\)"):
        sciml.open_dataset(path)


def test_groups_are_named_and_chosen(tmp_path):
    path = write(tmp_path / "a.nc", line(), group="runs/first")
    with pytest.raises(InputError, match=r"variables in groups: runs/first; .*group='runs/first'"):
        sciml.open_dataset(path)
    with pytest.raises(InputError, match="no group 'run/first'; did you mean 'runs/first'"):
        sciml.open_dataset(path, "run/first")
    xr.testing.assert_equal(sciml.open_dataset(path, "runs/first"), line())
    flat = write(tmp_path / "b.nc", line())
    with pytest.raises(InputError, match=r"no group 'a'.*has its variables at the root"):
        sciml.open_dataset(flat, "a")
    with pytest.raises(InputError, match="of a dataset that is open"):
        sciml.fit("fno", line(), group="a")


def test_coordinates_of_the_groups_around_come_along(tmp_path):
    """Dimensions of netCDF-4 are those of the groups around, too."""
    import h5netcdf

    with h5netcdf.File(tmp_path / "a.nc", "w") as f:
        f.dimensions = {"x": 4}
        f.create_variable("x", ("x",), data=np.arange(4.0))
        f.create_group("product").create_variable("u", ("x",), data=np.ones(4))
    ds = sciml.open_dataset(tmp_path / "a.nc", "product")
    np.testing.assert_array_equal(ds.x, np.arange(4.0))


def test_a_variable_that_lies_in_a_group_is_looked_for_there(tmp_path):
    path = write(tmp_path / "a.nc", line())
    line().rename(u="v").to_netcdf(path, engine="h5netcdf", group="more", mode="a")
    with pytest.raises(InputError, match=r"no variable 'v'.*groups more: group="):
        sciml.fit("fno", path, {"inputs": ["v"], "targets": ["v"]})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"GRIB\x00\x00", "GRIB: pip install cfgrib"),
        (b"\x93NUMPY\x01", "an array of numpy without names"),
        (b"PK\x03\x04....", "a zip file, as np.savez writes"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
        (b"<!DOCTYPE html>", "text, such as a page of the web"),
        (b"CDF\x05....", "netCDF of the kind CDF-5, which needs netCDF4"),
        (b"CDF\x01....", "netCDF that is damaged or not complete"),
        (b"u,v\n1,2\n", r"no netCDF, HDF5 or zarr: it begins with b'u,v"),
    ],
)
def test_what_is_no_data_says_what_it_is(tmp_path, content, said):
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.nc: {said}") as caught:
        open_file(tmp_path / "a.nc")
    assert "\n" not in str(caught.value)


def test_damaged_hdf5_says_so(tmp_path):
    path = write(tmp_path / "a.nc", line(n=4096))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a\.nc: HDF5 that is damaged.*truncated"):
        sciml.open_dataset(path)
    # A chunk that cannot be unpacked is found when it is read.
    packed = {"u": {"compression": "gzip", "chunksizes": (4, 4096)}}
    path = write(tmp_path / "b.nc", line(n=4096), encoding=packed)
    with h5py.File(path) as f:
        where = f["u"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[where : where + 64] = b"\0" * 64
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"b\.nc: HDF5 that is damaged"):
        sciml.fit("fno", path, epochs=1)


def test_plain_arrays_without_names_say_how_to_name_them(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["u"] = np.zeros((2, 3, 8))
    with pytest.raises(
        Exception, match=r"have no names in the file.*ds\.rename\(phony_dim_0='sample'"
    ):
        sciml.fit("fno", tmp_path / "a.h5", targets=["u"])


def test_lines_of_coordinates_name_dimensions_that_have_no_names(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["u"] = np.random.rand(3, 5, 16)
        f["x"], f["t"] = np.arange(16) / 16, 0.5 * np.arange(5)
    ds = sciml.open_dataset(tmp_path / "a.h5")
    assert ds.u.dims[1:] == ("t", "x") and layout_of(ds, ["u"]).sample == ds.u.dims[0]
    np.testing.assert_array_equal(ds.t, 0.5 * np.arange(5))


def test_runs_and_recordings_are_no_data_as_they_lie_there(tmp_path):
    write(tmp_path / "predictions.nc", line())
    (tmp_path / "lineage.json").write_text("[]")
    with pytest.raises(InputError, match=r"is a run, whose files are not data.*--from"):
        sciml.fit("fno", tmp_path)
    with pytest.raises(InputError, match="a tree of groups; expected one of them"):
        sciml.fit("fno", xr.DataTree.from_dict({"a": line()}))


def test_folders_lists_and_patterns_are_the_same_data(tmp_path):
    for k, ending in enumerate(("nc", "nc4", "h5", "hdf5")):
        write(tmp_path / f"s{k}.{ending}", line(shift=k))
    (tmp_path / "notes.txt").write_text("not data")
    (tmp_path / ".s0.nc").write_text("not data")
    files = files_of(tmp_path)
    assert [f.name for f in files] == ["s0.nc", "s1.nc4", "s2.h5", "s3.hdf5"]
    ds = sciml.open_dataset(tmp_path)
    assert dict(ds.sizes) == {"sample": 4, "time": 4, "x": 8} and ds.u.chunks is not None
    np.testing.assert_array_equal(ds.u[2], line(shift=2).u)
    for source in (files, str(tmp_path / "s*"), [tmp_path / "s0.nc", tmp_path / "s[1-3].*"]):
        xr.testing.assert_equal(sciml.open_dataset(source).compute(), ds.compute())
    with pytest.raises(InputError, match="named twice"):
        files_of([files[0], tmp_path])
    with pytest.raises(InputError, match="no file of that pattern"):
        files_of(str(tmp_path / "x*.nc"))
    with pytest.raises(InputError, match="is an address; expected a path"):
        files_of("https://example.org/a.nc")
    with pytest.raises(InputError, match="nothing there"):
        files_of(tmp_path / "none.nc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no data files \(\*\.nc"):
        files_of(tmp_path / "empty")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda ds: ds.rename(u="v"), r"b\.nc has no variable 'u', which a\.nc has"),
        (lambda ds: ds.isel(x=slice(6)), r"b\.nc has 6 points along 'x', a\.nc 8"),
        (lambda ds: ds.assign_coords(x=2 * ds.x), r"b\.nc spans \[0, 1\.75\] along x, a\.nc \[0"),
        (lambda ds: ds.rename(x="y"), r"b\.nc has the dimensions time, y, a\.nc time, x"),
        (lambda ds: ds.assign_coords(time=ds.time + 1), r"b\.nc: 'time' goes from 1"),
    ],
)
def test_files_that_differ_are_named_with_what_differs(tmp_path, other, said):
    write(tmp_path / "a.nc", line())
    write(tmp_path / "b.nc", other(line()))
    with pytest.raises(InputError, match=said):
        sciml.open_dataset(tmp_path)


def test_parameters_of_files_become_those_of_samples(tmp_path):
    for k in range(3):
        write_line(tmp_path / f"1D_Burgers_Sols_Nu0.0{k + 1}.hdf5", samples=2)
    ds = sciml.open_dataset(tmp_path)
    assert ds.sizes["sample"] == 6
    np.testing.assert_allclose(ds["Nu"], [0.01, 0.01, 0.02, 0.02, 0.03, 0.03])


def test_zarr_stores_are_opened(tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    line().to_zarr(tmp_path / "a.zarr")
    line(shift=1).to_zarr(tmp_path / "b.zarr", group="runs")
    xr.testing.assert_equal(sciml.open_dataset(tmp_path / "a.zarr").load(), line())
    with pytest.raises(InputError, match=r"variables in groups: runs"):
        sciml.open_dataset(tmp_path / "b.zarr")
    found = sciml.open_dataset(tmp_path / "b.zarr", "runs").load()
    xr.testing.assert_equal(found, line(shift=1))
    assert [p.name for p in files_of(tmp_path)] == ["a.zarr", "b.zarr"]


def test_a_zarr_store_without_zarr_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match=r"a\.zarr: a zarr store.*\[zarr\]"):
        sciml.open_dataset(tmp_path / "a.zarr")


def test_simulations_of_a_folder_are_chosen_by_a_number_of_theirs(tmp_path):
    for number in range(3):
        u = xr.Dataset({"u": (("time", "x"), np.full((4, 8), float(number)))}, {"time": range(4)})
        u.assign(speed=number / 2).to_netcdf(tmp_path / f"s{number}.nc", engine="h5netcdf")
    ds = sciml.open_dataset(tmp_path)
    assert ds.isel(sample=ds.speed > 0.2).u.isel(time=0, x=0).values.tolist() == [1.0, 2.0]
    assert ds.u.chunks is not None
