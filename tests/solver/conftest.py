"""The heat program, which the tests of the contract run."""

import pytest
from programs import load


@pytest.fixture(scope="session")
def heat_program():
    return load("heat")
