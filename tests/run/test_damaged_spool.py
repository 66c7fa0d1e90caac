"""A killed run whose spool is damaged goes on: what was lost is sent again, or left out and told."""

import json
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest
import yaml
from killing import PATIENCE, start, trainers, wait_until
from small_study import called, small_study

from sciml.ensemble.job import reap
from sciml.ensemble.processes import start_time
from sciml.run.directory import RunDirectory
from sciml.run.online.lost_frames import Losses
from sciml.samples import Task
from sciml.stream.spool import Spool
from sciml.training.checkpoint import Checkpoints

TRAINING, HELD_OUT, FRAMES = 6, 1, 41
TASK = Task(("u",), ("u",))


def study_file(folder, **changes):
    study = small_study(
        solver={
            "program": "solvers/heat.py",
            "ranks": 2,
            "options": {"shape": [16, 16], "steps": FRAMES - 1, "dt": 2.0e-3},
        },
        parameters={"simulations": TRAINING, "ranges": {"kappa": [0.05, 0.1]}},
        task={"inputs": ["u"]},
        # Slow enough that a simulation comes between two checkpoints: one takes about a second.
        model={"name": "fno", "modes": [4, 4], "hidden_channels": 16, "n_layers": 4},
        # Larger than two simulations: most of what has come is in there when the kill comes. A sample
        # stays for five draws: there are 600 steps, however slow the trainer is.
        buffer={"capacity": 100, "watermark": 10, "draws": 5},
        training={"batch_size": 2, "phases": [{"lr": 1e-3}], "checkpoint_every": 200},
        validation={"simulations": HELD_OUT, "every": 1000, "rollout": 5},
        **changes,
    )
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A run of which supervisor and trainer got a SIGKILL, with frames that came after its checkpoint.

    The trainer may write a checkpoint between the moment at which it is seen to hold such frames and
    the kill: then another run is killed.
    """
    for _ in range(5):
        run = killed_once(tmp_path_factory.mktemp("killed"))
        if later(run):
            return run
    raise AssertionError("each of five kills came after the next checkpoint")


def killed_once(folder):
    run = folder / "run"
    process = start("run", study_file(folder), "--out", run, run=run)
    wait_until(process, lambda: came_later(run) >= FRAMES // 2)
    # Stopped first: it neither starts the trainer again nor, gone, lets it write a checkpoint.
    process.send_signal(signal.SIGSTOP)
    found = trainers(run)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate(timeout=PATIENCE)
    # Gone, not only without a command line: until then it holds the lock of its spool.
    while trainers(run) or any(start_time(pid) for pid in found):
        time.sleep(0.05)
    reap(RunDirectory.open(run))  # its solvers would wait for a trainer for ten minutes
    return run


def came_later(run):
    """Frames that came after the newest checkpoint, as the run's status has it; 0 without one."""
    checkpoint = Checkpoints(run / "checkpoints").newest()
    if checkpoint is None:
        return 0
    ledger = checkpoint.state["extra"]["ledger"]
    spans = [span for entry in ledger["open"].values() for span in entry["entered"]]
    entered = sum(high - low for low, high in spans)
    entered += FRAMES * sum(high - low for low, high in ledger["finished"])
    return json.loads((run / "status.json").read_text())["frames"]["received"] - entered


def later(run):
    """Places of the blocks that came after the checkpoint, by simulation."""
    ledger = state_of(run)["extra"]["ledger"]
    entered = {
        (int(number), step)
        for number, entry in ledger["open"].items()
        for low, high in entry["entered"]
        for step in range(low, high)
    }
    finished = {n for low, high in ledger["finished"] for n in range(low, high)}
    places = {}
    for header, path, _, payload in records(run):
        key = header["simulation"], header.get("step")
        if header["kind"] == "block" and key not in entered and key[0] not in finished:
            places.setdefault(key[0], []).append((path, payload))
    return places


@pytest.fixture
def killed(once, tmp_path):
    """A copy of it: nothing in a run directory says where it lies."""
    return shutil.copytree(once, tmp_path / "run")


def records(run):
    """Header, file and place of the payload of every record in the spool."""
    spool = Spool(run / "spool")
    found = []
    for record in spool.scan():
        place = spool._places[record.order]
        start = place.offset + place.size - place.payload
        found.append((record.header, place.segment.path, place.offset, start))
    spool.close()
    return found


def damage(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x55]))


def state_of(run):
    return Checkpoints(run / "checkpoints").newest().state


def resumed(run, whole=True):
    """What resuming a run says on stderr; ``whole``: nothing that the checkpoint needs is lost."""
    done = called("resume", run)
    log = (run / "logs" / "trainer.log").read_text()
    assert done.returncode == 0, done.stderr + log
    assert "Traceback" not in done.stderr + log
    status = json.loads((run / "status.json").read_text())
    frames, samples = status["frames"], status["samples"]
    assert frames["lost"] == frames["doubled"] == 0, frames
    assert frames["received"] == (TRAINING + HELD_OUT) * FRAMES, frames
    assert (samples["entered"] == TRAINING * (FRAMES - 1)) >= whole, samples
    assert (samples["removed"] == 0) == whole, samples
    return done.stderr


def held(run):
    """Keys of the samples in the buffer of the checkpoint."""
    return [tuple(entry[:2]) for entry in state_of(run)["source"]["buffer"]["entries"]]


def damage_frame(run, key):
    _, path, _, payload = next(
        r for r in records(run)
        if r[0]["kind"] == "block" and (r[0]["simulation"], r[0]["step"]) == key and r[0]["rank"]
    )  # fmt: skip
    damage(path, payload + 40)


@pytest.mark.slow
def test_a_sample_whose_frame_is_lost_leaves_the_buffer(killed):
    number, origin = held(killed)[0]
    damage_frame(killed, (number, origin))
    said = resumed(killed, whole=False)
    assert "1 records of the spool were damaged and dropped" in said
    assert (
        f"1 frames and 0 descriptions that the checkpoint needs are lost (simulations {number})"
        in said
    )
    assert json.loads((killed / "summary.json").read_text())["validation_simulations"] == HELD_OUT


@pytest.mark.slow
def test_a_simulation_whose_description_is_lost_leaves_the_buffer(killed):
    number, _ = held(killed)[0]
    for header, path, offset, _ in records(killed):
        if header["kind"] == "simulation" and header["simulation"] == number:
            damage(path, offset + 60)
    assert "1 descriptions that the checkpoint needs are lost" in resumed(killed, whole=False)


@pytest.mark.slow
def test_frames_that_the_checkpoint_does_not_know_are_sent_again(killed):
    """Of a simulation whose solver has ended, and of the one that was cut off."""
    lost = later(killed)
    for places in lost.values():
        damage(places[len(places) // 2][0], places[len(places) // 2][1] + 8)
    assert f"{len(lost)} records of the spool were damaged" in resumed(killed)


@pytest.mark.slow
def test_notes_that_are_lost_are_made_again(killed):
    """That a simulation began to be shown, that it is whole, who its ranks are."""
    for header, path, offset, _ in records(killed):
        if header["kind"] in ("opened", "closed", "rank", "bye"):
            damage(path, offset + 50)
    assert "records of the spool were damaged" in resumed(killed)


def test_what_is_lost_leaves_every_part_of_a_checkpoint():
    """Simulation 1 lost frame 3, 2 its description; 4 is held out and lost frame 0, 5 is sound."""
    losses = Losses({(1, 3), (4, 0)}, {2})
    state = {
        "step": 7,
        "source": {
            "buffer": {
                "entries": [[1, 1, 0, 0], [1, 2, 1, 0], [1, 3, 2, 0], [1, 4, 3, 0], [2, 0, 4, 1]],
                "counts": [9, 4, 3, 2, 1],
            }
        },
        "extra": {
            "frames": [[1, 3], [1, 6], [2, 8], [4, 0], [5, 0]],
            "windower": {"open": [[1, 0, [5], [[3, 1], [6, 1]]], [2, 0, [], [[8, 1]]]]},
            "heldout": {"complete": [3], "open": [[4, [0, 1]], [5, [0]]]},
            "on_the_way": [[1, 2, 8], [1, 5, 9]],
            "recorder": {"arrived": 4, "open": [[1, 0, [[3, 0, 0, 1]]], [5, 0, [[0, 1, 0, 1]]]]},
            "screen": {"held": [[1, [0.0], [2, 7], False]], "shares": {}},
        },
    }
    found, heldout = losses.without(TASK, state)
    buffered, extra = found["source"]["buffer"], found["extra"]
    assert buffered == {"entries": [[1, 1, 0, 0], [1, 4, 3, 0]], "counts": [9, 4, 3, 2, 4]}
    assert extra["frames"] == [[1, 6], [5, 0]]
    assert extra["windower"]["open"] == [[1, 0, [3, 5], [[6, 1]]]]
    assert extra["heldout"] == {"complete": [3], "open": [[5, [0]]]} and heldout == [4]
    assert extra["on_the_way"] == [[1, 5, 9]]
    assert extra["recorder"]["open"] == [[5, 0, [[0, 1, 0, 1]]]] and losses.unrecorded(state) == [1]
    assert extra["screen"]["held"] == [[1, [0.0], [7], False]]
    assert found["step"] == 7 and len(state["source"]["buffer"]["entries"]) == 5
