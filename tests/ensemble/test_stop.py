"""Signals that ask for an end."""

import os
import signal

import pytest

from sciml.ensemble.stop import BeforeStart, StopRequest


@pytest.fixture
def before_start():
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield BeforeStart()
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Careless:
    """An exception in its end is lost, as in what Python calls when a module is there."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        os.kill(os.getpid(), self.number)
        sum(range(1000))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_whose_exception_was_lost_is_heard_by_who_comes_next(number, code, before_start):
    Careless(number)  # nothing is raised here
    with StopRequest() as stop:
        assert stop and stop.code == code
    assert signal.getsignal(number) is before_start


def test_one_that_nobody_has_sent_is_not_heard(before_start):
    with StopRequest() as stop:
        assert not stop
