import pytest


@pytest.fixture
def fell():
    """How much smaller the mean of the last losses is than that of the first."""

    def factor(losses, of=3):
        return (sum(losses[:of]) / of) / (sum(losses[-of:]) / of)

    return factor
