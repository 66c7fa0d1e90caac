"""What the card of a saved surrogate says is whole, and is held against what is there."""

import json
import logging
import random
import shutil

import numpy as np
import pytest
import torch
from torch import nn
from zoo import ZOO

from sciml.domain import Field, Grid
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Surrogate, registry
from sciml.surrogates.card import PACKAGES

GRID = Grid((8, 8), ((0.0, 1.0),) * 2, ("periodic", "dirichlet"))
TASK = Task(("u",), ("u",))
SMALL = {name: toy.options for name, toy in ZOO.items() if toy.domain == "grid" and toy.task.inputs}


@pytest.fixture
def saved(tmp_path):
    """A surrogate and the folder it lies in."""
    torch.manual_seed(0)
    surrogate = Surrogate.build(
        {"name": "cnn", "width": 4, "blocks": 1, "symmetrize": "flips"},
        TASK,
        GRID,
        increment=True,
        fields=(Field("u", "K", parity="scalar"),),
        dt=0.5,
    )
    surrogate.save(tmp_path / "s")
    return surrogate.eval(), tmp_path / "s"


def read(folder):
    return json.loads((folder / "surrogate.json").read_text())


def rewrite(folder, card):
    (folder / "surrogate.json").write_text(json.dumps(card))


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_option_is_there_as_it_was_resolved(name, tmp_path, monkeypatch):
    """Defaults may then change: what was saved stays."""
    surrogate = Surrogate.build({"name": name, **SMALL[name]}, TASK, GRID)
    surrogate.save(tmp_path)
    card = read(tmp_path)
    assert card["model"] == {"name": name, **SMALL[name]}
    assert {*card["options"]} == {*registry.options(name)}
    assert None not in card["options"].values()
    build = registry.builder(name)
    # Every default is another now, of a kind that builds nothing.
    monkeypatch.setattr(build, "__kwdefaults__", dict.fromkeys(build.__kwdefaults__, "changed"))
    back = Surrogate.load(tmp_path)
    assert back.options == card["options"] and back.config == card["model"]
    assert repr(back.model) == repr(surrogate.model)
    for key, value in surrogate.state_dict().items():
        assert torch.equal(value, back.state_dict()[key])
    back.save(tmp_path / "again")
    assert read(tmp_path / "again")["digests"] == card["digests"]


def test_it_says_when_with_what_and_how_much(saved):
    surrogate, folder = saved
    card = read(folder)
    assert card["created"].endswith("+00:00") and card["dtype"] == "float32"
    assert {*card["versions"]} == {"python", "sciml", *PACKAGES}
    assert card["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert card["versions"]["numpy"] == np.__version__
    assert card["weights"] == sum(p.numel() for p in surrogate.parameters())
    laws = {"vectors": [], "pseudoscalars": [], "scalars": ["u"]}
    assert card["symmetrize"] == {"symmetries": ["flips"], **laws}
    assert card["checksum"].startswith("sha256:") and len(card["checksum"]) == 71


def test_another_version_is_told_of_where_its_first_number_differs(saved, caplog):
    _, folder = saved
    card = read(folder)
    major = int(torch.__version__.split(".")[0])
    for versions, said in (
        ({"torch": f"{major}.0.1", "xarray": "1999.1.0", "python": "2.7"}, ""),
        ({"torch": f"{major - 1}.9"}, f"saved with torch {major - 1}.9 (here "),
    ):
        caplog.clear()
        rewrite(folder, {**card, "versions": card["versions"] | versions})
        Surrogate.load(folder)
        assert said in caplog.text and bool(said) == bool(caplog.text)
        assert len(caplog.records) <= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("task"), "key 'task' is missing"),
        (lambda c: c["task"].pop("inputs"), "key 'task.inputs' is missing"),
        (lambda c: c.pop("class"), "key 'class' is missing"),
        (lambda c: c.update(stepp=1), "unknown key 'stepp'; did you mean 'step'"),
        (lambda c: c["task"].update(leed=1), "unknown key 'task.leed'"),
        (lambda c: c.update(class_=1), "unknown key 'class_'"),
        (lambda c: c.update(weights="5"), "key 'weights': got '5'"),
        (lambda c: c.update(increment=1), "key 'increment': got 1"),
        (lambda c: c.update(increment=False), "'increment' is not what was saved"),
        (lambda c: c["options"].update(width=8), "'options' is not what was saved"),
        (lambda c: c["domain"].update(extent=[[0, 2], [0, 1]]), "'domain' is not what was saved"),
        (lambda c: c["digests"].pop("step"), "'step' is not what was saved"),
        (lambda c: c["fields"].append({"nam": "v"}), "'fields.1"),
        (
            lambda c: c.update(schema_version=True),
            "schema_version True; this version reads 2",
        ),
    ],
)
def test_what_is_wrong_with_it_is_one_line_with_its_key(saved, change, said):
    _, folder = saved
    card = read(folder)
    change(card)
    rewrite(folder, card)
    with pytest.raises(InputError) as caught:
        Surrogate.load(folder)
    assert said in str(caught.value) and "surrogate.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_save_are_refused(saved, tmp_path):
    surrogate, folder = saved
    other = Surrogate.build(surrogate.config, TASK, GRID)
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", folder)
    with pytest.raises(InputError, match=r"model\.safetensors .* holds other weights .*checksum"):
        Surrogate.load(folder)


def test_whatever_is_done_to_the_weights_they_are_read_or_refused_in_one_line(saved):
    _, folder = saved
    path, rng = folder / "model.safetensors", random.Random(0)
    whole = path.read_bytes()
    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            # Most in the header, which can be wrong in more ways than one.
            at = rng.randrange(400 if rng.random() < 0.7 else len(whole))
            changed[at] = rng.randrange(256)
        path.write_bytes(changed[: rng.choice([len(whole), len(whole), rng.randrange(len(whole))])])
        try:
            Surrogate.load(folder)
        except InputError as error:
            assert "\n" not in str(error) and "model.safetensors" in str(error)
        else:
            assert path.read_bytes() == whole


def test_a_card_never_makes_a_file_run_that_is_not_named(saved, tmp_path):
    _, folder = saved
    (tmp_path / "net.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    surrogate = Surrogate(
        nn.Identity(), TASK, config={"name": str(tmp_path / "net.py"), "width": 3}
    )
    surrogate.save(folder)
    assert isinstance(Surrogate.load(folder, nn.Identity()).model, nn.Identity)
    with pytest.raises(InputError, match="is built by the file"):
        Surrogate.load(folder)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_nan_are_refused(saved):
    surrogate, folder = saved
    with torch.no_grad():
        next(surrogate.parameters()).view(-1)[3] = float("nan")
    surrogate.save(folder)
    with pytest.raises(InputError, match=r"'model\..*' holds NaN: .*earlier checkpoint"):
        Surrogate.load(folder)
    surrogate = Surrogate(nn.Identity(), TASK, Normalizer(TASK))
    surrogate.normalizer.mean.fill_(float("nan"))
    surrogate.save(folder)
    with pytest.raises(InputError, match=r"'normalizer\.mean' holds NaN"):
        Surrogate.load(folder, nn.Identity())


def test_options_that_are_no_data_are_refused_before_training(tmp_path):
    text = "from torch import nn\ndef build(setting, *, act=nn.GELU):\n    return nn.Identity()\n"
    (tmp_path / "net.py").write_text(text)
    plain = Surrogate.build(str(tmp_path / "net.py"), TASK, GRID)
    plain.require_savable()
    assert plain.options == {}, "a default that is no data is the file's affair"
    given = Surrogate.build({"name": str(tmp_path / "net.py"), "act": nn.Tanh}, TASK, GRID)
    with pytest.raises(InputError, match="model: option act: option of type type cannot be saved"):
        given.require_savable()


def test_a_save_that_is_killed_leaves_what_was_there(saved, monkeypatch):
    _, folder = saved
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    other = Surrogate.build("mlp", TASK, GRID)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("sciml.surrogates.storage.sealed", killed)
    with pytest.raises(KeyboardInterrupt):
        other.save(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


ODDITIES = [None, True, 0, -1, 3, 1.5, 1e300, "", "u", "cnn", [], [1], ["u"], [[]], {}, {"a": 1}]


def mutated(card, rng):
    """A card with one to three of its keys or values, at any depth, dropped, replaced or added."""
    card = json.loads(json.dumps(card))
    for _ in range(rng.randint(1, 3)):
        places, waiting = [], [card]
        while waiting:
            at = waiting.pop()
            keys = list(at) if isinstance(at, dict) else range(len(at))
            places += [(at, key) for key in keys]
            waiting += [at[key] for key in keys if isinstance(at[key], dict | list)]
        at, key = rng.choice(places or [(card, "x")])
        match rng.randrange(4):
            case 0 if key in at or isinstance(at, list):
                del at[key]
            case 1:
                at[key] = rng.choice(ODDITIES)
            case 2 if isinstance(at, dict):
                at[rng.choice(["x", "dt ", "Task", f"{key}_"])] = rng.choice(ODDITIES)
            case _ if isinstance(at[key], str):
                at[key] = at[key][:-1]
            case _ if isinstance(at[key], int | float):
                at[key] += 1
            case _:
                at[key] = rng.choice(ODDITIES)
    return card


def outcomes(folder, card, surrogate, count, rng):
    """How many loads were right, and how many were refused, of ``count`` mutated cards."""
    right = refused = 0
    whole = surrogate.state_dict()
    for _ in range(count):
        changed = mutated(card, rng)
        rewrite(folder, changed)
        try:
            back = Surrogate.load(folder)
        except InputError as error:
            assert "\n" not in str(error) and str(folder) in str(error), changed
            refused += 1
            continue
        right += 1
        assert all(torch.equal(v, whole[n]) for n, v in back.state_dict().items()), changed
        same = ("task", "domain", "increment", "dt", "fields", "options")
        assert all(getattr(back, n) == getattr(surrogate, n) for n in same), changed
    return right, refused


def test_whatever_is_done_to_a_card_it_is_right_or_refused_in_one_line(saved, monkeypatch):
    surrogate, folder = saved
    for name in ("card", "storage"):
        monkeypatch.setattr(f"sciml.surrogates.{name}.log", logging.Logger("silent", 100))
    card = read(folder)
    right, refused = outcomes(folder, card, surrogate, 600, random.Random(0))
    assert right + refused == 600 and right > 5 and refused > 400
