"""A solver program stands on the light floors alone, and stays a page or three long."""

import ast
import sys

import pytest

from sciml.share import share_root

PROGRAMS = sorted((share_root() / "solvers").glob("*.py"))
ROOMS = {f"sciml.{room}" for room in ("domain", "equations", "parallel", "solver", "errors")}
MOST_LINES = 170


def foreign(source):
    """Modules imported anywhere in the source that a solver program may not import."""
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            # `from sciml import x` imports the room x; a program has no package to be relative to.
            names = {f"sciml.{alias.name}" for alias in node.names}
            imported |= (
                names if node.module == "sciml" else {"." * node.level + (node.module or "")}
            )
    return {name for name in imported if not _allowed(name)}


def _allowed(name):
    head, *rest = name.split(".")
    if head == "sciml":
        return ".".join([head, *rest[:1]]) in ROOMS
    return head in ("numpy", "scipy", "ase", "tblite", "ngsolve") or head in sys.stdlib_module_names


def test_there_are_programs():
    assert "heat.py" in {program.name for program in PROGRAMS}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_imports_the_light_floors_only(program):
    assert not foreign(program.read_text())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_is_short(program):
    assert len(program.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import torch", {"torch"}),
        ("import scipy.sparse, numpy.linalg, pandas.core", {"pandas.core"}),
        ("from sciml.stream.client import connect", {"sciml.stream.client"}),
        ("from sciml import study, domain", {"sciml.study"}),
        ("import sciml", {"sciml"}),
        ("from . import heat", {"."}),
        ("def f():\n    import xarray", {"xarray"}),
        ("from sciml.solver import main\nfrom math import pi\nimport numpy as np", set()),
    ],
)
def test_the_check_sees_what_it_should(line, found):
    assert foreign(line) == found
