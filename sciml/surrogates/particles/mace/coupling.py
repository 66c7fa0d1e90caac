"""Clebsch-Gordan coefficients of real spherical harmonics, and polynomials that turn as irreps do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations_with_replacement, permutations, product

import numpy as np
import torch

from sciml.surrogates.particles.mace.irreps import Irrep, Irreps, o3, slices

#: Of a polynomial of norm 1, what is left of it beside others that counts as nothing. Rounding leaves
#: 1e-14, and of those that are none of the others the least leaves more than 1e-2.
NOTHING = 1e-6


@lru_cache(maxsize=1024)
def wigner(one: int, two: int, three: int) -> np.ndarray:
    """3j symbols ``(2l₁+1, 2l₂+1, 2l₃+1)`` of norm 1, by e3nn.

    Their sign, on which versions of e3nn differ, is such that the first that is not 0 is positive.
    """
    with torch.device("cpu"):  # also where a model is built without values
        found = o3().wigner_3j(one, two, three, dtype=torch.float64).numpy().copy()
    found[np.abs(found) < 1e-12] = 0.0
    return found * np.sign(found.flat[np.flatnonzero(found)[0]])


def symmetric(irreps: Irreps, out: Irrep, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """All homogeneous polynomials of components of ``irreps`` that turn as ``out`` does.

    P^η_m(x) = Σ_t c^η_{m t} Π x_i, i in monomial t. As symmetric tensors they are orthogonal, and of
    norm 1 for each m. Products of couplings in any order, as in eq. 10 of MACE, are the same space, with
    three times as many for degree 3.

    Returns:
        monomials ``(t, degree)``, components ascending, and c ``(η, 2l + 1, t)``; with no η where there
        are none.
    """
    parts, found, columns = list(slices(irreps)), [], {}
    for chosen in combinations_with_replacement(range(len(irreps)), degree):
        if np.prod([irreps[i].p for i in chosen]) != out.p:
            continue
        places = [range(parts[i].start, parts[i].stop) for i in chosen]
        orders = [tuple(sorted(t)) for t in product(*places)]
        there = {t: k for k, t in enumerate(sorted(set(orders)))}
        column = np.array([there[t] for t in orders])
        # Of each monomial, how many tensor entries it stands for.
        count = np.array([len(set(permutations(t))) for t in there])
        basis: list[np.ndarray] = []
        for tensor in _coupled([irreps[i].l for i in chosen], out.l):
            c = np.zeros((out.dim, len(there)))
            np.add.at(c.T, column, tensor.reshape(out.dim, -1).T)
            norm = np.sqrt((c * c / count).sum())
            if norm < NOTHING:
                continue
            c /= norm
            for _ in range(2):  # once more, as rounding of the first leaves something
                for other in basis:
                    c = c - (c * other / count).sum() * other
            if (norm := np.sqrt((c * c / count).sum())) > NOTHING:
                basis.append(c / norm)
        if basis:
            new = [columns.setdefault(t, len(columns)) for t in there]
            found += [(new, np.sqrt(out.dim) * c) for c in basis]
    coefficients = np.zeros((len(found), out.dim, len(columns)))
    for row, (places, c) in zip(coefficients, found, strict=True):
        row[:, places] = c
    return np.array([*columns], np.int64).reshape(-1, degree), coefficients


def _coupled(degrees: list[int], out: int) -> Iterator[np.ndarray]:
    """Couplings of irreps one after the other to ``out``, ``(2 out + 1, 2l₁+1, …)``."""
    first, *rest = degrees
    if not rest:
        if first == out:
            yield np.eye(2 * out + 1)
        return
    *before, last = degrees
    for middle in range(abs(out - last), out + last + 1):
        for tensor in _coupled(before, middle):
            w = np.sqrt(2 * out + 1) * wigner(middle, last, out)
            yield np.einsum("a...,abk->k...b", tensor, w)
