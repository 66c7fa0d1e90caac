"""Each option of a phase changes what it says it changes, and its absence would show."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from sciml.errors import InputError
from sciml.training import CollocationSource, Phase, Supervised, train
from sciml.training.loop import _load
from sciml.training.phase import OPTIMIZERS, SCHEDULES
from sciml.training.step import TrainingError


def rates(phase, steps):
    return [phase.rate(i, steps) for i in range(steps)]


def test_constant_stays():
    assert rates(Phase(lr=0.1), 5) == [0.1] * 5


def test_cosine_falls_to_its_final_part():
    found = rates(Phase(lr=1.0, schedule="cosine", steps=100, final=0.1), 100)
    assert found[0] == 1.0
    assert found[50] == pytest.approx(0.55)
    assert found[-1] == pytest.approx(0.1, abs=1e-3)


def test_step_halves():
    found = rates(Phase(lr=1.0, schedule="step", every=3, gamma=0.5, steps=7), 7)
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_exponential_falls_by_the_same_factor():
    found = rates(Phase(lr=1.0, schedule="exponential", final=0.01, steps=100), 100)
    assert found[50] == pytest.approx(0.1)


def test_onecycle_rises_then_falls():
    found = rates(Phase(lr=1.0, schedule="onecycle", steps=100), 100)
    assert found[0] == pytest.approx(1 / 25)
    assert max(found) == pytest.approx(1.0)
    assert found.index(max(found)) == 29
    assert found[-1] == 0.0


@pytest.mark.parametrize(("rise", "start", "final"), [(0.3, 1 / 25, 4e-6), (0.2, 0.5, 0.005)])
@pytest.mark.parametrize("steps", [10, 97])
def test_onecycle_is_that_of_torch(rise, start, final, steps):
    """The second case is what MgNO was trained with: up from lr/2, down to lr/2/100."""
    weight = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=0.4,
        total_steps=steps,
        pct_start=rise,
        div_factor=1 / start,
        final_div_factor=start / final,
    )
    expected = [schedule.get_last_lr()[0]]
    for _ in range(steps - 1):
        optimizer.step()
        schedule.step()
        expected.append(schedule.get_last_lr()[0])
    phase = Phase(lr=0.4, schedule="onecycle", rise=rise, start=start, final=final)
    assert rates(phase, steps) == pytest.approx(expected, rel=1e-9)


def test_warmup_rises_linearly_and_comes_before_the_schedule():
    found = rates(Phase(lr=1.0, schedule="cosine", steps=20, warmup=4), 20)
    assert found[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found[4] == 1.0
    assert found[-1] < 0.02


def test_soap_warms_up_by_itself():
    assert rates(Phase("soap", lr=1.0, steps=30), 30)[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    many = Phase("soap", lr=1.0, steps=10_000)
    assert [many.rate(i, 10_000) for i in (149, 300)] == pytest.approx([150 / 301, 1.0])
    for phase in (Phase("soap", lr=1.0, warmup=0), Phase("adam", lr=1.0)):
        assert rates(phase, 5) == [1.0] * 5


def test_every_schedule_is_never_above_the_peak():
    for name in SCHEDULES:
        found = rates(Phase(lr=0.5, schedule=name, steps=50, warmup=5), 50)
        assert all(0 <= rate <= 0.5 for rate in found)


@pytest.fixture
def run(surrogate, source):
    """Final weights and history of a short training."""

    def make(steps=6, objective=None, **phase):
        model = surrogate()
        plan = Phase(steps=steps, **phase)
        history = train(model, source(), objective or Supervised("mse"), plan)
        return torch.cat([p.detach().flatten() for p in model.parameters()]), history

    return make


@pytest.mark.parametrize(
    "option",
    [
        {"weight_decay": 0.5},
        {"clip": 1e-5, "optimizer": "sgd"},
        {"schedule": "cosine"},
        {"warmup": 3},
        {"weights": {"mse": 5.0}, "optimizer": "sgd"},
        {"momentum": 0.9, "optimizer": "sgd"},
        {"betas": [0.5, 0.6]},
        {"betas": [0.5, 0.6], "optimizer": "amsgrad"},
        {"optimizer": "adam", "weight_decay": 0.5},
    ],
    ids=str,
)
def test_each_option_changes_the_weights(run, option):
    base = {"optimizer": option.get("optimizer", "adamw"), "lr": 0.1}
    plain, _ = run(**base)
    assert torch.equal(plain, run(**base)[0])
    assert not torch.allclose(plain, run(**base | option)[0], rtol=1e-4, atol=1e-7)


def test_decoupled_decay_shrinks_by_exactly_its_part(source, surrogate):
    """With no gradient, AdamW multiplies the weights by 1 − lr·decay."""

    def nothing(model, batch):
        return {"zero": 0.0 * sum(p.sum() for p in model.parameters())}

    model = surrogate()
    before = [p.detach().clone() for p in model.parameters()]
    train(model, source(), nothing, Phase(lr=0.1, weight_decay=0.5, steps=2))
    for old, new in zip(before, model.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), old * 0.95**2)


def test_clipping_bounds_the_step(source, surrogate):
    model = surrogate()
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    phase = Phase("sgd", lr=1.0, clip=1e-3, steps=1)
    train(model, source(), lambda m, b: {"a": 1e3 * Supervised("mse")(m, b)["mse"]}, phase)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_until_ends_the_phase(run):
    _, history = run(steps=100, lr=1e-2, until=1e9)
    assert len(history.steps) == 1


def test_epochs_are_counted_in_batches(surrogate, source):
    history = train(surrogate(), source(), Supervised("mse"), Phase(epochs=2))
    assert len(history.steps) == 2 * source().epoch_steps


class Rosenbrock(nn.Module):
    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.tensor([-1.2, 1.0]))

    def forward(self, batch):
        a, b = self.x
        return (1 - a) ** 2 + 100 * (b - a**2) ** 2


def noise(rng, n):
    return {"shift": rng.standard_normal((n, 1))}


def test_lbfgs_solves_rosenbrock():
    model = Rosenbrock()
    objective = lambda m, b: {"value": m(b)}  # noqa: E731
    train(model, CollocationSource(noise, 1), objective, Phase("lbfgs", lr=1.0, steps=5))
    torch.testing.assert_close(model.x.detach(), torch.ones(2), atol=1e-3, rtol=0)


def test_lbfgs_searches_along_its_line():
    """With steps ten times too long it must still go down at every step: strong Wolfe."""
    model = Rosenbrock()
    objective = lambda m, b: {"value": m(b)}  # noqa: E731
    phase = Phase("lbfgs", lr=10.0, steps=12, iterations=1)
    losses = train(model, CollocationSource(noise, 1), objective, phase).losses
    assert all(b < a for a, b in pairwise(losses))


@pytest.mark.parametrize(("redraw", "draws"), [(0, 1), (2, 3), (1, 6)])
def test_lbfgs_keeps_its_batch(redraw, draws):
    seen = []

    def objective(model, batch):
        seen.append(batch.inputs["shift"].detach().clone())
        return {"value": model(batch) + batch.inputs["shift"].sum() * 0}

    phase = Phase("lbfgs", lr=1.0, steps=6, iterations=2, redraw=redraw)
    train(Rosenbrock(), CollocationSource(noise, 3), objective, phase)
    assert len({tuple(s.flatten().tolist()) for s in seen}) == draws


def test_a_line_search_sees_the_same_draws():
    seen = []

    def objective(model, batch):
        seen.append(torch.rand(()).item())
        return {"value": model(batch) * (1 + seen[-1])}

    phase = Phase("lbfgs", lr=1.0, steps=3, iterations=4)
    train(Rosenbrock(), CollocationSource(noise, 3), objective, phase)
    assert len(seen) > 6 and len({*seen}) == 3


def test_a_frozen_phase_uses_the_last_batch_of_a_source_that_ended():
    source = CollocationSource(noise, 2, draws=3)
    plan = [Phase(lr=1e-3), Phase("lbfgs", lr=1.0, steps=2)]
    history = train(Rosenbrock(), source, lambda m, b: {"value": m(b)}, plan)
    assert [s.phase for s in history.steps] == [0, 0, 0, 1, 1]


def test_all_optimizers_learn(surrogate, source):
    for name in OPTIMIZERS:
        lr = {"sgd": 0.2, "lbfgs": 1.0}.get(name, 1e-2)
        history = train(
            surrogate(), source(batch_size=36), Supervised("relative_l2"), Phase(name, lr, steps=15)
        )
        assert history.losses[-1] < 0.9 * history.losses[0], name


def test_phases_come_from_plain_keys():
    assert Phase.of({"optimizer": "sgd", "lr": 0.5}) == Phase("sgd", 0.5)
    with pytest.raises(InputError, match="did you mean 'warmup'"):
        Phase.of({"warmpu": 3})
    with pytest.raises(InputError, match="did you mean 'adamw'"):
        Phase("adamww")
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        Phase(schedule="cosin")


@pytest.mark.parametrize(
    "keys",
    [
        {"steps": 0},
        {"lr": -1.0},
        {"clip": 0.0},
        {"warmup": -1},
        {"rise": 0.0},
        {"start": 2.0},
        {"steps": 3, "epochs": 2},
        {"betas": [0.9]},
        {"betas": [0.9, 1.0]},
        {"betas": [0.9, 0.95], "optimizer": "sgd"},
    ],
    ids=str,
)
def test_impossible_numbers_are_refused(keys):
    with pytest.raises(InputError, match=next(iter(keys))):
        Phase(**keys)


def test_phases_that_do_not_fit_are_refused(surrogate, source):
    objective = Supervised("mse")
    with pytest.raises(InputError, match="needs to know its end"):
        train(surrogate(), source(), objective, Phase(schedule="cosine"))
    with pytest.raises(InputError, match="has no epochs"):
        train(Rosenbrock(), CollocationSource(noise, 1), objective, Phase(epochs=2))
    with pytest.raises(InputError, match="no weight_decay"):
        train(surrogate(), source(), objective, Phase("lbfgs", steps=1, weight_decay=0.1))
    with pytest.raises(InputError, match="no clip"):
        train(surrogate(), source(), objective, Phase("lbfgs", steps=1, clip=0.1))


def test_adam_updates_in_one_kernel_where_it_can():
    net, complex_ = nn.Linear(2, 2), nn.ParameterList([torch.zeros(2, dtype=torch.complex64)])
    for name in ("adam", "adamw"):
        assert Phase(name).build(net).defaults["fused"]
        assert not Phase(name).build(complex_).defaults["fused"]


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_kernel_gives_the_weights_of_many(name):
    phase, nets = Phase(name, weight_decay=0.1), [nn.Linear(3, 2).double() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    plain = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizers = [
        phase.build(nets[0]),
        plain(nets[1].parameters(), lr=phase.lr, weight_decay=0.1, fused=False, foreach=False),
    ]
    x = torch.randn(20, 3).double()
    for _ in range(10):
        for net, optimizer in zip(nets, optimizers, strict=True):
            optimizer.zero_grad()
            (net(x) - 1).square().sum().backward()
            optimizer.step()
    for fused, many in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(fused, many, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "soap"])  # not torch's
def test_steps_without_torchs_compiler_are_those_of_torch(name):
    nets = [nn.Linear(3, 2) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    eager = Phase(name, lr=1e-2).build(nets[0])
    plain = type(eager).__base__(nets[1].parameters())
    plain.load_state_dict(eager.state_dict())  # with its options
    x = torch.randn(20, 3)
    for net, optimizer in zip(nets, (eager, plain), strict=True):

        def closure(net=net, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (net(x) - 1).square().sum()
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
    assert type(plain).__module__.startswith("torch.optim")
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_of_many_kernels_goes_on_in_one():
    net = nn.Linear(3, 2)
    old = torch.optim.Adam(net.parameters(), lr=1e-3, fused=False)
    net(torch.ones(1, 3)).sum().backward()
    old.step()
    new = Phase("adam", weight_decay=0.5).build(net)
    _load(new, old.state_dict())
    assert new.param_groups[0]["fused"] and new.param_groups[0]["weight_decay"] == 0.5
    new.step()
    assert all(state["step"] == 2 for state in new.state.values())


def test_moments_from_a_checkpoint_stay_with_their_entries():
    """Whatever the strides: checkpoints hold contiguous tensors."""
    nets = [nn.Linear(3, 2, dtype=torch.float64) for _ in range(2)]
    for net in nets:
        net.weight = nn.Parameter(torch.arange(6.0, dtype=torch.float64).view(3, 2).T)
    optimizers = [Phase("adam", lr=0.1).build(net) for net in nets]
    for i in range(3):
        for net, optimizer in zip(nets, optimizers, strict=True):
            net.weight.grad = (i + net.weight.detach()).sin()
            optimizer.step()
            if net is nets[0]:
                state = optimizer.state_dict()
                moments = {n: t.contiguous() for n, t in state["state"][0].items()}
                _load(optimizer, {**state, "state": {**state["state"], 0: moments}})
    torch.testing.assert_close(*(net.weight for net in nets))


def test_soap_decays_nothing_unless_asked(source, surrogate):
    """Its own default would: pytorch-optimizer's is 1e-2."""
    pytest.importorskip("pytorch_optimizer", reason="needs the extra 'pinn'")

    def nothing(model, batch):
        return {"zero": 0.0 * sum(p.sum() for p in model.parameters())}

    for decay, part in ((0.0, 1.0), (0.5, 0.95)):
        model = surrogate()
        before = [p.detach().clone() for p in model.parameters()]
        # The first step of SOAP only measures.
        train(model, source(), nothing, Phase("soap", lr=0.1, weight_decay=decay, steps=2))
        for old, new in zip(before, model.parameters(), strict=True):
            torch.testing.assert_close(new.detach(), part * old)


def test_gradients_without_bases_end_in_a_line(source, surrogate):
    pytest.importorskip("pytorch_optimizer", reason="needs the extra 'pinn'")

    def steep(model, batch):
        return {"steep": 1e25 * sum(p.sum() for p in model.parameters())}

    with pytest.raises(
        TrainingError, match="step 1: optimizer 'soap' finds no eigenvectors"
    ) as ended:
        train(surrogate(), source(), steep, Phase("soap", steps=3))
    assert "\n" not in str(ended.value)


def test_soap_refuses_complex_weights():
    pytest.importorskip("pytorch_optimizer", reason="needs the extra 'pinn'")
    with pytest.raises(InputError, match="no complex weights"):
        Phase("soap").build(nn.ParameterList([torch.zeros(2, dtype=torch.complex64)]))


def test_soap_without_its_package_says_which_extra(monkeypatch):
    monkeypatch.setattr("sciml.training.phase.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs pytorch-optimizer: pip install .*\[pinn\]"):
        Phase("soap")
