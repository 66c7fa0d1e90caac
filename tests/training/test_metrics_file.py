"""The loss every few steps, and the validations, as lines that a resumed training goes on with."""

import json
import logging
import time

import pytest

from sciml.report.history import history, validations
from sciml.report.rows import append, rows_of
from sciml.training.history import StepRecord
from sciml.training.metrics_file import EVERY, MetricsFile

log = logging.getLogger("test")


def step(number, loss=None, **losses):
    loss = float(number) if loss is None else loss
    return StepRecord(number, 0, loss, losses or {"field": loss}, 1e-3, 0.0, 0.0, 4)


def test_a_line_stands_for_the_mean_of_its_steps(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl", log)
    for n in range(1, 2 * EVERY + 4):
        file.on_step(step(n, field=1.0, edge=float(n)))
    file.flush()
    file.flush()
    file.on_validation({"step": 23, "vrmse": 0.5, "fields": {"u": {"vrmse": 0.5}, "v": {}}})
    lines = rows_of(file.path)
    assert [line["step"] for line in lines] == [10, 20, 23, 23]
    assert [line["loss"] for line in lines] == [5.5, 15.5, 22.0, 23.0]
    assert validations(lines) == lines[-1:]
    ds = history(lines)
    assert ds.loss.values.tolist() == ds.loss_edge.values.tolist() == [5.5, 15.5, 22.0]
    assert ds.step.values.tolist() == [10, 20, 23] and ds.validation.values.tolist() == [23]
    assert float(ds.vrmse.sel(validation=23, field="u")) == 0.5
    assert ds.vrmse.sel(field="v").isnull().all()


@pytest.mark.parametrize("at", [14, 20, 27])
def test_a_resumed_training_leaves_the_file_of_one_piece(tmp_path, at):
    whole, halves = (MetricsFile(tmp_path / name, log) for name in ("whole", "halves"))
    for n in range(1, 31):
        whole.on_step(step(n))
        halves.on_step(step(n))
        if n == at:
            state = json.loads(json.dumps(halves.state_dict()))
    again = MetricsFile(halves.path, log)
    again.load_state_dict(state, at, float(at))
    for n in range(at + 1, 31):
        again.on_step(step(n))
    again.flush()
    whole.flush()
    assert halves.path.read_text() == whole.path.read_text()


def test_a_line_that_is_torn_is_no_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert rows_of(path) == [] and history([]).sizes["step"] == 0
    path.write_text('{"step": 10, "loss": 1.0, "lr": 0.1}\n{"step": 20, "lo')
    assert [line["step"] for line in rows_of(path)] == [10]
    append(path, {"step": 30})
    append(path, {"step": 40})
    assert [line["step"] for line in rows_of(path)] == [10, 30, 40]


def test_no_room_is_no_matter(tmp_path, caplog, monkeypatch):
    file = MetricsFile(tmp_path / "metrics.jsonl", log)

    def full(path, row):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sciml.training.metrics_file.append", full)
    for n in range(1, EVERY + 1):
        file.on_step(step(n))
    assert "not written" in caplog.text


def test_it_costs_little(tmp_path):
    """Less than a hundredth of a step of 10 ms, on a machine that is busy with other things."""
    file = MetricsFile(tmp_path / "metrics.jsonl", log)
    steps = [step(n) for n in range(1, 501)]
    began = time.thread_time()
    for one in steps:
        file.on_step(one)
    assert (time.thread_time() - began) / len(steps) < 1e-4
