"""The file of a run is an ordinary netCDF file."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from patience import PATIENCE

from sciml.errors import InputError, ScimlError
from sciml.share import find
from sciml.solver.mpirun import environment
from sciml.solver.program_description import describe
from sciml.solver.simulate import simulate


def run_heat(folder, *words):
    return subprocess.run(
        [sys.executable, str(find("solvers/heat.py")), *words],
        capture_output=True, text=True, env=environment(), cwd=folder, timeout=PATIENCE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("file")
    words = "--out f.nc --shape 16 12 --steps 21 --every 4 --kappa 0.2 --seed 7 --log info"
    done = run_heat(folder, *words.split())
    assert done.returncode == 0, done.stderr
    assert "heat 0/1 INFO" in done.stderr and "s a step" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["f.nc"]
    return folder / "f.nc"


def test_plain_xarray_reads_it(file, simulated):
    with xr.open_dataset(file) as ds:
        assert ds.u.dims == ("time", "y", "x") and ds.u.shape == (6, 16, 12)
        assert ds.u.attrs == {"units": "K", "long_name": "temperature", "parity": "scalar"}
        np.testing.assert_allclose(ds.time, np.arange(6) * 4e-3)
        for dim, axis, units in (("time", "T", "s"), ("y", "Y", "m"), ("x", "X", "m")):
            assert (ds[dim].attrs["axis"], ds[dim].attrs["units"]) == (axis, units)
            assert ds[dim].attrs["long_name"]
        np.testing.assert_allclose(ds.x, np.arange(12) / 12)
        assert ds.x.attrs["boundary"] == "periodic"
        assert ds.attrs["kappa"] == 0.2 and ds.attrs["seed"] == 7 and ds.attrs["version"]
        assert ds.attrs["scheme"] == "explicit" and ds.attrs["program"] == "heat"
        assert ds.kappa == 0.2 and ds.kappa.attrs["units"] == "m2 s-1" and "kappa" in ds.coords
        states, _, _ = simulated("heat", shape=(16, 12), steps=21, kappa=0.2, seed=7)
        np.testing.assert_array_equal(ds.u, np.array([state["u"] for state in states])[::4])


@pytest.mark.filterwarnings("ignore:The specified chunks separate")
def test_dask_chunks_give_the_same(file):
    with xr.open_dataset(file) as plain, xr.open_dataset(file, chunks={"time": 2}) as lazy:
        assert lazy.u.chunks[0] == (2, 2, 2)
        xr.testing.assert_identical(plain.load(), lazy.compute())


def test_it_fits_the_domains_of_the_library(file):
    dataset = pytest.importorskip("sciml.domain.dataset")
    with xr.open_dataset(file) as ds:
        grid = dataset.domain_of(ds)
    assert grid.shape == (16, 12) and grid.boundary == ("periodic",) * 2
    assert grid.extent == ((0.0, 1.0),) * 2 and grid.units == "m"


def test_simulate_returns_what_the_file_holds(file):
    ds = simulate("solvers/heat.py", shape=(16, 12), steps=21, every=4, kappa=0.2, seed=7)
    with xr.open_dataset(file) as wanted:
        xr.testing.assert_identical(ds, wanted.load())


def test_simulate_on_ranks():
    few = {"shape": (9, 9), "steps": 2, "boundary": "dirichlet", "scheme": "crank-nicolson"}
    one, two = (simulate("solvers/heat.py", ranks=n, **few) for n in (1, 2))
    xr.testing.assert_allclose(one, two, rtol=1e-12)


def test_simulate_says_what_is_wrong():
    with pytest.raises(InputError, match=r"no parameter or option 'kapa'; did you mean 'kappa'"):
        simulate("solvers/heat.py", kapa=1.0)
    with pytest.raises(InputError, match=r"kappa=99 is out of range"):
        simulate("solvers/heat.py", kappa=99)
    with pytest.raises(InputError, match="shape='large'; expected 2 numbers"):
        simulate("solvers/heat.py", shape="large")
    with pytest.raises(InputError, match="heat"):
        simulate("solvers/heta.py")
    with pytest.raises(InputError, match="not for you to set"):
        simulate("solvers/heat.py", out="x.nc")
    with pytest.raises(ScimlError, match=r"ended with code 2: heat: error: dt=9 s exceeds"):
        simulate("solvers/heat.py", dt=9.0)


def test_a_program_that_writes_no_file_cannot_be_simulated():
    with pytest.raises(InputError, match="ring has no option 'out'"):
        simulate("docs/foreign_solver.py", speed=0.3)


def test_description():
    heat = describe("solvers/heat.py")
    assert heat.name == "heat" and heat.fields[0].units == "K" and heat.deterministic
    assert heat.order == {"space": 2, "time": {"explicit": 1, "crank-nicolson": 2}}
    assert {o.name: o.type for o in heat.options}["shape"] == "int list"
    assert {"seed", "steps", "out"} <= set(heat.flags)
    assert heat.check("kappa", 0.5, 2.0).units == "m2 s-1"
    with pytest.raises(InputError, match="'kapa' is no parameter; did you mean 'kappa'"):
        heat.check("kapa", 0.5, 2.0)
    with pytest.raises(InputError, match="'shape' is an option"):
        heat.check("shape", 0.5, 2.0)
    with pytest.raises(InputError, match=r"\[0.5, 20\]; expected .* within \[0.0001, 10\]"):
        heat.check("kappa", 0.5, 20.0)
    with pytest.raises(InputError, match="expected low ≤ high"):
        heat.check("kappa", 2.0, 0.5)
    words = heat.arguments({"kappa": 1, "shape": [8, 9], "length": 2, "seed": 3})
    assert " ".join(words) == "--kappa 1.0 --shape 8 9 --length 2.0 --seed 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('no licence')", "ended with code 1: no licence"),
        ("print('hello')", "printed 'hello', no JSON"),
        ("print('{\"schema_version\": 1}')", "no key 'name'"),
        ("print('{\"schema_version\": 9}')", "schema_version 9; expected 1"),
    ],
)
def test_programs_that_do_not_describe_themselves(tmp_path, text, message):
    program = tmp_path / "other.py"
    program.write_text(text)
    with pytest.raises(InputError, match=message):
        describe(program)


GLOBAL = """
import numpy as np
from sciml.domain import Field, Grid
from sciml.errors import DivergedError
from sciml.parallel import Decomposition
from sciml.solver import Program, main

class Growing(Program):
    name, equation = "growing", "e = exp(t)"
    fields = (Field("e", on="global"), Field("u"))
    order_space, order_time = 2, {}

    def __init__(self, given):
        self.grid = Grid((6,), ((0.0, 1.0),), ("open",))

    def domain(self):
        return self.grid

    def start(self, comm):
        block = Decomposition(self.grid, comm.size).block(comm.rank)
        self.e, self.u = np.float64(1.0), np.zeros(block.shape)
        return block

    def state(self):
        return {"e": self.e, "u": self.u}

    def step(self, n):
        self.e = np.float64(np.inf)
        raise DivergedError("it grew")

main(Growing)
"""


def test_a_global_value_that_diverges_is_named(tmp_path):
    (tmp_path / "growing.py").write_text(GLOBAL)
    done = subprocess.run(
        [sys.executable, "growing.py", "--out", "f.nc"],
        capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "growing: error: rank 0 of 1: e is inf at index () after step 1" in done.stderr
