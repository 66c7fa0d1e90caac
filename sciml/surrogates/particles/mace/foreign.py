"""Weights of mace-torch as weights of :class:`~.mace.MACE`: the same function, with fewer of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.surrogates.particles.mace.convolution import SILU_NORM, Convolution
from sciml.surrogates.particles.mace.coupling import symmetric
from sciml.surrogates.particles.mace.irreps import Irreps, size
from sciml.surrogates.particles.mace.mace import MACE, MACELayer

Arrays = Mapping[str, np.ndarray]

_REMEDY = "give the model the same irreps, species and widths"


def translated(state: Arrays, model: MACE) -> dict[str, Tensor]:
    """State of ``model`` that computes what a ``ScaleShiftMACE`` of residual interactions does.

    Its energies lack scale, shift and those of isolated atoms. Products of couplings are more there than
    there are polynomials, and become these; signs of 3j symbols, on which versions of e3nn differ, are
    taken from the state.

    Args:
        state: arrays of its ``state_dict()``, such as ``numpy.savez`` writes.
        model: with the same irreps, layers, species and widths.

    Raises:
        InputError: arrays that are not there, or do not fit.
    """
    found: dict[str, np.ndarray] = {}
    try:
        found["embed.weight"] = state["node_embedding.linear.weight"]
        for k, layer in enumerate(model.layers):
            prefix, own = f"interactions.{k}", f"layers.{k}"
            found[f"{own}.up.weight"] = state[f"{prefix}.linear_up.weight"]
            found[f"{own}.skip.weight"] = state[f"{prefix}.skip_tp.weight"]
            found[f"{own}.mix.weight"] = state[f"products.{k}.linear.weight"]
            found |= {f"{own}.convolution.{n}": v for n, v in _convolution(state, prefix, layer)}
            basis = f"products.{k}.symmetric_contractions.contractions"
            found[f"{own}.contraction.weight"] = _contraction(state, basis, layer)
            if k < len(model.layers) - 1:
                found[f"readouts.{k}.weight"] = state[f"readouts.{k}.linear.weight"]
        last = f"readouts.{len(model.layers) - 1}"
        found["squeeze.weight"] = state[f"{last}.linear_1.weight"]
        found["expand.weight"] = state[f"{last}.linear_2.weight"] * _activation() * SILU_NORM
    except KeyError as error:
        raise InputError(
            f"weights of mace-torch: no {error}; expected residual interactions, as many layers"
        ) from error
    except ValueError as error:
        raise InputError(f"weights of mace-torch: {error}; {_REMEDY}") from error
    own = model.state_dict()
    for name, array in found.items():
        if array.size != own[name].numel():
            raise InputError(
                f"weights of mace-torch: {array.size} numbers for '{name}'; expected "
                f"{' × '.join(map(str, own[name].shape))}: {_REMEDY}"
            )
    kept = {n: torch.from_numpy(np.reshape(a, own[n].shape)).to(own[n]) for n, a in found.items()}
    return own | kept


def _activation() -> float:
    from e3nn.math import normalize2mom

    return normalize2mom(torch.nn.functional.silu).cst


def _convolution(state: Arrays, prefix: str, layer: MACELayer) -> Iterator[tuple[str, np.ndarray]]:
    own: Convolution = layer.convolution
    depth = len(own.radial.weights)
    factor = _activation() * SILU_NORM
    weights = [state[f"{prefix}.conv_tp_weights.layer{n}.weight"] for n in range(depth)]
    for n, weight in enumerate(weights[:-1]):
        yield f"radial.weights.{n}", weight * (factor if n else 1.0)
    # There by what comes out first, here by what goes in.
    paths = [(out, a, b) for a, b, outs in own.paths for out in outs]
    there = sorted(range(len(paths)), key=lambda k: paths[k])
    last = weights[-1].reshape(len(weights[-1]), len(paths), -1) * factor
    mixed = state[f"{prefix}.linear.weight"].reshape(len(paths), own.channels, own.channels)
    signs, ordered, given = np.ones(len(paths)), np.empty_like(last), np.empty_like(mixed)
    for place, k in enumerate(there):
        out, a, b = paths[k]
        degrees = (layer.given[a].l, b, layer.turned[out].l)
        name = "_w3j_" + "_".join(map(str, degrees))
        symbol = next(
            (v for n, v in state.items() if n.startswith(prefix) and n.endswith(name)), None
        )
        if symbol is not None:
            flat = symbol.ravel()
            signs[k] = np.sign(flat[np.flatnonzero(np.abs(flat) > 1e-6)[0]])
        ordered[:, k], given[k] = last[:, place] * signs[k], mixed[place]
    yield f"radial.weights.{depth - 1}", ordered
    yield "weight", given


def _contraction(state: Arrays, prefix: str, layer: MACELayer) -> np.ndarray:
    found = []
    for k, out in enumerate(layer.wanted):
        for order in range(1, layer.correlation + 1):
            monomials, c = symmetric(layer.turned, out, order)
            if not len(c):
                continue
            name = (
                "weights_max"
                if order == layer.correlation
                else f"weights.{layer.correlation - 1 - order}"
            )
            table = state[f"{prefix}.{k}.U_matrix_{order}"]
            weight = state[f"{prefix}.{k}.{name}"]
            there = _polynomials(
                table.reshape(out.dim, -1, table.shape[-1]), layer.turned, monomials
            )
            count = np.array([len(set(permutations(t))) for t in monomials.tolist()])
            overlap = np.einsum("emt,mtp->ep", c / count, there) / out.dim
            found.append(np.einsum("ep,zpc->ezc", overlap, weight))
    return np.concatenate(found)


def _polynomials(table: np.ndarray, irreps: Irreps, monomials: np.ndarray) -> np.ndarray:
    """Coefficients of monomials ``(m, t, η)`` of tensors ``(m, components^order, η)``."""
    order = monomials.shape[1]
    place = {tuple(t): k for k, t in enumerate(monomials.tolist())}
    every = product(range(size(irreps)), repeat=order)
    column = np.array([place.get(tuple(sorted(t)), -1) for t in every])
    known = column >= 0
    found = np.zeros((len(monomials), table.shape[0], table.shape[2]))
    np.add.at(found, column[known], table[:, known].transpose(1, 0, 2))
    return found.transpose(1, 0, 2)
