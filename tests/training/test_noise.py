import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates import Surrogate
from sciml.training import Noise


def test_it_is_in_units_of_the_normalized_field_and_on_inputs_alone(surrogate, source):
    model, batch = surrogate(), source(batch_size=36).next_batch()
    noisy = Noise(0.3)(model, batch, 0)
    changed = model.normalizer.normalize("u", noisy.inputs["u"] - batch.inputs["u"])
    changed = changed - model.normalizer.normalize("u", torch.zeros(()))
    assert changed.std().item() == pytest.approx(0.3, rel=0.05)
    assert abs(changed.mean().item()) < 0.03
    assert noisy.targets is batch.targets and noisy.static is batch.static
    assert noisy.parameters is batch.parameters


def test_it_follows_from_the_state_of_the_generator(surrogate, source):
    model, batch = surrogate(), source().next_batch()

    def draw(seed):
        torch.manual_seed(seed)
        return Noise(0.3)(model, batch, 0).inputs["u"]

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_without_units_it_is_refused(surrogate, source, task):
    with pytest.raises(InputError, match="no normalizer"):
        Noise(0.1)(Surrogate(surrogate().model, task), source().next_batch(), 0)
    with pytest.raises(InputError, match=r"std=-0\.1"):
        Noise(-0.1)
