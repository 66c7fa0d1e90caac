"""What the intake does in one step, as seen by a checkpoint."""

import threading
import time

import numpy as np
import pytest

from sciml.buffer import make
from sciml.domain import Field, Grid
from sciml.record import Recorder
from sciml.samples import Frame, Simulation, Task, Windower
from sciml.stream.events import Arrived, Opened
from sciml.stream.ledger import Ledger
from sciml.study.heldout import HeldOut
from sciml.study.intake import Intake


class _Server:
    """The part of a server that the intake talks to."""

    def __init__(self):
        self.ledger = Ledger()


class _Watched:
    """A recorder that keeps the state of a checkpoint taken right after each frame, if one can be."""

    def __init__(self, recorder):
        self._recorder, self.intake, self.torn = recorder, None, []

    def __getattr__(self, name):
        return getattr(self._recorder, name)

    def push(self, frame):
        self._recorder.push(frame)
        if self.intake.lock.acquire(blocking=False):
            self.torn.append(frame.key)
            self.intake.lock.release()


class _Slow:
    """A buffer that has room when it is told to."""

    def __init__(self):
        self.buffer = make("fifo", 10, 1, 0)
        self.asked, self.room, self.came = (threading.Event() for _ in range(3))

    def put(self, sample):
        self.asked.set()
        assert self.room.wait(10.0)
        self.buffer.put(sample)
        self.came.set()


@pytest.mark.parametrize("role", ["train", "validation"])
def test_no_checkpoint_falls_between_recording_a_frame_and_counting_it(tmp_path, role):
    grid = Grid((4, 4), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic"))
    simulation = Simulation(3, grid, (Field("u"),))
    recorder = _Watched(Recorder(tmp_path / "recording"))
    windower, buffer = Windower(Task(inputs=("u",), targets=("u",))), make("fifo", 10, 1, 0)
    intake = Intake(_Server(), windower, buffer, HeldOut(tmp_path), {3: role}, recorder)
    recorder.intake = intake
    intake._take(Opened(simulation, 1, False))
    for step in range(3):
        fields = {"u": np.full((4, 4), step, np.float32)}
        intake._take(Arrived(Frame(3, step, 0.1 * step, fields)))
    assert recorder.torn == []
    assert recorder.pending() == [(3, 0), (3, 1), (3, 2)]
    assert all(intake._server.ledger.has_entered(3, step) for step in range(3))


def test_a_sample_that_is_put_while_a_checkpoint_is_taken_is_part_of_it(tmp_path):
    grid = Grid((4, 4), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic"))
    windower, slow = Windower(Task(inputs=("u",), targets=("u",))), _Slow()
    intake = Intake(_Server(), windower, slow, HeldOut(tmp_path), {})
    intake._take(Opened(Simulation(3, grid, (Field("u"),)), 1, False))

    def arrive():
        for step in range(2):
            intake._take(Arrived(Frame(3, step, 0.1 * step, {"u": np.zeros((4, 4), np.float32)})))

    thread = threading.Thread(target=arrive)
    thread.start()
    assert slow.asked.wait(10.0)
    with intake.lock:
        put = slow.buffer.state_dict()["counts"][0]
        slow.room.set()
        assert slow.came.wait(10.0)
        time.sleep(0.1)  # the thread goes on as far as it can
        waiting = intake.state_dict()["on_the_way"]
    thread.join(10.0)
    assert put == 0 and waiting == [[3, 0, 0]]
    assert intake.state_dict()["on_the_way"] == []
