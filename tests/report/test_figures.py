"""Figures of a run's folder: of any dimension, any names, and never a reason to fail."""

import builtins
import itertools
import logging
import sys

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import TriMesh
from PIL import Image, ImageSequence
from pretended import NAMES, curve, predictions

from sciml.domain import Field, Mesh
from sciml.domain.dataset import to_dataset
from sciml.errors import InputError
from sciml.report.figures import figures, leave, write
from sciml.report.predictions import Predictions

ALL = ["learning", "errors", "median", "worst"]
CASES = {
    "lines": {"shape": (24,), "times": 4},
    "films": {"shape": (24,), "times": 12, "names": ("u", "v")},
    "maps": {"shape": (12, 10), "names": NAMES},
    "slices": {"shape": (4, 6, 8)},
    "series": {"shape": ()},
    "dates": {"shape": (6, 8), "dates": True},
    "steady": {"shape": (12, 10), "kind": "map", "given": ("a",)},
    "steady lines": {"shape": (24,), "kind": "map", "given": ("a",), "names": ("s",)},
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_field(case, tmp_path):
    ds = predictions(tmp_path, **CASES[case])
    found = figures(tmp_path, "worst")["worst"]
    assert f"Simulation {ds.sample.values[-1]}" in found._suptitle.get_text()
    assert "kappa = 0.2 m2 s-1" in found._suptitle.get_text()
    assert found._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("case", ["maps", "slices", "dates"])
def test_a_rollout_is_an_animation(case, tmp_path):
    ds = predictions(tmp_path, **CASES[case])
    [path] = write(tmp_path, name="worst", ending="gif")
    assert path.name == "worst.gif"
    with Image.open(path) as film:
        assert film.n_frames == ds.sizes["time"] and film.info["loop"] == 0
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    assert all(np.abs(a.astype(int) - b).max() > 100 for a, b in itertools.pairwise(frames))


def test_what_is_no_march_in_two_dimensions_is_no_animation(tmp_path):
    predictions(tmp_path, **CASES["lines"])
    with pytest.raises(InputError, match="no rollout in two dimensions"):
        write(tmp_path, ending="gif")
    with pytest.raises(InputError, match="animation of 'errors'; expected median or worst"):
        write(tmp_path, name="errors", ending="gif")
    with pytest.raises(InputError, match="expected one of png, pdf, svg, gif"):
        write(tmp_path, ending="mp4")
    assert not [*(tmp_path / "figures").glob("*")]


def test_files_of_a_run_that_learned_fields_of_any_names(tmp_path):
    predictions(tmp_path, shape=(8,), names=NAMES)
    curve(tmp_path, NAMES)
    before, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    paths = write(tmp_path)
    assert [path.name for path in paths] == [f"{name}.png" for name in ALL]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {p.name for p in paths}
    assert all(path.stat().st_size > 5000 for path in paths)
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


def test_truth_and_prediction_share_their_colours(tmp_path):
    predictions(tmp_path, shape=(6, 8))
    sheet = figures(tmp_path, "worst")["worst"]
    images = [axes.images[0] for axes in sheet.axes if axes.images]
    clims = np.array([image.get_clim() for image in images]).reshape(3, -1, 2)
    np.testing.assert_array_equal(clims[0], clims[1])
    assert (np.abs(clims[2]) < 0.1 * np.abs(clims[0]).max(axis=1, keepdims=True)).all()
    titles = [axes.get_title() for axes in sheet.axes if axes.get_title()]
    assert titles == ["t = 0.5 s", "t = 1.5 s", "t = 3 s", "t = 4 s"]


def test_errors_are_those_of_the_validation(tmp_path):
    """VRMSE of a field that is 2 % too large: 0.02 √(⟨u²⟩ / ⟨(u − ū)²⟩)."""
    ds = predictions(tmp_path, samples=3)
    [_, _, last] = Predictions(tmp_path).errors()
    u = ds.u_true.isel(sample=2).values.astype(float)
    expected = 0.02 * np.sqrt((u**2).mean((1, 2)) / u.var((1, 2)))
    np.testing.assert_allclose(last.vrmse["u"][1:], expected[1:], rtol=1e-4)
    assert last.vrmse["u"][0] == 0 and last.still["u"][0] == 0 and last.still["u"][-1] > 0.1


def test_land_stays_out_and_latitudes_weigh(tmp_path):
    ds = predictions(tmp_path, shape=(6, 8), weighting="latitude").load()
    ds = ds.rename(y="lat", x="lon").assign_coords(lat=np.linspace(-75.0, 75.0, 6))
    ds["u"][..., 0, :] += 5.0  # near the pole, where there is little area
    for name in ("u", "u_true"):
        ds[name][..., 3, 2:5] = np.nan
    ds.to_netcdf(tmp_path / "predictions.nc", engine="h5netcdf")
    [first, *_] = Predictions(tmp_path).errors()
    weights = np.cos(np.deg2rad(ds.lat))
    at = {"sample": 0, "time": -1}
    square = ((ds.u - ds.u_true) ** 2).isel(at).weighted(weights).mean(("lat", "lon"))
    true = ds.u_true.isel(at)
    mean = true.weighted(weights).mean(("lat", "lon"))
    variance = ((true - mean) ** 2).weighted(weights).mean(("lat", "lon"))
    assert first.vrmse["u"][-1] == pytest.approx(float(np.sqrt(square / variance)), rel=1e-4)
    assert list(figures(tmp_path, "median")) == ["median"]


def test_of_many_fields_the_worst_are_drawn(tmp_path):
    names = tuple(f"t_{n}" for n in range(12))
    predictions(tmp_path, shape=(8,), times=3, names=names)
    curve(tmp_path, names)
    sheet = figures(tmp_path, "learning")["learning"]
    shown = [line.get_label() for line in sheet.axes[1].lines if line.get_marker() != "None"]
    assert shown == [f"t_{n}" for n in range(11, 3, -1)]
    assert "8 worst of 12" in sheet.axes[1].get_legend().get_title().get_text()
    titles = [axes.get_title() for axes in figures(tmp_path, "median")["median"].axes]
    assert len([title for title in titles if title]) == 3


def test_an_output_that_is_not_finite_is_the_worst(tmp_path):
    ds = predictions(tmp_path).load()
    ds["u"][0, 4:] = np.nan
    ds["u"][1, 4:] = np.inf
    ds.to_netcdf(tmp_path / "predictions.nc", engine="h5netcdf")
    assert [one.score for one in Predictions(tmp_path).errors()][:2] == [np.inf, np.inf]
    assert "not finite" in figures(tmp_path, "worst")["worst"]._suptitle.get_text()


def test_a_field_that_is_constant_or_still(tmp_path):
    ds = predictions(tmp_path, samples=1).load()
    ds["u_true"][:] = 280.0
    ds["u"][:] = 280.0
    ds.to_netcdf(tmp_path / "predictions.nc", engine="h5netcdf")
    assert [path.stem for path in write(tmp_path)] == ["errors", "median"]  # one is drawn once
    assert list(figures(tmp_path, "worst")) == ["worst"]


def test_files_of_simulations_that_differ(tmp_path):
    ds = predictions(tmp_path)
    for place in range(3):
        one = ds.isel(sample=place, time=slice(0, 9 - 2 * place)).drop_vars("sample")
        one.to_netcdf(tmp_path / f"predictions-{place:05d}.nc", engine="h5netcdf")
    (tmp_path / "predictions.nc").unlink()
    assert [number for number, _ in Predictions(tmp_path)] == [0, 1, 2]
    assert list(figures(tmp_path, "errors")) == ["errors"]


def test_nodes_of_a_mesh(tmp_path, monkeypatch):
    monkeypatch.setattr("sciml.report.cases.DOTS", 20)
    places = np.random.default_rng(0).random((2, 30))
    ds = xr.Dataset(
        {
            "mesh": ((), 0, {"cf_role": "mesh_topology", "node_coordinates": "mx my"}),
            "u_true": (("time", "node"), np.outer(np.arange(1.0, 6.0), places[0])),
        },
        {
            "time": ("time", np.arange(5.0), {"axis": "T"}),
            "mx": ("node", places[0], {"units": "m"}),
            "my": ("node", places[1], {"units": "m"}),
        },
    )
    ds["u"] = 1.01 * ds.u_true
    ds.to_netcdf(tmp_path / "predictions.nc", engine="h5netcdf")
    sheet = figures(tmp_path, "median")["median"]
    assert sum(bool(axes.collections) for axes in sheet.axes) >= 12
    dots = [len(c.get_offsets()) for axes in sheet.axes for c in axes.collections]
    assert dots.count(20) >= 12 and max(dots) == 20


@pytest.mark.parametrize(
    ("cells", "count"), [([[0, 1, 2, 3]], 2), ([[0, 1, 2, 3], [1, 4, 2, -1]], 3)]
)
def test_cells_of_a_flat_mesh_are_filled(tmp_path, cells, count):
    """A quadrilateral is drawn as two triangles, also beside triangles."""
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [2.0, 0.5]])
    points = points[: np.max(cells) + 1]
    true = np.outer(np.arange(1.0, 6.0), points.sum(1) + 1.0)
    kind = "polygon" if count == 3 else ""
    ds = to_dataset(
        Mesh(points, np.array(cells), "m", cell_type=kind),
        [Field("u")],
        {"u": 1.01 * true},
        np.arange(5.0),
    )
    ds["u_true"] = ds.u.copy(data=true)
    ds.to_netcdf(tmp_path / "predictions.nc", engine="h5netcdf")
    sheet = figures(tmp_path, "median")["median"]
    meshes = [c for axes in sheet.axes for c in axes.collections if isinstance(c, TriMesh)]
    assert len(meshes) >= 12
    for (
        mesh
    ) in meshes:  # each is cut into four as long as they are few, since colours are mixed in RGB
        drawn = mesh._triangulation
        assert len(drawn.triangles) == count * 4**5 <= 8000
        x, y = drawn.x[drawn.triangles], drawn.y[drawn.triangles]
        (ax, bx), (ay, by) = ((v[:, 1:] - v[:, :1]).T for v in (x, y))
        assert np.sum(0.5 * (ax * by - ay * bx)) == pytest.approx(1.0 if count == 2 else 1.5)
        spans = np.ptp(mesh.get_array()[drawn.triangles], axis=1)
        assert spans.max() < 0.05 * np.ptp(mesh.get_array()) + 1e-12
    assert sheet._repr_png_().startswith(b"\x89PNG")


def test_a_long_channel_is_drawn_in_its_proportions_without_gaps(tmp_path):
    points = np.array([[0.0, 0.0], [2.2, 0.0], [2.2, 0.41], [0.0, 0.41]])
    true = np.outer(np.arange(1.0, 6.0), points.sum(1) + 1.0)
    mesh = Mesh(points, np.array([[0, 1, 2], [0, 2, 3]]), "m")
    ds = to_dataset(mesh, [Field("u")], {"u": 1.01 * true}, np.arange(5.0))
    ds["u_true"] = ds.u.copy(data=true)
    ds.to_netcdf(tmp_path / "predictions.nc", engine="h5netcdf")
    sheet = figures(tmp_path, "median")["median"]
    panels = [axes for axes in sheet.axes if axes.collections and axes.get_aspect() == 1.0]
    assert len(panels) == 12 and panels[-1].get_xlabel() == "x [m]"
    wide, high = sheet.get_size_inches()
    assert high < 0.6 * wide


def test_text_is_text_whatever_the_user_has_set(tmp_path):
    predictions(tmp_path, shape=(8,), times=3, names=NAMES)
    with matplotlib.rc_context({"text.usetex": True, "figure.facecolor": "pink"}):
        assert len(write(tmp_path, tmp_path / "elsewhere", name="median", ending="svg")) == 1
        assert matplotlib.rcParams["text.usetex"]
    assert "100 % é {0}" in (tmp_path / "elsewhere/median.svg").read_text()


@pytest.mark.parametrize("same", [True, False])
def test_a_curve_says_of_which_time_errors_are(tmp_path, same):
    """Before there are predictions, too."""
    curve(tmp_path)
    path = tmp_path / "metrics.jsonl"
    said = f'"same_frame": {str(same).lower()}, "fields"'
    path.write_text(path.read_text().replace('"fields"', said))
    [*_, errors] = figures(tmp_path, "learning")["learning"].axes
    assert errors.get_ylabel() == ("VRMSE" if same else "VRMSE one step ahead")


def test_what_there_is_nothing_of_is_said(tmp_path):
    with pytest.raises(
        InputError, match=r"nothing to draw: no metrics.jsonl and no predictions.nc"
    ):
        figures(tmp_path)
    curve(tmp_path)
    assert list(figures(tmp_path)) == ["learning"]
    with pytest.raises(InputError, match=r"nothing to draw: no predictions.nc"):
        figures(tmp_path, "worst")
    with pytest.raises(InputError, match="did you mean 'worst'"):
        figures(tmp_path, "wurst")
    with pytest.raises(InputError, match="expected one of png, pdf, svg"):
        write(tmp_path, ending="jpg")
    (tmp_path / "predictions.nc").write_bytes(b"none")
    with pytest.raises(InputError, match=r"predictions\.nc: "):
        figures(tmp_path)


def test_no_run_fails_for_its_figures(tmp_path, monkeypatch, caplog):
    curve(tmp_path)
    assert leave(tmp_path, logging.getLogger("run")) == []  # the tests' switch
    monkeypatch.delenv("SCIML_FIGURES")
    (tmp_path / "figures").write_text("in the way")
    assert leave(tmp_path, logging.getLogger("run")) == []
    assert "figures were not drawn: InputError" in caplog.text
    monkeypatch.setattr("sciml.report.figures.find_spec", lambda name: None)
    assert leave(tmp_path, logging.getLogger("run")) == []
    with pytest.raises(InputError, match=r"pip install 'sciml-surrogates\[plot\]'"):
        figures(tmp_path)


def test_a_notebook_shows_them(tmp_path):
    curve(tmp_path)
    found = figures(tmp_path)
    assert found["learning"]._repr_png_().startswith(b"\x89PNG")
    assert found._repr_html_().count("<img") == len(found) == 1


def test_matplotlib_is_not_imported_before_it_is_needed(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        assert not name.startswith("matplotlib"), name
        return real(name, *args, **kwargs)

    for name in [n for n in sys.modules if n.startswith("sciml.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    __import__("sciml.report.figures")
