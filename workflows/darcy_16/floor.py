"""How well pressure can be told from permeability at 16² at all: ``python workflows/darcy_16/floor.py``.

1. A solver: finite volumes on the points of the files, with the contrast and the forcing that fit the
   training samples best. What it errs by at 16² and at 32² comes from what lies between the points.
2. A model of the data: phases are the signs of N(0, (−Δ + τ²)^(−3)) between Neumann walls, with the τ
   for which as many neighbors differ as in the files, and pressures those of a solver at 128².
3. The floor: of two fields with one and the same phase at 16², u and u', drawn independently,
   ‖u − u'‖ / √2 is on average what the best predictor of all errs by.
"""

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve
from scipy.special import ndtr, ndtri

import sciml

MODES, FINE, SAMPLES, SWEEPS = 64, 128, 60, (300, 1000)


def phases_and_pressures(resolution, split):
    ds = sciml.load_dataset("neuraloperator_darcy", resolution=resolution).load()
    ds = ds.isel(sample=np.flatnonzero(ds["split"].values == split)).transpose("sample", "y", "x")
    return ds["a"].values > 0.5, ds["u"].values.astype(float)


def solve(phase, contrast):
    """−∇·(a ∇u) = 1 with u = 0 on the walls; a = contrast or 1, given at i/n, i < n; harmonic means."""
    n = len(phase)
    a = np.pad(np.where(phase, contrast, 1.0), ((0, 1), (0, 1)), mode="edge")
    x = (2 * a[:, 1:] * a[:, :-1] / (a[:, 1:] + a[:, :-1]))[1:n]
    y = (2 * a[1:] * a[:-1] / (a[1:] + a[:-1]))[:, 1:n]
    number = np.arange((n - 1) ** 2).reshape(n - 1, n - 1)
    rows = [number, number[:, 1:], number[:, :-1], number[1:], number[:-1]]
    columns = [number, number[:, :-1], number[:, 1:], number[:-1], number[1:]]
    values = [x[:, 1:] + x[:, :-1] + y[1:] + y[:-1], -x[:, 1:-1], -x[:, 1:-1], -y[1:-1], -y[1:-1]]
    rows, columns, values = (
        np.concatenate([p.ravel() for p in q]) for q in (rows, columns, values)
    )
    matrix = scipy.sparse.csc_matrix((values * n**2, (rows, columns)))
    return np.pad(spsolve(matrix, np.ones(number.size)).reshape(number.shape), ((1, 0), (1, 0)))


def relative(found, truth):
    axes = (1, 2)
    return np.sqrt(((found - truth) ** 2).sum(axes) / (truth**2).sum(axes))


def fitted(phases, pressures, contrasts):
    """Contrast and forcing with the least error."""
    best = []
    for contrast in contrasts:
        u = np.stack([solve(p, contrast) for p in phases])
        forcing = (u * pressures).sum() / (u * u).sum()
        best.append((relative(forcing * u, pressures).mean(), contrast, forcing))
    return min(best)


def differing(phases):
    """Part of the pairs of neighbors whose phases differ."""
    return (
        (phases[:, 1:] != phases[:, :-1]).mean() + (phases[..., 1:] != phases[..., :-1]).mean()
    ) / 2


def basis(n):
    k = np.arange(MODES)
    return np.cos(np.pi * np.outer(np.arange(n) / n, k)) * np.where(k == 0, 1.0, np.sqrt(2))


def variances(tau):
    k = np.pi * np.arange(MODES)
    found = (k[:, None] ** 2 + k**2 + tau**2) ** -3.0
    found[0, 0] = 0.0
    return found / found.sum()


def fields(modes, n):
    return basis(n) @ modes @ basis(n).T


class Posterior:
    """Gaussian fields, and those of them with given signs at 16²."""

    def __init__(self, tau, rng):
        self.rng, self.variances = rng, variances(tau)
        C = basis(16)
        pairs = (C[:, None] * C).reshape(256, MODES)
        covariance = (pairs @ self.variances @ pairs.T).reshape(16, 16, 16, 16)
        covariance = covariance.transpose(0, 2, 1, 3).reshape(256, 256)
        self.precision = np.linalg.inv(covariance + 1e-8 * np.eye(256))

    def prior(self, count):
        shape = (count, MODES, MODES)
        return np.sqrt(self.variances) * self.rng.standard_normal(shape)

    def sweep(self, values, times):
        """Gibbs sampling of values at 16² that keep their signs."""
        values, signs = values.reshape(len(values), 256).copy(), np.sign(values.reshape(-1, 256))
        product = values @ self.precision
        for _ in range(times):
            for i in self.rng.permutation(256):
                std = self.precision[i, i] ** -0.5
                mean = values[:, i] - product[:, i] * std**2
                # A normal variable beyond zero, on the side of the sign.
                below = ndtr(-signs[:, i] * mean / std)
                uniform = below + (1 - below) * self.rng.random(len(values))
                drawn = mean + signs[:, i] * std * ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
                drawn = np.where(drawn * signs[:, i] > 0, drawn, values[:, i])
                product += (drawn - values[:, i])[:, None] * self.precision[i]
                values[:, i] = drawn
        return values.reshape(-1, 16, 16)

    def complete(self, values):
        """Modes of fields that have the given values at 16² and are random between them."""
        modes, C = self.prior(len(values)), basis(16)
        lacking = (values - C @ modes @ C.T).reshape(-1, 256) @ self.precision
        return modes + self.variances * (C.T @ lacking.reshape(-1, 16, 16) @ C)


def main():
    rng = np.random.default_rng(0)
    data = {16: phases_and_pressures(16, "train"), 32: phases_and_pressures(32, "test")}
    test = phases_and_pressures(16, "test")
    contrasts = np.arange(16.0, 22.5, 0.5)
    phases, pressures = data[16]
    error, contrast, forcing = fitted(phases[:200], pressures[:200], contrasts)
    found = forcing * np.stack([solve(p, contrast) for p in test[0]])
    print(
        f"solver at 16²: contrast {contrast:g}, forcing {forcing:.1f}: {error:.4f} on 200 training"
    )
    print(f"samples, {relative(found, test[1]).mean():.4f} on the test samples")
    error, contrast, forcing = fitted(*data[32], contrasts)
    print(
        f"solver at 32²: contrast {contrast:g}, forcing {forcing:.1f}: {error:.4f} on the test samples"
    )

    wanted = {8: differing(phases[:, ::2, ::2]), 16: differing(phases), 32: differing(data[32][0])}
    taus = np.arange(8.0, 12.0, 0.25)
    noise = rng.standard_normal((400, MODES, MODES))
    counted = [
        {n: differing(fields(np.sqrt(variances(tau)) * noise, n) > 0) for n in wanted}
        for tau in taus
    ]
    tau, own = min(zip(taus, counted, strict=True), key=lambda p: abs(p[1][16] - wanted[16]))
    for n in wanted:
        print(f"neighbors that differ at {n}²: {wanted[n]:.4f}, with τ = {tau:g} {own[n]:.4f}")

    posterior = Posterior(tau, rng)
    modes = posterior.prior(SAMPLES)
    truth = np.stack([solve(f > 0, contrast) for f in fields(modes, FINE)])
    for n in (16, 32):
        seen = fields(modes, n) > 0
        error, own, _ = fitted(seen, truth[:, :: FINE // n, :: FINE // n], contrasts[::2])
        print(
            f"solver at {n}² against one at {FINE}², model of the data: {error:.4f}, contrast {own:g}"
        )
    values, done = fields(modes, 16), 0
    for sweeps in SWEEPS:
        values, done = posterior.sweep(values, sweeps - done), sweeps
        other = fields(posterior.complete(values), FINE) > 0
        kept = (other[:, :: FINE // 16, :: FINE // 16] == (fields(modes, 16) > 0)).mean()
        u = np.stack([solve(f, contrast) for f in other])[:, :: FINE // 16, :: FINE // 16]
        errors = relative(u, truth[:, :: FINE // 16, :: FINE // 16]) / np.sqrt(2)
        spread = errors.std(ddof=1) / np.sqrt(SAMPLES)
        print(
            f"floor, {sweeps} sweeps: {errors.mean():.4f} ± {spread:.4f} (phases kept: {kept:.4f})"
        )


if __name__ == "__main__":
    main()
