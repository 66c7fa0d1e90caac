"""docs/solvers.md: its programs run, its study loads, its tables are those of the code."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from programs import ALONE

from sciml.cli import app
from sciml.domain import Field
from sciml.ensemble.rehearsal import rehearse
from sciml.solver import METHODS, Option, Parameter
from sciml.solver.flags import parse
from sciml.solver.program_description import describe
from sciml.study.schema import Study

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/solvers.md").read_text()
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = FENCED.findall(PAGE)


def table(before):
    """Rows of the table behind a line, by their first cell."""
    text = PAGE[PAGE.index(before) :]
    rows = re.search(r"\n((?:\|[^\n]*\n)+)", text).group(1).splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" |")] for row in rows]
    return {name.strip("` "): [first, *rest] for first, *rest in cells for name in first.split(",")}


@pytest.mark.parametrize(
    ("before", "kind"),
    [("A field has these keys:", Field), ("A parameter, which", Parameter), ("An option:", Option)],
)
def test_keys_of_describe_are_those_of_the_code(before, kind):
    rows = table(before)
    assert {*rows} == {field.name for field in dataclasses.fields(kind)}
    for field in dataclasses.fields(kind):
        _, defaults, _ = rows[field.name]
        if field.default is dataclasses.MISSING:
            assert defaults == ""
            continue
        said = [json.loads(value) for value in re.findall(r"`(.*?)`", defaults)]
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert default in said, (field.name, said)


def test_keys_of_the_whole_are_those_that_are_read(tmp_path):
    rows = table("### (1) It says what it is")
    needed = {name for name, row in rows.items() if row[1] == "yes"}
    assert needed == {"schema_version", "name", "fields", "parameters", "options"}
    heat = describe("solvers/heat.py").schema
    assert {*heat} == {*rows}
    [example] = [code for tag, code in BLOCKS if tag == "json"]
    path = tmp_path / "example.py"
    path.write_text(f"print({example!r})")
    assert describe(path).parameter("Re").high == 200


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("transport", {"shape": (16,)}),
        ("swift_hohenberg", {"shape": (16, 16)}),
        ("drum", {"rings": 4}),
    ],
)
def test_programs_run_alike_on_two_ranks(tmp_path, name, size):
    [code] = [code for tag, code in BLOCKS if tag == "python" and f"# {name}.py" in code]
    path = tmp_path / f"{name}.py"
    path.write_text(code)
    program = describe(path)
    found = [rehearse(program, {**size, "steps": 5}, ranks=ranks) for ranks in (1, 2)]
    for one in found:
        one.require()
        assert one.frames == 6 and one.whole
    first, last = (one.last.fields["u"] for one in found)
    np.testing.assert_array_equal(first, last)
    assert np.ptp(first) > 0 and not np.array_equal(first, found[0].first.fields["u"])


def test_the_drum_keeps_its_energy(tmp_path):
    """And each seed strikes a mesh of its own, with lumped mass that adds up to the area."""
    [code] = [code for tag, code in BLOCKS if tag == "python" and "# drum.py" in code]
    module = {"__name__": "drum"}
    exec(compile(code, "drum.py", "exec"), module)
    made = [module["Drum"](parse(module["Drum"], ["--seed", str(seed)])) for seed in (0, 1)]
    assert made[0].domain() != made[1].domain()
    drum = made[0]
    drum.start(ALONE)
    assert drum.mass.sum() == pytest.approx(drum.area.sum()) and drum.area.min() > 0
    energies = []
    for n in range(300):
        energies.append(drum.state()["energy"])
        drum.step(n)
    assert np.ptp(energies) < 0.01 * energies[0]
    assert not drum.v[drum.mesh.groups["rim"]].any() and np.abs(drum.v).max() > 0.01


def test_the_study_of_the_page_is_one():
    [text] = [code for tag, code in BLOCKS if tag == "yaml"]
    study = Study.model_validate(yaml.safe_load(text))
    program = describe(study.solver.program)
    steps = program.flags["steps"].default
    assert f"{steps // study.solver.send.every + 1} of {steps + 1} states" in text
    for name, span in study.parameters.ranges.items():
        program.check(name, *span.bounds)


def test_commands_of_the_page_parse():
    """As far as the command knows: nothing is run."""
    command, found = typer.main.get_command(app), 0
    for tag, code in BLOCKS:
        for line in code.splitlines() if not tag else ():
            words = shlex.split(line, comments=True)
            if words[:1] == ["sciml"]:
                found += 1
                sub = command.commands[words[1]]
                sub.make_context(words[1], words[2:], resilient_parsing=False)
    assert found >= 6


def test_the_runs_of_the_page_are_datasets(monkeypatch):
    [code] = [code for tag, code in BLOCKS if tag == "python" and "sciml.simulate" in code]
    names = {}
    exec(compile(code, "solvers.md", "exec"), names)
    ds, again, bodies = names["ds"], names["again"], names["bodies"]
    assert bodies.positions.dims == ("time", "particle", "space") and bodies.sizes["time"] == 6
    assert ds.u.shape == (6, 32, 32) and ds.u.units == "K"
    np.testing.assert_array_equal(again.u.values[0], ds.u.values[-1])


def test_schemes_of_the_page_are_all():
    [some] = re.findall(r"by `scheme_option`: (.*?)\) and `initial`", PAGE, re.DOTALL)
    assert {*re.findall(r"`([\w-]+)`", some)} == {*METHODS}
