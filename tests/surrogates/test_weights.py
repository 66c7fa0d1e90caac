"""Every kind of state that a module can have is saved and comes back, or is refused beforehand."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file
from torch import nn

import sciml
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.weights import fill, own_name, read, state_of, unsavable, write
from sciml.training import Checkpoints, fit

TASK = Task(("u",), ("u",))


def network():
    return nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv1d(4, 1, 1))


def data():
    u = np.random.default_rng(0).normal(size=(4, 6, 8)).astype("f4")
    coordinates = {"time": np.arange(6.0), "x": np.arange(8) / 8}
    return xr.Dataset({"u": (("sample", "time", "x"), u)}, coordinates)


class Odd(nn.Module):
    """State of every kind."""

    def __init__(self, fill=0.0):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.a.weight
        self.z = nn.Parameter(torch.full((2, 2), complex(fill, -fill), dtype=torch.complex64))
        self.zz = nn.Parameter(torch.full((2,), complex(fill, 1), dtype=torch.complex128))
        self.short = nn.Parameter(torch.full((5,), fill, dtype=torch.bfloat16))
        eye = torch.eye(4) * (fill + 1)
        self.register_buffer("coo", eye.to_sparse_coo())
        self.register_buffer("csr", eye.to_sparse_csr())
        self.register_buffer("turned", torch.arange(6.0).view(2, 3).T)
        self.register_buffer("spread", torch.full((), fill).expand(3))
        self.register_buffer("mirror", torch.tensor([1 + 2j, 3 - 4j]).conj())
        self.register_buffer("count", torch.tensor(3, dtype=torch.int16))
        self.known = {"seen": [1, 2], "mean": torch.full((2,), fill), "name": "x", "none": None}

    def get_extra_state(self):
        return self.known

    def set_extra_state(self, state):
        self.known = state


def test_every_kind_comes_back(tmp_path):
    module, other = Odd(1.5), Odd()
    write(module, tmp_path / "w")
    assert load_file(tmp_path / "w")["mirror"].tolist() == [1 - 2j, 3 + 4j]
    fill(other, read(tmp_path / "w"))
    for name, value in module.state_dict().items():
        found = other.state_dict()[name]
        if isinstance(value, torch.Tensor):
            assert found.dtype == value.dtype and found.layout == value.layout, name
            assert torch.equal(found.to_dense(), value.to_dense()), name
    assert other.known.pop("mean").tolist() == [1.5, 1.5]
    assert other.known == {"seen": [1, 2], "name": "x", "none": None}


def compiled(module):
    return torch.compile(module, backend="eager")


def parallel(module):
    return nn.DataParallel(module)


def within(module):
    """Only a part is wrapped."""
    module[0] = torch.compile(module[0], backend="eager")
    return module


@pytest.mark.parametrize(
    "wrap",
    [compiled, parallel, within, lambda m: compiled(parallel(m)), torch.jit.script],
    ids="cpibs",
)
def test_wrapped_modules_are_saved_without_their_wrapper_and_load_either_way(tmp_path, wrap):
    plain = network()
    surrogate = Surrogate(wrap(network()), TASK)
    fill(surrogate.model, plain.state_dict())
    surrogate.save(tmp_path)
    names = {
        name for name in load_file(tmp_path / "model.safetensors") if name.startswith("model.")
    }
    assert names == {f"model.{name}" for name in plain.state_dict()}
    for model in (network(), wrap(network())):
        back = Surrogate.load(tmp_path, model)
        assert all(torch.equal(v, plain.state_dict()[n]) for n, v in state_of(back.model).items())


def test_a_module_that_calls_a_part_module_keeps_the_name():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Linear(1, 1)

    assert {*state_of(Holder())} == {"module.weight", "module.bias"}
    assert (
        own_name(nn.Sequential(nn.DataParallel(Holder())), "0.module.module.bias")
        == "0.module.bias"
    )


class Stateful(nn.Conv1d):
    def __init__(self, state):
        super().__init__(1, 1, 3, padding=1)
        self.state = state

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LazyConv1d(1, 3, padding=1)

    def forward(self, x):
        return self.layer(x)


def test_what_cannot_be_saved_is_found_before_the_first_step(tmp_path, caplog):
    model = Stateful({1, 2, 3})
    before = {n: v.clone() for n, v in model.named_parameters()}
    with pytest.raises(InputError, match=r"cannot be saved: 'model\._extra_state' .*set") as caught:
        fit(model, data(), epochs=1, directory=tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(v, before[n]) for n, v in model.named_parameters())
    surrogate = fit(model, data(), epochs=1)  # nothing is to be written: it is said, and trained
    assert "can be used, and not be saved" in caplog.text
    with pytest.raises(InputError, match="cannot be saved"):
        surrogate.save(tmp_path / "s")
    assert not (tmp_path / "s" / "surrogate.json").exists()


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch will drop it; modules that have it are about
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: m.register_buffer("q", quantized()), "quantized"),
        (lambda m: m.register_buffer("e", torch.ones(2, device="meta")), "no values"),
        (lambda m: m.append(nn.LazyLinear(3)), "no shape yet"),
        (lambda m: m.append(Stateful(print)), "no plain data"),
        (lambda m: m.append(Stateful(np.array([print]))), "no plain data"),
    ],
)
def test_each_is_refused_by_its_reason(tmp_path, spoil, said):
    module = network()
    spoil(module)
    assert said in unsavable(module)
    with pytest.raises(InputError, match="cannot be saved"):
        write(module, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_lazy_layers_get_their_sizes_from_the_first_samples(tmp_path):
    surrogate = fit(Lazy(), data(), epochs=1, directory=tmp_path / "c")
    surrogate.save(tmp_path / "s")
    back = sciml.load(tmp_path / "s", model=Lazy())
    xr.testing.assert_identical(back.predict(data()), surrogate.predict(data()))


def test_complex_weights_stay_complex_in_another_precision(tmp_path):
    class Spectral(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(5, dtype=torch.complex64))
            self.b = nn.Parameter(torch.randn(1))

        def forward(self, x):
            return torch.fft.irfft(torch.fft.rfft(x) * self.w, n=8) + self.b

    surrogate = Surrogate(Spectral(), TASK)
    surrogate.model.w.data = surrogate.model.w.data.to(torch.complex128)
    surrogate.model.b.data = surrogate.model.b.data.double()
    surrogate.save(tmp_path)
    back = Surrogate.load(tmp_path, Spectral())
    assert torch.equal(back.model.w, surrogate.model.w) and torch.equal(
        back.model.b, surrogate.model.b
    )


def test_modules_of_neuraloperator_are_saved(tmp_path):
    """They put the arguments of their constructor into their state, functions among them."""
    from sciml.surrogates.grid.neuraloperator import neuraloperator

    def make():
        return neuraloperator("FNO")(
            (4,), in_channels=1, out_channels=1, hidden_channels=4, n_layers=1
        )

    surrogate = fit(make(), data(), epochs=1, directory=tmp_path / "c")
    surrogate.save(tmp_path / "s")
    newest = Checkpoints(tmp_path / "c").newest()
    for path in (tmp_path / "s", newest.path):
        back = sciml.load(path, model=make())
        xr.testing.assert_identical(back.predict(data()), surrogate.predict(data()))
    other = Surrogate(make(), surrogate.task, surrogate.normalizer)
    newest.load_weights(other)
    assert all(
        torch.equal(v, surrogate.state_dict()[n])
        for n, v in other.state_dict().items()
        if n.startswith("model.")
    )
