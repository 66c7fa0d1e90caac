import re

import numpy as np
import pytest
from patience import PATIENCE

from sciml.errors import InputError, StreamError
from sciml.stream import Arrived, Closed, Quarantined, connect


def bad(change):
    array = np.zeros((16, 12), np.float32)
    return change(array)


def with_value(array, value):
    array[3, 5] = value
    return array


CASES = {
    "nan": (lambda a: with_value(a, np.nan), r"field 'u' at step 2 .*nan at index \(3, 5\)"),
    "inf": (lambda a: with_value(a, -np.inf), r"field 'u' at step 2 .*-inf at index \(3, 5\)"),
    "dtype": (lambda a: a.astype(np.float64), r"dtype <f8; expected <f4, as announced"),
    "complex": (lambda a: a.astype(np.complex64), r"dtype <c8; expected one of <f4"),
    "byte order": (lambda a: a.astype(">f4"), r"big-endian: convert with array.astype\('<f4'\)"),
    "shape": (lambda a: a[:8], r"block of shape \(8, 12\) at \(0, 0\); expected shape \(16, 12\)"),
    "axes": (lambda a: a[0], r"block of shape \(12,\)"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_data_stops_its_simulation_and_no_other(serve, solve, grid_simulation, tools, case):
    change, reason = CASES[case]
    server = serve()
    others = solve(grid_simulation(1), range(20), pause=0.002)
    client = connect(grid_simulation(0), endpoint=server.run_dir, patience=PATIENCE)
    good = np.zeros((16, 12), np.float32)
    with pytest.raises(StreamError, match=reason):
        for step in range(100):
            client.send(step, 0.0, u=bad(change) if step == 2 else good)
        client.close()
    client.abort()
    seen = tools.drain(server, lambda e: isinstance(e, Closed))
    tools.finish(others)
    assert tools.steps_of(seen, 1) == list(range(20))
    assert tools.steps_of(seen, 0) == [0, 1]  # what was good before it stays
    (event,) = [e for e in seen if isinstance(e, Quarantined)]
    assert event.simulation_id == 0
    with pytest.raises(StreamError, match="quarantined"):
        connect(grid_simulation(0), endpoint=server.run_dir, attempt=2)
    assert server.ledger.frames()["lost"] == 0


@pytest.mark.parametrize("shape", [(4, 4), (64, 64)])
def test_a_cast_drops_no_imaginary_part(serve, grid_simulation, shape):
    server = serve()
    client = connect(grid_simulation(shape=shape), endpoint=server.run_dir, dtype="float32")
    with pytest.raises(InputError, match="field 'u' is complex128; expected real numbers"):
        client.send(0, 0.0, u=np.full(shape, 1.0 + 2.0j))
    client.abort()


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_values_that_the_model_does_not_know_are_refused(serve, grid_simulation, tools, value):
    """Finite where the stream is float64, and infinite in the float32 that is trained on."""
    server = serve()
    client = connect(grid_simulation(0), endpoint=server.run_dir, patience=PATIENCE)
    largest = np.full((16, 12), np.finfo(np.float32).max, np.float64)
    value_said = re.escape(f"{value:.3g}")
    reason = rf"'u' at step 1 .*{value_said} at index \(3, 5\); expected at most 3.40e\+38"
    with pytest.raises(StreamError, match=reason):
        for step in range(100):
            client.send(step, 0.0, u=with_value(largest.copy(), value) if step else largest)
        client.close()
    client.abort()
    seen = tools.drain(server, lambda e: isinstance(e, Quarantined))
    assert tools.steps_of(seen, 0) == [0]


def test_index_of_a_bad_value_is_that_of_the_whole_field(serve, solve, grid_simulation, tools):
    server = serve()

    def values(simulation, step, field):
        array = tools.value(simulation, step, field)
        array[10, 4] = np.nan
        return array

    threads = solve(grid_simulation(), range(3), ranks=2, values=values)
    seen = tools.drain(server, lambda e: isinstance(e, Quarantined))
    for thread in threads:
        thread.join(PATIENCE)
    assert "index (10, 4)" in str(threads[1].error)  # rank 0 may have been done before
    assert not [e for e in seen if isinstance(e, Arrived)]


def test_quarantine_outlives_the_trainer(serve, grid_simulation, tools):
    server = serve()
    client = connect(grid_simulation(0), endpoint=server.run_dir)
    with pytest.raises(StreamError, match="nan"):
        client.send(0, 0.0, u=np.full((16, 12), np.nan))
        client.close()
    server.stop()
    server = serve()
    with pytest.raises(StreamError, match=r"quarantined.*nan"):
        connect(grid_simulation(0), endpoint=server.run_dir, attempt=2)
    tools.drain(server, lambda e: isinstance(e, Quarantined))
