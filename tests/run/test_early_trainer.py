"""A trainer that starts before there is a run: what it refuses, and that it never stays behind."""

import os
import signal
import subprocess
import sys

import pytest
from patience import PATIENCE, wait_until
from small_study import small_study

from sciml.domain import Field, Grid
from sciml.ensemble.processes import session_members
from sciml.errors import InputError, ScimlError
from sciml.run.online import study_run
from sciml.run.trainer_process import EarlyTrainer
from sciml.study.schema import Study

GRID = Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic",) * 2)


def study(**model):
    return Study.model_validate(small_study(model=model))


def test_it_tries_the_model_and_leaves_nothing(tmp_path):
    fno = study(name="fno", modes=16, hidden_channels=4, n_layers=1)
    with EarlyTrainer(fno) as trainer:
        trainer.try_model(GRID, (Field("u"),))
        with pytest.raises(InputError, match="16"):
            trainer.require()
    assert trainer.process.returncode is not None
    assert not session_members(trainer.process.pid)


def test_one_that_dies_of_the_model_is_an_error_in_a_line():
    with EarlyTrainer(study(name="mlp")) as trainer:
        trainer.process.send_signal(signal.SIGSTOP)  # it shall not have answered before
        trainer.try_model(GRID, (Field("u"),))
        trainer.process.kill()
        with pytest.raises(ScimlError, match="code -9 while it tried the model"):
            trainer.require()


def test_it_ends_with_who_has_started_it():
    """Killed, so that nothing can be cleared up."""
    words = (
        "import os, sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_early_trainer import EarlyTrainer, study\n"
        "print(EarlyTrainer(study(name='mlp')).process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    # What both of them say goes into one pipe: it ends when nobody is left to write to it.
    done = subprocess.run(
        [sys.executable, "-c", words, *folders],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        text=True,
    )
    assert done.returncode == -9
    wait_until(lambda: not session_members(int(done.stdout.split()[0])))


def test_a_refusal_of_the_program_ends_it_and_makes_no_directory(tmp_path, monkeypatch):
    kept = []
    began = EarlyTrainer.__init__
    monkeypatch.setattr(
        EarlyTrainer, "__init__", lambda self, s: (began(self, s), kept.append(self))[0]
    )
    changed = small_study(task={"inputs": ["v"], "targets": ["v"]})
    with pytest.raises(InputError, match="no field 'v'"):
        study_run.execute(Study.model_validate(changed), tmp_path / "out")
    assert kept[0].process.returncode is not None and not list(tmp_path.iterdir())
