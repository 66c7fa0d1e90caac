"""Two who resume one run, and a copy that is resumed beside its original."""

import json
import os
import shutil
import signal

import pytest
import yaml
from killing import PATIENCE, marked, start, wait_for_step
from test_kills import check_account, study_of

TRAINING = 6


@pytest.fixture
def left(tmp_path):
    """A run whose supervisor was killed."""
    run, study = tmp_path / "run", tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(study_of(TRAINING)))
    process = start("run", study, "--out", run, run=run)
    wait_for_step(process, run, 10)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return run


def outcome(run):
    """Simulations by what became of them, as the files of the jobs say."""
    planned = {entry["id"] for entry in json.loads((run / "simulations.json").read_text())}
    records = {
        int(path.stem.split("-")[1]): json.loads(path.read_text())
        for path in (run / "pids").glob("simulation-*.json")
    }
    return planned, {number for number, record in records.items() if record.get("code") == 0}


@pytest.mark.slow
def test_of_two_who_resume_at_once_one_leads(left):
    both = [start("resume", left, run=left) for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    refused = said[codes.index(2)].strip()
    first = both[codes.index(0)].pid
    assert f"is running, led by process {first} on " in refused and "\n" not in refused
    check_account(left, TRAINING)
    planned, ended = outcome(left)
    assert ended == planned
    assert not marked(left)


@pytest.mark.slow
def test_a_copy_is_resumed_beside_its_original(left, tmp_path):
    for pid in marked(left):
        os.kill(pid, signal.SIGKILL)
    copy = tmp_path / "copy"
    shutil.copytree(left, copy)
    both = [start("resume", run, run=run) for run in (left, copy)]
    said = [process.communicate(timeout=2 * PATIENCE)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    endpoints = []
    for run in (left, copy):
        check_account(run, TRAINING)
        planned, ended = outcome(run)
        assert ended == planned
        endpoints.append(json.loads((run / "endpoint.json").read_text()))
    assert endpoints[0]["server_key"] != endpoints[1]["server_key"]
    names = [json.loads((run / "run.json").read_text())["run"] for run in (left, copy)]
    assert names[0] != names[1]
