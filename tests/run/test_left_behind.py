"""What a run says of itself when it has ended."""

import pytest

from sciml.errors import InputError
from sciml.report.figures import SWITCH
from sciml.run.conclusion import left_behind
from sciml.run.directory import RunDirectory
from sciml.run.results import Run


def test_a_run_names_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv(SWITCH, "0")
    directory = RunDirectory(tmp_path)
    assert left_behind(directory).startswith("surrogate and metrics: ")
    directory.predictions.touch()
    assert left_behind(directory).startswith("surrogate, metrics and predictions: ")


def test_a_run_without_predictions_says_why(tmp_path):
    run = Run(RunDirectory(tmp_path))
    with pytest.raises(InputError, match="the run did not finish"):
        _ = run.predictions
    run.directory.summary.write_text("{}")
    with pytest.raises(InputError, match="nothing was held out"):
        _ = run.predictions
