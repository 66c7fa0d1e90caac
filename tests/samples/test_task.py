"""The windows that a task asks for."""

import pytest

from sciml.errors import InputError
from sciml.samples import Task


@pytest.mark.parametrize(
    ("task", "origin", "inputs", "targets"),
    [
        (Task(("u",), ("u",)), 5, [5], [6]),
        (Task(("u",), ("u",), lead=3), 5, [5], [8]),
        (Task(("u",), ("u",), lead=2, history=3, unroll=2), 5, [1, 3, 5], [7, 9]),
        (Task(("a",), ("p",), lead=0), 5, [5], [5]),
        (Task((), ("u",), history=0), 5, [], [5]),
        (Task((), ("u",), history=0, lead=4, unroll=3), 5, [], [5, 9, 13]),
        (Task((), ("u",), history=0, lead=0), 5, [], [5]),
    ],
)
def test_steps(task, origin, inputs, targets):
    assert list(task.input_steps(origin)) == inputs
    assert list(task.target_steps(origin)) == targets


def test_autoregressive():
    assert Task(("u",), ("u", "v")).autoregressive
    assert not Task(("u", "w"), ("u",)).autoregressive
    assert not Task(("u",), ("u",), lead=0).autoregressive
    assert not Task((), ("u",), history=0).autoregressive


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"targets": ()}, "no targets"),
        ({"lead": -1}, "expected lead ≥ 0"),
        ({"unroll": 0}, "expected lead ≥ 0"),
        ({"history": 0}, "drop the inputs"),
        ({"history": "2"}, "history='2'; expected a whole number"),
        ({"lead": 2.0}, r"lead=2\.0; expected a whole number"),
        ({"targets": ("u", "u")}, "each of them once"),
        ({"static": ("u",)}, "'u' is static, and an input"),
        ({"inputs": ()}, "without inputs"),
        ({"lead": 0, "history": 2}, "needs history ≤ 1"),
        ({"lead": 0, "unroll": 2}, "needs history ≤ 1"),
    ],
)
def test_windows_that_cannot_be(wrong, message):
    with pytest.raises(InputError, match=message):
        Task(**{"inputs": ("u",), "targets": ("u",), **wrong})


def test_from_keys():
    assert Task.of({"inputs": "u", "lead": 2}) == Task(("u",), ("u",), lead=2)
    with pytest.raises(InputError, match="no key 'targts'; did you mean 'targets'"):
        Task.of({"inputs": ["a"], "targts": ["u"]})
