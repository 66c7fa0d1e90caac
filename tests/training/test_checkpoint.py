import builtins
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sciml.training.checkpoint as module
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.packed_state import pack, unpack
from sciml.training import Checkpoints
from sciml.training.checkpoint import CheckpointError, intact, read
from sciml.training.random_state import random_state, set_random_state


def test_plain_state_comes_back_as_it_was():
    state = {
        "generator": np.random.default_rng(3).bit_generator.state,
        "keys": [(1, 2), (3, 4)],
        7: b"bytes",
        "none": None,
        "array": np.arange(6.0).reshape(2, 3),
        "bits": np.array([True, False]),
        "words": np.array([2**63 + 1], dtype=np.uint64),
        "nested": [{"tensor": torch.arange(3)}, torch.tensor(1.5)],
        "scalar": np.int64(3),
    }
    data, tensors = pack(state)
    back = unpack(data, tensors)
    assert back["generator"] == state["generator"]
    assert back["keys"] == state["keys"]
    assert back[7] == b"bytes"
    np.testing.assert_array_equal(back["array"], state["array"])
    np.testing.assert_array_equal(back["bits"], state["bits"])
    np.testing.assert_array_equal(back["words"], state["words"])
    assert back["words"].dtype == np.uint64
    assert torch.equal(back["nested"][0]["tensor"], torch.arange(3))
    assert back["scalar"] == 3


def test_objects_are_refused():
    with pytest.raises(InputError, match=r"state of type \w*Path cannot be saved"):
        pack({"a": [Path("x")]})


def test_generators_go_on():
    state = random_state()
    data, tensors = pack(state)
    expected = torch.rand(3), np.random.rand(3)
    set_random_state(unpack(data, tensors))
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])


@pytest.fixture
def model():
    return nn.Linear(3, 2)


def test_the_last_ones_and_the_best_stay(tmp_path, model):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, metric in ((1, 0.5), (2, 0.1), (3, 0.3), (4, None), (5, 0.2)):
        checkpoints.save(step, model, {}, metric)
    assert checkpoints.steps() == [2, 4, 5]
    assert checkpoints.best() == tmp_path / "step-00000002"
    assert checkpoints.newest().step == 5


def test_a_damaged_one_is_passed_over(tmp_path, model):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, model, {"a": 1})
    last = checkpoints.save(2, model, {"a": 2})
    weights = bytearray((last / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (last / "model.safetensors").write_bytes(weights)
    assert not intact(last)
    assert checkpoints.newest().state == {"a": 1}
    with pytest.raises(CheckpointError, match="no intact checkpoint"):
        read(last)


def test_a_torn_one_is_passed_over(tmp_path, model):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, model, {"a": 1})
    last = checkpoints.save(2, model, {"a": 2})
    (last / "manifest.json").write_text("{")
    assert checkpoints.newest().step == 1


def test_a_full_disk_leaves_the_last_one(tmp_path, model, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, model, {"a": 1})

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("write_bytes", "write_text"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, full)
            with pytest.raises(CheckpointError, match="No space left"):
                checkpoints.save(2, model, {"a": 2})
    with monkeypatch.context() as patch:
        patch.setattr(module, "_sync", full)
        with pytest.raises(CheckpointError, match="earlier checkpoints are intact"):
            checkpoints.save(2, model, {"a": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoints.newest().state == {"a": 1}


def test_a_killed_writer_leaves_nothing_that_counts(tmp_path, model, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, model, {})

    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "_seal", kill)
        with pytest.raises(Killed):
            checkpoints.save(2, model, {})
    assert checkpoints.newest().step == 1
    checkpoints.save(3, model, {})
    assert not list(tmp_path.glob(".step-*"))


def test_nothing_there_is_none(tmp_path):
    assert Checkpoints(tmp_path / "none").newest() is None
    assert Checkpoints(tmp_path / "none").best() is None


def test_a_checkpoint_is_a_surrogate(tmp_path, surrogate):
    made = surrogate()
    path = Checkpoints(tmp_path).save(3, made, {})
    loaded = Surrogate.load(path, surrogate(seed=8).model)
    for name, value in made.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_no_pickle_is_read_or_written(tmp_path, surrogate, monkeypatch):
    import pickle

    def forbidden(*args, **kwargs):
        raise AssertionError("pickle")

    for name in ("dump", "dumps", "load", "loads"):
        monkeypatch.setattr(pickle, name, forbidden)
    model = surrogate()
    optimizer = torch.optim.AdamW(model.parameters())
    path = Checkpoints(tmp_path).save(1, model, {"optimizer": optimizer.state_dict()})
    read(path)
    assert builtins.set(p.suffix for p in path.iterdir()) == {".safetensors", ".json", ".msgpack"}


def test_weights_that_do_not_fit_are_named(tmp_path, model):
    Checkpoints(tmp_path).save(1, model, {})
    with pytest.raises(InputError, match="weights do not fit"):
        Checkpoints(tmp_path).newest().load_weights(nn.Linear(3, 3))


def test_what_blew_up_is_never_the_best(tmp_path, model):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step, metric in ((1, float("nan")), (2, 0.5), (3, float("inf")), (4, 0.7)):
        checkpoints.save(step, model, {}, metric)
    assert checkpoints.best() == tmp_path / "step-00000002"


def test_a_surrogate_knows_the_name_that_its_checkpoint_has(tmp_path):
    surrogate = Surrogate(nn.Linear(2, 2), Task(("u",), ("u",)))
    path = Checkpoints(tmp_path).save(3, surrogate, {})
    assert surrogate.saved_in == str(path) and path.is_dir()


def test_a_checkpoint_of_another_version_is_refused_in_a_line(tmp_path):
    model = torch.nn.Linear(2, 1)
    path = Checkpoints(tmp_path).save(3, model, {"extra": {}})
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 1}))
    with pytest.raises(CheckpointError, match=r"of version 1, this sciml goes on from version 2"):
        read(path)
