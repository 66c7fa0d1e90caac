import pytest
import torch
from safetensors.torch import load_file

from sciml.errors import InputError
from sciml.surrogates import Surrogate
from sciml.training import EMA, Checkpoints, Hooks, Phase, Supervised, train

PHASE = Phase(lr=1e-2, steps=6)


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("ema", [EMA(0.9), EMA(0.2), EMA(0.9, warmup=False)], ids=str)
def test_the_average_is_that_of_its_formula(surrogate, source, ema):
    model = surrogate()
    seen = [flat(model).clone()]
    hooks = Hooks(on_step=lambda *_: seen.append(flat(model).clone()))
    train(model, source(), Supervised(), PHASE, options={"ema": ema}, hooks=hooks)
    expected = seen[1]
    for n, weights in enumerate(seen[2:], start=2):
        decay = min(ema.decay, (1 + n) / (10 + n)) if ema.warmup else ema.decay
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(flat(model), expected)
    assert not torch.allclose(flat(model), seen[-1])


def test_a_model_that_scales_itself_at_first_is_not_averaged_with_what_it_was(surrogate, source):
    """As PONITA does. Without a warm-up the weights before were in the average for long."""
    model = surrogate()
    first = next(model.parameters())

    class Scaled(Supervised):
        def __call__(self, model, batch):
            with torch.no_grad():
                first.mul_(1.0 if self.done else 1e3)
            self.done = True
            return super().__call__(model, batch)

    objective = Scaled()
    objective.done = False
    train(model, source(), objective, PHASE, options={"ema": EMA(0.99, warmup=False)})
    assert first.abs().max() > 100


def test_the_weights_that_are_optimized_are_not_touched(surrogate, source):
    plain = train(surrogate(), source(), Supervised(), PHASE)
    watched = Hooks(validate=lambda model: {}, validate_every=1)
    averaged = train(
        surrogate(), source(), Supervised(), PHASE, options={"ema": 0.9}, hooks=watched
    )
    assert plain.losses == averaged.losses


def test_validation_and_checkpoints_have_the_average(surrogate, source, tmp_path):
    model, seen = surrogate(), []
    hooks = Hooks(
        validate=lambda m: seen.append(flat(m).clone()) or {},
        checkpoints=Checkpoints(tmp_path),
        checkpoint_every=3,
        validate_every=3,
    )
    train(model, source(), Supervised(), PHASE, options={"ema": 0.9}, hooks=hooks)
    for step, average in zip((3, 6), seen, strict=True):
        path = Checkpoints(tmp_path).path(step)
        loaded = Surrogate.load(path, surrogate(seed=5).model)
        assert torch.equal(flat(loaded), average)
    assert torch.equal(flat(model), average)
    state = Checkpoints(tmp_path).newest().state["average"]
    assert state["updates"] == 6
    assert any(not torch.equal(state["own"][n], p) for n, p in model.named_parameters())


def test_resumed_without_it_the_weights_themselves_go_on(surrogate, source, same, tmp_path):
    plain = surrogate()
    train(plain, source(), Supervised(), PHASE)
    hooks = Hooks(checkpoints=Checkpoints(tmp_path))
    half = Phase(lr=1e-2, steps=3)
    train(surrogate(), source(), Supervised(), half, options={"ema": 0.9}, hooks=hooks)
    resumed = surrogate(seed=9)
    checkpoint = Checkpoints(tmp_path).newest()
    checkpoint.state["phase"], checkpoint.state["phase_step"] = 0, 3
    checkpoint.state["optimizer"] = None
    own = checkpoint.state["average"]["own"]
    train(resumed, source(), Supervised(), half, resume=checkpoint)
    assert all(torch.equal(own[n], p) for n, p in resumed.named_parameters())


def test_keys_of_checkpoints_do_not_change(surrogate, source, tmp_path):
    keys = []
    for name, options in (("a", {}), ("b", {"ema": 0.9})):
        hooks = Hooks(checkpoints=Checkpoints(tmp_path / name))
        train(surrogate(), source(), Supervised(), PHASE, options=options, hooks=hooks)
        keys.append(load_file(Checkpoints(tmp_path / name).path(6) / "model.safetensors").keys())
    assert keys[0] == keys[1]


def test_a_decay_that_forgets_nothing_is_refused():
    with pytest.raises(InputError, match=r"ema: decay=1\.0; expected 0 to below 1"):
        EMA(1.0)
