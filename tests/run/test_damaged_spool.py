"""A killed run whose spool is damaged goes on: what was lost is sent or computed again."""

import json
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest
import yaml
from killing import PATIENCE, start, trainers, wait_until
from small_study import one_line, sciml, small_study

from sciml.ensemble.job import reap
from sciml.ensemble.processes import start_time
from sciml.run.directory import RunDirectory
from sciml.run.online.restart import needed
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


def resumed(run):
    done = sciml("resume", run)
    log = (run / "logs" / "trainer.log").read_text()
    assert done.returncode == 0, done.stderr + log
    assert "Traceback" not in done.stderr + log
    status = json.loads((run / "status.json").read_text())
    frames = status["frames"]
    assert frames["lost"] == frames["doubled"] == 0, frames
    assert frames["received"] == (TRAINING + HELD_OUT) * FRAMES, frames
    assert status["samples"]["entered"] == TRAINING * (FRAMES - 1), status["samples"]
    assert json.loads((run / "summary.json").read_text())["validation_simulations"] == HELD_OUT
    return done.stderr


def test_a_frame_that_the_checkpoint_needs_is_computed_again(killed):
    keys = needed(TASK, state_of(killed))
    blocks = [r for r in records(killed) if r[0]["kind"] == "block"]
    header, path, _, payload = next(
        r for r in blocks if (r[0]["simulation"], r[0]["step"]) in keys and r[0]["rank"] == 1
    )
    damage(path, payload + 40)
    said = resumed(killed)
    assert "1 records of the spool were damaged and dropped" in said
    number = header["simulation"]
    assert f"lost 1 frames of simulation {number} that the checkpoint needs" in said
    assert not list(killed.glob(".again-*"))


@pytest.mark.slow
def test_a_description_that_the_checkpoint_needs_comes_again(killed):
    keys = needed(TASK, state_of(killed))
    number = min(simulation for simulation, _ in keys)
    for header, path, offset, _ in records(killed):
        if header["kind"] == "simulation" and header["simulation"] == number:
            damage(path, offset + 60)
    assert f"lost the description of simulation {number} that the" in resumed(killed)


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


def test_what_a_changed_program_would_give_is_refused_in_one_line(killed, tmp_path):
    """Fields that are not those of before would make another data set of it."""
    keys = needed(TASK, state_of(killed))
    blocks = [r for r in records(killed) if r[0]["kind"] == "block"]
    _, path, _, payload = next(r for r in blocks if (r[0]["simulation"], r[0]["step"]) in keys)
    damage(path, payload + 40)
    lineage = json.loads((killed / "lineage.json").read_text())
    study = lineage["studies"][-1]["study"]
    study["solver"]["options"]["dt"] = 1.0e-3
    (killed / "lineage.json").write_text(json.dumps(lineage))
    (killed / "study.yaml").write_text(yaml.safe_dump(study))
    line = one_line(sciml("resume", killed, "--trust"))
    assert "gives other fields now than it did" in line and "begin a new one" in line
