"""The one display: in place, as lines, or not at all."""

import io
import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.report.progress import Progress, ProgressRow, left, line_of
from sciml.run.display import WATERMARK, limit, rows, simulations, told
from sciml.run.snapshot import Snapshot

ROWS = [ProgressRow("step", "3/10, <b> [red]", 3, 10), ProgressRow("validation", "")]


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Display:
    """What IPython gives for what it has displayed."""

    def __init__(self):
        self.shown = []

    def display(self, html, display_id):
        assert display_id
        self.shown.append(html)
        return SimpleNamespace(update=self.shown.append)


@pytest.fixture
def notebook(monkeypatch):
    found = Display()
    shell = SimpleNamespace(kernel=object())
    display = SimpleNamespace(HTML=str, display=found.display)
    monkeypatch.setitem(
        sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=display)
    )
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return found.shown


@pytest.fixture(autouse=True)
def usual_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def test_in_a_terminal_rows_are_written_over(monkeypatch):
    stream = Terminal()
    with Progress("a run", stream=stream) as progress:
        progress.update(ROWS, force=True)
        progress.say("warning: [x] happened")
        progress.update([ProgressRow("step", "4/10", 4, 10)], force=True)
    text = stream.getvalue()
    assert "\x1b[2K" in text and "3/10, <b> [red]" in text and "warning: [x] happened" in text


def test_in_a_log_lines_come_now_and_then():
    stream = io.StringIO()
    with Progress("a run", stream=stream) as progress:
        progress.update(ROWS)
        progress.update([ProgressRow("step", "4/10", 4, 10)])  # a moment later
        progress.say("warning")
        progress.update([ProgressRow("step", "5/10", 5, 10)], force=True)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "a run" and lines[1].endswith("s] | step 3/10, <b> [red]")
    assert lines[2] == "warning" and lines[3].endswith("step 5/10") and len(lines) == 4
    assert "\x1b" not in stream.getvalue()


def test_plain_lines_in_a_terminal_that_was_asked_for_them():
    stream = Terminal()
    with Progress("a run", plain=True, stream=stream) as progress:
        progress.update(ROWS, force=True)
    assert "\x1b" not in stream.getvalue()


def test_in_a_notebook_the_same_place_is_written_over(notebook):
    with Progress("a <run>", stream=io.StringIO()) as progress:
        progress.update(ROWS, force=True)
        progress.say("5 < 6")
    first, second, last = notebook
    assert "a &lt;run&gt;" in first and "<progress value='3' max='10'>" in second
    assert "3/10, &lt;b&gt; [red]" in last and "5 &lt; 6" in last


def test_quiet_where_there_is_neither():
    stream = io.StringIO()
    with Progress("fit", quiet=True, stream=stream) as progress:
        assert progress.quiet and not progress.due
        progress.update(ROWS, force=True)
        progress.say("nothing")
    assert stream.getvalue() == ""


def test_what_is_left():
    assert left(0, 10, 5.0) == left(10, 10, 5.0) == ""
    assert left(5, 10, 5.0) == "about 5 s left" and left(1, 100, 60.0) == "about 1.6 h left"


def test_counts_of_a_run_are_explained():
    counts = {**Snapshot().simulations, "total": 66, "done": 57, "skipped": 9}
    buffer = {"size": 7, "capacity": 10, "repeats": 1.26, "watermark": 8}
    trainer = {
        "state": "training",
        "step": 3,
        "steps": 8,
        "loss": 0.5,
        "waiting": 0.9,
        "buffer": buffer,
    }
    line = line_of(rows(Snapshot(counts, trainer)), 1.0)
    assert (
        "57/66 done, 0 running, 9 not needed: training was over before their turn (skipped)" in line
    )
    assert "7/10 samples, each drawn 1.3 times so far (repeats)" in line and "step 3/8" in line
    assert "more simulations at once would help" in line
    assert simulations({"total": 2, "done": 1}) == "1/2 done, 0 running"


def test_advice_fits_what_is_run():
    counts = Snapshot().simulations
    trainer = {"state": "training", "waiting": 0.1}
    assert limit(Snapshot(counts, trainer)).endswith("more solvers would not help")
    buffer = {"kind": "reservoir", "unseen": 3, "size": 130, "watermark": 20}
    assert limit(Snapshot(counts, {**trainer, "buffer": buffer})).endswith("would not help")
    again = limit(Snapshot(counts, {**trainer, "buffer": {**buffer, "unseen": 0}}))
    assert again.endswith("on samples that it has seen: more simulations at once bring new ones")
    resumed = {"state": WATERMARK, "buffer": buffer}
    assert "130 of the 20" not in limit(Snapshot(counts, resumed))
    offline = Snapshot(counts, {**trainer, "offline": True})
    assert limit(offline) == "limited by training (90% of the time)"
    assert "solvers" not in line_of(rows(offline), 0.0) and "simulations" not in line_of(
        rows(offline), 0.0
    )
    filling = {"state": WATERMARK, "buffer": {"size": 120, "watermark": 200}}
    said = limit(Snapshot(counts, filling))
    assert said.startswith("filling the buffer: 120 of the 200 samples with which training begins")


@pytest.fixture
def waves():
    x = np.linspace(0.0, 2 * np.pi, 8, endpoint=False)
    u = np.sin(x + np.arange(5)[:, None] + np.arange(3)[:, None, None]).astype(np.float32)
    return xr.Dataset({"u": (("sample", "time", "x"), u)}, {"time": np.arange(5.0), "x": x})


def test_fit_shows_how_far_it_is_where_somebody_looks(waves, monkeypatch, caplog):
    model = {"name": "mlp", "hidden": [4]}
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    sciml.fit(model, waves, epochs=2)
    assert sys.stderr.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    sciml.fit(model, waves, epochs=2)
    shown = sys.stderr.getvalue()
    assert "2/2, epoch 2/2" in shown and "VRMSE" in shown
    monkeypatch.setattr(sys, "stderr", Terminal())
    sciml.fit(model, waves, epochs=2, progress=False)
    assert sys.stderr.getvalue() == ""
    with caplog.at_level(logging.INFO, "sciml.fit"):  # whoever reads the log has lines
        sciml.fit(model, waves, epochs=2)
    assert sys.stderr.getvalue() == "" and "validation: " in caplog.text


@pytest.mark.parametrize(("same", "when"), [(True, "of the same frame"), (False, "one step ahead")])
def test_a_status_says_of_which_time_errors_are(same, when):
    snapshot = Snapshot(trainer={"state": "training", "vrmse": 0.25, "same_frame": same})
    assert f"validation  {when} VRMSE 2.500e-01" in told(snapshot.to_json())


def test_errors_of_energies_and_forces_come_first():
    found = {"vrmse": 0.25, "mae_per_particle": 0.0172, "mae": 0.3161, "same_frame": True}
    units = {"mae_per_particle": "eV", "mae": "eV/Å"}
    line = "MAE of energy 17.2 meV a particle, MAE of forces 316 meV/Å, VRMSE 2.500e-01"
    state = Snapshot(trainer={"state": "training", **found, "units": units})
    assert f"validation  of the same frame {line}" in told(state.to_json())
    assert line in [row.text for row in rows(state)]
    kinds = Snapshot(trainer={"state": "training", "accuracy": 0.875})
    assert "accuracy 87.5%" in told(kinds.to_json())
