import pytest
import torch
from torch import nn

from sciml.errors import InputError
from sciml.surrogates import Batch
from sciml.training import (
    Checkpoints,
    CollocationSource,
    DatasetSource,
    Hooks,
    Mix,
    Phase,
    Sum,
    Supervised,
    train,
)


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("loss", ["mse", "relative_l2", "h1"])
def test_steps_are_those_of_the_large_batch(surrogate, samples, task, loss):
    """22 samples in batches of 4, the last one of 2, against batches of 12 and of 10."""

    def trained(batch_size, **options):
        source = DatasetSource(samples[:22], task, batch_size, shuffle=False)
        model = surrogate()
        plan = Phase("sgd", lr=0.05, epochs=3, momentum=0.5)
        return model, train(model, source, Supervised(loss), plan, options=options)

    large, whole = trained(12)
    small, parts = trained(4, accumulate=3)
    torch.testing.assert_close(flat(large), flat(small), rtol=1e-5, atol=1e-6)
    assert [s.samples for s in parts.steps] == [s.samples for s in whole.steps] == [12, 10] * 3
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)
    # Not what the batches are without it, nor with every batch counted alike.
    assert not torch.allclose(flat(large), flat(trained(4)[0]), rtol=1e-3)


def test_a_line_search_sees_all_of_its_batches(surrogate, samples, task):
    def trained(batch_size, **options):
        model = surrogate()
        source = DatasetSource(samples[:12], task, batch_size, shuffle=False)
        plan = Phase("lbfgs", lr=1.0, steps=3, iterations=2)
        return train(model, source, Supervised("mse"), plan, options=options).losses

    # A line search turns on small differences: a little wide.
    assert trained(4, accumulate=3) == pytest.approx(trained(12), rel=5e-2)
    assert trained(4) != pytest.approx(trained(12), rel=5e-2)


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.zeros(()))


def distance(model, batch):
    return {"distance": ((model.x - batch.inputs["x"]) ** 2).mean()}


class Given:
    """Batches of given values, of different sizes."""

    def __init__(self, *batches):
        self.batches = list(batches)

    def next_batch(self):
        if not self.batches:
            return None
        values = torch.tensor(self.batches.pop(0))
        return Batch(inputs={"x": values}, size=len(values), kind="points")


def test_batches_count_by_their_samples():
    model = Shift()
    source = Given([1.0], [4.0, 4.0, 4.0])
    train(model, source, distance, Phase("sgd", lr=0.5, steps=1), options={"accumulate": 2})
    assert model.x.item() == pytest.approx(13 / 4)  # half a step of the gradient: the mean


def test_losses_of_a_mix_count_by_the_samples_of_their_source():
    model, loss = Shift(), Sum({"few": distance, "many": distance})
    mix = Mix({"few": Given([1.0], [4.0, 4.0, 4.0]), "many": Given([2.0] * 50, [2.0] * 50)})
    history = train(model, mix, loss, Phase("sgd", lr=0.25, steps=1), options={"accumulate": 2})
    assert model.x.item() == pytest.approx((13 / 4 + 2) / 2)
    assert history.steps[0].losses == pytest.approx({"few.distance": 49 / 4, "many.distance": 4})


def test_the_end_of_a_source_takes_what_is_left():
    model = Shift()
    source = Given([1.0], [3.0], [5.0])
    history = train(model, source, distance, Phase("sgd", lr=0.5), options={"accumulate": 2})
    assert [s.samples for s in history.steps] == [2, 1] and history.ended == "source"
    assert model.x.item() == pytest.approx(5.0)


def test_a_stopped_source_has_not_ended(tmp_path):
    hooks = Hooks(checkpoints=Checkpoints(tmp_path))

    class Stopped(CollocationSource):
        def next_batch(self):
            if self._drawn == 3:
                hooks.stop.set()
                return None
            return super().next_batch()

    def points(rng, n):
        return {"x": rng.standard_normal(n)}

    source = Stopped(points, 4)
    options = {"accumulate": 2}
    history = train(Shift(), source, distance, Phase("sgd"), options=options, hooks=hooks)
    state = Checkpoints(tmp_path).newest().state
    assert history.ended == "stopped" and [s.samples for s in history.steps] == [8, 4]
    assert (state["exhausted"], state["drawn"], state["source"]) == (False, 3, {"drawn": 3})


def test_no_batches_a_step_are_refused(surrogate, source):
    with pytest.raises(InputError, match="accumulate=0"):
        train(surrogate(), source(), Supervised(), Phase(steps=1), options={"accumulate": 0})
