"""Gray–Scott: homogeneous states, the total of what is fed, and patterns that form."""

import numpy as np
import pytest
import truths
from programs import march


@pytest.mark.parametrize("regime", truths.GRAY_SCOTT_REGIMES)
def test_steady_states(regime):
    feed, kill = truths.GRAY_SCOTT_REGIMES[regime]
    for u, v in truths.gray_scott_steady_states(feed, kill):
        assert np.abs(truths.gray_scott_reaction(u, v, feed, kill)).max() < 1e-15


def test_totals_follow_the_reaction():
    """Diffusion moves, it does not make: d⟨u + v⟩/dt = F (1 − ⟨u⟩) − (F + k) ⟨v⟩."""
    run = march("gray_scott", shape=(64, 64), dt=0.25, steps=202, every=1)
    u, v = (run.fields[name].mean(axis=(1, 2)) for name in "uv")
    rate = (u + v)[2:] - (u + v)[:-2]
    wanted = 0.029 * (1 - u) - 0.086 * v
    # The first states change fast: differences in time are less accurate there.
    np.testing.assert_allclose((rate / 0.5)[100:], wanted[101:-1], atol=1e-4 * np.abs(wanted).max())


def test_spots_divide_and_stay_bounded():
    run = march("gray_scott", shape=(96, 96), feed=0.03, kill=0.062, steps=600, every=600, spots=5)
    u, v = run.fields["u"][-1], run.fields["v"][-1]
    assert v.min() > -0.01 and 0.25 < v.max() < 0.6 and u.max() < 1.01
    # Each spot of the start has a ring or more spots around it by now.
    assert (v > 0.15).sum() > 1.3 * (run.fields["v"][0] > 0.15).sum()


@pytest.mark.parametrize(("spots", "width"), [(20, 0.05), (40, 0.12), (3, 0.5)])
def test_the_start_has_no_kinks(spots, width):
    """Where spots overlap or half way round: its Fourier coefficients fall to rounding errors."""
    run = march("gray_scott", shape=(256, 256), spots=spots, width=width, steps=0, seed=2)
    for name in "uv":
        c = np.abs(np.fft.rfft2(run.fields[name][0])) / 256**2
        assert max(c[120:137].max(), c[:, 120:].max()) < 1e-15 and c[0, 1] > 1e-4
        assert run.fields[name].min() > -1e-12 and run.fields[name].max() < 1.0 + 1e-12
    np.testing.assert_allclose(run.fields["u"] + run.fields["v"], 1.0, rtol=1e-12)
