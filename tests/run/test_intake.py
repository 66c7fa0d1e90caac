"""What the intake does in one step, as seen by a checkpoint."""

import threading
import time

import numpy as np
import pytest
from patience import PATIENCE, wait_until

from sciml.buffer import make
from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.record import Recorder
from sciml.run.held_out import HeldOut
from sciml.run.online.intake import Intake
from sciml.samples import Frame, Simulation, Task, Windower
from sciml.stream.events import Arrived, Closed, EventQueue, Opened
from sciml.stream.ledger import Ledger


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
        self.watch = self.buffer.watch
        self.asked, self.room, self.came = (threading.Event() for _ in range(3))

    def put(self, sample):
        self.asked.set()
        assert self.room.wait(PATIENCE)
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
    assert slow.asked.wait(PATIENCE)
    with intake.lock:
        put = slow.buffer.state_dict()["counts"][0]
        slow.room.set()
        assert slow.came.wait(PATIENCE)
        time.sleep(0.1)  # the thread goes on as far as it can
        waiting = intake.state_dict()["on_the_way"]
    thread.join(PATIENCE)
    assert put == 0 and waiting == [[3, 0, 0]]
    assert intake.state_dict()["on_the_way"] == []


def test_what_has_come_before_the_last_call_is_taken_in_and_not_what_comes_after(tmp_path):
    """However slow the intake is, and however much goes on coming."""
    server = _Server()
    settled = []
    queue = server.events = EventQueue(1 << 20, lambda: None, settled.append)
    intake = Intake(
        server, Windower(Task(("u",), ("u",))), make("fifo", 10, 1, 0), HeldOut(tmp_path), {}
    )
    taken, begun, go_on = [], threading.Event(), threading.Event()

    def take(event):
        begun.set()
        assert go_on.wait(PATIENCE)
        taken.append(event.simulation_id)
        queue.put(Closed(100 + event.simulation_id))

    intake._take = take
    for number in range(5):
        queue.put(Closed(number))
    intake.start()
    assert begun.wait(PATIENCE)  # it has the first one in its hands
    last = threading.Thread(target=intake.finish)
    last.start()
    wait_until(intake._last_call.is_set)
    go_on.set()
    last.join(PATIENCE)
    assert not intake.is_alive() and taken[:5] == [0, 1, 2, 3, 4] and len(taken) <= 6
    # The account knows the last one, too.
    assert [event.simulation_id for event in settled] == taken


def test_the_time_between_frames_is_measured_where_simulations_take_turns(tmp_path):
    """Two that run side by side at one pace never give two frames in a row."""
    grid = Grid((4, 4), ((0.0, 1.0), (0.0, 1.0)), ("periodic", "periodic"))
    windower, buffer = Windower(Task(inputs=("u",), targets=("u",))), make("fifo", 10, 1, 0)
    intake = Intake(_Server(), windower, buffer, HeldOut(tmp_path), {})
    for number in (0, 1):
        intake._take(Opened(Simulation(number, grid, (Field("u"),)), 1, False))
    for step in range(2):
        for number in (0, 1):
            fields = {"u": np.zeros((4, 4), np.float32)}
            intake._take(Arrived(Frame(number, step, 0.1 * step, fields)))
    assert intake.dt.value == pytest.approx(0.1)


@pytest.mark.parametrize(("time", "refused"), [(False, True), (True, False)])
def test_a_simulation_with_another_time_step_ends_the_run(tmp_path, time, refused):
    """One lead would be two different things; a task that sees the time knows which."""
    grid = Grid((4,), ((0.0, 1.0),), ("periodic",))
    windower, buffer = Windower(Task(("u",), ("u",), time=time)), make("fifo", 10, 1, 0)
    intake = Intake(_Server(), windower, buffer, HeldOut(tmp_path), {})
    fields = {"u": np.zeros(4, np.float32)}
    for number, dt in enumerate((0.1, 0.1005, 0.05)):
        intake._take(Opened(Simulation(number, grid, (Field("u"),)), 1, False))
        intake._take(Arrived(Frame(number, 0, 0.0, fields)))
        last = Arrived(Frame(number, 2, 2 * dt, fields))
        if number == 2 and refused:
            with pytest.raises(InputError, match="simulation 2 sends a frame every"):
                intake._take(last)
        else:
            intake._take(last)
    assert intake.dt.value == pytest.approx(0.1)


def test_a_simulation_on_another_box_ends_the_run(tmp_path):
    """Rollouts of the held-out ones would be refused, after the training."""
    server, buffer = _Server(), make("fifo", 10, 1, 0)
    intake = Intake(
        server, Windower(Task(("u",), ("u",))), buffer, HeldOut(tmp_path), {0: "train", 1: "train"}
    )
    for number, length in ((0, 1.0), (1, 2.0)):
        grid = Grid((4,), ((0.0, length),), ("periodic",))
        opened = Opened(Simulation(number, grid, (Field("u"),)), 1, False)
        if number == 0:
            intake._take(opened)
            continue
        with pytest.raises(
            InputError, match=r"simulation 1 spans \[0, 2\] along x, others \[0, 1\]"
        ):
            intake._take(opened)


def test_held_out_simulations_come_back_whole_from_their_files(tmp_path):
    """With their static fields: the validation after a restart needs them as the one before."""
    grid = Grid((5, 4), ((0.0, 1.0), (0.0, 1.0)), ("open", "periodic"))
    fields = (Field("u"), Field("energy", on="global"))
    static = {"c": np.arange(20.0).reshape(5, 4)}
    before = HeldOut(tmp_path, {"kappa": "1"})
    before.open(Simulation(3, grid, fields, {"kappa": 0.5}, static))
    for step in range(3):
        values = {"u": np.full((5, 4), step, np.float32), "energy": np.float32(step)}
        before.push(Frame(3, step, 0.1 * step, values))
    before.close(3)
    after = HeldOut(tmp_path, {"kappa": "1"})
    after.restore(before.state_dict(), {}, lambda number: None)
    [(simulation, frames)] = after.trajectories()
    assert simulation.id == 3 and simulation.domain == grid
    assert simulation.parameters == {"kappa": 0.5}
    assert {f.name: f.on for f in simulation.fields} == {"u": "point", "energy": "global"}
    assert simulation.static.keys() == {"c"}
    np.testing.assert_array_equal(simulation.static["c"], static["c"])
    assert [f.fields["u"][0, 0] for f in frames] == [0.0, 1.0, 2.0]
