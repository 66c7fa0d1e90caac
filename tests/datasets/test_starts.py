"""`parameters.files`: simulations that start from states of one's own, in studies and recipes."""

import json

import numpy as np
import pytest
import xarray as xr
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_study import small_study
from test_generate import tiny

import sciml as package
from sciml.datasets import Recipe, planned_runs
from sciml.domain import Field, Grid
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.run.directory import RunDirectory
from sciml.run.simulations import kept_plan
from sciml.solver.initial_states import count_states, read_state
from sciml.study.assignment import assigned
from sciml.study.designs import plan
from sciml.study.schema import Study, load_study

GRID = Grid((16, 16), ((0.0, 1.0),) * 2, ("periodic",) * 2, "m")
U = (Field("u", "K"),)
STATES = np.random.default_rng(3).standard_normal((5, 16, 16)).astype(np.float32)


def put(folder):
    """Five states: three in one netCDF file, two as arrays."""
    folder.mkdir(exist_ok=True)
    ds = to_dataset(GRID, U, {"u": STATES[:3, None]}, [0.0]).isel(time=0, drop=True)
    ds.to_netcdf(folder / "a.nc", engine="h5netcdf")
    np.save(folder / "b1.npy", STATES[3])
    np.save(folder / "b2.npy", STATES[4])
    return ["starts/a.nc", "starts/b*.npy"]


@given(
    count=st.integers(1, 30),
    train=st.integers(1, 40),
    validation=st.integers(0, 10),
    test=st.integers(0, 10),
    seed=st.integers(0, 3),
)
def test_who_starts_from_which(count, train, validation, test, seed):
    wanted = {"train": train, "validation": validation, "test": test}
    found = assigned(count, wanted, seed)
    assert {role: len(numbers) for role, numbers in found.items()} == wanted
    roles = [set(numbers) for numbers in found.values() if numbers]
    if count >= len(roles):
        assert sum(map(len, roles)) == len(set.union(*roles)), "held-out states are shared"
    for numbers in found.values():
        used = len(set(numbers))
        assert numbers[:used] == sorted(set(numbers)), "the first round goes in order"
        times = np.bincount(numbers)[sorted(set(numbers))] if numbers else np.zeros(1)
        assert np.ptp(times) <= 1, "all as often as each other"
    more = assigned(count, wanted | {"train": train + 1}, seed)
    if count > train + validation + test:
        assert more["train"][:train] == found["train"] and more["test"] == found["test"]


def test_two_states_do_not_halve_a_range():
    """Sobol's points lie in the lower and the upper half in turn."""
    parameters = {"simulations": 64, "ranges": {"kappa": [0.0, 1.0]}, "files": ["a", "b"]}
    study = Study.model_validate(small_study(parameters=parameters, validation={"simulations": 0}))
    planned = plan(study, 2)
    low = [np.mean([p.parameters["kappa"] < 0.5 for p in planned if p.start == s]) for s in (0, 1)]
    assert max(low) < 0.8 and min(low) > 0.2, low


def test_files_of_several_states(tmp_path):
    grid, one, two = Grid((6,), ((0.0, 1.0),), ("periodic",)), U, (*U, Field("v"))
    for shape, fields, count in (
        ((6,), one, None),
        ((1, 6), one, None),
        ((4, 6), one, 4),
        ((4, 1, 6), one, 4),
        ((2, 6), two, None),
        ((4, 2, 6), two, 4),
    ):
        values = np.arange(np.prod(shape), dtype=float).reshape(shape)
        np.save(tmp_path / "s.npy", values)
        assert count_states(tmp_path / "s.npy", fields, grid) == count, shape
        sample = None if count is None else 2
        found = read_state(tmp_path / "s.npy", fields, grid, sample=sample)
        np.testing.assert_array_equal(
            found.ravel(), (values if count is None else values[2]).ravel()
        )
    ds = to_dataset(grid, U, {"u": np.arange(24.0).reshape(4, 1, 6)}, [0.0])
    ds.rename(sample="member").to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    assert count_states(tmp_path / "s.nc", U, grid) == 4
    assert read_state(tmp_path / "s.nc", U, grid, sample=3)[0, 0] == 18.0


BAD = {
    "nothing matches .*no.nc": {"files": "no.nc"},
    "expected one of .nc": {"files": "study.yaml"},
    "b1.npy: shape": {"files": "small/b1.npy"},
    "no range tells those that start alike apart": {"simulations": 12, "ranges": {}},
    "keep one": {"options": {"initial": "mode"}},
    "name it in parameters.files": {"options": {"initial": "a.nc"}, "files": []},
}


@pytest.mark.parametrize("line", BAD)
def test_what_cannot_be_is_refused_by_the_dry_run(write_study, tmp_path, line):
    changes = dict(BAD[line])
    put(tmp_path / "starts")
    (tmp_path / "small").mkdir()
    np.save(tmp_path / "small/b1.npy", STATES[3, :8])
    study = small_study()
    solver = study["solver"]
    solver["options"] |= changes.pop("options", {})
    parameters = study["parameters"] | {"files": ["starts/a.nc", "starts/b*.npy"]} | changes
    path = write_study(solver=solver, parameters=parameters)
    with pytest.raises(InputError, match=line) as error:
        from sciml.run.simulations import check

        check(load_study(path))
    assert "\n" not in str(error.value)


def test_a_program_that_starts_from_nothing():
    from sciml.solver.program_description import describe
    from sciml.study.starts import find_starts

    with pytest.raises(InputError, match="darcy starts from no file; expected a program"):
        find_starts(["a.nc"], describe("solvers/darcy.py"), {})


@pytest.mark.slow
def test_the_dry_run_tells_of_states(write_study, command, tmp_path):
    parameters = small_study()["parameters"] | {"files": put(tmp_path / "starts")}
    path = write_study(parameters=parameters)
    # From elsewhere: paths are relative to the study file.
    done = command("run", path, "--dry-run", cwd=tmp_path / "starts")
    assert done.returncode == 0 and "5 of 3 files" in done.stdout, done.stderr


def test_a_study_starts_from_files(write_study, command, tmp_path):
    files = put(tmp_path / "starts")
    parameters = small_study()["parameters"] | {"files": files, "simulations": 4}
    path = write_study(parameters=parameters, record=True)
    done = command("run", path, "--out", tmp_path / "run", "--plain")
    assert done.returncode == 0, done.stderr
    run = package.open_run(tmp_path / "run")
    started = {entry["id"]: entry for entry in run.simulations}
    held = [entry["initial"] for entry in started.values() if entry["role"] == "validation"]
    assert held == [str(tmp_path / "starts/b2.npy")]
    others = [entry["initial"] for entry in started.values() if entry["role"] == "train"]
    assert others == [
        *(f"{tmp_path}/starts/a.nc, sample {n}" for n in range(3)), f"{tmp_path}/starts/b1.npy",
    ]  # fmt: skip
    assert not set(others) & set(held)
    states = {f"{tmp_path}/starts/a.nc, sample {n}": STATES[n] for n in range(3)}
    states |= {f"{tmp_path}/starts/b{n}.npy": STATES[n + 2] for n in (1, 2)}
    # Simulations that were not whole when the training was over are not recorded.
    recorded = package.open_recording(run.path).ids
    assert {n for n, e in started.items() if e["role"] == "validation"} <= {*recorded}
    for number in recorded:
        entry = started[number]
        with xr.open_dataset(run.path / f"recording/simulation-{number:05d}.nc") as ds:
            np.testing.assert_array_equal(ds.u[0], states[entry["initial"]])
            assert ds.attrs["initial"] == entry["initial"]
    # A run goes on from its own copies, whatever becomes of the files.
    for file in (tmp_path / "starts").iterdir():
        file.unlink()
    directory = RunDirectory.open(run.path)
    assert [p.start for p in kept_plan(run.study, directory)][:2] == [0, 1]
    assert read_state(directory.initial / "00003.nc", U, GRID)[0] == pytest.approx(STATES[3])
    (directory.initial / "index.json").unlink()
    with pytest.raises(InputError, match="put the folder back"):
        kept_plan(run.study, directory)


def recipe(tmp_path, **changes):
    path = tmp_path / "recipe.yaml"
    parameters = {"ranges": {"kappa": [0.05, 0.1]}, "files": put(tmp_path / "starts")}
    path.write_text(yaml.safe_dump(tiny(**{"parameters": parameters, **changes}), sort_keys=False))
    return path


@pytest.mark.slow
def test_a_dataset_starts_from_files(tmp_path):
    path = recipe(tmp_path, splits={"train": 3, "validation": 1, "test": 1})
    out = package.generate(path, tmp_path / "f.nc", at_once=1)
    with xr.open_dataset(out) as ds:
        np.testing.assert_array_equal(ds.u[:, 0], STATES)
        assert list(ds.split.values) == ["train"] * 3 + ["validation", "test"]
        assert [str(name).rpartition("/")[2] for name in ds.initial.values] == [
            "a.nc, sample 0", "a.nc, sample 1", "a.nc, sample 2", "b1.npy", "b2.npy",
        ]  # fmt: skip
        assert "initial" not in ds.attrs
        assert json.loads(ds.attrs["recipe"])["parameters"]["files"]


@pytest.mark.slow
def test_parts_of_other_states_are_refused(tmp_path, monkeypatch):
    path, out = recipe(tmp_path), tmp_path / "f.nc"

    def stopped(*_, **__):
        raise RuntimeError("pulled the plug")

    monkeypatch.setattr(generation, "merge", stopped)
    with pytest.raises(RuntimeError, match="plug"):
        package.generate(path, out, at_once=1)
    monkeypatch.undo()
    np.save(tmp_path / "starts/b1.npy", STATES[0])
    with pytest.raises(InputError, match=r"come from something else: initial\.1: "):
        package.generate(path, out, at_once=1)
    np.save(tmp_path / "starts/b1.npy", STATES[3])
    package.generate(path, out, at_once=1)


def test_each_point_goes_through_all_states():
    parameters = {"points": {"a": {"kappa": 0.1}, "b": {"kappa": 0.2}}, "files": ["x.nc"]}
    body = {
        k: v for k, v in tiny(parameters=parameters, splits={"train": 8}).items() if k != "sizes"
    }
    planned = planned_runs(Recipe.model_validate(body), None, 4)
    for point in "ab":
        assert [run.start for run in planned if run.point == point] == [0, 1, 2, 3]
    few = tiny(parameters=parameters, splits={"train": 12})
    with pytest.raises(InputError, match="no range tells those that start alike apart"):
        planned_runs(Recipe.model_validate({k: v for k, v in few.items() if k != "sizes"}), None, 4)
