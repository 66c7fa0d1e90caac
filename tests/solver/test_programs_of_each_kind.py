"""Programs on meshes, particles and graphs: what they say, write, stream; on one rank and on two."""

import json
import subprocess
import sys

import numpy as np
import pytest
from patience import PATIENCE
from programs import copies, started

from sciml.domain import Field, Particles
from sciml.domain.dataset import domain_of, fields_of, to_dataset
from sciml.ensemble.rehearsal import disagreements, rehearse
from sciml.errors import InputError
from sciml.run.picture import draw
from sciml.run.program_check import check_program
from sciml.samples import Simulation
from sciml.share import find
from sciml.solver.mpirun import environment
from sciml.solver.program_description import describe
from sciml.solver.simulate import simulate

#: A program a kind, its flags, dimensions of its fields and static fields.
KINDS = {
    "particles": (
        "n_body",
        {"seed": 3, "steps": 6},
        {
            "positions": ("time", "particle", "space"),
            "velocities": ("time", "particle", "space"),
            "forces": ("time", "particle", "space"),
            "energy": ("time",),
            "charge": ("particle",),
            "mass": ("particle",),
        },
    ),
    "mesh": (
        "heat_mesh",
        {"seed": 3, "spacing": 0.1, "steps": 5, "contrast": 1.0},
        {
            "u": ("time", "node"),
            "conductivity": ("face",),
            "anisotropy": ("face", "space"),
        },
    ),
    "graph": (
        "network_diffusion",
        {"seed": 3, "nodes": 30, "radius": 0.4, "steps": 5},
        {
            "u": ("time", "node"),
            "conductance": ("edge",),
            "position": ("node", "position_component"),
        },
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def one(request):
    """Kind, program, flags, dimensions, and what the program writes on one rank."""
    name, flags, dims = KINDS[request.param]
    return request.param, name, flags, dims, simulate(f"solvers/{name}.py", **flags)


def test_the_file_is_an_ordinary_one(one):
    kind, name, flags, dims, ds = one
    run = started(name, **flags)
    assert {field: ds[field].dims for field in dims} == dims
    assert domain_of(ds) == run.domain() and run.domain().kind == kind
    on = {f.name: (f.on, f.components, f.units) for f in (*run.fields, *run.static)}
    assert {f.name: (f.on, f.components, f.units) for f in fields_of(ds, list(dims))} == on
    for n in range(1 + flags["steps"]):
        time = run.step(n - 1) if n else 0.0
        assert ds.time.values[n] == time
        for field, values in copies(run).items():
            np.testing.assert_array_equal(
                ds[field].values[n] if field in fields(run) else ds[field], values
            )
    assert ds.attrs["program"] == run.name and ds.attrs["seed"] == flags.get("seed", 0)
    for parameter in run.parameters:
        assert ds[parameter.name].attrs["units"] == parameter.units


def fields(run):
    return [field.name for field in run.fields]


def test_two_ranks_stream_what_one_writes(one):
    kind, name, flags, _, ds = one
    program = describe(f"solvers/{name}.py")
    assert program.domain == kind
    frames = []
    came = rehearse(program, flags, ranks=2, look=frames.append)
    came.require()
    assert came.whole and came.simulation.domain == domain_of(ds)
    assert came.simulation.static_fields == program.static
    for static in program.static:
        np.testing.assert_array_equal(came.simulation.static[static.name], ds[static.name])
    assert len(frames) == flags["steps"] + 1
    for n, frame in enumerate(sorted(frames, key=lambda frame: frame.step)):
        for field in program.fields:
            np.testing.assert_array_equal(frame.fields[field.name], ds[field.name][n])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_from_its_own_state(kind, tmp_path):
    name, flags, _ = KINDS[kind]
    run = started(name, **flags)
    for n in range(3):
        run.step(n)
    state = copies(run)
    fields, static = ({f.name: state[f.name] for f in some} for some in (run.fields, run.static))
    ds = to_dataset(run.domain(), run.fields, fields, None, static=static, static_fields=run.static)
    ds.to_netcdf(tmp_path / "state.nc", engine="h5netcdf")
    again = started(name, **flags, initial=tmp_path / "state.nc")
    for n in range(3, 6):
        run.step(n)
        again.step(n - 3)
    for field, values in copies(run).items():
        np.testing.assert_array_equal(copies(again)[field], values)
    drop = run.fields[0].name
    ds.drop_vars(drop).to_netcdf(tmp_path / "less.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=f"less.nc has no variable '{drop}'"):
        started(name, **flags, initial=tmp_path / "less.nc")
    other = {"mesh": {"radius": 0.1}, "particles": {"bodies": 6}, "graph": {"seed": 9}}[kind]
    with pytest.raises(InputError, match=r"of another domain|those of the program") as caught:
        started(name, **{**flags, **other}, initial=tmp_path / "state.nc")
    assert "\n" not in str(caught.value)


def test_bodies_go_on_from_a_dataset():
    _, flags, _ = KINDS["particles"]
    whole = simulate("solvers/n_body.py", **flags)
    more = simulate("solvers/n_body.py", ranks=2, **flags, initial=whole.isel(time=-1))
    np.testing.assert_array_equal(more.positions[0], whole.positions[-1])
    np.testing.assert_array_equal(more.charge, whole.charge)
    assert np.abs(more.positions[-1] - whole.positions[-1]).max() > 1e-4
    with pytest.raises(InputError, match="an array has no names; expected a netCDF file with"):
        simulate("solvers/n_body.py", initial=np.zeros((5, 3)))


@pytest.mark.parametrize(
    "kind", ["mesh", *(pytest.param(k, marks=pytest.mark.slow) for k in ("particles", "graph"))]
)
def test_the_check_finds_nothing_wrong(kind, tmp_path):
    name, flags, _ = KINDS[kind]
    report = check_program(f"solvers/{name}.py", flags)
    assert report.wrong == []
    rows = dict(report.rows)
    assert rows["domain"].startswith(f"{kind}: ") and rows["same again"] == "yes, bit for bit"
    assert {f"static {f.name}" for f in report.description.static} <= {*rows}
    why = draw(report.frames, report.domain, name, tmp_path / "picture.png")
    assert (why is None) == (tmp_path / "picture.png").exists() == (kind == "mesh")


def test_what_the_check_says_of_kinds_and_places():
    """A program that says one thing and sends another."""
    said = describe("solvers/network_diffusion.py")
    domain, fields = Particles([0, 0]), (Field("u"),)
    still = {"conductance": np.ones(2), "position": np.ones((2, 2))}
    given = {p.name: p.default for p in said.parameters}
    graver, lesser = disagreements(said, Simulation(0, domain, fields, given, still), {})
    assert graver == ["domain: --describe says graph, connect() gives particles"]
    assert any("static field 'conductance': on edge, 0 components" in line for line in lesser)
    assert any("static field 'position': on point, 2 components" in line for line in lesser)


WRONG = """
import numpy as np
from sciml.domain import Block, Field, Particles
from sciml.solver import Program, main

class Wrong(Program):
    name, equation = "wrong", "du/dt = 0"
    kind = "particles"
    fields = (Field("u"), Field("e", on="global"))
    order_space, order_time = None, {}

    def __init__(self, given):
        self.particles = Particles([0, 0, 0])

    def domain(self):
        return self.particles

    def start(self, comm):
        return Block((0,), (3,))

    def state(self):
        return {"u": np.zeros(3), "e": np.zeros(())}

    def step(self, n):
        return n + 1.0

if __name__ == "__main__":
    main(Wrong)
"""


#: What is changed in it, and the line that comes of it.
CHANGES = [
    ('kind = "particles"', "", 'is of kind "particles", and the class states kind = "grid"'),
    ('kind = "particles"', 'kind = "tree"', "kind = 'tree'; expected one of grid, mesh"),
    ('on="global"', 'on="cell"', "is on 'cell', where a domain of kind 'particles' has no values"),
    ("np.zeros(())", "np.zeros(3)", "'e' has shape (3,); expected (), whole: it is on 'global'"),
    ('"u": np.zeros(3)', '"u": np.zeros(2)', "expected (3,), that of the block that start() gave"),
    ('Field("u")', 'Field("species")', "'species': that is the name of part of a particles"),
]
# All in one process: to start one takes longer than all of them.
ALL = """
import sys
for path in sys.argv[1:]:
    sys.argv[1:] = ["--out", path + ".nc"]
    try:
        exec(compile(open(path).read(), path, "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        print(end.code, flush=True)
"""


def test_what_does_not_fit_its_kind_is_one_line(tmp_path):
    paths = [tmp_path / f"wrong{n}.py" for n in range(len(CHANGES))]
    for path, (old, new, _) in zip(paths, CHANGES, strict=True):
        assert WRONG.count(old) == 1
        path.write_text(WRONG.replace(old, new))
    done = subprocess.run(
        [sys.executable, "-c", ALL, *map(str, paths)],
        capture_output=True, text=True, env=environment(), timeout=PATIENCE,
    )  # fmt: skip
    said = done.stderr.splitlines()
    assert done.stdout.split() == ["2"] * len(CHANGES) and len(said) == len(CHANGES), done.stderr
    for line, (_, _, expected) in zip(said, CHANGES, strict=True):
        assert line.startswith("wrong: error: ") and expected in line
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".py"]


def test_a_kind_that_is_none_is_refused_where_it_is_described(tmp_path):
    text = find("solvers/n_body.py").read_text().replace('kind = "particles"', 'kind = "swarm"')
    (tmp_path / "swarm.py").write_text(text)
    with pytest.raises(InputError, match="kind = 'swarm'; expected one of grid, mesh, particles"):
        describe(tmp_path / "swarm.py")
    said = {"schema_version": 1, "name": "a", "fields": [{"name": "u"}], "domain": "swarm"}
    text = json.dumps({**said, "parameters": [], "options": []})
    (tmp_path / "said.py").write_text(f"print({text!r})")
    with pytest.raises(InputError, match="domain: 'swarm'; expected one of grid, mesh"):
        describe(tmp_path / "said.py")
