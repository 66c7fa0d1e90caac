import threading

import pytest
import torch

from sciml.errors import InputError
from sciml.training import (
    Checkpoints,
    Hooks,
    Phase,
    Supervised,
    TrainingError,
    Validation,
    train,
)

COSINE = Phase(lr=1e-2, schedule="cosine", steps=20, warmup=3, weight_decay=1e-3, clip=0.5)


def test_twenty_steps_are_ten_and_a_resume_and_ten(surrogate, source, same, tmp_path):
    """Bitwise, with dropout, so that the state of the generator counts."""
    straight = surrogate(dropout=0.2)
    torch.manual_seed(5)
    whole = train(straight, source(), Supervised(), COSINE)

    halted, stop = surrogate(dropout=0.2), threading.Event()
    torch.manual_seed(5)
    hooks = Hooks(
        on_step=lambda step, _: stop.set() if step.step == 10 else None,
        stop=stop,
        checkpoints=Checkpoints(tmp_path),
    )
    first = train(halted, source(), Supervised(), COSINE, hooks=hooks)
    assert first.ended == "stopped"
    assert len(first.steps) == 10

    torch.manual_seed(99)
    resumed = surrogate(seed=7, dropout=0.2)
    checkpoint = Checkpoints(tmp_path).newest()
    second = train(resumed, source(), Supervised(), COSINE, resume=checkpoint)
    assert [s.step for s in second.steps] == list(range(11, 21))
    assert [*first.losses, *second.losses] == whole.losses
    assert same(straight, resumed)


def test_a_frozen_phase_resumes_on_its_batch(surrogate, source, same, tmp_path):
    plan = [Phase(lr=1e-2, steps=3), Phase("lbfgs", lr=1.0, steps=6, iterations=3)]
    straight = surrogate()
    train(straight, source(), Supervised(), plan)
    stop = threading.Event()
    hooks = Hooks(
        on_step=lambda step, _: stop.set() if step.step == 5 else None,
        stop=stop,
        checkpoints=Checkpoints(tmp_path),
    )
    train(surrogate(), source(), Supervised(), plan, hooks=hooks)
    resumed = surrogate(seed=3)
    train(resumed, source(), Supervised(), plan, resume=Checkpoints(tmp_path).newest())
    assert same(straight, resumed)


def test_a_checkpoint_between_phases_resumes_in_the_next(surrogate, source, same, tmp_path):
    plan = [Phase(lr=1e-2, steps=4), Phase(lr=1e-3, steps=4)]
    straight = surrogate()
    train(straight, source(), Supervised(), plan)
    hooks = Hooks(checkpoints=Checkpoints(tmp_path), checkpoint_every=4)
    train(surrogate(), source(), Supervised(), plan, hooks=hooks)
    resumed = surrogate(seed=3)
    checkpoints = Checkpoints(tmp_path)
    from sciml.training.checkpoint import read

    train(resumed, source(), Supervised(), plan, resume=read(checkpoints.path(4)))
    assert same(straight, resumed)


def test_a_finished_run_resumes_to_nothing(surrogate, source, same, tmp_path):
    model = surrogate()
    hooks = Hooks(checkpoints=Checkpoints(tmp_path))
    train(model, source(), Supervised(), COSINE, hooks=hooks)
    again = surrogate(seed=4)
    history = train(again, source(), Supervised(), COSINE, resume=Checkpoints(tmp_path).newest())
    assert not history.steps
    assert same(model, again)


def test_nan_names_step_loss_and_samples(surrogate, source, samples):
    samples[3].targets[0].fields["u"][2, 2] = float("nan")
    with pytest.raises(
        TrainingError, match=r"step 1: loss 'mse' is nan.*\(simulation, step\) \(0, 0"
    ):
        train(surrogate(), source(shuffle=False), Supervised("mse"), Phase(steps=3))


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_a_loss_that_is_not_finite_can_be_rescued_from(surrogate, source, samples, optimizer):
    """The step is taken with other batches, and the optimizer remembers nothing."""
    model = surrogate()  # scaled by sound samples
    good = samples[0].targets[0].fields["u"].copy()
    samples[0].targets[0].fields["u"][2, 2] = float("nan")
    rescued = []

    def rescue(batches):
        rescued.append([key for batch in batches for key in batch.keys])
        samples[0].targets[0].fields["u"][:] = good
        return len(rescued) == 1

    history = train(
        model,
        source(shuffle=False),
        Supervised("mse"),
        Phase(optimizer, lr=1e-2, steps=3),
        hooks=Hooks(rescue=rescue),
    )
    assert len(rescued) == 1 and samples[0].key in rescued[0]
    assert [step.step for step in history.steps] == [1, 2, 3]


def test_an_optimizer_forgets_where_the_scale_of_the_data_is_another(surrogate, source, same):
    """As if the training had begun with these weights."""
    asked = []

    def renewed():
        asked.append(True)
        return len(asked) == 4

    plan, model, other = Phase("adam", lr=1e-2, steps=4), surrogate(), surrogate()
    train(model, source(shuffle=False), Supervised(), plan, hooks=Hooks(renewed=renewed))
    assert len(asked) == 4
    train(other, source(shuffle=False), Supervised(), plan)
    assert not same(model, other)


def test_an_infinite_gradient_is_named(surrogate, source):
    def root(model, batch):
        return {"root": (0.0 * sum(p.sum() for p in model.parameters())).sqrt()}

    with pytest.raises(TrainingError, match="norm of the gradient is nan"):
        train(surrogate(), source(), root, Phase(steps=1, clip=1.0))


def test_weights_of_unknown_losses_are_refused(surrogate, source):
    with pytest.raises(InputError, match="unknown loss 'energy'"):
        train(surrogate(), source(), Supervised("mse"), Phase(steps=1, weights={"energy": 2.0}))


def test_validation_and_checkpoints_come_when_told(surrogate, source, trajectories, tmp_path):
    seen, written = [], []
    hooks = Hooks(
        validate=Validation(trajectories(2, seed=9), rollout=3),
        validate_every=4,
        on_validation=seen.append,
        checkpoints=Checkpoints(tmp_path, keep=10),
        checkpoint_every=5,
        extra_state=lambda: {"ledger": {(1, 2): [3]}},
        on_checkpoint=lambda path, state: written.append((path.name, state["extra"])),
    )
    history = train(surrogate(), source(), Supervised(), Phase(steps=10), hooks=hooks)
    assert [v["step"] for v in seen] == [4, 8, 10] == [v["step"] for v in history.validations]
    assert [name for name, _ in written] == ["step-00000005", "step-00000010"]
    assert Checkpoints(tmp_path).newest().state["extra"] == {"ledger": {(1, 2): [3]}}


def test_validation_does_not_change_the_training(surrogate, source, trajectories, same):
    plain, watched = surrogate(), surrogate()
    train(plain, source(), Supervised(), COSINE)
    hooks = Hooks(validate=Validation(trajectories(2), rollout=2), validate_every=1)
    train(watched, source(), Supervised(), COSINE, hooks=hooks)
    assert same(plain, watched)


def test_the_history_says_what_limits(surrogate, source, monkeypatch):
    class Clock:
        """Goes on when it is told to."""

        now = 0.0

        def perf_counter(self):
            return self.now

        def __call__(self, seconds):
            self.now += seconds

    class Takes:
        def __init__(self, seconds):
            self.inner, self.seconds = source(), seconds

        def next_batch(self):
            clock(self.seconds)
            return self.inner.next_batch()

    class Objective(Supervised):
        def __call__(self, model, batch):
            clock(1.0)
            return super().__call__(model, batch)

    clock = Clock()
    monkeypatch.setattr("sciml.training.loop.time", clock)
    fast = train(surrogate(), Takes(0.5), Objective(), Phase(steps=4))
    slow = train(surrogate(), Takes(2.0), Objective(), Phase(steps=4))
    assert fast.limit() == "training"
    assert slow.limit() == "data"
    assert (fast.wait, slow.wait) == (2.0, 8.0)
    assert fast.compute == slow.compute == 4.0
    assert fast.samples == 16


def test_it_ends_with_the_source(surrogate, source):
    history = train(surrogate(), source(epochs=1), Supervised(), Phase())
    assert history.ended == "source"
    assert len(history.steps) == source().epoch_steps


def test_a_stopped_stream_has_not_ended(surrogate, source, tmp_path):
    stop, inner = threading.Event(), source()

    class Stopping:
        def next_batch(self):
            if stop.is_set():
                return None
            return inner.next_batch()

        def state_dict(self):
            return inner.state_dict()

    hooks = Hooks(
        on_step=lambda step, _: stop.set() if step.step == 2 else None,
        stop=stop,
        checkpoints=Checkpoints(tmp_path),
    )
    # Set between the check of the loop and the draw of the source, as a signal may come.
    hooks.stop = Late(stop)
    history = train(surrogate(), Stopping(), Supervised(), Phase(), hooks=hooks)
    assert history.ended == "stopped"
    state = Checkpoints(tmp_path).newest().state
    assert (state["phase"], state["phase_step"], state["exhausted"]) == (0, 2, False)


class Late:
    """An event that is seen one look later."""

    def __init__(self, event):
        self.event = event
        self.seen = False

    def is_set(self):
        seen, self.seen = self.seen, self.event.is_set()
        return seen


def test_stop_before_the_first_step(surrogate, source):
    stop = threading.Event()
    stop.set()
    history = train(surrogate(), source(), Supervised(), Phase(steps=5), hooks=Hooks(stop=stop))
    assert not history.steps
    assert history.ended == "stopped"


@pytest.mark.parametrize("stop", [5, 13])  # within and after an interval of its eigenbases
def test_soap_resumes_bitwise(stop, surrogate, source, same, tmp_path):
    """With its preconditioners, whose bases are found anew every tenth step."""
    pytest.importorskip("pytorch_optimizer", reason="needs the extra 'pinn'")
    plan = Phase("soap", lr=3e-3, schedule="cosine", steps=24)
    straight = surrogate()
    losses = train(straight, source(), Supervised(), plan).losses
    hooks = Hooks(checkpoints=Checkpoints(tmp_path))
    hooks.on_step = lambda step, history: hooks.stop.set() if step.step == stop else None
    train(surrogate(), source(), Supervised(), plan, hooks=hooks)
    resumed = surrogate(seed=3)
    torch.manual_seed(9)
    again = train(resumed, source(), Supervised(), plan, resume=Checkpoints(tmp_path).newest())
    assert same(straight, resumed) and again.losses == losses[stop:]
