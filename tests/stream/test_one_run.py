"""A solver of one run never delivers to another, however it comes to it."""

import json
import shutil

import pytest
from patience import PATIENCE, wait_until

from sciml.errors import StreamError
from sciml.stream import Closed, ControlClient, connect, endpoint
from sciml.stream.endpoint import Endpoint, Keys

ONE, OTHER = "11111111-one", "22222222-other"


def port_of(server):
    return int(server.address.rpartition(":")[2])


def send(client, tools, step):
    field = client.simulation.fields[0]
    client.send(step, 0.1 * step, u=tools.value(client.simulation, step, field))


def test_a_solver_with_the_endpoint_of_another_run_is_refused_by_both_names(
    serve, grid_simulation, tmp_path
):
    """The port was taken over; without encryption no key tells the two apart."""
    first = serve(run_dir=tmp_path / "one", encryption=False, run=ONE)
    port = port_of(first)
    first.stop()
    other = serve(run_dir=tmp_path / "other", encryption=False, run=OTHER, port=port)
    with pytest.raises(StreamError) as refused:
        connect(grid_simulation(), endpoint=tmp_path / "one", timeout=PATIENCE)
    line = str(refused.value)
    assert f"trainer of run {OTHER}" in line and f"of run {ONE}" in line and "\n" not in line
    with pytest.raises(StreamError, match=f"trainer of run {OTHER}.*of run {ONE}"):
        ControlClient(tmp_path / "one").exchange({"done": True}, PATIENCE)
    assert other.status()["simulations"] == 0 and other.events.get(timeout=0.0) is None


def test_a_solver_whose_port_was_taken_over_goes_on_with_its_own_run(
    serve, grid_simulation, tools, tmp_path, monkeypatch
):
    monkeypatch.setattr(endpoint, "BIND_PATIENCE", 0.2)
    first = serve(run_dir=tmp_path / "one", run=ONE)
    client = connect(grid_simulation(), endpoint=tmp_path / "one", patience=PATIENCE)
    send(client, tools, 0)
    wait_until(lambda: first.ledger.frames()["received"] == 1)
    ledger, port = first.ledger.state_dict(), port_of(first)
    first.stop()
    other = serve(run_dir=tmp_path / "other", run=OTHER, port=port)
    again = serve(ledger, run_dir=tmp_path / "one", run=ONE)
    assert port_of(again) != port
    send(client, tools, 1)
    client.close()
    events = tools.drain(again, lambda e: isinstance(e, Closed))
    assert sorted(tools.steps_of(events)) == [0, 1]
    assert other.status()["simulations"] == 0


def test_a_solver_whose_directory_another_run_took_sends_nothing_there(
    serve, grid_simulation, tools, tmp_path
):
    first = serve(run_dir=tmp_path / "run", run=ONE)
    client = connect(grid_simulation(), endpoint=tmp_path / "run", patience=PATIENCE)
    first.stop()
    shutil.rmtree(tmp_path / "run")
    other = serve(run_dir=tmp_path / "run", run=OTHER)
    with pytest.raises(StreamError, match=f"is the endpoint of run {OTHER}, .* for run {ONE}"):
        for step in range(10_000):
            send(client, tools, step)
            client._listen()
            client._await()
    client.abort()
    assert other.status()["simulations"] == 0


def test_a_solver_that_starts_when_another_run_has_the_directory(
    serve, grid_simulation, tmp_path, monkeypatch
):
    serve(run_dir=tmp_path / "run", run=OTHER)
    monkeypatch.setenv("SCIML_ENDPOINT", str(tmp_path / "run"))
    monkeypatch.setenv("SCIML_RUN", ONE)
    with pytest.raises(StreamError, match=f"endpoint of run {OTHER}, .* started for run {ONE}"):
        connect(grid_simulation())
    monkeypatch.setenv("SCIML_RUN", OTHER)
    connect(grid_simulation(), timeout=PATIENCE).abort()


def test_keys_that_were_copied_from_another_run_are_not_used(serve, tmp_path):
    serve(run_dir=tmp_path / "one", run=ONE).stop()
    (tmp_path / "copy").mkdir()
    for name in ("server.key", "endpoint.json"):
        shutil.copy2(tmp_path / "one" / name, tmp_path / "copy" / name)
    copy = serve(run_dir=tmp_path / "copy", run=OTHER)
    one, other = (Endpoint.read(tmp_path / name) for name in ("one", "copy"))
    assert (one.run, other.run) == (ONE, OTHER) and copy.epoch == 1
    assert {one.server_key, one.secret_key}.isdisjoint({other.server_key, other.secret_key})


def test_keys_of_an_older_version_are_kept(tmp_path):
    """It wrote down no run: solvers that still run would be locked out."""
    old = Keys.next_life(tmp_path, encryption=True, run=ONE)
    path = tmp_path / "server.key"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "run"})
    )
    new = Keys.next_life(tmp_path, encryption=True, run=ONE)
    assert (new.client_secret, new.epoch, new.run) == (old.client_secret, 2, ONE)
