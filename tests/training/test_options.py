"""What holds for every option of the loop."""

import threading

import pytest
import torch

from sciml.errors import InputError
from sciml.samples import Task, Windower
from sciml.training import (
    EMA,
    Augmentation,
    Checkpoints,
    DatasetSource,
    Hooks,
    Noise,
    Options,
    Phase,
    Pushforward,
    Supervised,
    train,
)

OPTIONS = {
    "ema": {"ema": 0.9},
    "augment": {"augment": ["square", "translations"]},
    "pushforward": {"pushforward": {"steps": 2, "grow": 3}},
    "noise": {"noise": 0.1},
    "autocast": {"autocast": "bfloat16"},
    "compile": {"compile": "eager"},
    "accumulate": {"accumulate": 3},
}
OPTIONS["all"] = {k: v for one in [*OPTIONS.values()] for k, v in one.items() if k != "compile"}
PLAN = [Phase(lr=1e-2, schedule="cosine", steps=8, warmup=2, clip=0.5)]
FROZEN = [Phase(lr=1e-2, steps=3), Phase("lbfgs", lr=1.0, steps=5, iterations=2, redraw=2)]


@pytest.fixture
def windows(trajectories):
    """Windows of three targets."""
    task = Task(("u",), ("u",), unroll=3, parameters=("kappa",))
    windower, found = Windower(task), []
    for simulation, frames in trajectories():
        windower.open(simulation)
        found += [s for frame in frames for s in windower.push(frame)]
    return lambda: DatasetSource(found, task, 5)


@pytest.fixture
def run(surrogate, windows):
    def run(options, plan=PLAN, resume=None, seed=0, hooks=None):
        model = surrogate(seed=seed, dropout=0.2)
        torch.manual_seed(5 + seed)
        history = train(
            model, windows(), Supervised(), plan, options=options, hooks=hooks, resume=resume
        )
        return model, history

    return run


@pytest.mark.parametrize("name", OPTIONS)
def test_it_changes_the_training(run, same, name):
    """Compilation alone must not."""
    plain, changed = run({})[0], run(OPTIONS[name])[0]
    assert same(plain, changed) == (name == "compile")
    assert same(changed, run(OPTIONS[name])[0])


@pytest.mark.parametrize("plan", [PLAN, FROZEN], ids=["descent", "frozen"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_is_bitwise_that_of_one_piece(run, same, tmp_path, name, plan):
    straight, whole = run(OPTIONS[name], plan)
    stop = threading.Event()
    hooks = Hooks(
        on_step=lambda step, _: stop.set() if step.step == 4 else None,
        stop=stop,
        checkpoints=Checkpoints(tmp_path),
    )
    _, first = run(OPTIONS[name], plan, hooks=hooks)
    assert first.ended == "stopped" and len(first.steps) == 4
    resumed, second = run(OPTIONS[name], plan, Checkpoints(tmp_path).newest(), seed=7)
    assert [*first.losses, *second.losses] == whole.losses
    assert [*(s.samples for s in first.steps), *(s.samples for s in second.steps)] == [
        s.samples for s in whole.steps
    ]
    assert same(straight, resumed)


def test_keys_and_objects_are_the_same():
    short = Options(ema=0.9, augment="square", pushforward=2, noise=0.1)
    objects = Options(EMA(0.9), Augmentation(("square",)), Pushforward(2), Noise(0.1))
    keys = Options.of(
        {
            "ema": {"decay": 0.9},
            "augment": {"symmetries": ["square"]},
            "pushforward": {"steps": 2},
            "noise": {"std": 0.1},
        }
    )
    assert short == objects == keys
    off = Options(ema=0, augment=None, pushforward=False, noise=0.0, accumulate=1)
    assert off == Options() and not off.transforms


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"emma": 0.9}, "options has no key 'emma'; did you mean 'ema'"),
        ({"ema": {"decy": 0.9}}, "ema has no key 'decy'; did you mean 'decay'"),
        ({"augment": "squares"}, "did you mean 'square'"),
        ({"pushforward": {"steps": 1, "grows": 2}}, "did you mean 'grow'"),
        ({"noise": -1.0}, "noise: std=-1.0"),
        ({"accumulate": 0}, "accumulate=0"),
    ],
)
def test_what_nobody_knows_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        Options.of(options)
