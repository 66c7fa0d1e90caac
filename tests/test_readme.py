"""What the README says is so: its blocks run, its commands parse, its files are there."""

import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
import xarray as xr

import sciml
from sciml.cli import app
from sciml.domain import Field, Graph, Grid, Particles
from sciml.domain.inference import domain_of
from sciml.errors import InputError
from sciml.record import Recorder
from sciml.run.results import Run
from sciml.samples import Frame, Simulation, Task
from sciml.share import find
from sciml.solver.program_description import describe
from sciml.stream import Arrived, Closed, Server
from sciml.stream.client import Client, connect
from sciml.study.schema import load_study
from sciml.surrogates import registry
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import traits_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(section, language="python"):
    """Fenced blocks of a language under the heading."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    return [code for tag, code in FENCED.findall(text) if tag == language]


def commands(program):
    """Words of every command line of the README that holds the program, from it on."""
    found = []
    for tag, code in FENCED.findall(README):
        for line in code.splitlines() if not tag else ():
            for one in line.split("&&"):
                words = shlex.split(one, comments=True)
                if program in words:
                    found.append(words[words.index(program) + 1 :])
    return found


def execute(code, names):
    """Run a block in a namespace, as if it had been typed after what is in there."""
    exec(compile(code, "README.md", "exec"), names)
    return names


@pytest.fixture
def foreign_file(tmp_path, monkeypatch):
    """my_simulations.nc, in the working directory: waves that run east and fade, as others write
    them."""
    time, lat, lon = 0.5 * np.arange(9), np.linspace(-40.0, 40.0, 8), 30.0 * np.arange(12)
    member, t, y, x = np.meshgrid(
        np.arange(3), time, np.deg2rad(lat), np.deg2rad(lon), indexing="ij"
    )
    u = np.exp(-0.1 * t) * np.cos(y) * np.cos(x - 1.5 * t + 2.0 * member)
    ds = xr.Dataset(
        {"u": (("member", "time", "lat", "lon"), u.astype(np.float32), {"units": "m s-1"})},
        {
            "time": ("time", time, {"units": "s"}),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )
    ds.to_netcdf(tmp_path / "my_simulations.nc", engine="h5netcdf")
    monkeypatch.chdir(tmp_path)
    yield ds


def one_step_error(ds, ahead):
    """Relative to that of persistence."""
    truth = ds.u.isel(time=slice(1, None))
    stays = ds.u.isel(time=slice(None, -1)).values
    predicted = ahead.u.transpose(*truth.dims).sel(time=truth.time)
    return np.linalg.norm(predicted - truth) / np.linalg.norm(stays - truth)


def test_your_own_data(foreign_file):
    [code] = blocks("Your own data")
    names = execute(code, {})
    ds, film = foreign_file, names["film"]
    assert one_step_error(ds, names["ahead"]) < 0.5
    assert film.sizes["time"] == 50
    np.testing.assert_allclose(film.time, 0.5 * np.arange(1, 51))
    for name in ("lat", "lon"):
        assert film[name].identical(ds[name])
    assert film.u.attrs["units"] == "m s-1"
    saved = execute('import sciml\nagain = sciml.load("my_surrogate")', {})["again"]
    assert saved.predict(ds).equals(names["ahead"])
    names["ds"].close()


def test_record_and_replay(tmp_path, monkeypatch):
    """The block on a recording of two simulations, one of which was given up."""
    grid = Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    recorder = Recorder(tmp_path / "runs" / "a" / "recording", about={0: {}, 1: {}})
    recorder.open(Simulation(0, grid, (Field("u", "K"),), {"kappa": 0.1}))
    for step in range(4):
        recorder.push(Frame(0, step, 0.1 * step, {"u": np.full((8, 8), step, np.float32)}))
    recorder.close(0)
    recorder.drop(1, "given up after 3 attempts")
    recorder.finish()
    monkeypatch.chdir(tmp_path)
    [code] = blocks("Record and replay")
    names = execute(code, {})
    assert names["ds"]["u"].dims == ("sample", "time", "y", "x") and names["ds"]["u"].chunks
    assert names["recording"].absent == {1: "given up after 3 attempts"}
    np.testing.assert_array_equal(names["one"]["u"], names["ds"]["u"].isel(sample=0))
    names["one"].close()
    (tmp_path / "runs/a/recording/simulation-00000.nc").unlink()
    with pytest.raises(InputError, match=r"simulation-00000\.nc is missing"):
        execute(code, {})


def test_a_study_for_data(tmp_path):
    [text] = blocks("Datasets", "yaml")
    (tmp_path / "study.yaml").write_text(text)
    study = load_study(tmp_path / "study.yaml", solver=False)
    assert study.task.targets == study.task.inputs == ["u"] and study.training.steps == 2000


def test_an_axis_is_periodic_where_it_says_so(foreign_file):
    [code] = re.findall(r"`(ds\.x\.attrs.*?)`", README)
    line = foreign_file.rename(lon="x").assign_coords(x=np.arange(12))
    assert domain_of(line).boundary == ("open", "open")
    grid = domain_of(execute(code, {"ds": line})["ds"])
    assert grid.boundary == ("open", "periodic") and grid.extent[1] == (0.0, 12.0)
    assert domain_of(foreign_file).boundary == (
        "open",
        "periodic",
    )  # longitudes say it by themselves


def test_your_own_model(foreign_file):
    """In the script of the section on data: it says ``sciml`` and ``ds`` without making them."""
    code, file = blocks("Your own model")
    names = execute("import sciml, xarray as xr\nds = xr.open_dataset('my_simulations.nc')", {})
    surrogate = execute(code, names)["surrogate"]
    assert one_step_error(foreign_file, surrogate.predict(foreign_file)) < 0.7
    Path("my_net.py").write_text(file)
    model = {"name": "my_net.py", "width": 64}
    surrogate = sciml.fit(model, names["ds"], targets=["u"])
    assert one_step_error(foreign_file, surrogate.predict(foreign_file)) < 0.7
    surrogate.save("saved")
    assert sciml.load("saved", model="my_net.py").model[0].out_channels == 64
    names["ds"].close()


def test_your_own_solver(tmp_path, monkeypatch):
    """The three calls against a server that listens."""
    [code] = blocks("Your own solver")
    server = Server(tmp_path)
    server.start()
    monkeypatch.setenv("SCIML_ENDPOINT", str(tmp_path))
    monkeypatch.setenv("SCIML_SIMULATION", "4")
    grid = Grid((6, 5), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    u = np.random.default_rng(0).random(grid.shape)
    try:
        execute(code, {"grid": grid, "kappa": 0.3, "steps": 3, "dt": 0.1, "u": u})
        events = []
        while not events or not isinstance(events[-1], Closed):
            events.append(server.events.get(timeout=100.0))
    finally:
        server.stop()
    assert events[0].simulation.parameters == {"kappa": 0.3}
    frames = [event.frame for event in events if isinstance(event, Arrived)]
    assert [frame.step for frame in frames] == [0, 1, 2]
    np.testing.assert_array_equal(frames[2].fields["u"], u)


def test_the_three_calls_agree_with_their_signatures():
    [code] = blocks("Your own solver")
    [keywords] = re.findall(r"= connect\((.*?)\)\n", code)
    names = re.findall(r"(\w+)=", keywords)
    inspect.signature(connect).bind(**dict.fromkeys(names))
    assert names == ["domain", "fields", "parameters", "time_units"]
    assert {"send", "close", "warn"} <= set(dir(Client))


def test_what_a_run_is_asked_for_exists():
    [code] = blocks("Two lines")
    asked = set(re.findall(r"\brun\.(\w+)", code))
    assert asked == {"summary", "predictions"}
    assert asked <= set(dir(Run))


def test_the_table_of_models_is_true():
    [text] = re.findall(r"^## Models\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    said = {name: other for _, names, other in rows[1:] for name in re.findall(r"`(\w+)`", names)}
    assert sorted(said) == sorted(registry.MODELS)
    grid = Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2)
    for name, other in said.items():
        alone, family = "pinn" in name, registry.MODELS[name].split(".")[2]
        task = Task((), ("u",), history=0, time=True) if alone else Task(("u",), ("u",))
        network = Graph(2, [[0], [1]])
        domain = {"graph": network, "mesh": network, "particles": Particles([1])}.get(family, grid)
        fields = (Field("u", components=3),) if family == "particles" else ()
        model = registry.build(name, Setting(task, domain, fields))
        assert bool(traits_of(model).any_resolution) == (other[:17] == "the same operator"), name
        assert traits_of(model).pointwise == ("any points" in other), name
        if "operator: true" in other:
            assert traits_of(
                registry.build(name, Setting(task, grid), operator=True)
            ).any_resolution


@pytest.mark.parametrize("words", commands("sciml"), ids=" ".join)
def test_a_command_parses(words):
    name, *rest = words
    command = typer.main.get_command(app).commands[name]
    command.make_context(name, rest)
    if "--set" in rest:
        load_study("workflows/quickstart/study.yaml", [rest[rest.index("--set") + 1]])


def test_every_command_is_shown():
    inline = set(re.findall(r"`sciml (\w+)", README))
    known = set(typer.main.get_command(app).commands)
    assert inline <= known
    assert {words[0] for words in commands("sciml")} == known


def test_a_solver_takes_the_flags_shown():
    schema = describe(find("solvers/heat.py")).schema
    known = {entry["name"] for entry in schema["parameters"] + schema["options"]}
    shown = {word for words in commands("solvers/heat.py") for word in words if word[:2] == "--"}
    assert "--kappa" in shown
    assert shown - {"--describe"} <= {f"--{name}" for name in known}


def test_every_file_named_is_there():
    text = re.sub(r"https?://\S+", "", README)
    linked = re.findall(r"\]\(([^)\s]+)\)", text)
    named = re.findall(r"[\w.-]+(?:/[\w.-]+)+\.(?:py|md|yaml|slurm|png|txt)\b", text)
    assert {"docs/foreign_solver.py", "docs/quickstart.png", "CITATION.cff"} <= {*linked, *named}
    missing = {path for path in {*linked, *named, "constraints.txt"} if not (ROOT / path).exists()}
    assert not missing


def test_the_foreign_solver_is_as_short_as_said():
    [lines] = re.findall(r"`docs/foreign_solver.py` is a complete one in (\d+) lines", README)
    code = (ROOT / "docs" / "foreign_solver.py").read_text().splitlines()
    assert len(code) <= int(lines)
