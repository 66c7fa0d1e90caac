"""A program of anyone's into a sink in memory: what it does, where it disagrees, what it will cost."""

import numpy as np
import pytest
import yaml
from small_study import called, small_study

from sciml.ensemble.rehearsal import TakesLong, disagreements, rehearse
from sciml.errors import InputError, ScimlError
from sciml.run.dryrun import estimate
from sciml.run.simulations import check
from sciml.share import find
from sciml.solver.program_description import describe
from sciml.study import load_study
from sciml.study.designs import plan

RING = find("docs/foreign_solver.py")

OTHER = """
import json, sys
import numpy as np
if "--describe" in sys.argv:
    print(json.dumps({"schema_version": 1, "name": "other", "fields": [{"name": "u", "units": "K"}],
        "parameters": [{"name": "Re", "default": 2, "low": 1, "high": 3}], "options": []}))
    raise SystemExit
from sciml.domain import Field, Grid
from sciml.stream.client import connect
Re = float(sys.argv[sys.argv.index("--Re") + 1]) if "--Re" in sys.argv else 2.0
grid = Grid((8,), ((0.0, 1.0),), ("periodic",))
client = connect(domain=grid, fields=[Field("u", units="K")], parameters={"Re": Re})
for step in range(6):
    client.send(step, 0.5 * step, u=np.full(8, step * Re))
client.close()
"""


@pytest.fixture
def other(tmp_path):
    def make(old="", new=""):
        path = tmp_path / "other.py"
        assert old in OTHER
        path.write_text(OTHER.replace(old, new) if old else OTHER)
        return describe(path)

    return make


def ring_study(**changes):
    return small_study(
        solver={"program": str(RING), "send": {"every": 5}},
        parameters={"seed": False, "simulations": 3, "ranges": {"speed": [0.2, 0.4]}},
        task={"inputs": ["u"], "parameters": ["speed"]},
        **changes,
    )


def test_what_a_foreign_program_gives_to_its_end_or_to_a_frame():
    ring, seen = describe(RING), []
    whole = rehearse(ring, {"steps": 10}, send={"every": 5, "dtype": "float32"}, look=seen.append)
    whole.require()
    assert whole.frames == len(seen) == 3 and whole.closed and whole.code == 0
    np.testing.assert_allclose(whole.times, [0.0, 0.0125, 0.025])
    assert whole.first.fields["u"].dtype == np.float32 and 0 < whole.began <= whole.ended
    cut = rehearse(ring, {"steps": 10**9}, frames=2)
    cut.require()
    assert cut.frames >= 2 and cut.code is None and not cut.closed


def test_a_program_that_fails_or_takes_long_is_told(other):
    with pytest.raises(ScimlError, match="other ended with code 1: ValueError: no licence"):
        rehearse(other("client.close()", "raise ValueError('no licence')"), {}).require()
    with pytest.raises(ScimlError, match="sent nothing: hello; expected connect"):
        rehearse(
            other(
                "from sciml.domain import", "print('hello'); sys.exit()\nfrom sciml.domain import"
            ),
            {},
        ).require()
    with pytest.raises(ScimlError, match=r"sent what cannot be used: .*nan"):
        rehearse(other("step * Re)", "np.nan)"), {}).require()
    with pytest.raises(TakesLong, match="other took longer than 4 s"):
        rehearse(other("client.close()", "import time; time.sleep(60)"), {}, timeout=4.0)


@pytest.mark.parametrize(
    ("old", "new", "graver", "lesser"),
    [
        ("", "", [], []),
        ('Field("u", units="K")', 'Field("v", units="K")',
         ["fields: --describe names u, connect() v"], []),
        ('Field("u", units="K")', 'Field("u")',
         [], ["field 'u': units 'K' in --describe, '1' in connect()"]),
        ('parameters={"Re": Re}', "", ["parameter 'Re' of --describe is missing"], []),
        ('{"Re": Re}', '{"Re": 2.0}', ["--Re 3 was given, connect() says 2"], []),
        ('{"Re": Re}', '{"Re": Re, "F": 1.0}', [], ["parameter 'F' of connect() is missing"]),
    ],
)  # fmt: skip
def test_disagreements(other, old, new, graver, lesser):
    description = other(old, new)
    if 'Field("v"' in new:
        source = description.path.read_text()
        description.path.write_text(source.replace("u=np", "v=np"))
    found = rehearse(description, {"Re": 3.0}, frames=1)
    many, few = disagreements(description, found.simulation, {"Re": 3.0})
    for lines, words in ((many, graver), (few, lesser)):
        assert len(lines) == len(words) and all(
            w in line for w, line in zip(words, lines, strict=True)
        )


def test_a_study_on_a_program_that_ignores_its_flags_is_refused(other, tmp_path):
    description = other('{"Re": Re}', '{"Re": 2.0}')
    study = ring_study() | {
        "solver": {"program": str(description.path)},
        "parameters": {"seed": False, "simulations": 3, "ranges": {"Re": [1.5, 2.5]}},
        "task": {"inputs": ["u"], "parameters": ["Re"]},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(
        InputError, match=r"--Re 1.5 was given, connect\(\) says 2; see `sciml check`"
    ):
        check(load_study(tmp_path / "study.yaml"))


def test_the_cost_of_a_foreign_program_without_out_is_told(tmp_path):
    path = tmp_path / "study.yaml"
    training = {"batch_size": 8, "phases": [{"schedule": "cosine", "steps": 2000}]}
    buffer = {"capacity": 400, "watermark": 200}
    path.write_text(yaml.safe_dump(ring_study(training=training, buffer=buffer)))
    done = called("run", path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "21 a simulation, 84 in all" in done.stdout and "800 B a frame" in done.stdout
    # 3 simulations of 20 windows, in batches of 8.
    assert "this stream feeds at least 7 of 2000 steps; raise buffer.draws" in done.stdout
    assert "60 samples never reach buffer.watermark 200: training begins when" in done.stdout
    assert "60 samples for 2000 steps of 8: each is drawn up to 266.7 times" in done.stdout


def test_a_program_that_alone_knows_its_steps_is_measured_to_its_end(other, tmp_path):
    description = other()
    study = ring_study() | {
        "solver": {"program": str(description.path), "send": {"every": 2}},
        "parameters": {"seed": False, "simulations": 3, "ranges": {"Re": [1.5, 2.5]}},
        "task": {"inputs": ["u"], "parameters": ["Re"]},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    loaded = load_study(tmp_path / "study.yaml")
    found = estimate(loaded, description, plan(loaded))
    assert found.frames == 3 and found.frame_bytes == 32 and "feeds at least 1 of" in found.feeds[0]
    long = other("range(6)", "range(2000)")
    assert estimate(loaded, long, plan(loaded)).frames is None


def test_a_wrong_number_of_channels_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def build(setting, *, width=8):\n"
        "    return nn.Conv1d(1, 1, 3, padding='same')\n"
    )
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(ring_study(model={"name": str(tmp_path / "net.py")})))
    with pytest.raises(InputError) as refused:
        check(load_study(path))
    line = str(refused.value)
    assert "2 channels on points of shape (200,), in this order: u, speed" in line
    assert "expected input[1, 2, 200] to have 1 channels, but got 2" in line
