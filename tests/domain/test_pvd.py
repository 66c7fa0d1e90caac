"""Collections of ParaView: a simulation of VTU files by their times."""

import numpy as np
import pytest

import sciml
from sciml.domain.files import files_of
from sciml.domain.inference import domain_of
from sciml.domain.vtk import write_vtk
from sciml.errors import InputError

meshio = pytest.importorskip("meshio")

POINTS = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
CELLS = [("triangle", np.array([[0, 1, 2], [0, 2, 3]]))]


def collection(folder, states):
    entries = "".join(
        f'<DataSet timestep="{time}" group="" part="{part}" file="{file}"/>'
        for time, part, file in states
    )
    path = folder / "flow.pvd"
    path.write_text(
        '<?xml version="1.0"?><VTKFile type="Collection" version="0.1"><Collection>'
        f"{entries}</Collection></VTKFile>"
    )
    return path


@pytest.fixture
def states(tmp_path):
    for n in range(3):
        mesh = meshio.Mesh(POINTS, CELLS, {"u": POINTS[:, 0] + n}, {"k": [np.array([n, 2.0])]})
        mesh.write(tmp_path / f"s_{n}.vtu")
    return tmp_path


def test_a_collection_is_a_simulation_over_time(states):
    path = collection(states, [(1.0, 0, "s_2.vtu"), (0.5, 0, "s_1.vtu"), (0, 0, "s_0.vtu")])
    assert files_of(states) == [path]  # its states are no simulations of their own
    ds = sciml.open_dataset(path)
    assert domain_of(ds).points.tolist() == POINTS[:, :2].tolist()
    assert ds.time.values.tolist() == [0, 0.5, 1] and ds.u.dims == ("time", "node")
    np.testing.assert_array_equal(ds.u, POINTS[:, 0] + np.arange(3)[:, None])
    assert ds.k.values[:, 0].tolist() == [0, 1, 2]
    task = {"inputs": ["u"], "targets": ["u"]}
    options = {"hidden": 4, "layers": 1, "epochs": 1, "validation": 0}
    sciml.fit("meshgraphnet", states, task, **options)


def test_one_piece_of_a_parallel_file_is_the_state(states):
    """As DOLFINx writes it from one rank."""
    for n in range(3):
        (states / f"s_{n}.pvtu").write_text(
            '<VTKFile type="PUnstructuredGrid"><PUnstructuredGrid GhostLevel="0">'
            f'<Piece Source="s_{n}.vtu"/></PUnstructuredGrid></VTKFile>'
        )
    path = collection(states, [(0.1 * n, 0, f"s_{n}.pvtu") for n in range(3)])
    assert files_of(states) == [path] and sciml.open_dataset(path).sizes["time"] == 3
    text = (states / "s_1.pvtu").read_text()
    piece = '<Piece Source="s_1.vtu"/>'
    (states / "s_1.pvtu").write_text(text.replace(piece, 2 * piece))
    with pytest.raises(
        InputError, match=r"flow\.pvd: 2 pieces in s_1\.pvtu; expected one file a s"
    ):
        sciml.open_dataset(path)


def test_a_collection_that_cannot_be_is_one_line(states):
    for entries, line in (
        ([], "names no files"),
        ([(0, 0, "s_0.vtu"), (1, 0, "gone.vtu")], "gone.vtu, which is not there"),
        (
            [(0, 0, "s_0.vtu"), (0, 1, "s_1.vtu")],
            "several files at time 0; expected one file a state",
        ),
        ([("soon", 0, "s_0.vtu")], "expected a number as timestep"),
    ):
        with pytest.raises(InputError, match=line) as caught:
            sciml.open_dataset(collection(states, entries))
        assert "\n" not in str(caught.value)
    meshio.Mesh(POINTS + 0.1, CELLS, {"u": POINTS[:, 0]}).write(states / "s_1.vtu")
    path = collection(states, [(n, 0, f"s_{n}.vtu") for n in range(3)])
    with pytest.raises(InputError, match=r"s_1.vtu has another mesh than s_0.vtu; expected one"):
        sciml.open_dataset(path)
    path.write_text("nothing")
    with pytest.raises(InputError, match=r"flow.pvd is no XML: .* expected a collection"):
        sciml.open_dataset(path)


def test_a_file_for_paraview_makes_its_folder(states):
    ds = sciml.open_dataset(states / "s_0.vtu")
    for name in ("new/folder/s.vtu", "other/s.xdmf"):
        write_vtk(states / name, ds)
        assert sciml.open_dataset(states / name).sizes["node"] == 4
