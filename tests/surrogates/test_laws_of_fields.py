"""Symmetries take the laws of fields from the fields; a name in doubt is refused, not guessed."""

import logging

import numpy as np
import pytest
import xarray as xr
from torch import nn

import sciml
from sciml.domain import Field, Grid
from sciml.domain.inference import fields_of
from sciml.domain.levels import apart
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Surrogate
from sciml.surrogates.symmetry.symmetries import Symmetries

GRID = Grid((6, 6), ((0.0, 1.0),) * 2, ("periodic",) * 2)


def law(*fields, ndim=2, symmetries="square", **given):
    found = Symmetries(symmetries, **given).told(fields, ndim)
    return found.vectors, found.pseudoscalars, found.scalars


def test_fields_say_what_they_are():
    h, u, v = Field("h"), Field("a", parity="x"), Field("b", parity="y")
    w = Field("rot", parity="pseudoscalar")
    assert law(h, u, v, w) == (({"x": "a", "y": "b"},), ("rot",), ("h",))
    # Two vectors are told apart by their names; a component across the plane is a scalar.
    more = [Field("c", parity="x", vector="B"), Field("d", parity="y", vector="B")]
    vectors = ({"x": "a", "y": "b"}, {"x": "c", "y": "d"})
    assert law(u, v, *more, Field("up", parity="z")) == (vectors, (), ("up",))
    assert law(u, ndim=1, symmetries="flips") == (({"x": "a"},), (), ())


def test_given_laws_win_over_names_and_meet_statements():
    u, v = Field("u", "m s-1"), Field("v", "m s-1")
    assert law(u, v) == (({"x": "u", "y": "v"},), (), ())
    assert law(u, v, scalars=["u", "v"]) == ((), (), ("u", "v"))
    stated = Field("w", parity="pseudoscalar")
    assert law(stated, pseudoscalars=["w"]) == law(stated)
    with pytest.raises(InputError, match="'w' is given as a scalar, yet the data state a pseudosc"):
        law(stated, scalars=["w"])
    with pytest.raises(InputError, match="given as a component along x, yet the data state a comp"):
        law(Field("q", parity="y"), vectors=[{"x": "q"}], symmetries="flips")
    # On a line the law of a pseudoscalar is that of a component.
    law(Field("u", parity="x"), ndim=1, symmetries="flips", pseudoscalars=["u"])


def test_translations_ask_for_nothing():
    assert law(Field("u"), Field("v"), symmetries="translations") == ((), (), ())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([Field("u"), Field("v")], r"'u' and 'v' may be.*vectors: \[\{x: ..., y: ...\}\].*scalars"),
        ([Field("w")], r"'w' may be a pseudoscalar.*scalars: \[w\]"),
        ([Field("a", parity="x"), Field("b", parity="x")], "'a' and 'b' are both the component"),
        ([Field("S_xx"), Field("S_xy")], "component of a tensor"),
    ],
)
def test_what_nobody_says_is_refused(fields, said):
    with pytest.raises(InputError, match=said):
        law(*fields)


def test_a_lone_u_is_warned_of_and_a_guess_is_logged(caplog):
    with caplog.at_level(logging.INFO, "sciml.symmetries"):
        law(Field("u"), ndim=1, symmetries="flips")
        law(Field("vx"), Field("vy"))
    levels = [(r.levelname, r.getMessage()[:60]) for r in caplog.records]
    assert levels[0] == (
        "WARNING",
        "symmetries: 'u' may be a velocity, and is taken for a scalar"[:60],
    )
    assert [level for level, _ in levels[1:]] == ["INFO", "INFO"]


def test_an_averaged_surrogate_knows_and_keeps_the_laws(tmp_path):
    task = Task(("w", "h"), ("w", "h"))
    fields = (Field("w", parity="pseudoscalar"), Field("h"))
    own = Surrogate.build({"name": "cnn", "width": 4, "blocks": 1}, task, GRID, fields=fields)
    mean = own.symmetrized("square")
    assert mean.symmetrization.symmetries.pseudoscalars == ("w",)
    mean.save(tmp_path)
    assert Surrogate.load(tmp_path).symmetrization == mean.symmetrization


def flow(**attrs):
    """Random w and h; ``attrs`` of w."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 3, 4, 6, 6)).astype(np.float32)
    axis = {"boundary": "periodic"}
    coords = {n: (n, np.arange(6) / 6, axis) for n in ("y", "x")}
    dims = ("sample", "time", "y", "x")
    return xr.Dataset({"w": (dims, values[0], attrs), "h": (dims, values[1])}, coords)


def test_fit_augments_by_what_the_data_state():
    """The losses under the same draws tell the laws apart; standard names choose the right one."""
    options = {"epochs": 6, "validation": 0, "seed": 3}
    model = {"name": "cnn", "width": 4, "blocks": 1}

    def losses(ds, augment):
        return [s.loss for s in sciml.fit(model, ds, augment=augment, **options).history.steps]

    with pytest.raises(InputError, match="'w' may be a pseudoscalar"):
        losses(flow(), "square")
    right = losses(flow(), {"symmetries": "square", "pseudoscalars": ["w"]})
    assert losses(flow(standard_name="ocean_relative_vorticity"), "square") == right
    assert losses(flow(parity="pseudoscalar"), "square") == right
    assert losses(flow(), {"symmetries": "square", "scalars": ["w"]}) != right


def test_a_static_vector_is_known_by_its_attributes():
    ds = flow(parity="pseudoscalar").rename(h="q")
    plane = np.random.default_rng(1).standard_normal((6, 6)).astype(np.float32)
    for name, axis in (("a", "eastward"), ("b", "northward")):
        ds[name] = (("y", "x"), plane, {"standard_name": f"{axis}_wind"})
    task = Task(("w",), ("w",), static=("a", "b"))
    model = {"name": "cnn", "width": 4, "blocks": 1, "symmetrize": "square"}
    surrogate = sciml.fit(model, ds, task, epochs=1, validation=0)
    assert surrogate.symmetrization.symmetries.vectors == ({"x": "a", "y": "b"},)


def test_a_module_of_ones_own_without_names_is_asked():
    with pytest.raises(InputError, match="'u' and 'v' may be"):
        Surrogate(nn.Identity(), Task(("u", "v"), ("u", "v")), domain=GRID, symmetrize="flips")


def test_winds_at_each_level_are_vectors_of_their_own():
    levels = xr.Dataset(
        {n: (("time", "level", "lat", "lon"), np.zeros((3, 2, 4, 6))) for n in ("u", "v", "t")},
        {"time": np.arange(3.0), "level": [850.0, 500.0], "lat": np.arange(4.0)},
    )
    levels.u.attrs["standard_name"], levels.v.attrs["standard_name"] = (
        "eastward_wind",
        "northward_wind",
    )
    ds, meant = apart(levels, ["u", "v", "t"], "channels")
    found = law(*fields_of(ds, [n for names in meant.values() for n in names]))
    assert found[0] == ({"x": "u_850", "y": "v_850"}, {"x": "u_500", "y": "v_500"})
    assert found[2] == ("t_850", "t_500")
    # By name, in doubt as u beside v is; and heights in the names themselves.
    del levels.u.attrs["standard_name"], levels.v.attrs["standard_name"]
    ds, meant = apart(levels, ["u", "v"], "channels")
    with pytest.raises(InputError, match="and 'v' may be the components"):
        law(*fields_of(ds, [n for names in meant.values() for n in names]))
    named = [Field(n) for n in ("u10", "v10", "u_850", "v_850")]
    assert law(*named)[0] == ({"x": "u10", "y": "v10"}, {"x": "u_850", "y": "v_850"})


@pytest.mark.parametrize(
    ("symmetries", "latitudes", "said"),
    [
        ("square", (-40, 40), "exchange of axes, of which y is latitude"),
        ("flips", (20, 80), "latitudes from 20 to 80, which are no mirror image"),
        ("flips", (-40, 40), None),
        ("translations", (20, 80), None),
    ],
)
def test_a_globe_has_fewer_symmetries(symmetries, latitudes, said):
    low, high = latitudes
    grid = Grid(
        (6, 6), ((low, high), (0.0, 360.0)), ("open", "periodic"), "degrees",
        meanings=("latitude", "longitude"),
    )  # fmt: skip

    def made():
        return Surrogate(nn.Identity(), Task(("t",), ("t",)), domain=grid, symmetrize=symmetries)

    if said is None:
        assert made().symmetrization is not None
        return
    with pytest.raises(InputError, match=said):
        made()
