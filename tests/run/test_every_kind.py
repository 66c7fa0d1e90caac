"""Meshes, particles and graphs, all of them different, through the whole product."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import yaml
from every_kind import FRAMES, KINDS, solved, study
from killing import CHECKPOINT, Killer
from small_study import called

import sciml
from sciml.domain import Particles
from sciml.domain.dataset import domain_of, fields_of
from sciml.errors import InputError
from sciml.record import Recorder, open_recording
from sciml.study import load_study

STEPS, HELD_OUT = 40, 2


def same(one, other):
    """Whether two simulations are one."""
    assert one.domain == other.domain and one.fields == other.fields
    assert one.static_fields == other.static_fields and one.parameters == other.parameters
    for name, array in other.static.items():
        np.testing.assert_array_equal(one.static[name], array)


def few(folder, kind, steps):
    """Two to train on and one held out, of so many steps."""
    given = study(folder, kind)
    given["solver"]["options"]["steps"] = steps
    given["parameters"]["simulations"], given["validation"]["simulations"] = 2, 1
    return given


def check_online(kind, run, steps):
    """All that was sent has come and was recorded as it was sent, and training saw all sizes."""
    state = json.loads((run / "status.json").read_text())
    frames, planned = state["frames"], json.loads((run / "simulations.json").read_text())
    assert frames["lost"] == frames["doubled"] == frames["missing"] == 0, frames
    assert frames["received"] == frames["produced"] == len(planned) * (steps + 1)
    assert state["samples"]["entered"] == (len(planned) - 1) * steps
    recording, sizes = open_recording(run), []
    for entry in planned:
        simulation, came = solved(kind, entry["id"], **entry["parameters"], seed=entry["seed"])
        same(recording.simulation(simulation.id), simulation)
        for frame in came:
            written = recording.frame(simulation.id, frame.step)
            for name, values in frame.fields.items():
                np.testing.assert_array_equal(written.fields[name], values)
        sizes += [simulation.domain.size] if entry["role"] == "train" else []
    card = json.loads((run / "surrogate" / "surrogate.json").read_text())
    scope = (card["seen"] or card["domain"])["scope"]
    assert (scope["least"], scope["most"]) == (min(sizes), max(sizes))


def test_online(tmp_path):
    path, run = tmp_path / "study.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(few(tmp_path, "mesh", FRAMES - 1)))
    done = called("run", path, "--out", run)
    assert done.returncode == 0, done.stderr
    check_online("mesh", run, FRAMES - 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_online_with_the_trainer_killed_once(kind, tmp_path):
    given = few(tmp_path, kind, STEPS)
    given["parameters"]["simulations"] = 3
    given["training"]["checkpoint_every"], given["validation"]["every"] = 1, 20
    with Killer(given, tmp_path, seed=0) as killer:
        killer.kill(CHECKPOINT)
        assert killer.finish().count("trainer died") == 1
        assert killer.left() == ([], [])
    check_online(kind, killer.run, STEPS)


pytestmark = pytest.mark.filterwarnings("ignore:.*of that range outside")


def recorded(folder, solutions, held_out=range(HELD_OUT)):
    """A recording of simulations, whose numbers are their places."""
    about = {n: {"role": "validation" if n in held_out else "train"} for n in range(len(solutions))}
    recorder = Recorder(folder / "recording", about=about)
    for number, (simulation, frames) in enumerate(solutions):
        recorder.open(replace(simulation, id=number))
        for frame in frames:
            recorder.push(replace(frame, simulation=number))
        recorder.close(number)
    recorder.finish()


def train(folder, kind, **changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study(folder, kind, **changes)))
    return sciml.train(load_study(path), folder / "recording", out=folder / "run", plain=True)


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    """A kind, its recording, and a run that was trained on that."""
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    recorded(folder, [solved(kind, n, 0.2 + 0.1 * n, seed=n) for n in range(5)])
    return kind, folder / "recording", train(folder, kind)


def test_trained_on_the_recording(trained):
    kind, _, run = trained
    assert run.status["state"] == "finished" and run.summary["validation_simulations"] == HELD_OUT
    assert np.isfinite(run.summary["vrmse"])
    found = sciml.evaluate(run)
    assert found["simulations"] == HELD_OUT and found["one_step"] == run.summary["one_step"]
    sizes = [solved(kind, seed=number)[0].domain.size for number in range(HELD_OUT, 5)]
    scope = run.surrogate().domain
    assert (scope.kind, scope.least, scope.most) == (kind, min(sizes), max(sizes))


def test_a_recording_is_measured_by_its_roles(trained):
    _, folder, run = trained
    found = sciml.evaluate(run.surrogate(), folder)
    assert found["simulations"] == HELD_OUT
    assert found["one_step"] == pytest.approx(run.summary["one_step"], rel=1e-6)
    assert found["split"] == "what is for validation, by attribute 'role'"


def test_predictions_open_with_plain_xarray(trained, tmp_path):
    kind, folder, run = trained
    surrogate, recording = run.surrogate(), open_recording(folder)
    for number in range(HELD_OUT):
        with xr.open_dataset(run.path / f"predictions-{number:05d}.nc") as ds:
            assert domain_of(ds) == solved(kind, seed=number)[0].domain
            task = surrogate.task
            assert {*task.targets, *(f"{n}_true" for n in task.targets)} <= {*ds.data_vars}
            known = {f.name for f in recording.simulation(number).fields}
            assert {f"{name}_true" for name in known} <= {f.name for f in fields_of(ds)}
        truth = recording.open_simulation(number)
        predicted = surrogate.predict(truth)
        rolled = surrogate.rollout(truth.isel(time=[0]), 3)
        for name, ds, frames in (("p", predicted, FRAMES), ("r", rolled, 3)):
            ds.to_netcdf(tmp_path / f"{name}{number}.nc")
            with xr.open_dataset(tmp_path / f"{name}{number}.nc") as again:
                assert domain_of(again) == domain_of(truth)
                assert again.sizes["time"] == frames
                for target in task.targets:
                    assert again[target].dims == truth[target].dims
                    assert np.isfinite(again[target].values).all()
                    np.testing.assert_array_equal(again[target], ds[target])
            if kind == "mesh":
                assert ds["mesh"].attrs["cf_role"] == "mesh_topology"
                assert ds["u"].attrs["location"] == "node"


def test_two_kinds_in_one_study_are_refused(tmp_path):
    recorded(tmp_path, [solved(kind) for kind in ("mesh", "graph", "mesh")], held_out=())
    with pytest.raises(InputError, match=r"lives on a \w+, others on a \w+; expected one"):
        train(tmp_path, "mesh", task={"inputs": ["u"]})
    assert not (tmp_path / "run").exists()


def test_species_that_no_training_has_seen_are_named(tmp_path):
    """A run says so and is whole; whoever asks for them later is refused."""
    solutions = [solved("particles", seed=seed) for seed in range(3)]
    strange, frames = solutions[0]
    species = np.where(strange.domain.species == 8, 7, 1)
    domain = Particles(species, strange.domain.cell, strange.domain.periodic, "m")
    recorded(tmp_path, [(replace(strange, domain=domain), frames), *solutions[1:]], held_out=(0,))
    run = train(tmp_path, "particles")
    line = "dataset has species 7; the surrogate was trained on 1, 8"
    assert run.summary["findings"][0].startswith(f"simulation 0: {line}")
    with xr.open_dataset(run.path / "predictions.nc") as ds:
        assert domain_of(ds) == domain
    with pytest.raises(InputError, match=line):
        sciml.evaluate(run.surrogate(), tmp_path / "recording")


@pytest.mark.parametrize("kind", KINDS)
def test_simulations_on_one_domain_are_one_dataset(kind, tmp_path):
    solutions = [solved(kind, rate=rate, seed=4) for rate in (0.3, 0.5)]
    recorded(tmp_path, solutions)
    ds = open_recording(tmp_path / "recording").dataset
    simulation, frames = solutions[1]
    assert domain_of(ds) == simulation.domain and ds.sizes["sample"] == 2
    known = {(f.name, f.on, f.components) for f in fields_of(ds)}
    assert known == {(f.name, f.on, f.components) for f in simulation.fields}
    for field in simulation.fields:
        np.testing.assert_array_equal(ds[field.name][1, -1], frames[-1].fields[field.name])
