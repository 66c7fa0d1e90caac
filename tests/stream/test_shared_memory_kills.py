"""Ranks, trainer or both are killed: all frames come, each once, and no memory stays."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hellos import until_closed
from patience import PATIENCE, wait_until

from sciml.domain import Field
from sciml.stream import Arrived
from sciml.stream import slots as slots_module

RANK = Path(__file__).with_name("slot_rank.py")
TRAINER = Path(__file__).with_name("lineage_trainer.py")
SHAPE = (64, 32)  # 8 kB in float32: large enough for a slot

pytestmark = [
    pytest.mark.usefixtures("no_slots_stay"),
    pytest.mark.skipif(not slots_module.node(), reason="no shared memory of this kind here"),
]


@pytest.fixture
def start():
    """Starts programs of these tests; whatever still runs at the end is killed."""
    started = []

    def start(program, *arguments):
        command = [sys.executable, str(program), *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_rank_killed_with_a_slot_in_its_hand(serve, start, tools):
    server = serve()
    rank = start(RANK, server.run_dir, 60, 1, 0.0, 25)
    assert rank.stdout.readline() == "hangs\n"
    assert server.status()["slot_ranks"] == 1
    rank.kill()
    rank.wait()
    # The memory of the dead is let go of.
    wait_until(lambda: server.status()["slot_ranks"] == 0)
    again = start(RANK, server.run_dir, 60, 2, 0.0)
    events = tools.drain(server, until_closed(1))
    assert again.wait(PATIENCE) == 0
    frames = [e.frame for e in events if isinstance(e, Arrived)]
    assert [f.step for f in frames] == list(range(60))
    assert all((f.fields["u"] == f.step).all() for f in frames)
    counts = server.ledger.frames()
    assert counts["received"] == 60 and counts["lost"] == counts["doubled"] == 0


@pytest.mark.parametrize("seed", [20, pytest.param(None, marks=pytest.mark.slow)])
def test_ranks_killed_at_any_moment(serve, start, tools, seed):
    """None: of any seed."""
    seed = random.randrange(1 << 30) if seed is None else seed
    print("seed", seed)
    draw = random.Random(seed)
    server = serve()
    for attempt in range(1, 4):
        rank = start(RANK, server.run_dir, 400, attempt, 0.002)
        wait_until(lambda r=rank: server.status()["slot_ranks"] or r.poll() is not None)
        time.sleep(0.3 * draw.random())
        rank.kill()
        rank.wait()
    rank = start(RANK, server.run_dir, 400, 4, 0.0)
    events = tools.drain(server, until_closed(1))
    assert rank.wait(PATIENCE) == 0
    assert sorted(tools.steps_of(events)) == list(range(400))
    counts = server.ledger.frames()
    assert counts["lost"] == counts["doubled"] == 0 and server.status()["slot_blocks"] >= 400


def test_trainer_killed_and_back_reads_the_slots_again(
    solve, start, grid_simulation, tools, tmp_path
):
    run_dir = tmp_path / "run"
    run_dir.mkdir()

    trainer = start(TRAINER, run_dir, 1)
    wait_until((run_dir / "endpoint.json").exists)
    simulation = grid_simulation(0, SHAPE)
    threads = solve(simulation, range(300), ranks=2, pause=0.003)
    for _ in range(2):
        wait_until(tools.further(run_dir, trainer))
        trainer.kill()
        trainer.wait()
        trainer = start(TRAINER, run_dir, 1)
    assert trainer.wait(PATIENCE) == 0
    tools.finish(threads)
    model = json.loads((run_dir / "checkpoint.json").read_text())["model"]
    assert sorted(step for _, step, _ in model) == list(range(300))
    for _, step, total in model:
        assert total == float(sum(tools.value(simulation, step, Field("u")).ravel()))
    counts = json.loads((run_dir / "frames.json").read_text())
    assert (counts["lost"], counts["doubled"], counts["received"]) == (0, 0, 300)


def test_both_killed_leave_nothing(start, tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    trainer = start(TRAINER, run_dir, 1)
    wait_until((run_dir / "endpoint.json").exists)
    rank = start(RANK, run_dir, 60, 1, 0.0, 25)
    assert rank.stdout.readline() == "hangs\n"
    assert any("sciml-slots" in os.readlink(p) for p in Path(f"/proc/{rank.pid}/fd").iterdir())
    for process in (trainer, rank):
        process.kill()
        process.wait()
    # Slots have no name there, and other programs of the machine may.
    assert not [name for name in os.listdir("/dev/shm") if "slots" in name]
    names = {path.name for path in run_dir.rglob("*") if path.is_file()}
    # The last one is what the trainer of this test was writing down when it was killed.
    allowed = {"endpoint.json", "server.key", "lock", "checkpoint.json", "checkpoint.aside"}
    assert {name for name in names - allowed if not name.endswith(".segment")} == set()


def test_a_server_that_returns_without_slots_gets_the_rest_by_the_socket(
    serve, solve, grid_simulation, tools
):
    server = serve()
    simulation = grid_simulation(0, (128, 128))
    threads = solve(simulation, range(120), pause=0.003)
    tools.drain(server, lambda e: isinstance(e, Arrived) and e.frame.step == 20)
    assert server.status()["slot_blocks"] >= 20
    server.stop()
    time.sleep(0.2)
    server = serve(shared_memory=False)
    events = tools.drain(server, until_closed(1))
    tools.finish(threads)
    assert sorted(tools.steps_of(events)) == list(
        range(120)
    )  # the spool gives the first ones again
    for event in events:
        if isinstance(event, Arrived):
            tools.check(simulation, event.frame)
    assert server.status()["slot_blocks"] == 0
