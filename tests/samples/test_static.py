"""What `static` may be: a field that lies on the grid and does not change."""

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of, simulations_of

N = 8  # of points, rows, times and samples alike: lengths tell nothing
TASK = Task(("u",), ("u",), static=("f",))


@pytest.fixture
def ds():
    rng = np.random.default_rng(0)
    sizes = (N, N, N, N)
    axis = np.arange(N) / N
    return xr.Dataset(
        {"u": (("sample", "time", "y", "x"), rng.standard_normal(sizes))},
        {"time": axis, "y": axis, "x": axis},
    )


FIELD = np.arange(N * N, dtype=np.float64).reshape(N, N)


@pytest.mark.parametrize(
    ("dims", "values", "said"),
    [
        ("time", np.arange(N), r"spans \('time',\) and no axis in space.*'forcing'"),
        ("sample", np.arange(N), r"is a number.*parameters=\['f'\]"),
        ((), 1.0, r"is a number.*parameters=\['f'\]"),
        (("time", "x"), FIELD, r"changes along 'time', from entry 0 to 1.*input"),
        (("time", "y", "x"), np.stack([FIELD + k for k in range(N)]), "changes along 'time'"),
        (("lat", "lon"), FIELD, r"spans \('lat', 'lon'\); expected the axes of the fields"),
        (("y", "band"), FIELD, r"spans \('y', 'band'\)"),
        (("station", "x"), FIELD, r"spans \('station', 'x'\)"),
    ],
)
def test_what_does_not_lie_on_the_grid_is_refused(ds, dims, values, said):
    with pytest.raises(InputError, match=said) as caught:
        samples_of(ds.assign(f=(dims, values)), TASK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dims", "values", "wanted"),
    [
        (("y", "x"), FIELD, FIELD),
        (("x", "y"), FIELD, FIELD.T),
        (("time", "y", "x"), np.tile(FIELD, (N, 1, 1)), FIELD),
        (("x", "time", "y"), np.repeat(FIELD[:, None], N, 1), FIELD.T),
        ("y", np.arange(N), np.repeat(np.arange(N)[:, None], N, 1)),
        (("time", "x"), np.tile(np.arange(N), (N, 1)), np.tile(np.arange(N), (N, 1))),
    ],
    ids=[
        "field",
        "transposed",
        "over time",
        "over time, transposed",
        "along y",
        "along x over time",
    ],
)
def test_what_does_is_taken_rightly(ds, dims, values, wanted):
    said = []
    [(simulation, _), *_] = simulations_of(
        ds.assign(f=(dims, values)), fields=["u"], static=["f"], say=said.append
    )
    np.testing.assert_array_equal(simulation.static["f"], wanted)
    assert len(said) == ("time" in dims) + (len({*dims} - {"time"}) == 1)


def test_repeats_end_where_a_simulation_does(ds):
    f = np.tile(FIELD, (N, N, 1, 1)) * np.arange(1, N + 1)[:, None, None, None]
    f[3, 5:] = np.nan
    found = simulations_of(
        ds.assign(f=(("sample", "time", "y", "x"), f)), fields=["u"], static=["f"]
    )
    np.testing.assert_array_equal(found[3][0].static["f"], 4 * FIELD)


def test_axes_that_descend_are_turned_with_what_is_static(ds):
    ds = ds.assign(f=(("y", "x"), FIELD))
    for turned in (ds.isel(y=slice(None, None, -1)), ds.isel(x=slice(None, None, -1))):
        [(one, frames), *_] = simulations_of(turned, fields=["u"], static=["f"])
        [(same, wanted), *_] = simulations_of(ds, fields=["u"], static=["f"])
        assert one.domain == same.domain
        np.testing.assert_array_equal(one.static["f"], same.static["f"])
        np.testing.assert_array_equal(frames[2].fields["u"], wanted[2].fields["u"])


@pytest.mark.parametrize("n", [16, 17])
def test_a_cyclic_point_of_a_periodic_axis_is_refused(n):
    t = np.linspace(0, 1, 5)[:, None]

    def waves(x):
        u = np.sin(2 * np.pi * (x - t)) + 0.3 * np.cos(4 * np.pi * (x + 0.3 * t))
        return xr.Dataset({"u": (("time", "x"), u)}, {"x": ("x", x, {"boundary": "periodic"})})

    task = Task(("u",), ("u",))
    with pytest.raises(InputError, match=r"first ones again.*isel\(x=slice\(0, -1\)\)"):
        samples_of(waves(np.linspace(0, 1, n)), task)
    assert samples_of(waves(np.arange(n) / n), task)
    # Even about the end of the box: two values are alike, and no point is there twice.
    even = waves((np.arange(n) + 0.5) / n)
    assert samples_of(even.assign(u=even.u + even.u.values[:, ::-1]), task)
    assert samples_of(even.assign(u=0 * even.u), task)
    # Walls at which the field is zero, and nothing is said.
    walls = waves(np.linspace(0, 1, n))
    walls.x.attrs.clear()
    assert samples_of(walls, task)
