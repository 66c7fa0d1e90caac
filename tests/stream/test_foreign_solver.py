import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from patience import PATIENCE

from sciml.stream import Arrived, Closed

EXAMPLE = Path(__file__).parents[2] / "docs" / "foreign_solver.py"


def test_the_example_streams_with_three_calls(serve, tools):
    server = serve()
    run = subprocess.Popen(
        [sys.executable, str(EXAMPLE)],
        env={**os.environ, "SCIML_ENDPOINT": str(server.endpoint), "SCIML_SIMULATION": "7"},
        stderr=subprocess.PIPE,
        text=True,
    )
    events = tools.drain(server, lambda e: isinstance(e, Closed))
    assert run.wait(PATIENCE) == 0, run.stderr.read()
    run.stderr.close()
    assert events[0].simulation.id == 7 and events[0].simulation.parameters == {"speed": 0.5}
    assert events[0].simulation.time_units == "s"
    fields = [e.frame.fields["u"] for e in events if isinstance(e, Arrived)]
    assert len(fields) == 101
    np.testing.assert_allclose([f.sum() for f in fields], fields[0].sum(), rtol=1e-12)
    assert np.argmax(fields[100]) == 125  # a quarter of a cell a step: 25 cells on


def test_without_an_endpoint_one_line_says_so():
    environment = {k: v for k, v in os.environ.items() if k != "SCIML_ENDPOINT"}
    run = subprocess.run(
        [sys.executable, str(EXAMPLE)], env=environment, capture_output=True, text=True
    )
    assert run.returncode != 0 and "SCIML_ENDPOINT" in run.stderr.splitlines()[-1]


def test_a_rank_imports_little():
    program = (
        "import sys, sciml.stream.connection\n"
        "heavy = {'torch', 'xarray', 'pydantic', 'scipy', 'h5py', 'dask', 'sciml.stream.server'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
