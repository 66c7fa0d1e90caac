"""Compiled and plain loops give the same numbers; where they are kept; when they are taken."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sciml
from sciml.domain import Grid
from sciml.parallel import Decomposition, Halo, Laplacian, free_points
from sciml.parallel.laplacian import WORTH_COMPILING

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
ALONE = SimpleNamespace(rank=0, size=1)


def two_ways(boundary, shape=(17, 23)):
    grid = Grid(shape, ((0.0, 1.0), (0.0, 2.0)), (boundary,) * 2)
    halo = Halo(ALONE, Decomposition(grid, 1))
    inner = free_points(grid, halo.block)
    plain, fast = (Laplacian(halo, inner, grid.spacing, w) for w in (0.0, WORTH_COMPILING))
    assert fast.compiled and not plain.compiled
    u = halo.allocate()
    halo.owned(u)[:] = np.random.default_rng(0).standard_normal(grid.shape)
    return grid, plain, fast, u


@pytest.mark.parametrize("shape", [(17, 23), (18, 24), (3, 9)], ids=str)  # rows go in pairs
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
def test_compiled_and_plain_agree_to_the_bit(boundary, shape):
    _, plain, fast, u = two_ways(boundary, shape)
    out = np.zeros((2, *u[plain.inner].shape))
    plain(u.copy(), 0.37, out[0])
    fast(u.copy(), 0.37, out[1])
    np.testing.assert_array_equal(out[0], out[1])
    assert np.ptp(out[0]) > 10.0
    states = []
    for way in (plain, fast):
        ahead = way.allocate()
        ahead[:] = u
        # An odd number: compiled, the state ends two rows beside where it began.
        for _ in range(5):
            ahead = way.advance(ahead, 1e-4)
        states.append(ahead)
    np.testing.assert_array_equal(*(state[1:-1, 1:-1] for state in states))
    assert np.abs(states[0] - u).max() > 0.01


@pytest.mark.parametrize("way", [0, 1])
def test_second_differences_of_a_parabola_are_exact(way):
    grid, *ways, u = two_ways("dirichlet")
    y, x = np.ix_(grid.coordinates(0), grid.coordinates(1))
    u[1:-1, 1:-1] = 3.0 * y**2 - x**2 + x * y
    out = np.zeros((15, 21))
    ways[way](u, 1.0, out)
    np.testing.assert_allclose(out, 4.0, rtol=1e-10)


#: Quicker to compile than ours.
KERNEL = """
from sciml.parallel.kernels.jit import compiled

@compiled("void(f8[::1], f8[::1])")
def laplacian(u, out):
    out[0] = u[0]
"""
USE = """
import numpy as np
from sciml.parallel.kernels import laplacian as module
out = np.zeros(3)
module.laplacian(np.ones(3), out)
print(module.__file__, *module.laplacian.stats.cache_hits.values(), module.laplacian.stats.cache_path)
"""


@pytest.fixture
def installed(tmp_path):
    """A copy of the package, without compiled kernels, and how to run a word of Python on it."""
    site = tmp_path / "site"
    shutil.copytree(
        Path(sciml.__file__).parent, site / "sciml", ignore=shutil.ignore_patterns("__pycache__")
    )
    (site / "sciml/parallel/kernels/laplacian.py").write_text(KERNEL)
    # Numba may itself have come by PYTHONPATH.
    paths = [str(site), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    env |= {"PYTHONPATH": os.pathsep.join(paths), "HOME": str(tmp_path / "home")}
    env.pop("XDG_CACHE_HOME", None)
    (tmp_path / "home").mkdir()

    def start(**options):
        return subprocess.Popen(
            [sys.executable, "-B", "-c", USE], env=env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd="/", **options,
        )  # fmt: skip

    return site, start


def said(process):
    out, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return out.split()


def test_ranks_that_start_together_compile_once(installed):
    site, start = installed
    lines = [said(process) for process in [start() for _ in range(2)]]
    assert all(line[0].startswith(str(site)) for line in lines)
    # A hit of the cache is counted by who loaded it: all but the first.
    assert sorted(len(line) for line in lines) == [2, 3], lines


def forgo_override():
    """Root writes anywhere, unless it gives up CAP_DAC_OVERRIDE before it starts the program."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_a_read_only_install_works(installed, home, tmp_path):
    site, start = installed
    for folder, _, _ in os.walk(site):
        os.chmod(folder, 0o555)
    if home == "read-only":
        os.chmod(tmp_path / "home", 0o555)
    line = said(start(preexec_fn=forgo_override))
    for folder, _, _ in os.walk(site):
        os.chmod(folder, 0o755)
    assert line[-1].startswith(str(tmp_path / "home")) if home == "writable" else line[-1] == "None"
