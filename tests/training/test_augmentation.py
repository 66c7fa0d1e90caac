"""Operators that commute with the symmetries commute with what is done to batches."""

import itertools

import pytest
import torch

from sciml.errors import InputError
from sciml.surrogates import Batch
from sciml.training import Augmentation
from sciml.training.augmentation import Element

VECTOR = {"x": "vx", "y": "vy", "z": "vz"}


def batch(shape, periodic=True, spacing=None, **fields):
    """Inputs and targets of the same names; ``(3, 1, *shape)`` unless given."""
    d = len(shape)
    given = {
        n: f if isinstance(f, torch.Tensor) else torch.randn(3, 1, *shape)
        for n, f in fields.items()
    }
    spacing = torch.tensor([spacing or [0.5] * d] * 3)
    periodic = [periodic] * d if isinstance(periodic, bool) else periodic
    return Batch(
        inputs=given,
        targets=dict(given),
        static={"a": torch.randn(3, *shape)},
        geometry={"spacing": spacing, "periodic": torch.tensor(periodic)},
        size=3,
    )


def elements(d, shifts=(0, 3)):
    """All signed permutations of the axes; translated, too."""
    for order in itertools.permutations(range(d)):
        for signs in itertools.product((1, -1), repeat=d):
            for shift in shifts:
                yield Element(order, signs, (shift, *(0,) * (d - 1)))


def slope(u, axis):
    """Central difference along an axis of space, on a torus of spacing 1/2."""
    return torch.roll(u, -1, axis) - torch.roll(u, 1, axis)


def names(d):
    return ("z", "y", "x")[-d:]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_gradient_is_a_vector(d):
    """∇(g·f) = g·∇f for all signed permutations and shifts."""
    components = [f"v{a}" for a in names(d)]
    augment = Augmentation("flips", vectors=[{a: f"v{a}" for a in names(d)}])
    f = torch.randn(3, 1, *(6,) * d)
    given = batch(f.shape[2:], f=f, **{c: slope(f, 2 + i) for i, c in enumerate(components)})
    for element in elements(d):
        found = augment.apply(element, given).targets
        for i, c in enumerate(components):
            torch.testing.assert_close(found[c], slope(found["f"], 2 + i))


def test_a_curl_in_the_plane_is_a_pseudoscalar():
    law = Augmentation("square", vectors=[{"x": "vx", "y": "vy"}], pseudoscalars=["w"])
    given = batch((6, 6), vx=0, vy=0)
    w = slope(given.inputs["vy"], 3) - slope(given.inputs["vx"], 2)
    given = batch((6, 6), **given.inputs, w=w)
    for element in elements(2):
        found = law.apply(element, given).inputs
        torch.testing.assert_close(
            found["w"], slope(found["vy"], 3) - slope(found["vx"], 2), rtol=1e-4, atol=1e-5
        )


def test_burgers_equation_needs_the_sign():
    """u ∂u/∂x of a reflected field is the reflected one only if u changes its sign."""
    u = torch.randn(3, 1, 8)
    mirrored = Element((0,), (-1,), (0,))
    law = Augmentation("flips", vectors=[{"x": "u"}, {"x": "rate"}])
    found = law.apply(mirrored, batch((8,), u=u, rate=u * slope(u, 2))).targets
    torch.testing.assert_close(found["rate"], found["u"] * slope(found["u"], 2))
    scalar = Augmentation("flips").apply(mirrored, batch((8,), u=u, rate=u * slope(u, 2))).targets
    assert not torch.allclose(scalar["rate"], scalar["u"] * slope(scalar["u"], 2))


def test_static_fields_targets_and_spacing_go_along():
    given = batch((4, 4), f=0)
    element = Element((1, 0), (1, -1), (1, 2))
    found = Augmentation("square").apply(element, given)
    assert torch.equal(found.inputs["f"], found.targets["f"])
    both = batch((4, 4), f=given.static["a"][:, None])
    assert torch.equal(
        Augmentation("square").apply(element, both).inputs["f"][:, 0], found.static["a"]
    )
    rectangle = batch((4, 6), spacing=[0.5, 0.25], periodic=[True, False], f=0)
    turned = Augmentation("square").apply(Element((1, 0), (1, 1), (0, 0)), rectangle)
    assert turned.geometry["spacing"][0].tolist() == [0.25, 0.5]
    assert turned.geometry["periodic"].tolist() == [False, True]
    assert turned.inputs["f"].shape == (3, 1, 6, 4)


def test_reflections_keep_the_ends_of_an_axis_that_has_two():
    x = torch.arange(5.0).expand(3, 1, 5)
    mirrored = Element((0,), (-1,), (0,))
    augment = Augmentation("flips")
    walls = augment.apply(mirrored, batch((5,), periodic=False, f=x)).inputs["f"][0, 0]
    torus = augment.apply(mirrored, batch((5,), f=x)).inputs["f"][0, 0]
    assert walls.tolist() == [4, 3, 2, 1, 0]
    assert torus.tolist() == [0, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("symmetries", "shape", "count"),
    [("flips", (4,), 2), ("flips", (4, 4), 4), ("square", (4, 4), 8), ("cube", (3, 3, 3), 48)],
)
def test_every_element_of_the_group_comes(symmetries, shape, count):
    augment, given = Augmentation(symmetries), batch(shape, periodic=False, f=0)
    torch.manual_seed(0)
    drawn = [augment.draw(given) for _ in range(12 * count)]
    assert len({(e.order, e.signs) for e in drawn}) == count
    turned = sum(e.determinant == 1 for e in drawn)
    assert turned == pytest.approx(6 * count, abs=6 * count**0.5)


def test_translations_are_along_periodic_axes_alone():
    augment, given = Augmentation("translations"), batch((4, 5), periodic=[False, True], f=0)
    shifts = {augment.draw(given).shifts for _ in range(60)}
    assert shifts == {(0, k) for k in range(5)}


def test_values_of_no_point_stay():
    given = batch((4,), f=0, energy=torch.randn(3, 2))
    found = Augmentation("flips").apply(Element((0,), (-1,), (0,)), given)
    assert found.inputs["energy"] is given.inputs["energy"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Augmentation("sqare"), "did you mean 'square'"),
        (lambda: Augmentation([]), "symmetries: none"),
        (lambda: Augmentation("flips", vectors=[{"w": "u"}]), "component along 'w'"),
        (lambda: Augmentation("flips", [{"x": "u"}], ["u"]), "'u' has two laws"),
        (lambda: Augmentation("cube").draw(batch((4, 4), f=0)), "'cube' on a grid of 2 axes"),
        (lambda: Augmentation("square").draw(batch((4, 6), f=0)), "expected equal axes"),
        (
            lambda: Augmentation("translations").draw(batch((4,), periodic=False, f=0)),
            "without a periodic axis",
        ),
        (
            lambda: Augmentation("square").draw(batch((4, 4), spacing=[1.0, 2.0], f=0)),
            "spacing 1, 2",
        ),
        (
            lambda: Augmentation("square").draw(batch((4, 4), periodic=[True, False], f=0)),
            "expected equal axes",
        ),
        (
            lambda: Augmentation("square", [{"x": "u"}]).apply(
                Element((1, 0), (1, 1), (0, 0)), batch((4, 4), u=0)
            ),
            "has none along 'y'",
        ),
        (
            lambda: Augmentation("square", [{"x": "u", "y": "v"}]).apply(
                Element((1, 0), (1, 1), (0, 0)), batch((4, 4), u=0)
            ),
            "'u' becomes 'v'.*add it to the task",
        ),
        (
            lambda: Augmentation("flips", [{"z": "u"}]).apply(
                Element((0,), (-1,), (0,)), batch((4,), u=0)
            ),
            "axes of the grid are x",
        ),
        (
            lambda: Augmentation("flips", [{"x": "uu"}]).draw(batch((4,), u=0)),
            "no field 'uu' in the task; did you mean 'u'",
        ),
        (
            lambda: Augmentation("flips")(None, Batch(inputs={}, size=1, kind="mesh"), 0),
            "kind 'mesh'; expected a grid",
        ),
    ],
)
def test_what_has_no_such_symmetry_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
