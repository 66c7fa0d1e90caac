"""A batch system's signal while a run that has ended draws its figures."""

import os
import signal

import pytest
import yaml

from sciml.cli import main
from sciml.run.online import study_run


@pytest.mark.slow
def test_a_signal_after_the_end_changes_nothing(tmp_path, monkeypatch, capsys):
    study = {
        "name": "s",
        "solver": {"program": "solvers/heat.py", "options": {"shape": [8, 8], "steps": 20}},
        "parameters": {"simulations": 2, "ranges": {"kappa": [0.1, 0.2]}},
        "task": {"inputs": ["u"]},
        "model": {"name": "mlp", "hidden": [4]},
        "buffer": {"watermark": 4},
        "training": {"batch_size": 2, "phases": [{"lr": 1e-3, "steps": 4}]},
        "validation": {"simulations": 1},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    drawn = []

    def told(directory):
        os.kill(os.getpid(), signal.SIGTERM)
        drawn.append(directory.path)
        return "figures"

    monkeypatch.setattr(study_run, "left_behind", told)
    monkeypatch.setattr("sys.argv", ["sciml", "run", str(path), "--out", str(tmp_path / "run")])
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.value.code in (0, None) and len(drawn) == 1
    assert "run it again" not in capsys.readouterr().err
