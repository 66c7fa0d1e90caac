"""A solver that sends its forcing beside its fields: seen in the stream, recorded, and replayed."""

import numpy as np
import xarray as xr
import yaml
from small_study import called as command
from small_study import one_line

import sciml
from sciml.record import open_recording

PROGRAM = '''
"""u relaxes to a number of each time."""
import argparse, json, os
import numpy as np
from sciml.domain import Field, Grid
from sciml.stream.client import connect

FIELDS = [{"name": "u"}, {"name": "f"}, {"name": "s", "on": "global"}]
RATE = {"name": "rate", "units": "1", "low": 0.1, "high": 0.9, "default": 0.5}
parser = argparse.ArgumentParser()
parser.add_argument("--describe", action="store_true")
parser.add_argument("--rate", type=float, default=0.5)
parser.add_argument("--steps", type=int, default=20)
given = parser.parse_args()
if given.describe:
    print(json.dumps({"schema_version": 1, "name": "relax", "deterministic": True, "fields": FIELDS,
                      "parameters": [RATE], "options": [{"name": "steps", "default": 20}]}))
    raise SystemExit
rng = np.random.default_rng(int(1e6 * given.rate))
grid = Grid((8,), ((0.0, 1.0),), ("periodic",))
fields = [Field(**f) for f in FIELDS]
client = connect(domain=grid, fields=fields, parameters={"rate": given.rate}, time_units="h")
u = rng.standard_normal(8)
for step in range(given.steps + 1):
    f, s = rng.standard_normal(8), rng.standard_normal()
    u = given.rate * u + f + s
    client.send(step, 6.0 * step, u=u, f=f, s=np.float64(s))
client.close()
'''


def test_forcing_goes_with_the_stream(tmp_path):
    program = tmp_path / "relax.py"
    program.write_text(PROGRAM)
    study = {
        "name": "relax",
        "solver": {"program": str(program), "options": {"steps": 20}},
        "parameters": {"simulations": 2, "seed": False, "ranges": {"rate": [0.4, 0.6]}},
        "task": {"inputs": ["u"], "forcing": ["f", "s"], "parameters": ["rate"], "unroll": 2},
        "model": {"name": "mlp", "hidden": [16]},
        "buffer": {"capacity": 64, "watermark": 8},
        "training": {"batch_size": 4, "phases": [{"steps": 10}], "pushforward": 1},
        "validation": {"simulations": 1, "every": 5},
        "record": True,
    }
    path, run = tmp_path / "study.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(study))
    done = command("run", path, "--out", run)
    assert done.returncode == 0, done.stderr
    surrogate = sciml.load(run)
    assert surrogate.task.forcing == ("f", "s") and str(surrogate.step) == "6 h"
    with xr.open_dataset(run / "predictions.nc") as ds:
        truth = ds.rename(u="guess", u_true="u").load()
    assert truth.s.dims == ("sample", "time") and truth.time.attrs["units"] == "h"
    rolled = surrogate.rollout(truth.isel(time=[0]), 20, forcing=truth[["f", "s"]])
    np.testing.assert_allclose(
        rolled.u, truth.guess.isel(time=slice(1, None)), rtol=1e-3, atol=1e-4
    )
    recording = open_recording(run)
    assert recording.frame(0, 3).fields["s"].shape == ()
    replayed = sciml.train(path, run, tmp_path / "again", stream=True, plain=True)
    assert replayed.surrogate().task.forcing == ("f", "s")
    study["task"]["forcing"] = ["g"]
    path.write_text(yaml.safe_dump(study))
    assert "has no field 'g'" in one_line(command("run", path, "--out", tmp_path / "none"))
