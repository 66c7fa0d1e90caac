"""`sciml check`: what a program gives, and what is wrong with it, a line each."""

import json

import pytest
from small_study import called

from sciml.domain import Grid
from sciml.run.model_file import builds_model
from sciml.run.model_trial import suits
from sciml.run.program_check import check_program
from sciml.share import find

BOLTZMANN, LORENZ = find("docs/lattice_boltzmann.py"), find("docs/lorenz96.py")


def test_a_code_of_others_on_slabs_has_nothing_wrong(tmp_path, monkeypatch):
    given = {"N": 16, "steps": 4, "every": 3, "Re": 50.0}
    report = check_program(BOLTZMANN, given, ranks=2)
    assert report.wrong == [], report.wrong
    rows = dict(report.rows)
    assert rows["frames"] == "5, 0.003 apart, from 0 to 0.012"
    assert rows["parameters"] == "Re=50, F=1" and "bit for bit" in rows["same again"]
    assert rows["ranks"].startswith("2; the first state differs from that on one by 0")
    assert rows["bytes"] == f"{3 * 16 * 16 * 8} a frame" and "MB/s" in rows["rate"]
    assert "[1] float64, -1 to 1" in rows["field u"] and report.domain == Grid(
        (16, 16), ((0.0, 1.0),) * 2, ("periodic",) * 2
    )


def changed(tmp_path, *changes):
    text = LORENZ.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = tmp_path / "changed.py"
    path.write_text(text)
    return path


SEND = "client.send(step, step * dt, X=X)"


SLOW = pytest.mark.slow
#: What is slow is said of a rehearsal, too: ``tests/ensemble/test_rehearsal.py``.
WRONG = {
    "flag": (SLOW, [('"F": given.F}', '"F": 8.0}')],
             ["parameter 'F': --F 8.08 was given, connect() says 8"]),
    "seed": ((), [("default_rng(given.seed)", "default_rng()")],
             ["a second run with the same values gave other fields"]),
    "steps": ((), [(SEND, f"step % 2 or {SEND.replace('step,', 'step // 2,', 1)}")],
              ["11 frames came of --steps 20"]),
    "times": ((), [("step * dt, X", "-step * dt, X")],
              ["times do not increase: 0 is followed by -0.01"]),
    "code": (SLOW, [(SEND, SEND + "\n        if step == 9: raise SystemExit('out of eggs')")],
             ["lorenz-96 ended with code 1: out of eggs"]),
    "single": ((), [("client.send(step, ", "step or client.send(step, ")],
               ["a single frame came", "1 frames came of --steps 20"]),
    "infinite": (SLOW, [("X=X)", "X=X / (step < 5))")], ["sent what cannot be used: "]),
    "units": (SLOW, [('[Field("X")]', '[Field("X", units="K")]')],
              ["field 'X': units '1' in --describe, 'K' in connect()"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [pytest.param(*case, marks=marks, id=name) for name, (marks, *case) in WRONG.items()],
)
def test_what_is_wrong_is_a_line_each(tmp_path, changes, wrong):
    report = check_program(changed(tmp_path, *changes), {"steps": 20})
    assert len(report.wrong) == len(wrong), report.wrong
    for line, words in zip(report.wrong, wrong, strict=True):
        assert words in line


def test_a_program_without_close_is_told(tmp_path):
    path = changed(
        tmp_path,
        ("with connect(", "client = connect("),
        (") as client:\n    for step", ")\nif True:\n    for step"),
    )
    [line] = check_program(path, {"steps": 3}).wrong
    assert line.startswith("it ended without close()")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("block=Block((first, 0)", "block=Block((0, 0)", "the blocks of 2 ranks do not tile (16, 16)"),
        ("# (3) send", "if comm.rank: raise ValueError('no licence')\n    # (3) send",
         "ended with code 1: ValueError: no licence"),
        pytest.param("rank=comm.rank,\n    ranks=comm.size,", "", "do not tile", marks=SLOW),
    ],
    ids=["block", "raises", "alone"],
)  # fmt: skip
def test_one_rank_that_fails_does_not_leave_the_others_waiting(tmp_path, old, new, words):
    text = BOLTZMANN.read_text()
    assert old in text
    (tmp_path / "lbm.py").write_text(text.replace(old, new))
    report = check_program(tmp_path / "lbm.py", {"N": 16, "steps": 3}, ranks=2, timeout=300.0)
    assert any(words in line for line in report.wrong), report.wrong


def test_the_command_draws_and_has_an_exit_code(tmp_path):
    good = called("check", LORENZ, "--set", "steps=5", "--json", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    said = json.loads(good.stdout)
    assert said["wrong"] == [] and said["frames"].startswith("6, 0.01 apart")
    assert (tmp_path / "check-lorenz-96.png").stat().st_size > 5000
    path = changed(tmp_path, ('"F": given.F}', '"F": 8.0}'))
    bad = called("check", path, "--set", "steps=5", "--picture", tmp_path / "p.png", cwd=tmp_path)
    assert bad.returncode == 1 and bad.stdout.splitlines()[-1] == "1 thing wrong"
    none = called("check", LORENZ, "--set", "stepz=5", cwd=tmp_path)
    assert none.returncode == 2 and "no parameter or option 'stepz'" in none.stderr


def test_the_file_of_a_model_is_described(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text(
        "from torch import nn\n"
        "def build(setting, *, width: int = 4):\n"
        '    """A convolution on planes."""\n'
        "    return nn.Conv2d(2, 1, 3, padding=1)\n"
    )
    assert builds_model(path) and not builds_model(LORENZ)
    done = called("describe", path, "--json")
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert about["options"]["width"] == {"type": "a whole number", "default": 4}
    assert about["domains"]["grid, 2 axes"] == "19 weights"
    assert about["domains"]["mesh"].startswith("no: Conv2d.forward() takes 2 positional arguments")


def test_a_model_of_static_fields_is_described(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text(
        "from torch import nn\n"
        "class Net(nn.Linear):\n"
        "    def forward(self, x, *where, conductance): return super().forward(x)\n"
        "def build(setting): return Net(2, 1)\n"
    )
    assert suits(str(path))["graph"] == (
        "no: gets no 'conductance' here; static fields reach it where task.static names them"
    )
