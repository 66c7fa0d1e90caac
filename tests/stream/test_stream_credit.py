import threading
import time

import numpy as np
from patience import PATIENCE, standing, wait_until

from sciml.domain import Block
from sciml.stream import Arrived, Closed, connect

LIMIT = 1 << 20


def test_a_slow_trainer_slows_the_solver_and_memory_stays(serve, solve, grid_simulation, tools):
    server = serve(queue_limit=LIMIT)
    simulation = grid_simulation(shape=(128, 128))  # 64 kB a frame
    threads = solve(simulation, range(200))
    # Nobody takes events: the queue fills, then credit runs out, then the solver waits.
    wait_until(lambda: server.status()["ranks_waiting"] == 1)
    frame = 128 * 128 * 4
    assert standing(lambda: threads[0].sent) * frame <= 3 * LIMIT + 2 * (512 << 10)
    status = server.status()
    assert LIMIT <= status["queue_bytes"] <= 2 * LIMIT + frame
    assert status["ranks_waiting"] == 1 and threads[0].is_alive()
    most = 0
    events = []
    while not (events and isinstance(events[-1], Closed)):
        event = server.events.get(timeout=PATIENCE)
        assert event is not None, "credit did not come back"
        events.append(event)
        most = max(most, server.events.bytes)
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(200)) and most <= 2 * LIMIT + frame


def test_a_frame_larger_than_the_window_passes(serve, solve, grid_simulation, tools):
    server = serve(queue_limit=100_000)
    threads = solve(grid_simulation(shape=(512, 256)), range(5), ranks=2)  # 512 kB a frame
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(5))


def test_a_rank_cannot_run_far_ahead_of_the_others(serve, solve, grid_simulation, tools):
    server = serve(queue_limit=LIMIT)
    simulation = grid_simulation(shape=(256, 128))  # 64 kB a block
    late = threading.Event()

    def values(simulation, step, field):
        if threading.current_thread().rank == 1 and step == 1:
            late.wait(PATIENCE)
        return tools.value(simulation, step, field)

    threads = solve(simulation, range(100), ranks=2, values=values)
    wait_until(lambda: threads[0].sent > 0)
    ahead = standing(lambda: threads[0].sent)
    late.set()
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(threads)
    assert tools.steps_of(events) == list(range(100))
    assert ahead * (64 << 10) <= LIMIT + (512 << 10)


def test_full_spool_holds_solvers_until_a_commit(serve, solve, grid_simulation, tools):
    frame = 128 * 128 * 4
    server = serve(spool_limit=20 * frame)
    threads = solve(grid_simulation(shape=(128, 128)), range(1000))
    seen = []
    deadline = time.monotonic() + PATIENCE
    while not (seen and isinstance(seen[-1], Closed)) and time.monotonic() < deadline:
        event = server.events.get(timeout=0.05)
        if event is not None:
            seen.append(event)
        elif server.wants_commit:
            server.commit(keep=set())
    tools.finish(threads)
    assert len([e for e in seen if isinstance(e, Arrived)]) == 1000
    server.commit(keep=set())
    assert server.status()["spool_bytes"] <= 64 << 20


def test_nothing_is_left_of_finished_simulations(serve, solve, grid_simulation, tools):
    server = serve()
    for number in range(40):
        threads = solve(grid_simulation(number), range(3), ranks=1 + number % 2)
        tools.drain(server, lambda e: isinstance(e, Closed))
        tools.finish(threads)
    server.commit(keep=set())
    registry, journal = server._registry, server._journal
    kept = (registry.streams, registry.peers, registry.credit.withheld, registry.credit.touched)
    assert not any(kept) and not journal._blocks and not journal._notes
    assert server._spool.alive == 0 and not server._spool._places
    assert len(server.ledger.state_dict()["finished"]) == 1  # one range
    assert registry.closed.ranges() == [(0, 40)]


def test_a_small_block_does_not_wait_where_a_large_one_needs_its_frame(
    serve, grid_simulation, tools
):
    """Ranks that exchange halos go step by step: the small one must not hold back what returns the
    credit of the other."""
    server = serve()
    points, small, steps = 100_000, 100, range(40)
    simulation = grid_simulation(shape=(points,))
    blocks = (Block((0,), (small,)), Block((small,), (points - small,)))
    first, second = (
        connect(simulation, block, rank, 2, endpoint=server.run_dir)
        for rank, block in enumerate(blocks)
    )

    def march():
        for step in steps:
            second.send(step, 0.0, u=np.zeros(points - small))
            first.send(step, 0.0, u=np.zeros(small))
        closing = threading.Thread(target=first.close)
        closing.start()
        second.close()
        closing.join()

    ranks = threading.Thread(target=march, daemon=True)
    ranks.start()
    ranks.join(PATIENCE)
    assert not ranks.is_alive(), "the ranks wait for each other"
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert sorted(tools.steps_of(events)) == list(steps)
