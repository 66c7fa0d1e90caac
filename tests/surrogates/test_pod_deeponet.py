"""POD-DeepONet: a basis of the training outputs instead of a trunk."""

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import PODDeepONet, Statistics, Surrogate, collate


def low_rank(count=20, shape=(12,), rank=3):
    basis = torch.linalg.qr(torch.randn(int(np.prod(shape)), rank)).Q
    fields = torch.randn(count, rank) @ basis.T + 2.0
    return fields.view(count, 1, *shape)


def test_pod_spans_outputs_of_low_rank():
    net = PODDeepONet([5, 3], (4, 3)).double()
    outputs = low_rank(shape=(4, 3)).double()
    net.fit_basis(outputs)
    assert net.held[0] > 1 - 1e-10
    deviations = (outputs - net.mean).flatten(2)[:, 0]
    modes = net.modes.flatten(2)[0]
    coefficients = torch.linalg.lstsq(modes.T, deviations.T).solution
    torch.testing.assert_close(modes.T @ coefficients, deviations.T, atol=1e-6, rtol=0)
    torch.testing.assert_close(coefficients.square().mean(1), torch.ones(3).double())


def test_pod_aligned_unaligned_and_own_points():
    net = PODDeepONet([5, 6], (12,), outputs=2)
    net.fit_basis(torch.cat([low_rank(), low_rank()], 1))
    u = torch.randn(4, 5)
    own = net(u)
    y = torch.linspace(0, 1, 12)[:, None]
    torch.testing.assert_close(net(u, y), own, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(net(u, y.expand(4, 12, 1)), own, atol=1e-5, rtol=1e-4)
    between = net(u, (y[:-1] + y[1:]) / 2)
    torch.testing.assert_close(between, (own[..., 1:] + own[..., :-1]) / 2, atol=1e-5, rtol=1e-4)


def test_pod_says_what_it_lacks():
    net = PODDeepONet([5, 4], (12,))
    with pytest.raises(InputError, match=r"no basis yet; call model\.fit_basis"):
        net(torch.zeros(1, 5))
    with pytest.raises(InputError, match=r"4 modes from 3 samples.*at most 2"):
        net.fit_basis(low_rank(3))


def test_pod_basis_is_saved_with_the_weights(tmp_path, grid_samples):
    task = Task(("u",), ("v",), lead=0)
    samples = grid_samples(task, (8,), 12)
    surrogate = Surrogate.build(
        {"name": "pod_deeponet", "basis": 3}, task, samples[0].simulation.domain
    )
    statistics = Statistics(surrogate)
    statistics.update(samples[:6])
    statistics.update(samples[6:])
    statistics.fix()
    basis = surrogate.model.modes.clone()
    statistics.update(samples[:2])
    statistics.fix()
    assert torch.equal(surrogate.model.modes, basis)
    surrogate.save(tmp_path)
    batch = collate(samples, task)
    assert torch.equal(Surrogate.load(tmp_path)(batch)["v"], surrogate(batch)["v"])
