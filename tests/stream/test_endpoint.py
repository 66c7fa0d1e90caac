import json
import stat

import pytest
from patience import PATIENCE

from sciml.errors import InputError, StreamError
from sciml.stream import ControlClient, Server, connect
from sciml.stream.endpoint import Endpoint


def test_files_are_for_the_owner_only(serve):
    server = serve()
    for name in ("endpoint.json", "server.key"):
        assert stat.S_IMODE((server.run_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((server.run_dir / "spool").stat().st_mode) == 0o700
    entries = json.loads(server.endpoint.read_text())
    assert entries["epoch"] == 1 and "server_secret" not in json.dumps(entries)


def test_endpoint_that_others_can_read_is_refused(serve, grid_simulation):
    server = serve()
    server.endpoint.chmod(0o640)
    with pytest.raises(StreamError, match=r"can be read by others .*chmod 600"):
        connect(grid_simulation(), endpoint=server.endpoint)


def test_the_supervisor_and_the_trainer_refuse_it_as_well(serve, tmp_path):
    server = serve()
    server.endpoint.chmod(0o604)
    with pytest.raises(StreamError, match=r"endpoint\.json can be read by others .*chmod 600"):
        ControlClient(server.endpoint)
    server.stop()
    (server.run_dir / "server.key").chmod(0o640)
    with pytest.raises(StreamError, match=r"server\.key can be read by others .*chmod 600"):
        Server(server.run_dir)


def test_next_life_keeps_keys_and_port(serve):
    first = serve()
    before = Endpoint.read(first.run_dir)
    first.stop()
    second = serve()
    after = Endpoint.read(second.run_dir)
    assert after.epoch == before.epoch + 1
    assert (after.address, after.server_key, after.public_key, after.secret_key) == (
        before.address,
        before.server_key,
        before.public_key,
        before.secret_key,
    )
    assert 20_000 <= int(after.address.rpartition(":")[2]) < 32_768


def test_no_encryption_on_a_host_that_others_reach(tmp_path):
    with pytest.raises(InputError, match="encryption off"):
        Server(tmp_path, host="0.0.0.0", encryption=False)


def test_missing_endpoint_says_so(tmp_path, monkeypatch, grid_simulation):
    with pytest.raises(StreamError, match="no such endpoint file"):
        connect(grid_simulation(), endpoint=tmp_path)
    monkeypatch.delenv("SCIML_ENDPOINT", raising=False)
    with pytest.raises(StreamError, match="SCIML_ENDPOINT"):
        connect(grid_simulation())


def test_wrong_client_key_is_let_in_nowhere(serve, grid_simulation, tmp_path):
    server, stranger = serve(), serve(run_dir=tmp_path / "other")
    mine, theirs = Endpoint.read(server.run_dir), Endpoint.read(stranger.run_dir)
    (tmp_path / "mixed").mkdir()
    Endpoint(mine.address, 1, mine.server_key, theirs.public_key, theirs.secret_key).write(
        tmp_path / "mixed"
    )
    with pytest.raises(StreamError, match="does not know the key"):
        connect(grid_simulation(), endpoint=tmp_path / "mixed", timeout=PATIENCE)
    assert server.status()["refused_keys"] >= 1


def test_wrong_server_key_times_out_with_a_reason(serve, grid_simulation, tmp_path):
    server, stranger = serve(), serve(run_dir=tmp_path / "other")
    mine, theirs = Endpoint.read(server.run_dir), Endpoint.read(stranger.run_dir)
    (tmp_path / "mixed").mkdir()
    Endpoint(mine.address, 1, theirs.server_key, theirs.public_key, theirs.secret_key).write(
        tmp_path / "mixed"
    )
    with pytest.raises(StreamError, match="no sign of the trainer"):
        connect(grid_simulation(), endpoint=tmp_path / "mixed", timeout=1.0)


def test_control_is_seen_once_and_answered(serve):
    server = serve()
    server.set_status({"state": "training", "step": 3})
    client = ControlClient(server.run_dir)
    for _ in range(3):
        assert client.exchange({"done": False}, PATIENCE)["step"] == 3
    assert server.events.get(timeout=PATIENCE).message == {"done": False}
    assert server.events.get(timeout=0.0) is None
    client.exchange({"done": True}, PATIENCE)
    assert server.events.get(timeout=PATIENCE).message == {"done": True}
    server.stop()
    with pytest.raises(StreamError, match="no answer"):
        client.exchange({"done": True}, timeout=0.3)
    client.close()
