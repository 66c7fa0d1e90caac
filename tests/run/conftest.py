"""What tests of runs share."""

import pytest
import yaml
from small_study import sciml, small_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """One run that recorded, as a user runs it, and its process; looked at by several tests."""
    folder = tmp_path_factory.mktemp("study")
    study = small_study(record=True)
    study["training"]["phases"][0]["steps"] = 100_000  # the stream ends before
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    process = sciml("run", folder / "study.yaml", "--out", folder / "run")
    log = folder / "run/logs/trainer.log"
    assert process.returncode == 0, process.stderr + (log.read_text() if log.exists() else "")
    return folder / "run", process
