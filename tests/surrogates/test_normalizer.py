import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer


def test_running_statistics_equal_those_of_all_data_at_once(grid_samples):
    task = Task(("u",), ("u",), parameters=("kappa",), static=("mask",))
    samples = grid_samples(task, count=7)
    normalizer = Normalizer(task)
    for part in (samples[:1], samples[1:4], samples[4:]):
        normalizer.update(part)
    stack = np.stack([s.inputs[0].fields["u"] for s in samples]).astype(np.float64)
    kappa = np.array([s.simulation.parameters["kappa"] for s in samples])
    change = np.stack([s.targets[0].fields["u"] - s.inputs[0].fields["u"] for s in samples])
    x = torch.zeros(())
    for kind, name, values in (
        ("field", "u", stack),
        ("parameter", "kappa", kappa),
        ("increment", "u", change),
    ):
        mean = float(normalizer.denormalize(name, x, kind))
        assert mean == pytest.approx(values.mean(), abs=1e-6)
        assert float(normalizer.std(name, kind)) == pytest.approx(values.std(), rel=1e-6)


def test_a_large_offset_does_not_drown_the_variance(grid_samples):
    task = Task(("u",), ("u",))
    samples = grid_samples(task, count=4, dtype=np.float64)
    for sample in samples:
        sample.inputs[0].fields["u"][:] += 1e6
    normalizer = Normalizer(task)
    for sample in samples:
        normalizer.update([sample])
    expected = np.stack([s.inputs[0].fields["u"] for s in samples]).std()
    assert float(normalizer.std("u")) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_changes_of_whole_numbers_do_not_wrap_around(grid_samples, dtype):
    task = Task(("u",), ("u",))
    [sample] = grid_samples(task, count=1, dtype=np.float64)
    before, after = sample.inputs[0].fields, sample.targets[0].fields
    for fields in (before, after):
        fields["u"] = (40 * fields["u"]).clip(0, 127).astype(dtype)
    normalizer = Normalizer(task)
    normalizer.update([sample])
    change = after["u"].astype(float) - before["u"].astype(float)
    assert float(normalizer.std("u", "increment")) == pytest.approx(change.std())


def test_there_and_back(grid_samples):
    task = Task(("u",), ("u",))
    normalizer = Normalizer(task)
    normalizer.update(grid_samples(task))
    x = torch.randn(5, dtype=torch.float64)
    for kind in ("field", "increment"):
        back = normalizer.denormalize("u", normalizer.normalize("u", x, kind), kind)
        torch.testing.assert_close(back, x)


def test_constants_become_zero_and_not_infinite(grid_samples):
    task = Task(("u",), ("u",), parameters=("kappa",))
    samples = grid_samples(task, count=1)
    samples[0].inputs[0].fields["u"][:] = 273.15
    normalizer = Normalizer(task)
    normalizer.update(samples)
    scaled = normalizer.normalize("u", torch.full((3,), 273.15))
    assert torch.isfinite(scaled).all()
    assert scaled.abs().max() < 1e-4
    kappa = samples[0].simulation.parameters["kappa"]
    assert float(normalizer.std("kappa", "parameter")) == pytest.approx(abs(kappa))
    assert normalizer.parameters_of(torch.tensor([[kappa]], dtype=torch.float64)).item() == 0.0


@pytest.mark.parametrize(("dtype", "constant"), [(np.float32, True), (np.float64, False)])
def test_constant_is_what_the_dtype_does_not_resolve(grid_samples, dtype, constant):
    """A deviation of 1 around 1e9: float32 has steps of 64 there, float64 of 1e-7."""
    task = Task(("u",), ("u",))
    samples = grid_samples(task, count=4, dtype=np.float64)
    for sample in samples:
        for frame in (*sample.inputs, *sample.targets):
            frame.fields["u"] = (1e9 + frame.fields["u"]).astype(dtype)
    normalizer = Normalizer(task)
    normalizer.update(samples)
    assert (float(normalizer.std("u")) > 10) == constant
    if constant:
        assert float(normalizer.std("u")) == pytest.approx(1e9, rel=1e-6)


def test_the_change_of_what_does_not_change_has_the_deviation_of_the_field(grid_samples):
    task = Task(("u",), ("u",))
    samples = grid_samples(task, count=4)
    for sample in samples:
        sample.targets[0].fields["u"] = sample.inputs[0].fields["u"]
    normalizer = Normalizer(task)
    normalizer.update(samples)
    assert float(normalizer.std("u", "increment")) == float(normalizer.std("u")) != 1.0


def test_nothing_moves_once_fixed(grid_samples):
    task = Task(("u",), ("u",))
    samples = grid_samples(task)
    normalizer = Normalizer(task)
    normalizer.update(samples)
    normalizer.fix()
    before = {n: t.clone() for n, t in normalizer.state_dict().items()}
    samples[0].inputs[0].fields["u"][:] = 1e3
    normalizer.update(samples)
    assert all(torch.equal(before[n], t) for n, t in normalizer.state_dict().items())


def test_before_any_data_it_is_the_identity():
    normalizer = Normalizer(Task(("u",), ("u",)))
    x = torch.randn(4)
    torch.testing.assert_close(normalizer.normalize("u", x), x)


def test_vectors_are_scaled_without_a_shift(molecule_sample):
    task = Task(("positions",), ("energy",), lead=0)
    sample = molecule_sample(5)
    sample.inputs[0].fields["positions"][:] += 10.0
    normalizer = Normalizer(task)
    normalizer.update([sample])
    rms = np.sqrt((sample.inputs[0].fields["positions"] ** 2).mean())
    assert float(normalizer.std("positions")) == pytest.approx(rms)
    assert float(normalizer.normalize("positions", torch.zeros(()))) == 0.0


def test_unknown_names_get_the_nearest():
    with pytest.raises(InputError, match="did you mean 'velocity'"):
        Normalizer(Task(("velocity",), ("velocity",))).std("velocitty")


def test_numbers_follow_the_buffers(grid_samples):
    task = Task(("u",), ("u",))
    normalizer, x = Normalizer(task), torch.ones(3)
    there, back = normalizer.normalize, normalizer.denormalize
    assert torch.equal(there("u", x), x)
    normalizer.update(grid_samples(task))
    saved = {n: t.clone() for n, t in normalizer.state_dict().items()}
    mean, std = saved["mean"][0], normalizer.std("u")
    torch.testing.assert_close(there("u", x), ((x - mean) / std).float())
    normalizer.mean.add_(1.0)
    torch.testing.assert_close(there("u", x), ((x - mean - 1) / std).float())
    torch.testing.assert_close(back("u", x), (x * std + mean + 1).float())
    normalizer.load_state_dict(saved)
    torch.testing.assert_close(back("u", x), (x * std + mean).float())
    assert normalizer.units([("field", "u")]).mean == (float(mean),)
    normalizer.double()
    normalizer.squares = normalizer.squares * 4
    torch.testing.assert_close(there("u", x), ((x - mean) / (2 * std)).float())


def test_a_large_offset_costs_no_digits():
    normalizer = Normalizer(Task(("p",), ("p",)))
    normalizer.count.fill_(1.0)
    normalizer.mean.fill_(101325.0)
    normalizer.squares.fill_(0.01)
    p = 101325.0 + torch.arange(-8, 9) / 128  # exact in float32
    wanted = torch.arange(-8, 9) / 12.8
    torch.testing.assert_close(normalizer.normalize("p", p), wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_statistics_keep_their_digits_in_a_model_of_lower_precision(grid_samples, dtype):
    normalizer = Normalizer(Task(("u",), ("u",)))
    normalizer.update(grid_samples(normalizer.task))
    normalizer.mean.mul_(1e6)
    normalizer.squares.mul_(1e9)  # beyond float16, as are the counts of any real data
    normalizer.count.mul_(1e5)
    x = torch.ones(3)
    before = normalizer.normalize("u", x)
    normalizer.to(dtype)
    torch.testing.assert_close(normalizer.normalize("u", x), before)
