"""Somebody's own time series on meshes, made by meshio, from the command line."""

import numpy as np
import pytest
from typer.testing import CliRunner

import sciml
from sciml.cli import app
from sciml.errors import InputError

meshio = pytest.importorskip("meshio")
HEAT, FLOW = "Temperature (K)", "flow speed"


def series(path, columns, center):
    """Quadrilaterals beside triangles, no groups, a field that never changes, names with blanks."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, 5)))
    corners = [
        [a, a + 1, a + columns + 1, a + columns] for a in range(4 * columns) if (a + 1) % columns
    ]
    quads = [c for c in corners if c[0] % columns < 2]
    halves = [c for c in corners if c[0] % columns >= 2]
    triangles = [c[:3] for c in halves] + [[c[0], *c[2:]] for c in halves]
    with meshio.xdmf.TimeSeriesWriter(path) as writer:
        writer.write_points_cells(
            np.stack([x, y, 0 * x], axis=1),
            [("triangle", np.array(triangles)), ("quad", np.array(quads))],
        )
        for time in np.arange(5) / 4:
            heat = 300 + 50 * np.exp(-((x - center) ** 2) - y**2) / (1 + time)
            flow = np.stack([np.sin(x + time), np.cos(y), 0 * x], axis=1)
            writer.write_data(time, {HEAT: heat, FLOW: flow, "rho": np.full(len(x), 1.2)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, columns in enumerate((5, 6, 7)):
            series(f"heat{number}.xdmf", columns, 0.3 * number)
        (folder / "study.yaml").write_text(
            f"task: {{inputs: [{HEAT!r}, {FLOW}, rho]}}\n"
            "model: {name: meshgraphnet, hidden: 4, layers: 1}\n"
            "training: {batch_size: 4, phases: [{steps: 2}]}\n"
            "validation: {simulations: 1}\n"
        )
        done = called("train", "study.yaml", "--from", "heat*.xdmf", "--out", "run", "--plain")
        assert done.exit_code == 0, done.output
        assert "nothing of it was learned: drop it from the targets" in done.output
    return folder


def called(*words):
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_predictions_are_files_of_the_same_kind(folder):
    done = called("predict", "run", "--data", "heat0.xdmf", "--out", "new/folder/p.xdmf")
    assert done.exit_code == 0, done.output
    predicted, given = (sciml.open_dataset(p) for p in ("new/folder/p.xdmf", "heat0.xdmf"))
    assert {HEAT, FLOW, "rho"} <= {*predicted.data_vars}
    np.testing.assert_array_equal(predicted.mesh_face_nodes, given.mesh_face_nodes)
    assert called("evaluate", "run").exit_code == 0
    assert called("plot", "run", "--figure", "median").exit_code == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("predict run --data heat*.xdmf --out p.xdmf", "predictions of 3 simulations, which make"),
        ("predict run --data heat0.xdmf --out p.png", "ends in .nc; .* of meshes in .vtu or .xdmf"),
        ("check heat0.xdmf", "is no program; .* of data, sciml.open_dataset"),
        ("describe heat0.xdmf", "is no program; .* of data, sciml.open_dataset"),
        ("describe data/heat_online", "is no program; .* of a dataset, heat_online/README.md says"),
        ("check study.yaml", "is no program; .* sciml run study.yaml --dry-run says"),
        (
            "train study.yaml --from heat*.xdmf --out no --set task.prescribed.rho=[wall]",
            "group 'wall': simulation 0 has no points of that name; its mesh has no groups: they are",
        ),
    ],
)
def test_what_cannot_be_is_one_line(words, line):
    done = called(*words.split())
    assert isinstance(done.exception, InputError) and "\n" not in str(done.exception)
    with pytest.raises(InputError, match=line):
        raise done.exception


def test_states_in_a_file_each_are_no_series_and_a_line_says_what_makes_one():
    triangle = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    for number in range(3):
        data = {HEAT: number + triangle[:, 0]}
        meshio.Mesh(triangle, [("triangle", [[0, 1, 2]])], data).write(f"state{number}.vtu")
    words = ("--set", "task={inputs: ['Temperature (K)']}", "--out", "no")
    done = called("train", "study.yaml", "--from", "state*.vtu", *words)
    with pytest.raises(InputError, match=r"at most 1 frames; .* lead=0 .* \(.pvd\): give that$"):
        raise done.exception
    with pytest.raises(InputError, match=r"1 frames; .* by a collection of ParaView"):
        sciml.fit("meshgraphnet", "state*.vtu", {"inputs": [HEAT]}, epochs=1)
    for named in ({}, {"targets": [HEAT]}, {"inputs": [HEAT], "targets": [HEAT]}):
        # Not each state from itself, without a word.
        with pytest.raises(InputError, match=r"no time to advance in; .* collection of ParaView"):
            sciml.fit("meshgraphnet", "state*.vtu", epochs=1, **named)
