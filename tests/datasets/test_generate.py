"""`sciml generate`: one file out of many runs; resumed, refused, gone on after a failure."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import yaml
from patience import PATIENCE, wait_until
from small_study import one_line

import sciml
from sciml.datasets import load_recipe, planned_runs
from sciml.datasets.directory import PartsDirectory
from sciml.domain.dataset import domain_of
from sciml.ensemble.leader import Leader
from sciml.errors import InputError, ScimlError
from sciml.share import find


def tiny(**changes):
    """Heat on 16², four samples of five states; `changes` replace whole sections."""
    recipe = {
        "schema_version": 1,
        "name": "tiny",
        "title": "Heat on a small plate",
        "references": "none",
        "seed": 3,
        "solver": {
            "program": "solvers/heat.py",
            "options": {"shape": [16, 16], "steps": 8, "dt": 2.0e-3},
            "send": {"every": 2},
        },
        "parameters": {"ranges": {"kappa": [0.05, 0.1]}},
        "splits": {"train": 2, "validation": 1, "test": 1},
        "sizes": {"small": {}, "full": {"splits": {"train": 8}}},
    }
    return {**recipe, **changes}


@pytest.fixture
def write(tmp_path):
    def write(name="recipe.yaml", **changes):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(tiny(**changes), sort_keys=False))
        return path

    return write


def slow_solver(options):
    """Options of a run that takes long enough to be killed."""
    return {**tiny()["solver"], "options": {**tiny()["solver"]["options"], **options}}


def program(tmp_path, before, name="program.py"):
    """A program that does something first and is heat otherwise."""
    path = tmp_path / name
    path.write_text(
        "import os, runpy, signal, sys\n"
        "from pathlib import Path\n"
        "given = {a: b for a, b in zip(sys.argv, sys.argv[1:]) if a.startswith('--')}\n"
        "if '--describe' not in sys.argv and given.get('--steps') != '0':\n"
        f"    {before}\n"
        f"runpy.run_path({str(find('solvers/heat.py'))!r}, run_name='__main__')\n"
    )
    return path


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "sciml.cli", "generate", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_one_file_comes_out(write, tmp_path, capsys):
    out = sciml.generate(write(), tmp_path / "f.nc", at_once=1)
    with xr.open_dataset(out) as ds:
        assert ds.u.dims == ("sample", "time", "y", "x")
        assert ds.u.shape == (4, 5, 16, 16) and ds.u.dtype == np.float32
        assert list(ds.split.values) == ["train", "train", "validation", "test"]
        np.testing.assert_allclose(ds.time, 4e-3 * np.arange(5))
        assert ds.time.attrs["units"] == "s"
        assert len(set(ds.seed.values)) == 4
        assert ds.kappa.dims == ("sample",) and ds["mean"].dims == ()
        assert ds.kappa.attrs["units"] == "m2 s-1" and ds.u.attrs["units"] == "K"
        assert ds.u.attrs["long_name"] == "temperature"
        assert ds.attrs["dataset"] == "tiny" and ds.attrs["size"] == "small"
        assert ds.attrs["program"] == "heat" and ds.attrs["version"] == sciml.__version__
        assert ds.attrs["equation"] == "∂u/∂t = κ ∇²u"
        assert json.loads(ds.attrs["recipe"])["splits"] == {"train": 2, "validation": 1, "test": 1}
        assert domain_of(ds, ["u"]).boundary == ("periodic", "periodic")
        # Sample 2 is what the program gives by itself for its parameters and seed.
        alone = sciml.simulate(
            "solvers/heat.py",
            shape=(16, 16), steps=8, dt=2e-3, every=2,
            kappa=float(ds.kappa[2]), seed=int(ds.seed[2]),
        )  # fmt: skip
        np.testing.assert_array_equal(ds.u[2], alone.u.astype(np.float32))
    assert not (tmp_path / "f.nc.parts").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.nc", "recipe.yaml"]
    assert "4 samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keep", "shape", "times"),
    [
        ("ends", (2, 2, 16, 16), [0.0, 0.016]),
        pytest.param("last", (2, 16, 16), 0.016, marks=pytest.mark.slow),
    ],
)
def test_first_and_last_state_or_the_last_alone(write, tmp_path, keep, shape, times):
    solver = {**tiny()["solver"], "send": {}}
    recipe = write(keep=keep, solver=solver, splits={"train": 2})
    with xr.open_dataset(sciml.generate(recipe, tmp_path / "f.nc")) as ds:
        assert ds.u.shape == shape
        assert list(ds.data_vars) == ["u"] and ds.time.attrs["units"] == "s"
        np.testing.assert_allclose(ds.time, times)
        alone = sciml.simulate(
            "solvers/heat.py",
            shape=(16, 16), steps=8, dt=2e-3, kappa=float(ds.kappa[1]), seed=int(ds.seed[1]),
        )  # fmt: skip
        last = ds.u[1, -1] if keep == "ends" else ds.u[1]
        np.testing.assert_array_equal(last, alone.u[-1].astype(np.float32))


def test_each_frame_a_sample(write, tmp_path):
    """For programs that solve one problem a frame: heat stands in for one."""
    steady = tmp_path / "steady.py"
    steady.write_text(
        "import json, runpy, sys\n"
        "from sciml.solver.program import schema\n"
        f"names = runpy.run_path({str(find('solvers/heat.py'))!r})\n"
        "if '--describe' in sys.argv:\n"
        "    print(json.dumps(schema(names['Heat']) | {'steady': True}))\n"
        "else:\n"
        "    names['main'](names['Heat'])\n"
    )
    options = {"shape": [16, 16], "dt": 2.0e-3}
    solver = {"program": str(steady), "options": options, "send": {"dtype": None}}
    recipe = write(keep="samples", per_run=3, solver=solver, splits={"train": 4, "test": 1})
    with xr.open_dataset(sciml.generate(recipe, tmp_path / "f.nc")) as ds:
        assert ds.u.dims == ("sample", "y", "x") and ds.u.dtype == np.float64
        assert list(ds.split.values) == ["train"] * 4 + ["test"]
        assert list(ds.frame.values) == [0, 1, 2, 0, 0]
        seeds = ds.seed.values
        assert len(set(seeds[:3])) == 1 and len(set(seeds)) == 3
        alone = sciml.simulate(
            "solvers/heat.py",
            shape=(16, 16), dt=2e-3, steps=2, kappa=float(ds.kappa[2]), seed=int(seeds[2]),
        )  # fmt: skip
        np.testing.assert_array_equal(ds.u[:3], alone.u)
        assert "time" not in ds.variables
    with pytest.raises(InputError, match="keep: all, but heat solves one problem a frame"):
        sciml.generate(write(solver=solver), tmp_path / "g.nc")


def test_coarsened_and_named_points(write, tmp_path):
    solver = {**tiny()["solver"], "send": {"every": 4, "coarsen": 4, "fields": ["u"]}}
    points = {"slow": {"kappa": 0.05, "mean": 2.0}, "fast": {"kappa": 0.1, "mean": 3.0}}
    recipe = write(solver=solver, parameters={"points": points}, splits={"train": 3})
    with xr.open_dataset(sciml.generate(recipe, tmp_path / "f.nc")) as ds:
        assert ds.u.shape == (3, 3, 4, 4)
        assert list(ds.point.values) == ["slow", "fast", "slow"]
        assert list(ds.kappa.values) == [0.05, 0.1, 0.05]
        np.testing.assert_allclose(ds.u.mean(("time", "y", "x")), [2.0, 3.0, 2.0], atol=0.2)
        grid = domain_of(ds, ["u"])
        assert grid.shape == (4, 4) and grid.extent == ((0.0, 1.0), (0.0, 1.0))


def test_a_kill_costs_only_what_was_under_way(write, tmp_path, capsys):
    """SIGKILL in the middle; the same recipe takes what is finished and leaves no process."""
    recipe = write(
        solver=slow_solver({"steps": 6000, "shape": [32, 32], "dt": 1e-4})
        | {"send": {"every": 3000}},
        splits={"train": 3},
    )
    out, parts = tmp_path / "f.nc", PartsDirectory(tmp_path / "f.nc.parts")
    process = start(recipe, "--out", out, "--at-once", 1)
    wait_until(lambda: parts.part(0).exists())
    process.kill()
    process.wait()
    assert not out.exists()
    parts.part(1).write_bytes(b"torn")  # as a full disk or a bad one leaves it
    sciml.generate(recipe, out, at_once=1)
    said = capsys.readouterr().err
    assert "part 1 is of no use" in said and "1 of 3 runs were finished before" in said
    with xr.open_dataset(out) as ds:
        assert ds.u.shape == (3, 3, 32, 32) and np.isfinite(ds.u).all()
    assert not parts.path.exists()


def test_ctrl_c_keeps_what_is_finished(write, tmp_path):
    recipe = write(
        solver=slow_solver({"steps": 6000, "shape": [32, 32], "dt": 1e-4})
        | {"send": {"every": 3000}},
        splits={"train": 4},
    )
    out, parts = tmp_path / "f.nc", PartsDirectory(tmp_path / "f.nc.parts")
    process = start(recipe, "--out", out, "--at-once", 1)
    wait_until(lambda: parts.part(0).exists())
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "the same command goes on" in said and "Traceback" not in said
    assert not out.exists() and parts.part(0).exists()
    assert not list(parts.path.glob("raw-*.nc*"))


def test_a_changed_recipe_is_refused_with_what_changed(write, tmp_path, untried):
    broken = program(tmp_path, "sys.exit('broken')")
    out = tmp_path / "f.nc"
    given = {"solver": {**tiny()["solver"], "program": str(broken)}, "splits": {"train": 1}}
    with pytest.raises(ScimlError, match="1 of 1 runs failed"):
        sciml.generate(write(**given), out)
    changed = write(**given, parameters={"ranges": {"kappa": [0.05, 0.09]}})
    with pytest.raises(InputError, match=r"parameters\.ranges\.kappa\.high: 0\.1 → 0\.09"):
        sciml.generate(changed, out)
    with pytest.raises(InputError, match="simulations: null → 1"):
        sciml.generate(write(**given), out, simulations=1)
    broken.write_text(broken.read_text() + "# changed\n")
    with pytest.raises(InputError, match=r"program\.sha256"):
        sciml.generate(write(**given), out)


def test_a_failing_run_is_named_tried_again_and_the_others_go_on(write, tmp_path, capsys, untried):
    """The run with --kappa at the upper point dies each time; one other dies once."""
    mark = tmp_path / "mark"
    dies = program(
        tmp_path,
        "os.kill(os.getpid(), signal.SIGKILL) if given['--kappa'] == '0.1' or "
        f"(given['--kappa'] == '0.07' and not Path({str(mark)!r}).exists() and "
        f"not Path({str(mark)!r}).touch()) else None",
    )
    points = {"a": {"kappa": 0.05}, "b": {"kappa": 0.07}, "c": {"kappa": 0.1}}
    recipe = write(
        solver={**tiny()["solver"], "program": str(dies)},
        parameters={"points": points},
        splits={"train": 3},
    )
    out = tmp_path / "f.nc"
    with pytest.raises(ScimlError, match=r"1 of 3 runs failed \(2\).*--allow-missing"):
        sciml.generate(recipe, out, at_once=1)
    said = capsys.readouterr().err
    assert "simulation 2 given up after 2 attempts (signal SIGKILL)" in said
    assert "2/3 done" in said and mark.exists() and not out.exists()
    with xr.open_dataset(sciml.generate(recipe, out, at_once=1, allow_missing=True)) as ds:
        assert list(ds.kappa.values) == [0.05, 0.07]
        assert ds.attrs["missing_runs"] == 2


def test_values_that_are_not_finite_are_a_failure(write, tmp_path, capsys):
    """An unstable step that the program does not refuse."""
    path = tmp_path / "blows_up.py"
    path.write_text(
        "import runpy, numpy as np\n"
        f"names = runpy.run_path({str(find('solvers/heat.py'))!r})\n"
        "class Blown(names['Heat']):\n"
        "    def step(self, n):\n"
        "        self.u[:] = np.nan\n"
        "        return (n + 1) * self.dt\n"
        "if __name__ == '__main__':\n"
        "    names['main'](Blown)\n"
    )
    recipe = write(solver={**tiny()["solver"], "program": str(path)}, splits={"train": 1})
    with pytest.raises(ScimlError, match="1 of 1 runs failed"):
        sciml.generate(recipe, tmp_path / "f.nc")
    assert "u is nan in state 1, at index (0, 0)" in capsys.readouterr().err


def test_a_scheduler_runs_them_too(write, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, resources={"sim": 1}, dashboard_address=None
    ) as cluster:
        recipe = write(splits={"train": 1})
        out = sciml.generate(recipe, tmp_path / "f.nc", scheduler=cluster.scheduler_address)
    with xr.open_dataset(out) as ds:
        assert ds.sizes["sample"] == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["recipe.yaml", "--out", "there.nc"], "there.nc exists"),
        (["recipe.yaml", "--out", "no/f.nc"], "no folder no"),
        (["recipe.yaml", "--out", "f.nc", "--size", "smal"], "did you mean 'small'"),
        (["heat_onlin", "--out", "f.nc"], "did you mean 'heat_online'"),
        (["recipe.yaml", "--out", "f.nc", "--set", "split.train=3"], "did you mean 'splits'"),
        (["recipe.yaml", "--out", "f.nc", "--set", "keep=lst"], "did you mean 'last'"),
        (["recipe.yaml", "--out", "f.nc", "--simulations", 9], "expected 1 to 4"),
        (["recipe.yaml", "--out", "f.nc", "--ranks", 999], "too few cores"),
        (["recipe.yaml", "--out", "f.nc", "--set", "per_run=3"], "needs keep: samples"),
        (
            ["recipe.yaml", "--out", "f.nc", "--set", "solver.options.out=x"],
            "'out' is not for options or parameters; use the command's --out",
        ),
        (
            ["recipe.yaml", "--out", "f.nc", "--set", "solver.send.fields=[w]"],
            "heat has no field 'w'",
        ),
        (
            ["recipe.yaml", "--out", "f.nc", "--set", "solver.send.coarsen=3"],
            "coarsen=3 does not divide a periodic axis of 16 points",
        ),
        (
            ["recipe.yaml", "--out", "f.nc", "--set", "solver.options.dt=1.0"],
            "solver at kappa=0.05: heat ended with code 2: heat: error: dt=1 s exceeds",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_line(write, tmp_path, command, arguments, line):
    write()
    (tmp_path / "there.nc").touch()
    process = command("generate", *arguments, cwd=tmp_path)
    assert line in one_line(process)
    assert not (tmp_path / "f.nc.parts").exists()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sizes": {"small": {}, "fulll": {}}}, "unknown key 'sizes.fulll'; did you mean 'full'"),
        ({"sizes": {"small": {}, "full": {"keep": "x"}}}, "size full: keep: got 'x'"),
        ({"parameters": {"seed": False}}, "all simulations would be the same"),
        ({"parameters": {"points": {"a": {"dt": 1}, "b": {"mean": 1}}}}, "different names"),
        ({"parameters": {"ranges": {"steps": [1, 2]}}}, "same name is in parameters"),
        ({"solver": {**tiny()["solver"], "rank": 2}}, "did you mean 'solver.ranks'|'ranks'"),
    ],
)
def test_a_bad_recipe_is_one_line(write, changes, line):
    with pytest.raises(InputError, match=line) as error:
        load_recipe(write(**changes))
    assert "\n" not in str(error.value)


def test_splits_have_draws_and_seeds_of_their_own(write):
    small, full = (planned_runs(load_recipe(write(), size)) for size in ("small", "full"))
    assert [run.split for run in small] == ["train", "train", "validation", "test"]
    assert len({run.seed for run in full}) == len(full) == 10
    assert len({run.parameters["kappa"] for run in full}) == 10
    of = lambda runs, split: [(r.seed, r.parameters) for r in runs if r.split == split]  # noqa: E731
    for split in ("train", "validation", "test"):
        # What is added to a split changes neither its first samples nor another split.
        assert of(full, split)[: len(of(small, split))] == of(small, split)


@pytest.mark.parametrize(("n", "counts"), [(1, [1, 0, 0]), (3, [1, 1, 1]), (6, [4, 1, 1])])
def test_a_quick_try_has_some_of_each_split(write, n, counts):
    runs = planned_runs(load_recipe(write(), "full"), n)
    assert [sum(r.split == s for r in runs) for s in ("train", "validation", "test")] == counts


def test_the_second_into_one_file_is_refused_and_changes_nothing(write, tmp_path):
    """Also where the first has just begun, and has not said yet what it makes."""
    out = tmp_path / "heat.nc"
    directory = PartsDirectory.of(out)
    directory.make()
    with Leader(directory.run):
        with pytest.raises(
            InputError, match=rf"heat\.nc\.parts is running, led by process {os.getpid()} "
        ):
            sciml.generate(write(), out, plain=True)
        assert not directory.identity.exists() and not out.exists()
        other = PartsDirectory.of(tmp_path / "other.nc")  # beside it is room for another
        other.make()
        with Leader(other.run):
            pass
    # The first has ended while the second waited for its turn: what it made stays.
    directory.remove()
    out.write_bytes(b"the file of the first")
    with pytest.raises(InputError, match=r"heat\.nc exists"):
        sciml.generate(write(), out, plain=True)
    assert out.read_bytes() == b"the file of the first" and not directory.path.exists()


def test_a_folder_that_was_not_made_to_its_end_is_gone_on_with(tmp_path):
    """Killed, or out of room, before the identity was there."""
    parts = PartsDirectory.of(tmp_path / "f.nc")
    parts.run.pids.mkdir(parents=True)
    (parts.path / ".identity.json.a1b2").write_text("{")
    (parts.run.pids / "leader.lock").touch()
    parts.make()
    assert not parts.prepare({"size": "small"}) and parts.prepare({"size": "small"})
    parts.identity.unlink()
    parts.part(0).touch()
    with pytest.raises(InputError, match="holds no parts of a dataset"):
        parts.make()
