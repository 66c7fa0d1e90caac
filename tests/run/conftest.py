"""What tests of runs share."""

import pytest
import yaml
from small_study import called, small_study

from sciml.run.feasibility import check_device, check_model
from sciml.run.online import study_run
from sciml.run.trainer_process import EarlyTrainer


class Here(EarlyTrainer):
    """It tries the model in this process, which has torch."""

    def __init__(self, study):
        self.study = study

    def end(self):
        pass

    def try_model(self, domain, fields):
        check_device(self.study)
        check_model(self.study, domain, fields, online=True)

    def require(self):
        raise AssertionError("nothing is wrong with the study")


@pytest.fixture
def tried_here(monkeypatch):
    """No trainer is started for a study that is refused anyhow."""
    monkeypatch.setattr(study_run, "EarlyTrainer", Here)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """One run that recorded, and what the command returned; looked at by several tests."""
    folder = tmp_path_factory.mktemp("study")
    # Each sample is drawn once: a trainer that waits for the solver does not learn the same again.
    study = small_study(record=True, buffer={"kind": "fifo", "capacity": 64, "watermark": 8})
    study["training"]["phases"][0]["steps"] = 100_000  # the stream ends before
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    process = called("run", folder / "study.yaml", "--out", folder / "run")
    log = folder / "run/logs/trainer.log"
    assert process.returncode == 0, process.stderr + (log.read_text() if log.exists() else "")
    return folder / "run", process
