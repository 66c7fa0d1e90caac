"""The Laplacian of a sheaf, applied without a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.surrogates.graph.links import Links


class SheafLaplacian(NamedTuple):
    """(L x)_v = Σ_e F_{v⊴e}ᵀ (F_{v⊴e} x_v − F_{u⊴e} x_u) = D_v x_v − Σ_e G_e x_u.

    What an edge carries, G_e = F_{v⊴e}ᵀ F_{u⊴e}, and D_v = Σ_e F_{v⊴e}ᵀ F_{v⊴e} are made once, and L is
    never assembled: to apply it are products of d × d at nodes and a sum over edges. L = δᵀδ is
    symmetric and positive semidefinite.

    Args:
        blocks: G of each edge, ``(E, d, d)``; of diagonal maps ``(E, d)``.
        diagonal: D of each node, ``(N, d, d)``, ``(N, d)``, or ``(N, 1)`` where it is a number.

    Source: C. Bodnar et al., Neural sheaf diffusion, NeurIPS 2022, arXiv 2202.04579, definition 4.
    """

    blocks: Float[Tensor, "edge d *d"]
    diagonal: Float[Tensor, "node d *d"]

    @classmethod
    def of(
        cls,
        maps: Float[Tensor, "edge d *d"],
        links: Links,
        sources: Float[Tensor, "edge d *d"] | None = None,
    ) -> SheafLaplacian:
        """That of maps at the receivers of edges that go both ways.

        With ``sources``, S_{u⊴e} of each edge's source in place of F_{u⊴e}, edges have a direction, and
        L has no symmetry.
        """
        return cls(_carried(maps, links, sources), links.sum(_squared(maps)))

    @classmethod
    def normalised(
        cls,
        maps: Float[Tensor, "edge d *d"],
        links: Links,
        conformal: bool = False,
        sources: Float[Tensor, "edge d *d"] | None = None,
    ) -> SheafLaplacian:
        """C⁻¹ L C⁻ᵀ with C_v C_vᵀ = D_v + I: that of the maps F C_v⁻ᵀ (and S C_u⁻ᵀ).

        The spectrum of a symmetric one is within [0, 2). C is Cholesky's factor, diagonal where maps
        are; D^−½ of the papers differs from it by an orthogonal matrix a node, and has no derivative
        where eigenvalues meet, which those of orthogonal maps always do.

        Args:
            conformal: whether FᵀF of each is a number times I, and so is D_v.
        """
        if conformal or maps.ndim == 2:
            squares = maps * maps
            if conformal:
                squares = squares.flatten(1).sum(1, keepdim=True) / maps.shape[1]
            count = links.sum(squares)
            over = (count + 1).rsqrt()
            wide = over[..., None] if maps.ndim == 3 else over

            def scaled(given: Tensor, at: Tensor) -> Tensor:
                return given * wide.index_select(0, at)

            diagonal = 1 - over * over
        else:
            one = torch.eye(maps.shape[-1], dtype=maps.dtype, device=maps.device)
            factor = torch.linalg.cholesky(links.sum(_squared(maps)) + one)
            back = torch.linalg.solve_triangular(factor.mT, one.expand_as(factor), upper=True)

            def scaled(given: Tensor, at: Tensor) -> Tensor:
                return torch.bmm(given, back.index_select(0, at))

            diagonal = one - back.mT @ back
        maps = scaled(maps, links.receiver)
        sources = None if sources is None else scaled(sources, links.source)
        return cls(_carried(maps, links, sources), diagonal)

    def apply(
        self, x: Float[Tensor, "node d feature"], links: Links
    ) -> Float[Tensor, "node d feature"]:
        """L x."""
        d = self.diagonal
        own = torch.bmm(d, x) if d.ndim == 3 else d[..., None] * x
        return own - links.block_sum(self.blocks, x)


def _carried(maps: Tensor, links: Links, sources: Tensor | None) -> Tensor:
    there = maps.index_select(0, links.reverse) if sources is None else sources
    return maps * there if maps.ndim == 2 else torch.bmm(maps.mT, there)


def _squared(maps: Tensor) -> Tensor:
    return maps * maps if maps.ndim == 2 else torch.bmm(maps.mT, maps)


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
