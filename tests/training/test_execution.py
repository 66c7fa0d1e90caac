import pair_energies
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from sciml.errors import InputError
from sciml.surrogates.pinn.network import Columns, JetNetwork
from sciml.training import Checkpoints, Hooks, Phase, Supervised, train
from sciml.training.execution import Execution

CPU = torch.device("cpu")


class Watched:
    """A backend of torch.compile that runs what was traced, and counts."""

    def __init__(self):
        self.graphs = self.runs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1

        def run(*args):
            self.runs += 1
            return graph.forward(*args)

        return run


def test_autocast_lowers_the_products_and_nothing_else(surrogate, source):
    model, batch = surrogate(), source().next_batch()
    seen = []
    model.model.layers[0].register_forward_hook(lambda m, x, y: seen.append(y.dtype))
    full = model(batch)["u"]
    with Execution(model, CPU, "bfloat16")():
        low = model(batch)["u"]
        loss = Supervised()(model, batch)["relative_l2"]
    assert seen == [torch.float32, torch.bfloat16, torch.bfloat16]
    # Fields are float64 here, and stay so; the loss is in the precision of the weights.
    assert low.dtype == torch.float64 and loss.dtype == torch.float32
    change = (full - batch.inputs["u"]).norm()
    assert 1e-5 < ((low - full).norm() / change).item() < 2e-2
    assert torch.equal(model(batch)["u"], full)


def test_a_training_in_bfloat16_learns_and_is_another_one(surrogate, source):
    plan = Phase(lr=1e-2, steps=15)
    plain = train(surrogate(), source(36), Supervised(), plan).losses
    low = train(surrogate(), source(36), Supervised(), plan, options={"autocast": "bfloat16"})
    assert low.losses != plain and low.losses[-1] < 0.9 * low.losses[0]
    assert low.losses == pytest.approx(plain, rel=5e-2)


def test_float16_is_refused(surrogate, source):
    with pytest.raises(InputError, match=r"'float16', whose gradients vanish.*expected bfloat16"):
        train(surrogate(), source(), Supervised(), Phase(), options={"autocast": "float16"})


def test_a_compiled_model_trains_alike_under_its_own_names(surrogate, source, tmp_path):
    plan, backend = Phase("sgd", lr=1e-2, steps=3), Watched()
    plain, fast = surrogate(), surrogate()
    expected = train(plain, source(), Supervised(), plan).losses
    hooks = Hooks(checkpoints=Checkpoints(tmp_path))
    found = train(
        fast, source(), Supervised(), plan, options={"compile": backend}, hooks=hooks
    ).losses
    assert backend.graphs >= 1 and backend.runs == 3
    assert found == pytest.approx(expected, rel=1e-5)
    saved = load_file(Checkpoints(tmp_path).path(3) / "model.safetensors")
    assert saved.keys() == plain.state_dict().keys()
    assert "forward" not in vars(fast.model)


class Branching(nn.Module):
    """Cannot be one graph: what it does depends on a value."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.ones(1, 2, 1, 1))

    def forward(self, x):
        y = (self.a * x).sum(1, keepdim=True)
        return y if y.mean().item() > 0 else 2 * y


def test_what_cannot_be_compiled_is_said(surrogate, source):
    model = surrogate()
    model.model = Branching()
    with pytest.raises(InputError, match=r"torch\.compile failed with .*set compile to false"):
        train(model, source(), Supervised(), Phase(steps=1), options={"compile": Watched()})
    with pytest.raises(InputError, match=r"no backend 'inductr'; did you mean 'inductor'"):
        train(model, source(), Supervised(), Phase(steps=1), options={"compile": "inductr"})


def test_the_network_is_itself_again_after_an_error(surrogate):
    model = surrogate()
    with pytest.raises(ZeroDivisionError), Execution(model, CPU, "bfloat16")():
        raise ZeroDivisionError
    assert "forward" not in vars(model.model)


def test_taylor_mode_is_compiled_as_well():
    """Which does not go through forward."""
    network, backend = JetNetwork(Columns((True,), 1), (4,), 1), Watched()
    z, words = torch.rand(3, 2), [(0,), (1,), (0, 0)]
    plain = network.jet(z, words)
    with Execution(network, CPU, compile=backend)():
        fast = network.jet(z, words)
    assert backend.runs == 1 and "carry" not in vars(network)
    for word, values in plain.items():
        torch.testing.assert_close(fast[word], values)


def test_forces_that_are_trained_on_are_not_compiled():
    with pytest.raises(InputError, match=r"compile: forces, slopes .* surrogate.export"):
        Execution(pair_energies.surrogate(), torch.device("cpu"), compile=True)
