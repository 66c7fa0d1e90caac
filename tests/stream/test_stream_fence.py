import time

import numpy as np
import pytest
from patience import PATIENCE, wait_until

from sciml.errors import StreamError
from sciml.stream import Arrived, Closed, Opened, connect
from sciml.stream.in_flight import BATCH_PACE


def closed(event):
    return isinstance(event, Closed)


def start(server, simulation, attempt, steps, values, close=True):
    client = connect(simulation, endpoint=server.run_dir, attempt=attempt, patience=PATIENCE)
    for step in steps:
        client.send(step, 0.1 * step, u=values(step))
    if close:
        client.close()
    return client


def killed(server, simulation, attempt, steps, values):
    """An attempt that ends without a word after its last step arrived."""
    with pytest.raises(InterruptedError), connect(simulation, endpoint=server.run_dir) as client:
        for step in steps:
            client.send(step, 0.1 * step, u=values(step))
            time.sleep(1.2 * BATCH_PACE)  # as a solver that computes: no step waits for another
        wait_until(lambda: server.ledger.frames()["received"] >= len(steps))
        raise InterruptedError


def field(step):
    return np.full((16, 12), float(step))


def arrived(n):
    count = iter(range(1, n + 1))
    return lambda e: isinstance(e, Arrived) and next(count) == n


def test_deterministic_rerun_that_agrees_continues(serve, grid_simulation, tools):
    server = serve()
    simulation = grid_simulation()
    killed(server, simulation, 1, range(6), field)
    assert tools.steps_of(tools.drain(server, arrived(6))) == list(range(6))
    start(server, simulation, 2, range(10), field)
    events = tools.drain(server, closed)
    assert isinstance(events[0], Opened)
    assert events[0].attempt == 2 and events[0].continues
    assert tools.steps_of(events) == [6, 7, 8, 9]
    assert {e.frame.attempt for e in events[1:-1]} == {2}
    counts = server.ledger.frames()
    assert (counts["produced"], counts["received"], counts["doubled"]) == (10, 10, 0)


def test_rerun_that_brings_the_first_frames_continues_too(serve, grid_simulation, tools):
    """As after a damaged spool: they are held back until the rerun has shown that it agrees."""
    server = serve()
    simulation = grid_simulation()
    killed(server, simulation, 1, range(3, 6), field)
    assert tools.steps_of(tools.drain(server, arrived(3))) == [3, 4, 5]
    begun = start(server, simulation, 2, range(1), field, close=False)
    wait_until(lambda: server.ledger.frames()["received"] >= 4)
    begun.abort()  # and another attempt has to go on
    start(server, simulation, 3, range(9), field)
    events = tools.drain(server, closed)
    assert isinstance(events[0], Opened) and events[0].continues
    assert tools.steps_of(events) == [0, 1, 2, 6, 7, 8]
    for event in events[1:-1]:
        np.testing.assert_array_equal(event.frame.fields["u"], field(event.frame.step))
    counts = server.ledger.frames()
    assert (counts["received"], counts["doubled"], counts["lost"]) == (9, 0, 0)


@pytest.mark.parametrize("deterministic", [True, False])
def test_rerun_that_differs_cuts_windows(serve, grid_simulation, tools, deterministic):
    server = serve()
    simulation = grid_simulation(deterministic=deterministic)
    killed(server, simulation, 1, range(6), field)
    tools.drain(server, arrived(6))
    start(server, simulation, 2, range(10), lambda s: field(s) + 1e-9)
    events = tools.drain(server, closed)
    assert isinstance(events[0], Opened) and not events[0].continues
    assert tools.steps_of(events) == [6, 7, 8, 9]


def test_older_attempt_is_fenced_off(serve, grid_simulation):
    server = serve()
    simulation = grid_simulation()
    old = start(server, simulation, 1, range(3), field, close=False)
    new = start(server, simulation, 2, range(2), field, close=False)
    with pytest.raises(StreamError, match="fenced"):
        old.close()
    with pytest.raises(StreamError, match="fenced: attempt 1"):
        connect(simulation, endpoint=server.run_dir, attempt=1)
    new.abort()


def test_blocks_of_two_attempts_never_make_one_frame(serve, solve, grid_simulation, tools):
    from sciml.domain.block import Block

    server = serve()
    simulation = grid_simulation()
    halves = [Block((0, 0), (8, 12)), Block((8, 0), (8, 12))]
    first = connect(simulation, halves[0], 0, 2, endpoint=server.run_dir, attempt=1)
    first.send(0, 0.0, u=np.full((8, 12), -1.0))
    wait_until(lambda: server.status()["frames_incomplete"] > 0)
    threads = solve(simulation, range(3), ranks=2, attempt=2)
    events = tools.drain(server, closed)
    tools.finish(threads)
    assert [e.frame.attempt for e in events if isinstance(e, Arrived)] == [2, 2, 2]
    for event in events[1:-1]:
        tools.check(simulation, event.frame)
    first.abort()


def test_rerun_that_ends_before_the_overlap_still_closes(serve, grid_simulation, tools):
    server = serve()
    simulation = grid_simulation()
    killed(server, simulation, 1, range(6), field)
    tools.drain(server, arrived(6))
    start(server, simulation, 2, range(3), field)
    events = tools.drain(server, closed)
    assert isinstance(events[0], Opened) and not events[0].continues
    assert server.ledger.frames()["lost"] == 0
