"""What is recorded is what came, whatever ends the recorder."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from made_up import FIELDS, GRID, frame, mesh, simulation
from resident import resident

from sciml.domain import Field, Grid, Particles
from sciml.domain.dataset import domain_of
from sciml.errors import DomainError, InputError
from sciml.record import Recorder, RecordingError, open_recording
from sciml.samples import Frame, Simulation


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_round_trip_gives_equal_frames(record, dtype):
    recording = open_recording(record({0: 5, 3: 5}, dtype=dtype))
    assert recording.ids == (0, 3)
    for sim, frames in recording:
        truth = simulation(sim.id)
        assert sim.domain == truth.domain and sim.fields == truth.fields
        assert sim.parameters == truth.parameters
        count = 0
        for step, read in enumerate(frames):
            came = frame(truth, step, dtype)
            assert (read.key, read.time) == (came.key, came.time)
            for name, values in came.fields.items():
                assert read.fields[name].dtype == values.dtype == np.dtype(dtype)
                np.testing.assert_array_equal(read.fields[name], values)
            count += 1
        assert count == 5


def test_a_file_opens_with_plain_xarray(record):
    folder = record({0: 4, 1: 2}, about={1: {"id": 1, "role": "validation", "seed": 7}})
    with xr.open_dataset(folder / "simulation-00001.nc") as ds:
        assert ds["u"].dims == ("time", "y", "x") and ds["u"].attrs["units"] == "K"
        assert ds["u"].attrs["long_name"] == "temperature"
        assert float(ds["kappa"]) == pytest.approx(0.2) and ds["kappa"].attrs["units"] == "m2 s-1"
        assert ds["time"].values.tolist() == [0.0, 0.25]
        assert ds.attrs["role"] == "validation" and ds.attrs["seed"] == 7
        assert domain_of(ds, ["u"]) == GRID
    recording = open_recording(folder)
    assert recording.roles == {1: "validation"} and recording.about(1)["seed"] == 7


def test_static_fields_and_particles_come_back(record):
    particles = Particles([1, 8, 1], units="angstrom")
    fields = (Field("positions", "angstrom", components=3), Field("energy", "eV", on="global"))

    def make(number):
        return Simulation(number, particles, fields, static={"mass": np.array([1.0, 16.0, 1.0])})

    recording = open_recording(record({0: 3, 1: 2}, make=make))
    sim = recording.simulation(1)
    assert sim.domain == particles and sim.fields[0].components == 3
    assert sim.static["mass"].tolist() == [1.0, 16.0, 1.0]
    np.testing.assert_array_equal(
        recording.frame(1, 1).fields["positions"], frame(sim, 1).fields["positions"]
    )
    assert recording.dataset["positions"].dims == ("sample", "time", "particle", "space")


def test_meshes_of_varying_size_make_an_index_only(record):
    fields = (Field("u"),)
    folder = record(dict.fromkeys(range(3), 3), make=lambda n: simulation(n, mesh(10 + n), fields))
    assert not (folder / "recording.nc").exists()
    recording = open_recording(folder)
    assert [sim.domain == mesh(10 + sim.id) for sim, _ in recording] == [True] * 3
    assert [len(list(frames)) for _, frames in recording] == [3, 3, 3]
    with pytest.raises(InputError, match="3 different domains; iterate over it"):
        recording.dataset  # noqa: B018
    assert recording.open_simulation(2)["u"].sizes == {"time": 3, "node": 12}


def test_steps_may_come_in_any_order_and_be_missing(tmp_path):
    recorder, sim = Recorder(tmp_path / "r"), simulation(0)
    recorder.open(sim)
    for step in (1, 0, 4):
        recorder.push(frame(sim, step))
    recorder.push(frame(sim, 4))  # twice
    recorder.close(0)
    recorder.finish()
    recording = open_recording(tmp_path / "r")
    assert [f.step for f in recording.frames(0)] == [0, 1, 4]
    assert recording.arrivals([0])[:, 1].tolist() == [1, 0, 4]
    ds = recording.open_simulation(0)
    assert ds["time"].values.tolist() == [0, 0.25, 0.5, 0.75, 1.0]
    assert np.isnan(ds["u"].values[2]).all() and not np.isnan(ds["u"].values[4]).any()


def test_interleaved_arrival_is_kept(record):
    recording = open_recording(record({0: 3, 1: 2}))
    expected = [[0, 0], [1, 0], [0, 1], [1, 1], [0, 2]]
    assert recording.arrivals([0, 1])[:, :2].tolist() == expected


def test_chosen_fields_only(record):
    recording = open_recording(record({0: 2}, fields=["u"]))
    assert [f.name for f in recording.simulation(0).fields] == ["u"]
    with pytest.raises(InputError, match=r"record\.fields: no field 'w'"):
        record({0: 2}, folder="other", fields=["w"])


def test_dropped_and_unfinished_simulations_leave_nothing(tmp_path):
    recorder = Recorder(tmp_path / "r")
    for number in range(3):
        recorder.open(simulation(number))
        recorder.push(frame(simulation(number), 0))
    assert recorder.pending() == [(0, 0), (1, 0), (2, 0)]
    recorder.drop(0)
    recorder.close(1)
    recorder.finish()
    assert open_recording(tmp_path / "r").ids == (1,)
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "index.jsonl",
        "recording.nc",
        "simulation-00001.nc",
    ]


def test_names_that_a_recording_needs_are_refused(tmp_path):
    recorder = Recorder(tmp_path / "r")
    sim = Simulation(0, GRID, FIELDS, {"arrival": 1.0})
    recorder.open(sim)
    with pytest.raises(DomainError, match="'arrival': that is the name of a note in recordings"):
        recorder.push(frame(sim, 0))


KILLED = """
import sys, os, signal
sys.path[:0] = [{tests!r}]
from made_up import frame, simulation
from sciml.record import Recorder
recorder = Recorder({folder!r})
for number in range(3):
    recorder.open(simulation(number))
    for step in range(40):
        recorder.push(frame(simulation(number), step))
    if number < 2:
        recorder.close(number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_recorder_leaves_whole_files_and_an_index_that_opens(tmp_path):
    folder = tmp_path / "r"
    code = KILLED.format(tests=os.path.dirname(__file__), folder=str(folder))
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert list(folder.glob("*.part"))
    # As if the kill had come between the renaming of the last file and its line, in mid-line.
    lines = (folder / "index.jsonl").read_text().splitlines(keepends=True)
    (folder / "index.jsonl").write_text("".join(lines[:-1]) + lines[-1][:50])
    assert open_recording(folder).ids == (0,)

    recorder = Recorder(folder)
    assert recorder.whole == (0, 1) and not list(folder.glob("*.part"))
    recorder.open(simulation(2))
    recorder.push(frame(simulation(2), 0))
    recorder.close(2)
    recorder.finish()
    recording = open_recording(folder, thorough=True)
    assert recording.ids == (0, 1, 2)
    assert recording.arrivals([0, 1, 2])[:, 0].tolist() == [0] * 40 + [1] * 40 + [2]
    np.testing.assert_array_equal(
        recording.frame(1, 39).fields["u"], frame(simulation(1), 39).fields["u"]
    )


def test_a_recorder_goes_on_from_a_checkpoint(tmp_path):
    """Frames of simulations that were not whole come again, from wherever they were kept."""
    sims = [simulation(n) for n in range(3)]
    first = Recorder(tmp_path / "r")
    for sim in sims:
        first.open(sim)
    for step in range(4):
        if step == 2:
            first.open(sims[1], continues=False)
        for sim in sims:
            first.push(frame(sim, step))
    first.close(0)
    state = json.loads(json.dumps(first.state_dict()))
    first.close(2)  # whole after the checkpoint

    second = Recorder(tmp_path / "r")
    asked = []
    second.load_state_dict(
        state, dict(enumerate(sims)), lambda key: asked.append(key) or frame(sims[key[0]], key[1])
    )
    assert asked == [(1, step) for step in range(4)] == second.pending()
    second.push(frame(sims[1], 3))  # came after all that the ledger knew: again, and no harm
    second.push(frame(sims[1], 4))
    second.close(1)
    second.finish()
    recording = open_recording(tmp_path / "r")
    assert recording.ids == (0, 1, 2)
    order = recording.order(1)
    assert order.segments.tolist() == [0, 0, 1, 1, 1]
    assert order.arrivals.tolist() == [1, 4, 7, 10, 12]
    np.testing.assert_array_equal(recording.frame(1, 2).fields["u"], frame(sims[1], 2).fields["u"])


def test_what_is_too_large_to_be_kept_is_lost_in_a_kill_not_recorded_in_part(tmp_path, caplog):
    sims = [simulation(n) for n in range(2)]
    first = Recorder(tmp_path / "r", keep=3 * frame(sims[0], 0).nbytes)
    for sim, length in zip(sims, (3, 4), strict=True):
        first.open(sim)
        for step in range(length):
            first.push(frame(sim, step))
    state = first.state_dict()
    assert [entry[0] for entry in state["open"]] == [0] and state["lost"] == [1]

    second = Recorder(tmp_path / "r")
    second.load_state_dict(state, dict(enumerate(sims)), lambda key: frame(sims[key[0]], key[1]))
    assert "simulations [1]; raise stream.spool_limit" in caplog.text
    for sim in sims:
        second.open(sim)
        second.push(frame(sim, 5))
        second.close(sim.id)
    assert second.whole == (0,)


def test_memory_is_bounded_while_a_long_simulation_is_written(tmp_path):
    """30 MB of frames; what HDF5 itself holds is its chunk cache, and shows in the resident size."""
    grid = Grid((128, 128), ((0.0, 1.0),) * 2, ("open", "open"))
    sim = Simulation(0, grid, (Field("u"),))
    recorder = Recorder(tmp_path / "r")
    recorder.open(sim)
    first = frame(sim, 0, "float64")
    recorder.push(first)
    tracemalloc.start()
    before = resident()
    for step in range(1, 240):
        recorder.push(Frame(0, step, 0.1 * step, first.fields))
    grown, (_, peak) = resident() - before, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    recorder.close(0)
    assert peak < 5e6 and grown < 15e6, (peak, grown)
    assert (tmp_path / "r" / "simulation-00000.nc").stat().st_size > 240 * 128 * 128 * 8


def test_a_disk_that_fails_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="file"):
        Recorder(tmp_path / "file" / "r")


def test_an_index_of_another_version_is_refused(record):
    folder = record({0: 2})
    lines = (folder / "index.jsonl").read_text().splitlines()
    lines[0] = json.dumps({"schema_version": 2})
    (folder / "index.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError, match="schema_version 2; this version reads 1"):
        open_recording(folder)


def test_an_attempt_after_one_that_brought_nothing_cuts_nothing(tmp_path):
    """The trainer died before the first frame: to the next one the simulation begins once more."""
    recorder, sim = Recorder(tmp_path / "recording"), simulation(3)
    recorder.open(sim, False)
    recorder.open(sim, False)
    recorder.push(frame(sim, 0))
    assert recorder.state_dict()["open"] == [[3, 0, [[0, 0, 0, 1]]]]
    recorder.open(sim, False)
    assert recorder.state_dict()["open"][0][1] == 1


def test_the_index_names_what_is_not_there_and_why(tmp_path):
    about = {n: {"role": "train"} for n in range(5)}
    recorder = Recorder(tmp_path / "r", about=about)
    for number in range(3):
        recorder.open(simulation(number))
        recorder.push(frame(simulation(number), 0))
    recorder.drop(0, "quarantined: field 'u' holds nan")
    recorder.close(1)
    recorder.finish()
    absent = open_recording(tmp_path / "r").absent
    assert absent[0] == "quarantined: field 'u' holds nan"
    assert set(absent) == {0, 2, 3, 4} and all("not ended" in absent[n] for n in (2, 3, 4))
    # A resumed run brings one of them after all; nothing is said twice.
    lines = len((tmp_path / "r" / "index.jsonl").read_text().splitlines())
    recorder = Recorder(tmp_path / "r", about=about)
    recorder.open(simulation(2))
    recorder.push(frame(simulation(2), 0))
    recorder.close(2)
    recorder.drop(0, "quarantined: field 'u' holds nan")
    recorder.finish()
    recording = open_recording(tmp_path / "r")
    assert recording.ids == (1, 2) and set(recording.absent) == {0, 3, 4}
    assert len((tmp_path / "r" / "index.jsonl").read_text().splitlines()) == lines + 1


def test_what_was_half_over_when_recording_began_is_left_out(tmp_path):
    recorder = Recorder(tmp_path / "r", about={0: {}, 1: {}})
    recorder.leave_out(0, "began in the middle")
    for number in range(2):
        recorder.open(simulation(number))
        recorder.push(frame(simulation(number), 3))
        recorder.close(number)
    recorder.finish()
    recording = open_recording(tmp_path / "r")
    assert recording.ids == (1,) and recording.absent == {0: "began in the middle"}
    # The reason stays, even if a successor knows nothing of it.
    Recorder(tmp_path / "r", about={0: {}, 1: {}}).finish()
    assert open_recording(tmp_path / "r").absent == {0: "began in the middle"}


def test_a_process_that_is_started_meanwhile_locks_no_file(tmp_path, monkeypatch):
    """Until it runs its program it has all descriptors, and a lock with them."""
    from sciml.record import file as module

    reader, writer = os.pipe()
    children = []

    def laid_out(*arguments, **keywords):
        made = lay_out(*arguments, **keywords)
        children.append(os.fork())
        if not children[-1]:
            os.close(writer)
            os.read(reader, 1)  # until the file has been opened again
            os._exit(0)
        return made

    lay_out = module.lay_out
    monkeypatch.setattr(module, "lay_out", laid_out)
    sim = simulation(0)
    try:
        one = module.SimulationFile(tmp_path / "simulation-00000.nc", sim, frame(sim, 0))
        one.add(0, frame(sim, 0))
        one.close()
    finally:
        os.close(writer)
        os.waitpid(children[0], 0)
        os.close(reader)
    assert module.entry_in(one.path).frames == 1
