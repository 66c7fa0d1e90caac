"""The command line: what it takes, and one clear line for what it does not."""

import subprocess
import sys

import pytest
from patience import PATIENCE

from sciml.errors import InputError
from sciml.share import find
from sciml.solver import Option, Parameter
from sciml.solver.flags import parse
from sciml.solver.mpirun import command, environment


def test_values_and_defaults(heat_program):
    words = "--kappa 0.5 --shape 32 48 --mean=-2 --amplitude 1e-3 --mode -1 2 --t-left 150"
    given = parse(heat_program, words.split())
    assert (given.kappa, given.shape, given.mean) == (0.5, (32, 48), -2.0)
    assert (given.mode, given.t_left, given.t_right) == ((-1, 2), 150.0, 300.0)
    assert (given.seed, given.steps, given.scheme) == (0, 100, "explicit")
    assert parse(heat_program, ["--log", "error"]).log == "error"
    # argparse alone takes this one for a flag.
    assert parse(heat_program, ["--mean", "-1e-3"]).mean == -1e-3


BAD = {
    "--kapa 3": "unknown flag --kapa; did you mean 'kappa'?",
    "--kappa 11": "kappa=11 is out of range; expected 0.0001 to 10 m2 s-1",
    "--kappa nan": "kappa=nan is out of range",
    "--kappa much": "argument --kappa: 'much'; expected a number",
    "--kappa": "argument --kappa: expected one argument",
    "--shape 3": "argument --shape: expected 2 arguments",
    "--shape 2 64": "shape=2; expected 3 or more",
    "--steps 1.5": "argument --steps: '1.5'; expected a whole number",
    "--seed 1e3": "argument --seed: '1e3'; expected a whole number",
    "--steps -1": "steps=-1; expected 0 or more",
    "--dt inf": "dt=inf; expected a finite number",
    "--scheme leapfrog": "scheme=leapfrog; expected one of explicit, crank-nicolson",
    "3": "stray word '3'",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_words_are_refused(heat_program, words):
    with pytest.raises(InputError) as caught:
        parse(heat_program, words.split())
    assert BAD[words] in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parameter("1kappa", 1, 0, 2), "a letter first"),
        (lambda: Parameter("kappa", 3, 0, 2), "low ≤ default ≤ high"),
        (lambda: Option("scheme", "a", ("b", "c")), "expected one of b, c"),
        (lambda: Option("shape", (1, 2.0)), "expected one of int"),
        (lambda: Option("flag", None), "expected one of int"),
    ],
)
def test_bad_declarations_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_flag_declared_twice_is_refused(heat_program):
    class Twice(heat_program):
        options = (*heat_program.options, Option("kappa", 1.0))

    with pytest.raises(InputError, match="--kappa is declared twice"):
        parse(Twice, [])


REFUSED = {
    "--kapa 3 --out x.nc": "heat: error: unknown flag --kapa; did you mean 'kappa'?",
    "--steps 1": "heat: error: nowhere to put the result; give --out",
    "--dt 1 --out x.nc": "heat: error: dt=1 s exceeds 0.006104 s, the stable limit",
    "--out no/such/x.nc": "heat: error: --out no/such/x.nc: no folder no/such",
    "--out there.nc": "heat: error: --out there.nc exists; remove it or name another",
}


@pytest.mark.parametrize("words", REFUSED)
def test_one_line_and_exit_code_2(tmp_path, words):
    (tmp_path / "there.nc").write_text("mine")
    done = subprocess.run(
        [sys.executable, str(find("solvers/heat.py")), *words.split()],
        capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(REFUSED[words]) and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.nc"]
    assert (tmp_path / "there.nc").read_text() == "mine"


def test_rank_0_alone_speaks(tmp_path):
    for words in ("--kappa 11 --out x.nc", "--shape 3 3 --out x.nc"):
        done = subprocess.run(
            command(find("solvers/heat.py"), 4 if "kappa" in words else 5, words.split()),
            capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 2
        # The second one is found out later, when the grid is cut.
        assert done.stderr.count("heat: error:") == 1, done.stderr
        assert "Traceback" not in done.stderr
