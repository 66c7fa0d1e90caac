"""The multigrid neural operator: published sizes, boundaries, grids, and multigrid's own rates."""

import itertools

import pytest
import torch

from sciml.errors import InputError
from sciml.samples import Task
from sciml.surrogates import MgNO, registry
from sciml.surrogates.grid.stencil import Prolongation, Stencil, depth, surround
from sciml.surrogates.grid.vcycle import VCycle
from sciml.surrogates.setting import Setting

KINDS = ("zeros", "circular", "reflect")


def weights(model):
    return sum(p.numel() for p in model.parameters())


ZEROS, CIRCULAR = ("zeros",) * 2, ("circular",) * 2
NAVIER_STOKES = {
    "width": 32,
    "levels": 5,
    "smoothing": [(1, 0)] * 3 + [(2, 0)] * 2,
    "bias": True,
    "norm": True,
    "residual_channels": [0],
}


@pytest.mark.parametrize(
    ("millions", "boundary", "layers", "n", "options"),
    [
        (0.57, ZEROS, 4, 256, {}),
        (0.68, ZEROS, 5, 211, {}),
        (2.9, CIRCULAR, 5, 64, NAVIER_STOKES),
    ],
    ids=["rough", "smooth", "navier-stokes"],
)
def test_as_many_weights_as_published(millions, boundary, layers, n, options):
    count = weights(MgNO(1, 1, boundary, n_layers=layers, shape=(n, n), **options))
    digits = 2 if millions < 1 else 1
    assert round(count / 1e6, digits) == millions, count


def test_the_residual_costs_one_operator_a_layer():
    plain, residual = (
        MgNO(1, 1, ("zeros",) * 2, levels=4, n_layers=4, restriction=form)
        for form in ("f", "residual")
    )
    assert weights(residual) - weights(plain) == 3 * 9 * 24 * 24 + 9 * 24


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(7,), (10,), (85,), (33, 10), (7, 85), (8, 6, 7)])
def test_any_size(kind, shape):
    """Also on another grid than the one that the kernels are made for."""
    x = torch.randn(2, 2, *shape)
    for restriction, interior, made_for in itertools.product(
        ("f", "residual"), (False, True), (None, shape, [n + 1 for n in shape])
    ):
        model = MgNO(
            2, 3, (kind,) * len(shape), [4, 3, 2], 3, 2,
            [(1, 1), (2, 0), (1, 1)], restriction, interior, shape=made_for,
        )  # fmt: skip
        assert model(x).shape == (2, 3, *shape)


@pytest.mark.parametrize("shape", [(16,), (8, 16), (4, 8, 4)])
def test_periodic_grids_have_no_first_point(shape):
    """Shifts by 2^(levels − 1) points commute with it, and shifts by one do not."""
    model = MgNO(1, 2, ("circular",) * len(shape), 5, 3, 2).double()
    x = torch.randn(2, 1, *shape, dtype=torch.float64)
    for axis in range(2, x.ndim):
        moved = model(x.roll(4, axis))
        torch.testing.assert_close(moved, model(x).roll(4, axis))
        assert not torch.allclose(model(x.roll(1, axis)), model(x).roll(1, axis), atol=1e-6)


def symmetric(cycle):
    """Make every stencil its own mirror image along x."""
    with torch.no_grad():
        for weight in cycle.parameters():
            weight.copy_((weight + weight.flip(-1)) / 2)
    return cycle.double()


@pytest.mark.parametrize("restriction", ["f", "residual"])
@pytest.mark.parametrize(
    ("kind", "n", "sign"), [("reflect", 17, 1), ("zeros", 15, -1)], ids=["mirror", "odd"]
)
def test_walls_are_symmetries_of_a_periodic_grid(kind, n, sign, restriction):
    """2^k + 1 points between mirrors, or 2^k − 1 between zeros, are half of an even or odd circle."""
    arguments = (2, [4] * 3, [(1, 1), (1, 1), (2, 0)])
    walls = symmetric(VCycle(*arguments, (kind,), restriction, kind == "zeros", shape=(n,)))
    circle = VCycle(*arguments, ("circular",), restriction, shape=(17,)).double()
    circle.load_state_dict(walls.state_dict())
    f = torch.randn(3, 2, n, dtype=torch.float64)
    zero = f.new_zeros(3, 2, 1)
    whole = (
        torch.cat([f, f[..., 1:-1].flip(-1)], -1)
        if sign == 1
        else torch.cat([zero, f, zero, -f.flip(-1)], -1)
    )
    half = circle(whole)[..., :n] if sign == 1 else circle(whole)[..., 1 : n + 1]
    torch.testing.assert_close(walls(f), half)


def test_the_restrictions_differ_by_the_operator():
    """They agree where A = 0, and differ where it is not."""
    plain, residual = (
        VCycle(2, [4, 4], [(2, 1), (1, 0)], ("zeros",) * 2, form) for form in ("f", "residual")
    )
    residual.load_state_dict(plain.state_dict())
    f = torch.randn(1, 2, 9, 8)
    assert not torch.allclose(plain(f), residual(f), atol=1e-4)
    with torch.no_grad():
        plain.levels[0].pre[1].A.weight.zero_()
        residual.levels[0].pre[1].A.weight.zero_()
    torch.testing.assert_close(plain(f), residual(f))


def laplacian(dims, step):
    stencil = torch.zeros((3,) * dims)
    middle = (1,) * dims
    stencil[middle] = 2 * dims
    for axis in range(dims):
        for side in (0, 2):
            at = list(middle)
            at[axis] = side
            stencil[tuple(at)] = -1
    return stencil / step**2


def product(line, dims):
    line = torch.tensor(line)
    stencil = line
    for _ in range(dims - 1):
        stencil = stencil[..., None] * line
    return stencil


def classical(n, dims, steps, omega, kind):
    """Multigrid for −Δu = f: damped Jacobi, full weighting, linear interpolation."""
    boundary = (kind,) * dims
    walls = kind == "zeros"
    levels = depth((n,) * dims, boundary, walls) - (0 if walls else 2)
    smoothing = [(steps, steps)] * (levels - 1) + [(1 if walls else 20, 0)]
    cycle = VCycle(1, [1] * levels, smoothing, boundary, "residual", walls).double()
    with torch.no_grad():
        for weight in cycle.parameters():
            weight.zero_()
        for k, level in enumerate(cycle.levels):
            # One step on a single point solves there.
            damping = 1.0 if walls and k == levels - 1 else omega
            for step in (*level.pre, *level.post):
                if step.A is not None:
                    step.A.weight[0, 0] = laplacian(dims, 2**k)
                step.S.weight[0, 0][(1,) * dims] = damping * 4**k / (2 * dims)
            if level.R is not None:
                level.R.weight[0, 0] = product([0.25, 0.5, 0.25], dims)
                level.P.weight[0, 0] = product([0.5, 1.0, 0.5, 0.0], dims)
    return cycle


def contraction(cycle, shape, cycles=12):
    """By how much one more cycle shrinks what many have left of a random error."""
    A = cycle.levels[0].pre[-1].A
    error = torch.randn(1, 1, *shape, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(cycles):
            before = (error - error.mean() if cycle.boundary[0] == "circular" else error).clone()
            error = before + cycle(-A(surround(before, cycle.boundary)))
    return (error.norm() / before.norm()).item()


@pytest.mark.parametrize(
    ("kind", "dims", "n"),
    [("zeros", 2, n) for n in (31, 63, 127, 23, 95)]
    + [("circular", 2, 64), ("zeros", 1, 127), ("zeros", 1, 23)],
)
def test_with_its_weights_it_is_multigrid(kind, dims, n):
    """V(1,1) and V(2,2) contract at their textbook rates, whatever the grid."""
    omega, expected = (0.8, (0.36, 0.18)) if dims == 2 else (2 / 3, (0.19, 0.087))
    for steps, rate in zip((1, 2), expected, strict=True):
        measured = contraction(classical(n, dims, steps, omega, kind), (n,) * dims)
        assert measured == pytest.approx(rate, rel=0.1), f"V({steps},{steps})"


@pytest.mark.parametrize("restriction", ["f", "residual"])
def test_gradients(restriction):
    boundary = ("circular", "reflect")
    cycle = VCycle(1, [2, 2], [(1, 1), (1, 0)], boundary, restriction, shape=(4, 5)).double()
    f = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cycle, f)
    cycle(f).square().sum().backward()
    for name, weight in cycle.named_parameters():
        assert weight.grad.abs().max() > 0, name
        kept = weight.detach().clone()

        def along(t, name=name, kept=kept):
            return torch.func.functional_call(cycle, {name: kept + t}, (f.detach(),))

        assert torch.autograd.gradcheck(
            along, torch.zeros((), dtype=torch.float64, requires_grad=True)
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(16,), (9, 12), (8, 6, 7)])
@pytest.mark.parametrize("norm", [False, True])
def test_on_the_cpu_channels_stay_last(kind, shape, norm):
    """Also behind a single channel, which torch takes for channels first."""
    model = MgNO(1, 1, (kind,) * len(shape), 4, 3, 2, norm=norm, shape=shape)
    first = []

    def look(module, given, out):
        first.extend(f.shape for f in (given[0], out) if f.stride(1) != 1)

    for module in model.modules():
        if isinstance(module, (Stencil, Prolongation)):
            module.register_forward_hook(look)
    model(torch.randn(2, 1, *shape))
    assert not first, first


def test_bfloat16_is_finite():
    for norm in (False, True):
        model = MgNO(1, 1, ("zeros", "circular"), 4, 3, 2, norm=norm, shape=(9, 12))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(torch.randn(2, 1, 9, 12))
            out.float().square().sum().backward()
        assert out.isfinite().all()
        assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_it_gives_the_same(kind):
    model = MgNO(2, 1, (kind,) * 2, 4, 3, 1, shape=(9, 12))
    x = torch.randn(2, 2, 9, 12)
    torch.testing.assert_close(torch.compile(model, fullgraph=True)(x), model(x))


def test_boundaries_come_from_the_domain(grid_samples, step_task):
    shape = (8, 6, 6)
    conditions = ("periodic", "neumann", "open")
    domain = grid_samples(step_task, shape, 1, conditions)[0].simulation.domain
    model = registry.build("mgno", Setting(step_task, domain))
    assert model.boundary == ("circular", "reflect", "zeros")
    assert model.levels == 3
    model = registry.build("mgno", Setting(step_task, domain), boundary="reflect")
    assert model.boundary == ("circular", "reflect", "reflect")
    with pytest.raises(InputError, match="did you mean 'zeros'"):
        registry.build("mgno", Setting(step_task, domain), boundary="zero")
    with pytest.raises(InputError, match="expected one entry an axis"):
        registry.build("mgno", Setting(step_task, domain), boundary=["zeros"])


def test_residual_input_adds_the_last_frame(grid_samples):
    task = Task(("u", "v"), ("v",), history=2)
    domain = grid_samples(task, (8, 6), 1)[0].simulation.domain
    model = registry.build("mgno", Setting(task, domain), residual_input=True, width=3)
    with torch.no_grad():
        model.head.weight.zero_()
    x = torch.randn(1, 4, 8, 6)
    assert torch.equal(model(x), x[:, 3:])
    task = Task(("u",), ("u", "v"))
    with pytest.raises(InputError, match=r"inputs \['u'\] have no v"):
        registry.build("mgno", Setting(task, domain), residual_input=True)


def test_options_that_do_not_fit(grid_samples, step_task):
    domain = grid_samples(step_task, (8, 6), 1)[0].simulation.domain
    for options, words in [
        ({"levels": 5}, r"grid \(8, 6\) is too small for 5 levels; .*at most levels=4"),
        ({"width": [3, 4]}, r"width \[3, 4\] for 3 levels"),
        ({"smoothing": [[1, 0]]}, r"smoothing \[\[1, 0\]\] for 3 levels"),
        ({"smoothing": [0, 1]}, "at least one step"),
        ({"restriction": "residuals"}, "did you mean 'residual'"),
    ]:
        with pytest.raises(InputError, match=words):
            registry.build("mgno", Setting(step_task, domain), **options)
    model = registry.build("mgno", Setting(step_task, domain), levels=3)
    with pytest.raises(InputError, match=r"grid \(8, 3\) is too small .*at most levels=3"):
        registry.build("mgno", Setting(step_task, domain), levels=4)(torch.zeros(1, 2, 8, 3))
    assert model(torch.zeros(1, 2, 12, 5)).shape == (1, 1, 12, 5)
    normed = registry.build("mgno", Setting(step_task, domain), norm=True)
    with pytest.raises(InputError, match=r"with norm it takes \(8, 6\) only"):
        normed(torch.zeros(1, 2, 12, 6))
