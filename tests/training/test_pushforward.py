"""u ↦ a·u per step, so that what is pushed, and what gets a gradient, is known exactly."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Batch, Surrogate
from sciml.training import Pushforward, Supervised


class Factor(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, x):
        return self.a * x[:, -1:]


def batch(unroll, history=1):
    u = 2.0 ** torch.arange(-history + 1, unroll + 1)  # doubles at every step
    return Batch(
        inputs={"u": u[:history].expand(3, -1)[:, :, None]},
        targets={"u": u[history:].expand(3, -1)[:, :, None]},
        parameters=torch.zeros(3, 0),
        time=torch.arange(unroll, dtype=torch.float32).expand(3, -1),
        size=3,
    )


def surrogate(a, unroll, history=1):
    return Surrogate(Factor(a), Task(("u",), ("u",), history=history, unroll=unroll))


def gradient(model, given):
    model.zero_grad()
    Supervised("mse")(model, given)["mse"].backward()
    return model.model.a.grad.item()


def test_the_gradient_goes_through_the_last_step_alone():
    a, k = 1.5, 2
    model = surrogate(a, 3)
    pushed = Pushforward(k, draw="last")(model, batch(3), 0)
    assert pushed.inputs["u"].flatten().tolist() == [a**k] * 3
    assert pushed.targets["u"].flatten().tolist() == [8.0] * 3
    assert pushed.time.flatten().tolist() == [2.0] * 3
    # d/da (a·aᵏ − 8)² with aᵏ held, and, unrolled, with all of it.
    assert gradient(model, pushed) == pytest.approx(2 * (a * a**k - 8) * a**k)
    last = replace(batch(3), targets={"u": batch(3).targets["u"]})
    terms = [(a**j - 2**j) * j * a ** (j - 1) for j in (1, 2, 3)]
    assert gradient(model, last) == pytest.approx(2 / 3 * sum(terms))


def test_it_combines_with_unrolling():
    model = surrogate(1.5, 4)
    pushed = Pushforward(2, draw="last")(model, batch(4), 0)
    assert pushed.targets["u"][0].flatten().tolist() == [8.0, 16.0]
    assert model(pushed)["u"].shape == (3, 2, 1)


def test_history_is_what_was_given_and_what_was_made():
    model = surrogate(1.5, 2, history=3)
    pushed = Pushforward(1, draw="last")(model, batch(2, history=3), 0)
    assert pushed.inputs["u"][0].flatten().tolist() == [0.5, 1.0, 1.5]


def test_k_is_drawn_and_grows():
    model, push = surrogate(1.5, 3), Pushforward(2, grow=10)
    assert [push.largest(step) for step in (0, 9, 10, 19, 20, 1000)] == [0, 0, 1, 1, 2, 2]

    def seen(step):
        return {push(model, batch(3), step).targets["u"][0].item() for _ in range(40)}

    assert [seen(step) for step in (0, 10, 20)] == [{2.0}, {2.0, 4.0}, {2.0, 4.0, 8.0}]


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"2 steps leave none of the 2 targets.*unroll to 3"):
        Pushforward(2)(surrogate(1.5, 2), batch(2), 0)
    with pytest.raises(InputError, match="did you mean 'last'"):
        Pushforward(1, draw="lst")
    with pytest.raises(InputError, match="steps=-1"):
        Pushforward(-1)
    other = Surrogate(Factor(1.0), Task(("u",), ("v",)))
    given = replace(batch(2), targets={"v": batch(2).targets["u"]})
    with pytest.raises(InputError, match="'u' is not among what the model gives"):
        Pushforward(1, draw="last")(other, given, 0)
