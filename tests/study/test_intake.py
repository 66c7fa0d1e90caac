"""What the intake does in one step, as seen by a checkpoint."""

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
