"""What holds for every registered model, on any kind of domain: a family adds its line to ``zoo.py``."""

import every_kind
import pytest
import torch
from zoo import ZOO, Toy, built, samples

from sciml.samples import Task
from sciml.surrogates import Surrogate, collate, registry

#: In place of families of these kinds, a file of one's own.
KINDS = {
    kind: Toy({}, kind, Task(targets=given["inputs"], **given))
    for kind, given in every_kind.TASKS.items()
}


def test_every_model_is_in_the_zoo():
    assert {*ZOO} == {*registry.MODELS}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return str(every_kind.model(tmp_path_factory.mktemp("own")))


@pytest.fixture(params=[*sorted(ZOO), *KINDS])
def model(request, file):
    """The model's name, or its file, and the toy."""
    if request.param in ZOO:
        return request.param, ZOO[request.param]
    return file, KINDS[request.param]


@pytest.fixture
def made(model):
    surrogate, batch, _ = built(*model)
    return surrogate.eval(), batch


def same(one, other):
    """Whether two answers, or two states, are alike to the last bit."""
    assert one.keys() == other.keys() and one
    return all(torch.equal(one[name], other[name]) for name in one)


def state(surrogate):
    return {name: tensor.clone() for name, tensor in surrogate.state_dict().items()}


def test_saved_and_loaded_it_is_the_same(model, made, tmp_path):
    surrogate, batch = made
    surrogate.save(tmp_path)
    own = {} if model[0] in ZOO else {"model": model[0]}
    loaded = Surrogate.load(tmp_path, **own)
    assert same(loaded(batch), surrogate(batch))
    assert loaded.task == surrogate.task and loaded.domain == surrogate.domain
    assert {"model.safetensors", "surrogate.json"} <= {path.name for path in tmp_path.iterdir()}


def test_samples_of_a_batch_do_not_see_each_other(model, made):
    surrogate, batch = made
    together, second = surrogate(batch), samples(model[1])[1:2]
    batch_of_one = collate(second, model[1].task, surrogate.structures)
    for name, alone in surrogate(batch_of_one).items():
        rows = batch.rows(name, together[name])
        mine = together[name][rows == 1] if rows is not None else together[name][1:2]
        torch.testing.assert_close(mine, alone, atol=1e-5, rtol=1e-5)


def test_a_seed_builds_one_model(model):
    one, again, other = (built(*model, seed=seed)[0].model.state_dict() for seed in (5, 5, 6))
    assert same(one, again) and not same(one, other)


def test_gradient_reaches_every_parameter(made):
    surrogate, batch = made
    for weight in surrogate.parameters():
        if weight.ndim > 1 and not weight.any():  # still at first: nothing goes through it
            torch.nn.init.normal_(weight, std=0.02)
    sum(values.square().sum() for values in surrogate(batch).values()).backward()
    for name, parameter in surrogate.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_asked_twice_it_answers_twice_the_same(made):
    """And stays what it is."""
    surrogate, batch = made
    surrogate.eval()
    before = state(surrogate)
    with torch.no_grad():
        assert same(surrogate(batch), surrogate(batch))
    assert same(state(surrogate), before)


def test_dtype_and_device_are_kept(made):
    surrogate, batch = made
    for dtype in (torch.float32, torch.float64):
        surrogate.to(dtype)
        for values in surrogate(batch.to("cpu", dtype)).values():
            assert values.dtype == dtype and values.device.type == "cpu"
            assert torch.isfinite(values).all()
