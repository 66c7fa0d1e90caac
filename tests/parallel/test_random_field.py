"""Random fields depend on the seed alone: not on ranks, not on resolution."""

import numpy as np
import pytest

from sciml.domain import Grid
from sciml.errors import InputError
from sciml.parallel import Decomposition, PiecewiseField, SmoothField


def grid(n, ndim=2, boundary="periodic"):
    return Grid((n,) * ndim, ((0.0, 2.0),) * ndim, (boundary,) * ndim)


FIELDS = {
    "smooth": lambda seed, ndim: SmoothField(seed, ndim),
    "sine": lambda seed, ndim: SmoothField(seed, ndim, basis="sine"),
    "discs": lambda seed, ndim: PiecewiseField(seed, ndim),
    "boxes": lambda seed, ndim: PiecewiseField(seed, ndim, kind="box", periodic=False),
}


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("kind", FIELDS)
def test_any_ranks_and_any_resolution_see_one_field(kind, ndim):
    field, fine = FIELDS[kind](3, ndim), grid(24, ndim)
    whole = field.on(fine)
    for ranks in (2, 3, 7):
        for block in Decomposition(fine, ranks).blocks:
            np.testing.assert_allclose(field.on(fine, block), whole[block.slices], atol=1e-13)
    coarse = field.on(grid(12, ndim))
    np.testing.assert_allclose(coarse, whole[(slice(None, None, 2),) * ndim], atol=1e-13)
    assert np.ptp(whole) > 0.1
    np.testing.assert_array_equal(FIELDS[kind](3, ndim).on(fine), whole)
    assert np.abs(FIELDS[kind](4, ndim).on(fine) - whole).max() > 0.1


@pytest.mark.parametrize("basis", ["periodic", "sine"])
def test_means_over_cells_are_those_of_finer_cells(basis):
    field = SmoothField(3, 2, basis=basis)
    fine, coarse = (field.on(grid(n, boundary="open"), cells=True) for n in (48, 12))
    np.testing.assert_allclose(fine.reshape(12, 4, 12, 4).mean((1, 3)), coarse, atol=1e-13)
    # Points of a periodic axis are centers of cells as they are.
    many = SmoothField(3, 1).on(grid(4000, 1)).reshape(8, 500)
    around = np.roll(many.ravel(), 250).reshape(8, 500).mean(1)
    np.testing.assert_allclose(SmoothField(3, 1).on(grid(8, 1), cells=True), around, atol=0.02)


def test_smooth_fields_have_unit_size():
    f = SmoothField(0, 2).on(grid(64))
    assert abs(f.mean()) < 1e-13 and np.sqrt((f**2).mean()) == pytest.approx(1.0)
    walls = SmoothField(0, 2, basis="sine").on(grid(65, boundary="dirichlet"))
    assert np.abs(walls[0]).max() < 1e-13 and np.abs(walls[:, -1]).max() < 1e-13
    assert np.sqrt((walls[:-1, :-1] ** 2).mean()) == pytest.approx(1.0)


@pytest.mark.parametrize("slope", [0.0, 2.0])
def test_energy_of_an_octave_falls_as_stated(slope):
    n, energy = 64, np.zeros(3)
    k = np.fft.fftfreq(n, 1 / n)
    size = np.hypot(*np.meshgrid(k, k))
    for seed in range(40):
        power = np.abs(np.fft.fft2(SmoothField(seed, 2, slope=slope, modes=24).on(grid(n)))) ** 2
        energy += [power[(size >= 3 * a) & (size < 6 * a)].sum() for a in (1, 2, 4)]
    measured = -np.log2(energy[1:] / energy[:-1])
    # The octaves hold a few dozen waves with random amplitudes: a tenth or two is chance.
    np.testing.assert_allclose(measured, slope, atol=0.25)


def test_more_modes_add_detail_to_the_same_field():
    def normalized(modes):
        series = SmoothField(1, 2, modes=modes).series
        return {k: v / series[(0, 1)] for k, v in series.items()}

    few, many = normalized(4), normalized(8)
    assert set(few) < set(many)
    assert all(many[k] == pytest.approx(v) for k, v in few.items())


def test_pieces_are_constant_and_wrap():
    wrapped = PiecewiseField(2, 2, count=1, values=(5.0, 5.0), radius=(0.3, 0.3)).on(grid(200))
    assert set(np.unique(wrapped)) == {0.0, 5.0}
    assert (wrapped > 0).mean() == pytest.approx(np.pi * 0.09, rel=0.02)
    boxes = PiecewiseField(2, 2, count=1, kind="box", radius=(0.2, 0.2), values=(1, 1))
    assert boxes.on(grid(200)).mean() == pytest.approx(0.16, rel=0.03)


def test_bad_fields_are_refused():
    with pytest.raises(InputError, match="periodic or sine"):
        SmoothField(0, 2, basis="cosine")
    with pytest.raises(InputError, match="expected at least"):
        SmoothField(0, 2, modes=0)
    with pytest.raises(InputError, match="disc, box"):
        PiecewiseField(0, 2, kind="star")
