"""The Laplacian of a sheaf, applied without a matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.surrogates.graph.links import Links
from sciml.surrogates.graph.maps import act, act_back


def sheaf_product(
    maps: Float[Tensor, "edge d *d"],
    x: Float[Tensor, "node d feature"],
    links: Links,
    sources: Float[Tensor, "edge d *d"] | None = None,
) -> Float[Tensor, "node d feature"]:
    """(L x)_v = Σ_e F_{v⊴e}ᵀ (F_{v⊴e} x_v − F_{u⊴e} x_u): two gathers, products of d × d, one scatter.

    With the maps of a sheaf, whose edges go both ways, L = δᵀδ is symmetric and positive semidefinite.
    With ``sources``, S_{u⊴e} of each edge's source in place of F_{u⊴e}, edges have a direction and L
    has no symmetry.

    Args:
        maps: at the receiver of each edge; diagonal ones ``(E, d)``.
        x: on nodes.
        links: with ``reverse``, where there are no ``sources``.
        sources: at the source of each edge.

    Source: C. Bodnar et al., Neural sheaf diffusion, NeurIPS 2022, arXiv 2202.04579, definition 4.
    """
    here = act(maps, x.index_select(0, links.receiver))
    if sources is None:
        there = here.index_select(0, links.reverse)
    else:
        there = act(sources, x.index_select(0, links.source))
    return links.sum(act_back(maps, here - there))


def chebyshev(
    product: Callable[[Tensor], Tensor], x: Tensor, coefficients: Float[Tensor, " term"]
) -> Tensor:
    """Σ_k c_k T_k(Δ − I) x by T_{k+1}(z) = 2 z T_k(z) − T_{k−1}(z), for a spectrum of Δ within [0, 2].

    Args:
        product: x ↦ Δ x.
        coefficients: c, two or more.

    Source: A. Borgi, F. Silvestri, P. Liò, Polynomial neural sheaf diffusion, arXiv 2512.00242.
    """
    before, now = x, product(x) - x
    total = coefficients[0] * before + coefficients[1] * now
    for c in coefficients[2:]:
        before, now = now, 2.0 * (product(now) - now) - before
        total = total + c * now
    return total


def normalised(
    maps: Float[Tensor, "edge d *d"],
    links: Links,
    orthogonal: bool = False,
    sources: Float[Tensor, "edge d *d"] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Maps F C_v⁻ᵀ, whose Laplacian is C⁻¹ L C⁻ᵀ: C_v C_vᵀ = D_v + I, D_v = Σ_e F_{v⊴e}ᵀ F_{v⊴e}.

    The spectrum of a symmetric L is then within [0, 2). C is Cholesky's factor, diagonal where maps are;
    D^−½ of the papers differs from it by an orthogonal matrix a node, and has no derivative where
    eigenvalues meet, which those of orthogonal maps always do.

    Args:
        orthogonal: whether FᵀF = I, so that D_v is the number of edges.
        sources: S, likewise made S C_u⁻ᵀ.
    """
    if orthogonal:
        over = (links.degree(maps.dtype) + 1).rsqrt().view(-1, *(1,) * (maps.ndim - 1))

        def scaled(given: Tensor, at: Tensor) -> Tensor:
            return given * over.index_select(0, at)
    elif maps.ndim == 2:
        over = (links.sum(maps * maps) + 1).rsqrt()

        def scaled(given: Tensor, at: Tensor) -> Tensor:
            return given * over.index_select(0, at)
    else:
        one = torch.eye(maps.shape[-1], dtype=maps.dtype, device=maps.device)
        factor = torch.linalg.cholesky(links.sum(maps.mT @ maps) + one)
        back = torch.linalg.solve_triangular(factor.mT, one.expand_as(factor), upper=True)

        def scaled(given: Tensor, at: Tensor) -> Tensor:
            return torch.bmm(given, back.index_select(0, at))

    return scaled(maps, links.receiver), None if sources is None else scaled(sources, links.source)
