"""Fixtures of the study's tests."""

import pytest
import yaml
from small_study import sciml, small_study


@pytest.fixture
def write_study(tmp_path):
    def write(**changes):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(small_study(**changes)))
        return path

    return write


@pytest.fixture
def command():
    return sciml
