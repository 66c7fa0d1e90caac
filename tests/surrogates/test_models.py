"""What holds for every registered model on grids; what holds on any domain is in ``test_zoo.py``."""

import numpy as np
import pytest
import torch
from zoo import ZOO

import sciml
from sciml.domain import Field, Grid
from sciml.domain.dataset import domain_of, to_dataset
from sciml.errors import DomainError, InputError
from sciml.samples import Task
from sciml.samples.dataset import samples_of
from sciml.surrogates import Normalizer, Statistics, Surrogate, collate, registry
from sciml.surrogates.setting import Setting
from sciml.surrogates.traits import traits_of

SMALL = {name: toy.options for name, toy in ZOO.items() if toy.domain == "grid" and toy.task.inputs}


def prepare(surrogate, samples):
    """What is taken from data before the first step."""
    statistics = Statistics(surrogate)
    statistics.update(samples)
    statistics.fix()
    return surrogate


@pytest.fixture(params=sorted(SMALL))
def name(request):
    return request.param


@pytest.fixture(params=[n for n in sorted(SMALL) if ".grid." in registry.MODELS[n]])
def grid_model(request):
    return request.param


@pytest.fixture
def made(name, grid_samples, step_task):
    samples = grid_samples(step_task, (8, 6), 4)
    surrogate = Surrogate.build(
        {"name": name, **SMALL[name]}, step_task, samples[0].simulation.domain
    )
    prepare(surrogate, samples)
    return surrogate, collate(samples, step_task), samples


def test_shapes(made):
    surrogate, batch, _ = made
    assert surrogate(batch)["u"].shape == (4, 1, 8, 6)


@pytest.mark.parametrize("shape", [(10,), (8, 7), (5, 6, 7)])
def test_dimensions_one_to_three(name, shape, grid_samples):
    task = Task(("u", "v"), ("v",), history=2, static=("mask",))
    samples = grid_samples(task, shape, 2)
    model = registry.build(name, Setting(task, samples[0].simulation.domain), **SMALL[name])
    surrogate = prepare(Surrogate(model, task, Normalizer(task)), samples)
    assert surrogate(collate(samples, task))["v"].shape == (2, 1, *shape)


def test_predict_keeps_coordinates(name, heat_dataset, step_task):
    domain = domain_of(heat_dataset)
    surrogate = Surrogate.build({"name": name, **SMALL[name]}, step_task, domain)
    prepare(surrogate, samples_of(heat_dataset, step_task))
    out = surrogate.predict(heat_dataset)
    for coordinate in ("x", "y", "sample", "kappa"):
        assert out[coordinate].identical(heat_dataset[coordinate])
    assert out.u.attrs == heat_dataset.u.attrs
    assert out.u.dims == heat_dataset.u.dims


@pytest.mark.parametrize("name", ["deeponet", "fno"])
def test_float64_throughout(name, heat_dataset, step_task, tmp_path):
    surrogate = Surrogate.build({"name": name, **SMALL[name]}, step_task, domain_of(heat_dataset))
    prepare(surrogate, samples_of(heat_dataset, step_task))
    surrogate.double()
    out = surrogate.predict(heat_dataset)
    assert out.u.dtype == np.float64
    surrogate.save(tmp_path)
    assert Surrogate.load(tmp_path).predict(heat_dataset).identical(out)


def test_bfloat16_is_finite_and_near_float32(made):
    surrogate, batch, _ = made
    exact = surrogate(batch)["u"]
    with torch.autocast("cpu", torch.bfloat16):
        rough = surrogate(batch)["u"]
    assert (rough.float() - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize(
    "name",
    # Tracing takes seconds a model.
    [n if n == "mlp" else pytest.param(n, marks=pytest.mark.slow) for n in sorted(SMALL)],
)
def test_the_exported_program_gives_the_same(tmp_path, name, grid_samples, step_task):
    shape = (9, 6)
    samples = grid_samples(step_task, shape, 3, ("open",) * len(shape))
    domain = samples[0].simulation.domain
    surrogate = Surrogate.build({"name": name, **SMALL[name]}, step_task, domain)
    prepare(surrogate, samples)
    batch = collate(samples, step_task)
    surrogate.export(tmp_path / "model.pt2", collate(samples[:1], step_task))
    assert surrogate.training
    program = torch.export.load(tmp_path / "model.pt2").module()
    out = program(batch.inputs, batch.parameters, batch.time, batch.static)
    torch.testing.assert_close(out["u"], surrogate(batch)["u"], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_compiled_it_gives_the_same_gradients(made):
    """In one graph, without a break."""
    surrogate, _, _ = made
    model, x = surrogate.model, torch.randn(3, 2, 8, 6)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    grads = []
    for one in (model, compiled):
        model.zero_grad()
        one(x).square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


#: Every model has the last; what the mean does elsewhere does not depend on the model.
GROUPS = (
    ((6,), "periodic", ["flips", "translations"]),
    ((7,), "open", "flips"),
    ((5, 5), "open", "square"),
    ((4, 4, 4), "periodic", "cube"),
    ((6, 6), "periodic", "square"),
)


@pytest.mark.parametrize(
    ("name", "shape", "boundary", "symmetries"),
    [
        pytest.param(n, *group, marks=() if default else pytest.mark.slow)
        for n in sorted(SMALL)
        for group in GROUPS
        for default in [group is GROUPS[-1] or n in ("deeponet", "fno")]
    ],
)
def test_symmetrized_it_commutes_with_every_element(
    name, shape, boundary, symmetries, grid_samples
):
    """f̄(g x) = g f̄(x)."""
    task = Task(("u",), ("u",), static=("a",), parameters=("kappa",))
    d = len(shape)
    samples = grid_samples(task, shape, 2, (boundary,) * d)
    config = {"name": name, **SMALL[name], "symmetrize": symmetries}
    model = Surrogate.build(config, task, samples[0].simulation.domain, increment=True)
    prepare(model, samples).eval()
    batch, periodic = collate(samples, task), [boundary == "periodic"] * d
    group, mean = model.symmetrization.symmetries, model(batch)
    for element in group.elements(shape, periodic)[:: 13 if d == 3 else 1]:
        found = model(group.batch(element, batch, periodic))
        wanted = group.fields(element, mean, periodic, 2)
        torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


def test_unknown_options_get_the_nearest(name, grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    key = next(iter(SMALL[name]))
    with pytest.raises(InputError, match=f"did you mean '{key}'"):
        registry.build(name, Setting(step_task, domain), **{key + "s": 3})


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "fno",
            {"modes": 4.5},
            r"modes=4.5; expected a list of whole numbers, a whole number or null",
        ),
        ("fno", {"n_layers": "two"}, r"n_layers='two'; expected a whole number \(default 4\)"),
        ("fno", {"hidden_channels": -3}, "hidden_channels=-3; expected a whole number"),
        ("fno", {"use_channel_mlp": 1}, "use_channel_mlp=1; expected true or false"),
        ("mgno", {"levels": [1, 2]}, "expected a whole number or null"),
        ("mgno", {"smoothing": [[1, "b"]]}, "a list of lists of whole numbers"),
        ("mlp", {"hidden": "ab"}, "hidden='ab'; expected a list of whole numbers"),
        ("unet", {"width": 6, "groups": 0}, "groups=0 cannot be built"),
        ("mlp", {"hidden": [10**15]}, "cannot be built"),
    ],
)
def test_values_that_cannot_be_are_named(name, given, said, grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    with pytest.raises(InputError, match=said):
        registry.build(name, Setting(step_task, domain), **given)


def test_numbers_may_come_in_any_sequence(grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    for modes in ([4, 4], (4, 4), np.array([4, 4]), np.int64(4)):
        registry.check("fno", {"modes": modes, "padding": 0})
    model = registry.build("mlp", Setting(step_task, domain), hidden=np.array([3]))
    assert model.layers[0].out_features == 3


def test_each_says_what_it_is_and_takes(name):
    page, options = registry.page(name), registry.described(name)
    assert "Shapes:" in page and "Source:" in page and ":class:" not in page
    assert {key: option["default"] for key, option in options.items()} == registry.options(name)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("cnn", "blocks", 0),
        ("cnn", "dilations", []),
        ("fno", "n_layers", 0),
        ("fno", "padding", -0.5),
        ("mgno", "n_layers", 0),
        ("mlp", "hidden", [0]),
        ("tfno", "n_layers", 0),
        ("unet", "width", 0),
        ("uno", "hidden_channels", 0),
        ("vit", "layers", 0),
    ],
)
def test_models_without_a_layer_are_refused(name, option, value, grid_samples, step_task):
    domain = grid_samples(step_task, boundary=("open", "open"))[0].simulation.domain
    with pytest.raises(InputError, match=r"expected (a part|1 or more|widths of 1)"):
        registry.build(name, Setting(step_task, domain), **{**SMALL[name], option: value})


def test_unknown_models_are_listed(step_task):
    known = ", ".join(sorted(registry.MODELS))
    with pytest.raises(InputError, match=rf"did you mean 'fno'.*known: {known}"):
        registry.build("fmo", Setting(step_task, None))


def test_parameters_and_time_to_field(grid_samples):
    task = Task((), ("u",), history=0, parameters=("a", "b"), time=True)
    samples = grid_samples(task, (5, 4), 3)
    domain = samples[0].simulation.domain
    surrogate = Surrogate.build({"name": "mlp", "hidden": [8]}, task, domain)
    assert isinstance(surrogate.normalizer, Normalizer)
    assert surrogate.model.in_features == 3
    assert surrogate(collate(samples, task))["u"].shape == (3, 1, 5, 4)
    with pytest.raises(InputError, match="take model 'mlp'"):
        registry.build("fno", Setting(task, domain))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_wrong_channels_and_axes_are_named(grid_model, dims, grid_samples, step_task):
    shape = (10, 9, 8)[:dims]
    domain = grid_samples(step_task, shape, 1)[0].simulation.domain
    model = registry.build(grid_model, Setting(step_task, domain), **SMALL[grid_model])
    with pytest.raises(InputError, match="input has 5 channels; it was built for 2"):
        model(torch.zeros(1, 5, *shape))
    with pytest.raises(InputError, match=r"expected \(batch, 2, \*space\)"):
        model(torch.zeros(1, 2, *shape, 4))


def test_fields_are_needed(grid_model, grid_samples):
    task = Task((), ("u",), history=0, parameters=("a",))
    domain = grid_samples(task, (5, 4), 1)[0].simulation.domain
    with pytest.raises(InputError, match="no input fields"):
        registry.build(grid_model, Setting(task, domain))


def test_spacing_that_changes_is_refused(grid_model, heat_dataset, step_task):
    stretched = heat_dataset.assign_coords(x=heat_dataset.x**2)
    del stretched.x.attrs["boundary"], stretched.x.attrs["extent"]
    with pytest.raises(DomainError, match=r"axis 'x' is not uniform.*ds\.interp"):
        sciml.fit({"name": grid_model, **SMALL[grid_model]}, stretched, step_task, epochs=1)
    surrogate = Surrogate.build(
        {"name": grid_model, **SMALL[grid_model]}, step_task, domain_of(heat_dataset)
    )
    with pytest.raises(DomainError, match="axis 'x' is not uniform"):
        surrogate.predict(stretched)


def test_nan_is_named_with_its_sample(grid_model, heat_dataset, step_task):
    surrogate = Surrogate.build(
        {"name": grid_model, **SMALL[grid_model]}, step_task, domain_of(heat_dataset)
    )
    field, parameter = heat_dataset.copy(deep=True), heat_dataset.copy(deep=True)
    field.u[1, 2, 3, 4] = np.nan
    parameter.kappa[1] = np.nan
    for ds, named in ((field, "'u' has 1 NaN in sample 1"), (parameter, "'kappa' has 1 NaN")):
        with pytest.raises(InputError, match=named):
            sciml.fit({"name": grid_model, **SMALL[grid_model]}, ds, step_task, epochs=1)
        with pytest.raises(InputError, match=named.replace("sample 1", "sample 0")):
            surrogate.predict(ds.isel(sample=[1]))


def test_predictions_at_another_resolution(name, rng, step_task):
    """An operator goes to finer grids, with one answer; other models refuse and name operators."""
    coarse, fine = (_waves(rng, shape, step_task) for shape in ((12, 10), (24, 20)))
    surrogate = Surrogate.build({"name": name, **SMALL[name]}, step_task, domain_of(coarse))
    prepare(surrogate, samples_of(coarse, step_task))
    if traits_of(surrogate.model).any_resolution is False:
        with pytest.raises(InputError, match=r"\(24, 20\) points.*any resolution: fno"):
            surrogate.predict(fine)
        return
    out, dense = surrogate.predict(coarse), surrogate.predict(fine)
    assert dense.x.identical(fine.x)
    assert surrogate.rollout(fine, 2).u.shape[-2:] == (24, 20)
    if name in registry.ANY_RESOLUTION:
        u = dense.u.values[..., ::2, ::2]
        assert np.linalg.norm(u - out.u.values) < 5e-3 * np.linalg.norm(u)


def test_operators_say_so(grid_samples, step_task):
    domain = grid_samples(step_task)[0].simulation.domain
    for operator in registry.ANY_RESOLUTION:
        model = registry.build(operator, Setting(step_task, domain), **SMALL[operator])
        assert traits_of(model).any_resolution, operator


def _waves(rng, shape, task):
    """One simulation of the longest waves, which every grid holds."""
    grid = Grid(shape, ((0.0, 1.2), (0.0, 1.0)), ("periodic", "periodic"), "m")
    y, x = np.meshgrid(*(2 * np.pi * np.arange(n) / n for n in shape), indexing="ij")
    u = np.stack([np.sin(x + t) + np.cos(y - x) for t in range(3)]).astype(np.float32)
    return to_dataset(
        grid, (Field("u", "K"),), {"u": u}, np.arange(3) * 0.5, parameters={"kappa": 1.0}
    )
