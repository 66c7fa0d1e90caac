"""What a study says under ``solver.send`` holds for whoever connects, and is applied once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE

from sciml.domain import Field, Grid, Mesh, Particles
from sciml.domain.block import Block
from sciml.errors import DomainError, InputError
from sciml.samples import Simulation
from sciml.stream import Arrived, Closed, Opened, connect

EXAMPLE = Path(__file__).parents[2] / "docs" / "foreign_solver.py"
RAMP = np.arange(8.0 * 6).reshape(8, 6)


def simulation(**options):
    grid = Grid((8, 6), ((0.0, 8.0), (0.0, 6.0)), ("periodic", "periodic"))
    return Simulation(0, grid, (Field("u"), Field("v"), Field("e", on="global")), **options)


def test_a_foreign_program_sends_every_fifth_state_with_its_time(serve, tools):
    server = serve()
    send = json.dumps({"every": 5, "dtype": "float32", "fields": None, "coarsen": 2})
    environment = {**os.environ, "SCIML_ENDPOINT": str(server.endpoint), "SCIML_SEND": send}
    run = subprocess.Popen([sys.executable, str(EXAMPLE)], env=environment)
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert run.wait(PATIENCE) == 0
    frames = [event.frame for event in events if isinstance(event, Arrived)]
    assert [frame.step for frame in frames] == list(range(21))  # of 101
    np.testing.assert_allclose([frame.time for frame in frames], 0.0125 * np.arange(21))
    assert {frame.fields["u"].dtype for frame in frames} == {np.dtype("float32")}
    assert events[0].simulation.domain.shape == (100,)
    assert np.argmax(frames[20].fields["u"]) == 62  # of the 100 points left, where 125 was


def test_fields_blocks_and_static_fields_are_thinned_alike_on_every_rank(
    serve, solve, tools, monkeypatch
):
    server = serve()
    send = {"every": 2, "fields": ["u", "e"], "coarsen": 2, "dtype": "float32"}
    monkeypatch.setenv("SCIML_SEND", json.dumps(send))
    whole = simulation(static={"k": RAMP})
    ranks = solve(whole, range(5), ranks=2)
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(ranks)
    [opened] = [e.simulation for e in events if isinstance(e, Opened)]
    assert [f.name for f in opened.fields] == ["u", "e"] and opened.domain.shape == (4, 3)
    np.testing.assert_array_equal(opened.static["k"], RAMP[::2, ::2].astype("f4"))
    frames = {e.frame.step: e.frame for e in events if isinstance(e, Arrived)}
    assert sorted(frames) == [0, 1, 2]
    for step, frame in frames.items():
        u = tools.value(whole, 2 * step, whole.fields[0])
        np.testing.assert_array_equal(frame.fields["u"], u[::2, ::2])
        assert frame.fields["e"].shape == () and frame.time == pytest.approx(0.2 * step)


def test_a_program_that_reads_it_by_itself_is_left_alone(serve, tools, monkeypatch):
    server = serve()
    monkeypatch.setenv("SCIML_SEND", '{"every": 2, "dtype": "float32"}')
    with connect(simulation(), endpoint=server.run_dir, thin=False) as client:
        for step in range(3):
            client.send(step, 0.2 * step, u=RAMP, v=RAMP, e=np.float64(1.0))
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert tools.steps_of(events) == [0, 1, 2]
    assert events[1].frame.fields["u"].dtype == np.float64


@pytest.mark.parametrize(
    ("send", "message"),
    [
        ({"fields": ["w"]}, "send: no field 'w'"),
        ({"coarsen": 3}, "coarsen=3 does not divide a periodic axis of 8 points"),
        ({"coarsen": 2, "every": 0}, "every=0; expected a whole number"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_sent(serve, monkeypatch, send, message):
    server = serve()
    monkeypatch.setenv("SCIML_SEND", json.dumps(send))
    with pytest.raises(InputError, match=message):
        connect(simulation(), endpoint=server.run_dir)


def test_blocks_without_a_point_left_and_other_domains_are_refused(serve, monkeypatch):
    server = serve()
    monkeypatch.setenv("SCIML_SEND", '{"coarsen": 2}')
    with pytest.raises(InputError, match=r"leaves no point of a block of \(1, 6\)"):
        connect(simulation(), Block((1, 0), (1, 6)), 0, 8, endpoint=server.run_dir)
    atoms = Simulation(0, Particles(species=np.array([1, 8])), (Field("r", components=3),))
    with pytest.raises(InputError, match="only grids coarsen"):
        connect(atoms, endpoint=server.run_dir)


def test_points_that_are_not_those_of_the_block_are_named(serve, monkeypatch):
    server = serve()
    monkeypatch.setenv("SCIML_SEND", '{"coarsen": 2}')
    client = connect(simulation(), endpoint=server.run_dir)
    with pytest.raises(InputError, match=r"'u' has shape \(4, 6\); expected \(8, 6\)"):
        client.send(0, 0.0, u=RAMP[::2], v=RAMP, e=1.0)
    with pytest.raises(InputError, match="unknown field 'w'"):
        client.send(0, 0.0, u=RAMP, v=RAMP, e=1.0, w=RAMP)
    client.abort()


@pytest.mark.parametrize(
    ("k", "on", "said"),
    [
        (np.ones(3), "cell", r"'k' of shape \(3,\); expected \(2,\)"),
        (np.ones(2), "point", r"'k' of shape \(2,\); expected \(4,\).*on 'point'"),
    ],
)
def test_a_static_field_of_another_shape_than_its_place_is_refused(serve, k, on, said):
    square = Mesh(np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), np.array([[0, 1, 2], [0, 2, 3]]))
    plate = Simulation(
        0, square, (Field("u"),), static={"k": k}, static_fields=(Field("k", on=on),)
    )
    with pytest.raises(DomainError, match=said):
        connect(plate, endpoint=serve().run_dir)
