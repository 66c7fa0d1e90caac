"""What every spectral program says about steps that are too long, and states that blow up."""

import subprocess

import pytest
from patience import PATIENCE

from sciml.errors import InputError, ScimlError
from sciml.share import find
from sciml.solver.mpirun import command, environment
from sciml.solver.simulate import simulate


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("burgers", {"shape": (256,), "nu": 1e-3, "initial": "sine", "dt": 0.02}),
        ("korteweg_de_vries", {"shape": (256,), "speed": 16.0, "dt": 0.02}),
        ("navier_stokes", {"initial": "vortices", "forcing": "none", "nu": 1e-5, "dt": 0.1}),
    ],
)
def test_a_step_that_is_too_long_is_refused_with_the_limit(simulated, program, flags):
    with pytest.raises(InputError, match=r"lower --dt to \S+ or less") as caught:
        simulated(program, **flags, steps=0)
    limit = float(str(caught.value).split("lower --dt to ")[1].split()[0])
    # The limit named is one that is taken, and a run with it stays finite.
    simulated(program, **{**flags, "dt": 0.95 * limit}, steps=20)


@pytest.mark.parametrize(
    ("program", "flags", "name", "most"),
    [
        ("kuramoto_sivashinsky", {"shape": (64,), "initial": "wave"}, "mode", 21),
        ("korteweg_de_vries_burgers", {"shape": (20,)}, "waves", 6),
        ("navier_stokes", {"shape": (30, 12), "initial": "vortices", "dt": 1e-3}, "waves", 3),
        ("navier_stokes", {"shape": (30, 12), "forcing": "kolmogorov"}, "waves", 9),
    ],
)
def test_waves_that_the_grid_does_not_carry_are_refused(simulated, program, flags, name, most):
    """Truncated, they would leave a field of rounding errors, or no force."""
    with pytest.raises(InputError, match=rf"{name}={most + 1}: .* carry {most} waves"):
        simulated(program, **flags, **{name: most + 1}, steps=0)
    _, _, run = simulated(program, **flags, **{name: most}, steps=0)
    assert abs(run.u).max() > 1e-3


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("burgers", {"shape": (32,), "mean": "zero", "modes": 256}),
        ("navier_stokes", {"shape": (18, 30), "modes": 64, "dt": 1e-3, "forcing": "none"}),
    ],
)
def test_coarse_grids_see_no_mean_where_there_is_none(simulated, program, flags):
    """Waves of n along n points look like a constant."""
    states, _, _ = simulated(program, **flags, steps=3)
    for state in states:
        [field] = state.values()
        assert abs(field.mean()) < 1e-14 * abs(field).max()


def test_the_limit_is_the_same_on_any_number_of_ranks():
    """Also where the rank that has the shortest waves does not have the fastest flow."""
    flags = {"shape": (24, 24), "nu": 1e-6, "amplitude": 30.0, "seed": 4, "dt": 1.0, "steps": 0}
    said = []
    for ranks in (1, 3):
        with pytest.raises(ScimlError, match="lower --dt") as caught:
            simulate("solvers/navier_stokes.py", ranks, **flags)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_damping_allows_longer_steps(simulated):
    flags = {"shape": (256,), "initial": "sine", "dt": 0.01, "steps": 20}
    simulated("burgers", nu=0.2, **flags)
    with pytest.raises(InputError, match="lower --dt"):
        simulated("burgers", nu=1e-3, **flags)


@pytest.mark.parametrize("ranks", [1, 2])
def test_blow_up_names_rank_field_index_and_step(tmp_path, ranks):
    """A fluid at rest is pushed ever faster: no step is too long at the start."""
    program, out = find("solvers/navier_stokes.py"), tmp_path / "out.nc"
    flags = f"--shape 16 16 --amplitude 0 --force 1000 --nu 1e-6 --dt 0.5 --steps 400 --out {out}"
    done = subprocess.run(
        command(program, ranks, flags.split()),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    assert f"of {ranks}: " in lines[0] and "after step" in lines[0] and "--dt (now 0.5)" in lines[0]
    assert not out.exists() and not list(tmp_path.iterdir())


ALONE = """
import runpy
import numpy as np

names = runpy.run_path({path!r})

class Alone(names["NavierStokes"]):
    def nonlinear(self, t, u, out):
        super().nonlinear(t, u, out)
        if self.fourier.block.offset[0] and t > {last} * self.dt - 1e-9:
            out[0, 0, 0] = np.inf

names["main"](Alone)
"""


@pytest.mark.parametrize("last", [pytest.param(20, marks=pytest.mark.slow), 40])
def test_a_rank_that_blows_up_alone_ends_all(tmp_path, last):
    """In the last stage of a step that is not written: the others go on, or are done already."""
    (tmp_path / "alone.py").write_text(
        ALONE.format(path=str(find("solvers/navier_stokes.py")), last=last)
    )
    flags = f"--shape 16 16 --steps 40 --every 50 --out {tmp_path / 'out.nc'}"
    done = subprocess.run(
        command(tmp_path / "alone.py", 2, flags.split()),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2, done.stderr
    assert f"rank 1 of 2: w is nan at index (8, 0) after step {last}" in done.stderr
