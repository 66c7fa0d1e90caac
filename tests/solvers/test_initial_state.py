"""States of one's own: programs go on from theirs, on any ranks, and refuse what does not fit."""

import subprocess

import numpy as np
import pytest
import xarray as xr
from cases import CASES
from programs import copies, load, started
from test_ranks_of_programs import DRIVER

import sciml
from sciml.domain import Field, Grid
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError, ScimlError
from sciml.share import find
from sciml.solver.initial_states import read_state
from sciml.solver.mpirun import command, environment
from sciml.solver.unit_spelling import same_units

PROGRAMS = [
    path.stem
    for path in sorted(find("solvers/heat.py").parent.glob("*.py"))
    if load(path.stem).kind == "grid"
]
MARCHING = [name for name in PROGRAMS if not load(name).steady]
#: Their forcing depends on time, and begins anew: they are compared from their own first state on.
DRIVEN = ("forced_burgers", "korteweg_de_vries_burgers")


def words_of(name):
    """Flags of the first case of a program, without what the test sets."""
    flags = next(flags for program, flags in CASES.values() if program == name).split()
    for flag, count in (("--steps", 2), ("--every", 2), ("--initial", 2), ("--spinup", 2)):
        if flag in flags:
            at = flags.index(flag)
            del flags[at : at + count]
    return " ".join(flags)


def saved(run, path):
    """The state of a program as a netCDF file."""
    state = {field.name: copies(run)[field.name] for field in run.fields}
    to_dataset(run.domain(), run.fields, state, None).to_netcdf(path, engine="h5netcdf")
    return str(path)


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """By program: the file that a second run starts from, and how that must end."""
    folder, found = tmp_path_factory.mktemp("states"), {}
    for name in MARCHING:
        first, second = (0, 6) if name in DRIVEN else (5, 6)
        run = started(name, words_of(name))
        for n in range(first):
            run.step(n)
        path = saved(run, folder / f"{name}.nc")
        for n in range(first, first + second):
            run.step(n)
        found[name] = (path, copies(run))
    return found


def test_every_program_that_marches_on_a_grid_takes_a_file():
    for name in PROGRAMS:
        files = [option.files for option in load(name).options if option.name == "initial"]
        assert files == ([] if load(name).steady else [True]), name


@pytest.mark.parametrize("name", MARCHING)
def test_a_run_goes_on_from_its_own_state(name, continued):
    path, wanted = continued[name]
    run = started(name, words_of(name), initial=path)
    for n in range(6):
        run.step(n)
    for key, values in copies(run).items():
        apart = np.linalg.norm(values - wanted[key]) / np.linalg.norm(wanted[key])
        assert apart < 1e-11, f"{key}: {apart:.1e}"


@pytest.mark.parametrize(
    "names",
    [
        # Cut along both axes, along one, and by waves.
        pytest.param(("heat", "wave", "forced_burgers", "burgers", "navier_stokes"), id="some"),
        pytest.param(MARCHING, id="all", marks=pytest.mark.slow),
    ],
)
def test_on_three_ranks_each_reads_its_block(tmp_path, continued, names):
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "cases").write_text(
        "".join(
            f"{find(f'solvers/{name}.py')} {words_of(name)} --initial {path} --steps 6 --every 6 "
            f"--out {tmp_path}/{name}.nc\n"
            for name, (path, _) in ((name, continued[name]) for name in names)
        )
    )
    job = command(tmp_path / "driver.py", 3, [str(tmp_path / "cases")])
    done = subprocess.run(job, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in names:
        path, wanted = continued[name]
        with xr.open_dataset(tmp_path / f"{name}.nc") as ds:
            assert ds.attrs["initial"] == path
            for field in load(name).fields:
                last = ds[field.name].values[-1]
                apart = np.linalg.norm(last - wanted[field.name]) / np.linalg.norm(last)
                assert apart < 1e-11, f"{name}, {field.name}: {apart:.1e}"


GRID = Grid((8, 12), ((0.0, 1.0), (-1.0, 1.0)), ("periodic", "periodic"), "m")
FIELDS = (Field("u", "m s-1"), Field("v", "m s-1"))
VALUES = np.random.default_rng(1).standard_normal((2, 8, 12))


def state(**changed):
    ds = to_dataset(GRID, FIELDS, dict(zip("uv", VALUES, strict=True)), None)
    return ds.assign(changed)


def write(ds, path, engine="h5netcdf"):
    for name in ds.variables:
        ds[name].encoding.setdefault("_FillValue", None)
    ds.to_netcdf(path, engine=engine)
    return path


def as_float32_axes(ds):
    return ds.assign_coords({d: ds[d].astype("f4").assign_attrs(ds[d].attrs) for d in ("y", "x")})


TAKEN = {
    "as it is": lambda ds: ds,
    "axes in another order": lambda ds: ds.transpose("x", "y"),
    "one time": lambda ds: ds.expand_dims(time=[3.0]),
    "one time and sample": lambda ds: ds.expand_dims(sample=1, time=1),
    "no coordinates": lambda ds: ds.drop_vars(["x", "y"]),
    "axes as float32": as_float32_axes,
    "no units": lambda ds: ds.assign({n: ds[n].drop_attrs() for n in "uv"}),
    "units spelled otherwise": lambda ds: ds.assign(u=ds.u.assign_attrs(units="m/s")),
    "more variables": lambda ds: ds.assign(w=("time", np.arange(3))),
}


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
@pytest.mark.parametrize("how", TAKEN)
def test_files_that_hold_the_state_are_taken(tmp_path, how, engine):
    path = write(TAKEN[how](state()), tmp_path / "s.nc", engine)
    assert np.array_equal(read_state(path, FIELDS, GRID), VALUES)


def test_arrays_float32_and_either_byte_order(tmp_path):
    for dtype in ("<f8", ">f8", "<f4"):
        np.save(tmp_path / "s.npy", VALUES.astype(dtype))
        found = read_state(tmp_path / "s.npy", FIELDS, GRID)
        assert found.dtype == np.float64 and np.array_equal(found, VALUES.astype(dtype))
    np.save(tmp_path / "s.npy", VALUES[0])
    assert np.array_equal(read_state(tmp_path / "s.npy", FIELDS[:1], GRID)[0], VALUES[0])


def moved(ds, by, dim="x"):
    return ds.assign_coords({dim: ds[dim] * by[0] + by[1]})


HOLE = np.where(np.arange(96).reshape(8, 12) == 29, np.nan, VALUES[0])
REFUSED = {
    "u has 4 points along 'time'; expected one: ds.isel.time=-1": lambda ds: ds.expand_dims(time=4),
    "u has 4 points along 'sample'; .*parameters.files": lambda ds: ds.expand_dims(sample=4),
    "6 points along x; expected 12": lambda ds: ds.isel(x=slice(6)),
    "x goes from -0.9.* expected -1 to": lambda ds: moved(ds, (1.0, 0.05)),
    "x goes from -2 ": lambda ds: moved(ds, (2.0, 0.0)),
    "y goes from 0.875 to 0": lambda ds: ds.isel(y=slice(None, None, -1)),
    "x is in km; expected m": lambda ds: ds.assign_coords(x=ds.x.assign_attrs(units="km")),
    "u is in km/h; expected m s-1": lambda ds: ds.assign(u=ds.u.assign_attrs(units="km/h")),
    "no variable 'v'; known: u": lambda ds: ds.drop_vars("v"),
    "no variable 'u'; did you mean 'U'": lambda ds: ds.rename(u="U"),
    r"u has 8 points along 'lat'; expected dimensions \(y, x\)": lambda ds: ds.rename(y="lat"),
    "'y' is missing": lambda ds: ds.isel(y=0),
    "type int32; expected float32": lambda ds: ds.assign(u=ds.u.astype("i4")),
    r"u is nan at index \(2, 5\)": lambda ds: ds.assign(u=ds.u.copy(data=HOLE)),
    r"u has missing values \(-999.0\)": lambda ds: ds.assign(u=filled(ds.u)),
    "u is packed": lambda ds: ds.assign(u=ds.u.assign_attrs(scale_factor=2.0)),
}


def filled(u):
    whole = u.fillna(0.0).copy(data=HOLE)
    whole.encoding["_FillValue"] = -999.0
    return whole


@pytest.mark.parametrize("line", REFUSED)
def test_other_files_are_refused_in_one_line(tmp_path, line):
    path = write(REFUSED[line](state()), tmp_path / "s.nc")
    with pytest.raises(InputError, match=line) as error:
        read_state(path, FIELDS, GRID)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (VALUES[:1], r"shape \(1, 8, 12\); expected \(2, 8, 12\)"),
        (VALUES.swapaxes(1, 2), r"shape \(2, 12, 8\)"),
        (VALUES + 0j, "complex128; .*real and imaginary part by themselves"),
        (VALUES.astype(int), "int64; expected float32 or float64"),
        (np.stack([VALUES[0], HOLE]), r"v is nan at index \(2, 5\)"),
    ],
)
def test_other_arrays_are_refused_in_one_line(tmp_path, values, line):
    np.save(tmp_path / "s.npy", values)
    with pytest.raises(InputError, match=line):
        read_state(tmp_path / "s.npy", FIELDS, GRID)


def test_what_is_no_file_of_numbers_is_refused(tmp_path):
    for name, content in (("a.nc", b"no netCDF"), ("a.npy", b"\x80\x04"), ("b.nc", b"CDF\x01")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read_state(tmp_path / name, FIELDS, GRID)
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        read_state(tmp_path / "o.npy", FIELDS, GRID)
    with pytest.raises(InputError, match="no such file"):
        read_state(tmp_path / "no.nc", FIELDS, GRID)


def test_a_state_in_a_group_is_told_how_to_be_taken_out(tmp_path):
    state().to_netcdf(tmp_path / "s.nc", engine="h5netcdf", group="last")
    with pytest.raises(
        InputError, match=r"no variable.*has the groups last: write one out, xr\.open"
    ):
        read_state(tmp_path / "s.nc", FIELDS, GRID)


def test_a_hole_that_one_rank_sees_ends_all_in_one_line(tmp_path):
    values = np.ones((16, 16))
    values[13, 2] = np.inf
    np.save(tmp_path / "u.npy", values)
    with pytest.raises(InputError, match=r"u\.npy: u is inf at index \(13, 2\)"):
        sciml.simulate("solvers/heat.py", 2, shape=(16, 16), initial=tmp_path / "u.npy")


def test_sides_that_are_held_at_zero(tmp_path):
    path, words = tmp_path / "u.npy", "--shape 16 16 --boundary dirichlet"
    wave = np.zeros((2, 16, 16))
    wave[0, 1:-1, 1:-1] = 1.0
    wave[0, 0] = 1e-17
    np.save(path, wave)
    assert copies(started("wave", words, initial=path))["u"][0].max() == 0.0
    wave[0, 0, 3] = 0.1
    np.save(path, wave)
    with pytest.raises(ScimlError, match=r"up to 0\.1 on the sides"):
        started("wave", words, initial=path)


def test_a_program_without_an_initial_state_says_so():
    with pytest.raises(InputError, match="darcy: no parameter or option 'initial'"):
        sciml.simulate("solvers/darcy.py", initial="u.nc")


def test_waves_that_are_left_out_are_said(tmp_path, capsys):
    x = 2.0 * np.pi * np.arange(96) / 96
    for waves, said in ((31, 0), (33, 1)):
        np.save(tmp_path / "u.npy", np.sin(x) + 1e-3 * np.sin(waves * x))
        run = started("burgers", "--shape 96 --dt 1e-3 --nu 0.1", initial=tmp_path / "u.npy")
        lines = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
        assert len(lines) == said
        kept = copies(run)["u"] - np.sin(x)
        assert np.abs(kept).max() == pytest.approx(0.0 if said else 1e-3, abs=1e-6)
    assert "1.0e-06 of the mean square of u" in lines[0] and "waves above 31" in lines[0]


def test_a_mean_that_an_equation_does_not_have_is_said(tmp_path, capsys):
    y = 2.0 * np.pi * np.arange(32) / 32
    np.save(tmp_path / "w.npy", np.sin(y)[:, None] + 1.0 + 0.0 * y)
    started("navier_stokes", "--shape 32 32", initial=tmp_path / "w.npy")
    assert "6.7e-01 of the mean square of w is left out" in capsys.readouterr().err


def test_a_state_in_memory():
    flags = {"shape": (48,), "nu": 0.05, "dt": 1e-3}
    whole = sciml.simulate("solvers/burgers.py", initial="sine", steps=20, **flags)
    half = whole.isel(time=10)
    for given in (half, half.u, half.u.values):
        rest = sciml.simulate("solvers/burgers.py", initial=given, steps=10, **flags)
        np.testing.assert_allclose(rest.u[-1], whole.u[-1], atol=1e-14)
        assert "memory" in rest.attrs["initial"]
    with pytest.raises(ScimlError, match=r"--initial: initial\.nc: u has 21 points along 'time'"):
        sciml.simulate("solvers/burgers.py", initial=whole, **flags)
    with pytest.raises(InputError, match="an array without a name"):
        sciml.simulate("solvers/burgers.py", initial=half.u.rename(None), **flags)
    with pytest.raises(InputError, match="expected one of gaussian, sine, or a file of your own"):
        sciml.simulate("solvers/burgers.py", initial="sinus", **flags)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("m/s", "m s-1", True),
        ("m s**-1", "m.s^-1", True),
        ("kelvin", "K", True),
        ("", "1", True),
        ("1/s", "s-1", True),
        ("m^2/s", "m2 s-1", True),
        ("km", "m", False),
        ("degC", "K", False),
        ("m", "1", False),
        ("m/s/s", "m s-1", False),
        ("10 m", "m", False),
    ],
)
def test_spellings_of_units(one, other, same):
    assert same_units(one, other) == same_units(other, one) == same
