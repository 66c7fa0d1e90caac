"""Averaged over a group, a surrogate commutes with it: fields, vectors, rollouts, files, programs."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import sciml
from sciml.domain import Grid
from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import Normalizer, Surrogate, collate
from sciml.surrogates.symmetry.element import elements, moved
from sciml.surrogates.symmetry.symmetries import Symmetries

SQUARE = Grid((6, 6), ((0.0, 1.0),) * 2, ("periodic",) * 2)
STEP = Task(("u",), ("u",))


class Mixing(nn.Module):
    """Neither local nor symmetric: a matrix over all points and channels."""

    def __init__(self, channels, points):
        super().__init__()
        self.layer = nn.Linear(channels * points, channels * points)

    def forward(self, x):
        return torch.tanh(self.layer(x.flatten(1))).reshape(x.shape)


class Laplacian(nn.Module):
    """Commutes with every symmetry of the torus."""

    weight = 0.1

    def forward(self, x):
        around = sum(x.roll(s, axis) for s in (1, -1) for axis in (2, 3))
        return self.weight * (around - 4 * x) + x.square()


def normalized(task, samples):
    normalizer = Normalizer(task)
    normalizer.update(samples)
    normalizer.fix()
    return normalizer


@pytest.mark.parametrize("d", [1, 2, 3])
def test_an_element_and_its_inverse_leave_all_where_it_was(d):
    """Shapes, boundaries and translations of the axes differ."""
    values, periodic = torch.randn(2, *(3, 4, 5)[:d]), (True, False, True)[:d]
    shifts = [n if wraps else 1 for n, wraps in zip(values.shape[1:], periodic, strict=True)]
    # Only grids with equal axes have exchanges and translations together.
    group = elements(True, True, (1,) * d) + elements(False, True, shifts)
    assert len({*group}) > 2**d
    for element in group:
        there = moved(values, element, periodic, 1)
        turned = [periodic[p] for p in element.order]
        assert torch.equal(moved(there, element.inverse, turned, 1), values)
        assert element.inverse.determinant == element.determinant


def test_what_commutes_already_stays_as_it_is(grid_samples):
    samples = grid_samples(STEP, (6, 6), 2)
    own = Surrogate(Laplacian(), STEP, domain=samples[0].simulation.domain, increment=True)
    batch = collate(samples, STEP)
    mean = own.symmetrized(["square", "translations"])
    torch.testing.assert_close(mean(batch)["u"], own.eval()(batch)["u"], atol=1e-5, rtol=1e-5)


def test_vectors_and_pseudoscalars_follow_their_laws(grid_samples):
    """v'(x') = R v(x) and ω'(x') = det R ω(x), each component with a scaling of its own."""
    task = Task(("vx", "vy", "w"), ("w", "vy", "vx"))
    samples = grid_samples(task, (5, 5), 2)
    for sample in samples:
        for frame in (*sample.inputs, *sample.targets):
            frame.fields["vx"] *= 3
    domain = samples[0].simulation.domain
    own = Surrogate(Mixing(3, 25), task, normalized(task, samples), domain, increment=True)
    law = {"vectors": [{"x": "vx", "y": "vy"}], "pseudoscalars": ["w"]}
    mean, batch, periodic = own.symmetrized("square", **law), collate(samples, task), [True, True]
    group = Symmetries("square", **law)
    for element in group.elements((5, 5), periodic):
        found = mean(group.batch(element, batch, periodic))
        wanted = group.fields(element, mean(batch), periodic, 2)
        for name in task.targets:
            torch.testing.assert_close(found[name], wanted[name], atol=1e-5, rtol=1e-4)
    scalars = own.symmetrized("square", scalars=["vx", "vy", "w"])(batch)
    assert not torch.allclose(scalars["vx"], mean(batch)["vx"], atol=1e-2)


def test_a_mean_is_at_most_as_wrong(grid_samples):
    """Mean squared error over an orbit, against a truth that commutes: less by the variance."""
    samples = grid_samples(STEP, (6, 6), 3)
    own = Surrogate(Mixing(1, 36), STEP, domain=samples[0].simulation.domain).eval()
    mean, batch, truth = own.symmetrized("square"), collate(samples, STEP), Laplacian()
    group, periodic = Symmetries("square"), [True, True]
    errors, spread = [], []
    for element in group.elements((6, 6), periodic):
        seen = group.batch(element, batch, periodic)
        errors.append((own(seen)["u"] - truth(seen.inputs["u"])).square().mean())
        spread.append((own(seen)["u"] - mean(seen)["u"]).square().mean())
    averaged = (mean(batch)["u"] - truth(batch.inputs["u"])).square().mean()
    torch.testing.assert_close(averaged, sum(errors) / 8 - sum(spread) / 8)


def test_unrolled_each_step_is_averaged(heat_dataset):
    """A rollout is the prediction from a prediction, as without symmetries."""
    task = Task(("u",), ("u",), parameters=("kappa",))
    domain = sciml.domain.dataset.domain_of(heat_dataset)
    own = Surrogate.build(
        {"name": "fno", "modes": 4, "hidden_channels": 4, "positions": True}, task, domain
    )
    mean = own.symmetrized("flips")
    ahead = mean.rollout(heat_dataset, 2)
    once = mean.predict(heat_dataset.isel(time=[-1]))
    again = mean.predict(once)
    np.testing.assert_allclose(ahead.u[:, 1], again.u[:, 0], rtol=1e-5, atol=1e-6)
    plain = own.rollout(heat_dataset, 2)
    assert np.abs(plain.u - ahead.u).max() > 1e-3


def test_points_that_are_asked_for_move_along(heat_dataset):
    """Between the points of the grid, too: u(L − x) of the mirrored field is u(x) of the field."""
    task = Task(("u",), ("u",), parameters=("kappa",))
    square = heat_dataset.isel(sample=[0], time=[-1], y=slice(0, 4), x=slice(0, 4))
    for axis in ("x", "y"):
        square[axis].attrs["extent"] = [0.0, 0.4]
    domain = sciml.domain.dataset.domain_of(square)
    own = Surrogate.build({"name": "deeponet", "branch": [8], "trunk": [8]}, task, domain)
    mean = own.symmetrized(["square", "translations"])
    line = np.array([0.03, 0.2, 0.31])
    mirrored = square.assign(u=(square.u.dims, np.roll(square.u.values[..., ::-1], 1, axis=-1)))
    there, here = mean.predict(mirrored, at={"x": 0.4 - line}), mean.predict(square, at={"x": line})
    np.testing.assert_allclose(there.u, here.u, rtol=1e-4, atol=1e-5)
    on_grid = mean.predict(square)
    asked = mean.predict(square, at={"x": square.x.values})
    np.testing.assert_allclose(asked.u, on_grid.u, rtol=1e-4, atol=1e-5)
    plain = [
        own.predict(d, at={"x": x}).u.values for d, x in ((mirrored, 0.4 - line), (square, line))
    ]
    assert np.abs(plain[0] - plain[1]).max() > 1e-3


def test_training_sees_the_model_as_it_is_and_use_the_mean(grid_samples):
    samples = grid_samples(STEP, (6, 6), 2)
    calls = []
    model = Mixing(1, 36)
    model.register_forward_hook(lambda *_: calls.append(1))
    surrogate = Surrogate(
        model, STEP, domain=samples[0].simulation.domain, symmetrize=["square", "translations"]
    )
    batch = collate(samples, STEP)
    surrogate.train()(batch)
    assert len(calls) == 1
    surrogate.eval()(batch)
    assert len(calls) == 1 + 8 * 36


def test_fit_by_name_then_saved_and_loaded(heat_dataset, tmp_path):
    config = {
        "name": "cnn", "width": 4, "blocks": 1, "dilations": [1],
        "symmetrize": {"symmetries": ["flips"], "vectors": [{"x": "u"}]},
    }  # fmt: skip
    surrogate = sciml.fit(config, heat_dataset, targets=["u"], epochs=1, augment="flips")
    out = surrogate.predict(heat_dataset)
    surrogate.save(tmp_path)
    loaded = Surrogate.load(tmp_path)
    assert loaded.symmetrization == surrogate.symmetrization
    assert loaded.predict(heat_dataset).identical(out)
    assert not surrogate.symmetrized("flips").predict(heat_dataset).identical(out)


def test_exported_it_is_averaged(grid_samples, tmp_path):
    samples = grid_samples(STEP, (4, 4), 2)
    domain = samples[0].simulation.domain
    surrogate = Surrogate(Mixing(1, 16), STEP, normalized(STEP, samples), domain)
    mean, batch = surrogate.symmetrized("square"), collate(samples, STEP)
    mean.export(tmp_path / "model.pt2", batch)
    program = torch.export.load(tmp_path / "model.pt2").module()
    found = program(batch.inputs, batch.parameters, batch.time, batch.static)
    torch.testing.assert_close(found["u"], mean(batch)["u"], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(found["u"], surrogate.eval()(batch)["u"], atol=1e-3)


def test_a_surrogate_of_before_is_read(grid_samples, tmp_path):
    domain = grid_samples(STEP)[0].simulation.domain
    Surrogate.build({"name": "cnn"}, STEP, domain).save(tmp_path)
    card = tmp_path / "surrogate.json"
    card.write_text(card.read_text().replace(',\n  "symmetrize": null', ""))
    assert "symmetrize" not in card.read_text()
    assert Surrogate.load(tmp_path).symmetrization is None


def _on(shape, boundary=("periodic", "periodic"), extent=None, task=STEP, **symmetrize):
    grid = Grid(shape, extent or ((0.0, 1.0),) * len(shape), boundary[: len(shape)])
    given = symmetrize or {"symmetries": "square"}
    return Surrogate(nn.Identity(), task, domain=grid, symmetrize=given)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: _on((6,)), "'square' on a grid of 1 axes; expected 2, or take 'flips'"),
        (lambda: _on((6, 5)), r"a grid of \(6, 5\) points.*expected equal axes"),
        (lambda: _on((6, 6), extent=((0, 1), (0, 2))), "spacing 0.166667, 0.333333"),
        (lambda: _on((6, 6), ("dirichlet", "neumann")), "between boundaries dirichlet, neumann"),
        (lambda: _on((6, 6), ("open",) * 2, symmetries="translations"), "without a periodic axis"),
        (lambda: _on((6, 6), symmetries="sqare"), "did you mean 'square'"),
        (lambda: _on((6, 6), symetries="square"), "no key 'symetries'; did you mean 'symmetries'"),
        (
            lambda: _on((6, 6), symmetries="square", pseudoscalars=["v"]),
            "no field 'v' in the task; .*u",
        ),
        (
            lambda: _on((6, 6), symmetries="square", vectors=[{"x": "u"}]),
            "'u' along 'x' has none along 'y'.*'flips'",
        ),
        (
            lambda: _on(
                (6, 6), task=Task(("u", "v"), ("u",)), symmetries="square",
                vectors=[{"x": "u", "y": "v"}],
            ),
            "'u' becomes 'v' .*beside it among u; add it to the task",
        ),
        (lambda: Surrogate(nn.Identity(), STEP).symmetrized("flips"), "without a domain"),
        (
            lambda: Surrogate.build({"name": "cnn", "symetrize": "square"}, STEP, SQUARE),
            "no option 'symetrize'; did you mean 'symmetrize'",
        ),
    ],
)  # fmt: skip
def test_what_has_no_such_symmetry_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_another_resolution_must_have_the_symmetry_too(grid_samples):
    domain = grid_samples(STEP)[0].simulation.domain
    fno = Surrogate.build({"name": "fno", "modes": 4, "hidden_channels": 4}, STEP, domain)
    mean = fno.symmetrized("square")
    finer = collate(grid_samples(STEP, (12, 12), 1), STEP)
    assert mean(finer)["u"].shape == (1, 1, 12, 12)
    with pytest.raises(InputError, match=r"\(12, 10\) points.*expected equal axes"):
        mean(collate(grid_samples(STEP, (12, 10), 1), STEP))


def test_meshes_have_none(mesh_sample):
    domain = mesh_sample(4).simulation.domain
    with pytest.raises(InputError, match="a surrogate on a mesh; expected one on a grid"):
        Surrogate(nn.Identity(), STEP, domain=domain, symmetrize="flips")


def test_parameters_alone_give_fields_at_points_under_translations():
    grid = Grid((8,), ((0.0, 1.0),), ("periodic",))
    task = Task((), ("u",), history=0, parameters=("a",))
    config = {"name": "deeponet", "symmetrize": ["flips", "translations"]}
    surrogate = Surrogate.build(config, task, grid)
    ds = xr.Dataset({"a": ("sample", [1.0, 2.0])})
    found = surrogate.predict(ds, at={"x": [0.125, 0.5]}).u
    np.testing.assert_allclose(found, surrogate.predict(ds).u.sel(x=found.x), atol=1e-6)
