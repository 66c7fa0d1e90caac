"""Simulations that diverge, from start to end: what is trained is what it is without them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from diverging import diverging_study
from patience import PATIENCE, wait_until
from small_study import called, one_line

from sciml.record import open_recording


def write(folder, faults, **changes):
    study = diverging_study(folder, faults, **changes)
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder / "study.yaml", folder / "out"


def test_where_all_diverge_the_run_says_so(tmp_path):
    """In place of a surrogate that has learned nothing, and exit code 0."""
    faults = dict.fromkeys(range(5), "grows")
    small = {
        "model": {"name": "mlp", "hidden": [8]},
        "validation": {"simulations": 1, "every": 500},
    }
    study, out = write(tmp_path, faults, simulations=3, frames=50, pace=0.0, steps=20, **small)
    process = called("run", study, "--out", out)
    line = one_line(process)
    assert "simulations that came for training were left out" in line, line
    assert "nan at index" in line and not (out / "summary.json").exists()


@pytest.mark.slow
def test_a_trainer_that_is_killed_while_frames_are_held_back_loses_none(tmp_path):
    """The last of four, which ends well: what was held back is trained on, and recorded, once."""
    study, out = write(
        tmp_path,
        {3: "high"},
        simulations=4,
        frames=24,
        pace=0.3,
        hurry=True,
        steps=60,
        buffer={"kind": "firo", "capacity": 40, "watermark": 20},
        cluster={"kind": "local", "simulations_at_once": 1, "retries": 0},
        validation={"simulations": 0, "every": 100},
        record=True,
    )
    command = [sys.executable, "-m", "sciml.cli", "run", str(study), "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:

            def held():
                state = out / "status.json"
                found = json.loads(state.read_text()) if state.exists() else {}
                return process.poll() is not None or found.get("frames", {}).get("held", 0) > 2

            wait_until(held, 4 * PATIENCE)
            session = json.loads((out / "pids/trainer.json").read_text())["session"]
            os.kill(session, signal.SIGKILL)
            said = process.communicate(timeout=4 * PATIENCE)[1]
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "is held back until it ends: 'u' reaches" in said, said
    assert "the trainer died" in said and "has ended well" in said, said
    status = json.loads((out / "status.json").read_text())
    frames, samples = status["frames"], status["samples"]
    assert frames["produced"] == frames["received"] == 4 * 24
    assert frames["held"] == frames["dropped"] == frames["lost"] == frames["doubled"] == 0
    assert samples["entered"] == samples["evicted"] + samples["removed"]
    assert samples["evicted"] == 4 * 23, samples
    assert [len(list(open_recording(out).frames(n))) for n in range(4)] == [24] * 4


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["grows", "jumps", "stops", "high"])
def test_three_that_diverge_of_twelve_do_not_matter(tmp_path, fault):
    """Errors vary by a tenth with the seed, and with the order in which samples come."""
    errors = {}
    for name in ("absent", fault):
        folder = Path(tmp_path / name)
        folder.mkdir()
        # All samples come before the training ends, however busy the machine is.
        study, out = write(folder, dict.fromkeys((1, 4, 8), name), pace=0.01, steps=4000)
        process = called("run", study, "--out", out)
        assert process.returncode == 0, process.stderr
        errors[name] = json.loads((out / "summary.json").read_text())["one_step"]
    print(errors)
    assert errors[fault] < 1.4 * errors["absent"], errors
