"""What tests of runs share."""

import pytest

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
