"""Nuclei that come close: what no data show, and no network is to invent."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sciml.surrogates.particles.edges import envelope
from sciml.surrogates.particles.mace.constants import Constants

#: e² / 4πε₀ in eV Å, and the radius of Bohr in Å, as the source rounds them.
COULOMB, BOHR = 14.3996, 0.529


class Repulsion(nn.Module):
    """V = Σ_{pairs} (e²/4πε₀) Z_i Z_j φ(r/a) / r · f(r), a = 0.4543 a₀ / (Z_i^0.3 + Z_j^0.3)

    φ(x) = 0.1818 e^{−3.2 x} + 0.5099 e^{−0.9423 x} + 0.2802 e^{−0.4028 x} + 0.02817 e^{−0.2016 x}; the
    envelope f ends at the sum of the covalent radii, of ASE. In eV, of lengths in Å.

    Args:
        species: atomic numbers.
        p: of the envelope.

    Source: J. F. Ziegler, J. P. Biersack and U. Littmark, 1985.
    """

    def __init__(self, species: tuple[int, ...], p: int) -> None:
        super().__init__()
        from ase.data import covalent_radii

        self.p = p
        z = np.array(species, np.float64)
        self.constants = Constants(
            charge=z,
            power=z**0.3,
            radius=covalent_radii[list(species)],
            height=np.array([0.1818, 0.5099, 0.2802, 0.02817]),
            slope=np.array([3.2, 0.9423, 0.4028, 0.2016]),
        )

    def forward(
        self,
        length: Float[Tensor, "pair 1"],
        one: Int[Tensor, " pair"],
        other: Int[Tensor, " pair"],
    ) -> Float[Tensor, " pair"]:
        """Of each pair, of kinds by their place among ``species``."""
        held = self.constants
        r = length[:, 0]
        a = 0.4543 * BOHR / (held.power[one] + held.power[other])
        phi = torch.exp(-(length / a[:, None]) * held.slope) @ held.height
        reach = held.radius[one] + held.radius[other]
        energy = COULOMB * held.charge[one] * held.charge[other] / r * phi
        return energy * envelope(r / reach, 1.0, self.p)
