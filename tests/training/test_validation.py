from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sciml.domain import Field
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.training import Validation


class Keep(nn.Module):
    """Persistence, as a model."""

    def forward(self, x):
        return x[:, :1]


def test_persistence_is_measured_as_such(trajectories, task):
    found = Validation(trajectories(3), rollout=4)(Surrogate(Keep(), task))
    assert found["one_step"] == pytest.approx(found["persistence"])
    assert found["rollout_steps"] == 4


def test_errors_are_those_computed_by_hand(trajectories, task):
    held_out = trajectories(2, steps=5)
    found = Validation(held_out, rollout=50)(Surrogate(Keep(), task))
    u = np.array([[f.fields["u"] for f in frames] for _, frames in held_out])

    def norm(x):
        return np.sqrt((x**2).sum((-1, -2)))

    one = (norm(u[:, 1:] - u[:, :-1]) / norm(u[:, 1:])).mean()
    rolled = norm(u[:, 1:] - u[:, :1]) / norm(u[:, 1:])
    assert found["one_step"] == pytest.approx(one, rel=1e-5)
    assert found["rollout"] == pytest.approx(rolled.mean(), rel=1e-5)
    assert found["rollout_last"] == pytest.approx(rolled[:, -1].mean(), rel=1e-5)
    assert found["norm_left"] == pytest.approx((norm(u[:, -1]) / norm(u[:, 0])).mean(), rel=1e-5)
    assert found["rollout_steps"] == 5


def test_fields_that_begin_at_zero_have_no_part_left(trajectories, task):
    held_out = trajectories(3)
    wanted = Validation(held_out[1:], rollout=4)(Surrogate(Keep(), task))
    held_out[0][1][0].fields["u"][:] = 0.0
    found = Validation(held_out, rollout=4)(Surrogate(Keep(), task))
    assert found["norm_left"] == pytest.approx(wanted["norm_left"])
    assert "norm_left" not in Validation(held_out[:1], rollout=4)(Surrogate(Keep(), task))


def test_batches_of_any_size_give_the_same(trajectories, task):
    held_out = trajectories(5)
    model = Surrogate(Keep(), task)
    a = Validation(held_out, rollout=4, batch_size=2)(model)
    b = Validation(held_out, rollout=4, batch_size=64)(model)
    assert a.pop("fields")["u"] == pytest.approx(b.pop("fields")["u"])
    assert a == pytest.approx(b)


def test_fewer_windows_are_spread_over_the_simulation(trajectories, task):
    held_out = trajectories(2, steps=6)
    few = Validation(held_out, windows=2)(Surrogate(Keep(), task))
    first = Validation([(s, f[:2]) for s, f in held_out])(Surrogate(Keep(), task))
    last = Validation([(s, f[-2:]) for s, f in held_out])(Surrogate(Keep(), task))
    assert few["one_step"] == pytest.approx((first["one_step"] + last["one_step"]) / 2)


def test_what_a_task_does_not_have_is_left_out(trajectories):
    steady = Task(("u",), ("u",), lead=0)
    found = Validation(trajectories(2), rollout=3)(Surrogate(Keep(), steady))
    assert set(found) == {"one_step", "vrmse", "fields", "same_frame"}
    assert set(found["fields"]["u"]) == {"one_step", "vrmse"}


def test_leaving_fields_as_they_are_has_no_mean_where_some_are_no_inputs(trajectories):
    class Both(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :1], x[:, :1]], 1)

    held_out = [
        (
            replace(s, fields=(*s.fields, Field("v"))),
            [replace(f, fields={**f.fields, "v": f.fields["u"]}) for f in frames],
        )
        for s, frames in trajectories(2)
    ]
    task = Task(("u",), ("u", "v"))
    found = Validation(held_out)(Surrogate(Both(), task))
    assert "persistence" in found["fields"]["u"] and "persistence" not in found["fields"]["v"]
    assert "one_step" in found and not {"persistence", "vrmse_persistence"} & set(found)


def test_gradients_are_not_kept(trajectories, task):
    assert torch.is_grad_enabled()
    Validation(trajectories(1))(Surrogate(Keep(), task))
    assert torch.is_grad_enabled()


def test_nothing_held_out_is_refused(trajectories, task):
    with pytest.raises(InputError, match="hold out at least one"):
        Validation([])
    with pytest.raises(InputError, match="fits into 1 frames"):
        Validation([(s, f[:1]) for s, f in trajectories(1)])(Surrogate(Keep(), task))
